//! The running daemon: signals, and settings that change under it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use receiver::{Bound, Receiver};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Refusal;
use super::log::Log;
use crate::{DropInError, NscaCfg};

/// How long it may take to give what is waiting to the core when the daemon is told to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Permissions that files of the daemon do not get.
const UMASK: u32 = 0o022;

/// Goes into the background, before anything but the listeners exists. The working directory stays: paths in `nsca.cfg`
/// may be relative to it.
pub(super) fn detach() -> Result<(), Refusal> {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    daemonize::Daemonize::new().working_directory(here).umask(UMASK).start()?;
    Ok(())
}

/// What serves, and what it takes to change its settings.
pub(super) struct Daemon {
    config_file: PathBuf,
    settings: config::Receiver,
    /// Kept beside those that the receiver accepts on, so that new settings for an address do not need a new socket.
    bound: Vec<Bound>,
    log: Log,
}

impl Daemon {
    pub(super) fn new(config_file: PathBuf, settings: config::Receiver, bound: Vec<Bound>, log: Log) -> Self {
        Daemon { config_file, settings, bound, log }
    }

    /// Serves until a signal ends it.
    pub(super) fn run(self) -> Result<(), Refusal> {
        let runtime =
            tokio::runtime::Runtime::new().map_err(|error| Refusal::System("cannot start the runtime", error))?;
        runtime.block_on(self.serve())
    }

    async fn serve(mut self) -> Result<(), Refusal> {
        let mut signals = Signals::new().map_err(|error| Refusal::System("cannot watch for signals", error))?;
        let mut receiver = super::receive(&self.settings, reused(&self.bound)?)?;
        loop {
            for address in receiver.addresses() {
                tracing::debug!(%address, "Listening for connections on port {}", address.port());
            }
            match signals.next().await {
                Caught::HangUp => {
                    tracing::info!("Caught SIGHUP - restarting...");
                    receiver = self.reload(receiver).await?;
                }
                Caught::End(name) => {
                    tracing::info!("Caught {name} - shutting down...");
                    break;
                }
            }
        }
        let counts = receiver.stop(GRACE).await;
        tracing::info!(?counts, "Daemon shutdown");
        Ok(())
    }

    /// Reads the file again. While anything in it is wrong, nothing changes.
    async fn reload(&mut self, mut receiver: Receiver) -> Result<Receiver, Refusal> {
        let (cfg, settings, bound) = match self.read_again().await {
            Ok(read) => read,
            Err(refusal) => {
                tracing::error!("{refusal}");
                let file = self.config_file.display();
                tracing::error!("Config file '{file}' contained errors, the settings stay as they were");
                return Ok(receiver);
            }
        };
        for warning in &cfg.warnings {
            tracing::warn!("{warning}");
        }
        self.log.set_debug(cfg.debug);
        let same_core = settings.route == self.settings.route && settings.dump_file == self.settings.dump_file;
        (self.settings, self.bound) = (settings, bound);
        if same_core {
            receiver.relisten(reused(&self.bound)?);
        } else {
            // Who connects meanwhile waits in the queue of the sockets that are kept.
            receiver.stop(GRACE).await;
            receiver = super::receive(&self.settings, reused(&self.bound)?)?;
        }
        Ok(receiver)
    }

    async fn read_again(&self) -> Result<(NscaCfg, config::Receiver, Vec<Bound>), Refusal> {
        let file = self.config_file.clone();
        // The file may be on a slow disk, and its server_address a name that takes its time.
        let read = tokio::task::spawn_blocking(move || read_settings(&file));
        let (cfg, settings) = read.await.map_err(|e| Refusal::System("reading failed", e.into()))??;
        let bound = bind(&self.bound, &settings)?;
        Ok((cfg, settings, bound))
    }
}

fn read_settings(file: &Path) -> Result<(NscaCfg, config::Receiver), DropInError> {
    let cfg = NscaCfg::read(file)?;
    let settings = cfg.receiver(&cfg.listen_addresses()?);
    Ok((cfg, settings))
}

/// Binds the addresses of `settings`, those that are bound already on the sockets that there are.
fn bind(bound: &[Bound], settings: &config::Receiver) -> Result<Vec<Bound>, Refusal> {
    let bind =
        |listener: &config::Listener| match bound.iter().find(|bound| bound.listener().address == listener.address) {
            Some(bound) => bound.again(listener).map_err(no_descriptor),
            None => Ok(Bound::new(listener)?),
        };
    settings.listeners.iter().map(bind).collect()
}

fn reused(bound: &[Bound]) -> Result<Vec<Bound>, Refusal> {
    bound.iter().map(|bound| bound.again(bound.listener()).map_err(no_descriptor)).collect()
}

fn no_descriptor(error: io::Error) -> Refusal {
    Refusal::System("no file descriptor for a listener", error)
}

/// The signals that a daemon is sent.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
}

enum Caught {
    End(&'static str),
    HangUp,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::End("SIGTERM"),
            _ = self.interrupt.recv() => Caught::End("SIGINT"),
            _ = self.quit.recv() => Caught::End("SIGQUIT"),
            _ = self.hang_up.recv() => Caught::HangUp,
        }
    }
}
