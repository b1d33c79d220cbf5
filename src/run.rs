//! `understudy run`: the daemon.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chronicle::Chronicle;
use config::Config;
use control::{BindError, Control};
use receiver::{Books, Receiver, Relay, Surroundings};
use sender::Sender;
use tokio::signal::unix::{Signal, SignalKind, signal};
use warm::{Shelves, Warm};

use crate::answers::Answers;
use crate::stage::Stage;
use crate::{EXIT_USAGE, logging, notify};

/// How long the daemon may take to send and inject what is waiting when it is told to stop. Shorter than the 90 s
/// after which systemd kills.
const GRACE: Duration = Duration::from_secs(20);

/// Runs every role of the configuration at `path` until a signal ends it.
pub(crate) fn main(path: &Path) -> ExitCode {
    logging::start();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "understudy");
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    for warning in config.warnings.iter().chain(&warm::needs::findings(&config)) {
        tracing::warn!("{warning}");
    }
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> anyhow::Result<()> {
    receiver::raise_open_files();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut signals = Signals::new().context("cannot watch for signals")?;
        let control = bind_control(&config.node.control_socket)?;
        let roles = Roles::start(&config).await?;
        let answers = Arc::new(Answers { config, started: Instant::now(), roles });
        let serving = control.map(|control| control.serve(answers.clone())).transpose()?;
        notify::ready(&format!("{} is running", answers.config.node.name));
        let watchdog = tokio::spawn(notify::feed_watchdog());
        signals.end().await;
        notify::stopping();
        if let Some(serving) = serving {
            serving.stop().await;
        }
        Arc::into_inner(answers).expect("the control socket has let go of it").roles.stop().await;
        watchdog.abort();
        Ok(())
    })
}

/// Binds the control socket. Without systemd nobody may have made the default directory; where no other socket is named,
/// the daemon does its work without one.
fn bind_control(socket: &Path) -> Result<Option<Control>, BindError> {
    match Control::bind(socket) {
        Err(error @ BindError::NoDirectory(_)) if socket == Path::new(config::DEFAULT_CONTROL_SOCKET) => {
            tracing::warn!(%error, "no control socket: `understudy status` cannot reach this daemon");
            Ok(None)
        }
        bound => bound.map(Some),
    }
}

/// What runs.
pub(crate) struct Roles {
    pub(crate) receiver: Option<Arc<Receiver>>,
    pub(crate) sender: Option<Arc<Sender>>,
    pub(crate) stage: Stage,
}

impl Roles {
    async fn start(config: &Config) -> anyhow::Result<Roles> {
        // A core that starts with what another daemon has left there forgets everything.
        if let Some(Err(error)) = config.core.as_ref().map(warm::handing_over::put_back) {
            tracing::error!(%error, "a partial file may be in the place of the core's own, which is kept beside it");
        }
        let bound = config.receiver.as_ref().map(Receiver::bind).transpose()?.unwrap_or_default();
        let echoes = Arc::default();
        let chronicle = config.core.as_ref().and_then(|core| Chronicle::start(core, &config.node.state_directory));
        let shelves = match chronicle.as_ref().and(warm::Settings::new(config)) {
            Some(settings) => Some((settings, Shelves::open(&config.node.state_directory)?)),
            None => None,
        };
        let sender = match &config.sender {
            Some(sender) => {
                let core = config.core.as_ref();
                Some(Sender::start(sender, &config.node, core, Arc::clone(&echoes), chronicle.clone()).await?)
            }
            None => None,
        };
        let receiver = match &config.receiver {
            Some(receiver) => {
                let surroundings = Surroundings {
                    echoes: sender.as_ref().map(|_| echoes),
                    relay: sender.as_ref().and_then(|sender| relay(sender, config)),
                    books: shelves.as_ref().map(|(_, shelves)| shelves.clone() as Arc<dyn Books>),
                };
                Some(Receiver::start(receiver, &config.node, bound, surroundings)?)
            }
            None => None,
        };
        let node = &config.node.name;
        for address in receiver.iter().flat_map(Receiver::addresses) {
            tracing::info!(%node, %address, "receiver listens");
        }
        for config::Destination { name, address, .. } in config.sender.iter().flat_map(|sender| &sender.destinations) {
            tracing::info!(%node, destination = name, %address, "sender sends");
        }
        let (receiver, sender) = (receiver.map(Arc::new), sender.map(Arc::new));
        let warm = match (receiver.as_ref(), chronicle, shelves) {
            (Some(receiver), Some(chronicle), Some((settings, shelves))) => {
                Some(Warm::start(settings, chronicle, receiver.clone(), shelves))
            }
            _ => None,
        };
        let stage = Stage::start(config, receiver.as_ref(), sender.as_ref(), warm)?;
        if let Some(failover) = &config.failover {
            tracing::info!(%node, role = ?failover.role, mode = ?failover.mode, "failover watches");
        }
        Ok(Roles { receiver, sender, stage })
    }

    /// Whoever decides first, so that nothing changes any more; then the receiver: what it has accepted by then is relayed.
    async fn stop(self) {
        const ALONE: &str = "nobody else holds a role once the stage is empty";
        self.stage.stop().await;
        if let Some(receiver) = self.receiver {
            let receiver = Arc::into_inner(receiver).expect(ALONE);
            let counts = receiver.stop(GRACE).await;
            tracing::info!(?counts, "receiver stopped");
        }
        if let Some(sender) = self.sender {
            let sender = Arc::into_inner(sender).expect(ALONE);
            let ended = sender.stop(GRACE).await;
            tracing::info!(?ended, "sender stopped");
        }
    }
}

/// Where the receiver's results go on, if they do.
fn relay(sender: &Sender, config: &Config) -> Option<Relay> {
    let inlet = sender.inlet();
    let relay: Relay = Box::new(move |results| inlet.append(results).map_err(|error| error.to_string()));
    config.sender.as_ref().is_some_and(|sender| sender.relay_passive).then_some(relay)
}

/// The signals that a daemon is sent.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the signal to end.
    async fn end(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return tracing::info!("SIGTERM: stopping"),
                _ = self.interrupt.recv() => return tracing::info!("SIGINT: stopping"),
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP: a changed configuration takes effect at a restart");
                }
            }
        }
    }
}
