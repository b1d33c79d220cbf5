//! The machine with everything around it: plugins, the local core, the disk, hooks, and whoever asks.
//!
//! ```text
//! plugin::repeat ─ outcomes ─┐                        ┌─▶ Issue ─▶ command file
//! heartbeat, peer ─ watches ─┤                        ├─▶ saver ─▶ failover.state
//! flags::look ─ watch ───────┼─▶ run (owns Machine) ──┼─▶ history
//! Handle ─ requests ─────────┘                        ├─▶ hooks
//!                                                     ├─▶ presence, for heartbeats
//!                                                     └─▶ prepare_start ─▶ the stopped core's retention file
//! ```
//!
//! **Invariant:** one task owns the machine, and waits for nobody but the disk, and for that a second at most.

mod run;
mod saver;
mod status;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nagios::retention::RetainedSwitch;
use nsca::sealed::CoreVerdict;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

pub use status::{CoreStatus, PluginStatus, Status};

use crate::disk::{self, History};
use crate::event::{self, Kind};
use crate::flags::Flags;
use crate::issue::Issue;
use crate::machine::{Confirmed, LocalCore, Machine, Now, Order, Presence, Refused, Settings, Snapshot};
use crate::plugin::{self, Outcome, Which};
use crate::retained::{Amend, Retained};
use crate::verdict::{CoreFiles, LOOK_EVERY};
use run::Run;
use saver::Saver;

/// How many requests may wait for the controller.
const MAX_REQUESTS: usize = 64;

/// How many outcomes of plugins may wait.
const MAX_OUTCOMES: usize = 64;

/// The longest reason of an operator that is kept, in characters.
const MAX_REASON_CHARS: usize = 200;

/// What else this node knows that the controller needs.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// What is heard of the master; changes with every sign of life. For a standby with `[failover.heartbeat]`.
    pub heartbeat: Option<watch::Receiver<Option<Heard>>>,
    /// What the standbys say; [`Presence::of_all`] makes one of several. For a master.
    pub peer: Option<watch::Receiver<Presence>>,
    /// What the core is to remember when it starts.
    pub amend: Option<Box<dyn Amend>>,
}

/// The last that was heard of the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An authentic sign of life, and how the core is by it.
    Alive {
        /// When it came.
        at: Instant,
        /// As the master itself sees it.
        core: CoreVerdict,
        /// Whether it says that this core is not up to date yet.
        is_cold: bool,
    },
    /// Its sender was stopped in order.
    Goodbye,
}

/// Why the controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error("cannot use {path} in the state directory: {source}; check owner and mode")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A running controller. Dropping it ends it at once; what it needs to go on is on the disk.
pub struct Controller {
    handle: Handle,
    presence: watch::Receiver<Presence>,
    task: JoinHandle<()>,
    /// Plugins and looks, which end with this.
    _feeders: JoinSet<()>,
}

/// Talks to a running controller.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
}

/// What a [`Handle`] wants.
enum Request {
    Status(oneshot::Sender<Status>),
    Order(Order, oneshot::Sender<Result<Confirmed, Refused>>),
    Event(event::Event, oneshot::Sender<Confirmed>),
}

impl Controller {
    /// Starts a controller that goes on where the last one in this state directory ended. Runs inside a tokio runtime.
    ///
    /// `core` is the one that `config` was checked with.
    ///
    /// # Errors
    /// The state directory cannot be used.
    pub fn start(
        config: &config::Failover,
        node: &config::Node,
        core: &config::Core,
        issue: Box<dyn Issue>,
        mut surroundings: Surroundings,
    ) -> Result<Controller, StartError> {
        let files = CoreFiles::new(core);
        let settings = Settings::new(config, Some(files.status_update_interval()));
        let (history, snapshot) = read(&node.state_directory)?;
        let machine = Machine::new(settings, snapshot, Now::read());

        let (requests, received) = mpsc::channel(MAX_REQUESTS);
        let (presence, presences) = watch::channel(machine.presence());
        let mut feeders = JoinSet::new();
        let (paces, outcomes) = repeat_plugins(config, &mut feeders);
        let (silent_start, is_silent_start) = watch::channel(false);
        if let Some(retained) = Retained::new(core, &config.switches, surroundings.amend.take()) {
            feeders.spawn(prepare_start(retained, is_silent_start));
        }
        let (seen, core) = watch::channel(LocalCore::Unknown);
        feeders.spawn(look(Flags::new(files, config.status_file.clone()), seen));
        let run = Run {
            plugins: status::plugins(config),
            config: config.clone(),
            node: node.name.to_string(),
            machine,
            history,
            issue,
            in_flight: None,
            not_issued: None,
            saver: Saver::start(node.state_directory.clone()),
            hooks: JoinSet::new(),
            presence,
            paces,
            silent_start,
            core_missed: None,
        };
        let inputs = run::Inputs { requests: received, outcomes, core, surroundings: surroundings.with_the_present() };
        let task = tokio::spawn(run.run(inputs));
        Ok(Controller { handle: Handle { requests }, presence: presences, task, _feeders: feeders })
    }

    /// To talk to it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What this node's heartbeats are to say of it: see [`Presence::duty`].
    pub fn presence(&self) -> watch::Receiver<Presence> {
        self.presence.clone()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Handle {
    /// Everything there is to see.
    ///
    /// # Errors
    /// The controller has ended.
    pub async fn status(&self) -> Result<Status, Refused> {
        self.ask(Request::Status).await
    }

    /// Goes on stage, and holds.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn takeover(&self, reason: String) -> Result<Confirmed, Refused> {
        self.order(Order::TakeOver { reason: bounded(&reason) }).await
    }

    /// Leaves the stage, and holds.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn hand_back(&self) -> Result<Confirmed, Refused> {
        self.order(Order::HandBack).await
    }

    /// Stays where it is until a release.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn hold(&self, reason: String) -> Result<Confirmed, Refused> {
        self.order(Order::Hold { reason: bounded(&reason) }).await
    }

    /// Decides for itself again.
    ///
    /// # Errors
    /// It does so already.
    pub async fn release(&self) -> Result<Confirmed, Refused> {
        self.order(Order::Release).await
    }

    /// Takes what an event handler of the core was called with.
    ///
    /// # Errors
    /// The arguments mean nothing.
    pub async fn event(&self, kind: Kind, state: &str, state_type: &str) -> Result<Confirmed, Refused> {
        match event::decide(kind, state, state_type) {
            Ok(Some(event)) => self.ask(|answer| Request::Event(event, answer)).await,
            Ok(None) => Ok(Confirmed { notes: vec![format!("nothing to do for {state} {state_type}")] }),
            Err(error) => Err(Refused { reason: error.to_string() }),
        }
    }

    async fn order(&self, order: Order) -> Result<Confirmed, Refused> {
        self.ask(|answer| Request::Order(order, answer)).await?
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Refused> {
        let ended = || Refused { reason: "the controller has ended: restart the daemon, and see its log".into() };
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())
    }
}

impl Surroundings {
    /// What is known already counts, too.
    fn with_the_present(mut self) -> Self {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.mark_changed();
        }
        if let Some(peer) = &mut self.peer {
            peer.mark_changed();
        }
        self
    }
}

/// Runs probes and witnesses again and again. What they tell, and how to change their paces.
fn repeat_plugins(config: &config::Failover, feeders: &mut JoinSet<()>) -> (run::Paces, mpsc::Receiver<Outcome>) {
    let (outcome, outcomes) = mpsc::channel(MAX_OUTCOMES);
    let (probe_pace, probe_paces) = watch::channel(config.interval);
    let (witness_pace, witness_paces) = watch::channel(config.interval);
    for (index, probe) in config.probes.iter().enumerate() {
        let which = Which::Probe(index);
        feeders.spawn(plugin::repeat(probe.plugin.clone(), which, probe_paces.clone(), outcome.clone()));
    }
    for (index, witness) in config.witnesses.iter().enumerate() {
        let which = Which::Witness(index);
        feeders.spawn(plugin::repeat(witness.clone(), which, witness_paces.clone(), outcome.clone()));
    }
    (run::Paces { probes: probe_pace, witnesses: witness_pace }, outcomes)
}

/// What the last daemon left.
fn read(directory: &Path) -> Result<(History, Option<Snapshot>), StartError> {
    let failed = |path: &str| {
        let path = directory.join(path);
        move |source| StartError::Disk { path, source }
    };
    std::fs::create_dir_all(directory).map_err(failed(""))?;
    let history = History::open(directory).map_err(failed("failover.history"))?;
    let snapshot = disk::read_state(directory).map_err(failed("failover.state"))?;
    Ok((history, snapshot))
}

/// Tells what the local core shows whenever that changes.
async fn look(mut flags: Flags, seen: watch::Sender<LocalCore>) {
    let mut unreadable = false;
    loop {
        let looking = tokio::task::spawn_blocking(move || {
            let looked = flags.look();
            (flags, looked)
        });
        let Ok((returned, (core, error))) = looking.await else { return };
        flags = returned;
        if let Some(error) = &error
            && !unreadable
        {
            tracing::warn!(%error, "the core's switches cannot be seen");
        }
        unreadable = error.is_some();
        seen.send_if_modified(|known| {
            let changed = *known != core;
            *known = core;
            changed
        });
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// While the core does not run, keeps its retention file as it is to be when it starts. What the core writes at its end may be
/// late.
async fn prepare_start(mut retained: Retained, is_to_be_silent: watch::Receiver<bool>) {
    let mut wrong = None;
    while is_to_be_silent.has_changed().is_ok() {
        let is_silent = *is_to_be_silent.borrow();
        let silencing = tokio::task::spawn_blocking(move || {
            let silenced = retained.prepare(is_silent);
            (retained, silenced)
        });
        let Ok((returned, silenced)) = silencing.await else { return };
        retained = returned;
        match silenced {
            Ok(switches) if !switches.is_empty() => {
                let switches: Vec<_> = switches.into_iter().map(RetainedSwitch::key).collect();
                tracing::warn!(
                    ?switches,
                    "turned off in the stopped core's retention file: it would have begun with them"
                );
                wrong = None;
            }
            Err(error) if Wrong::goes_on(&mut wrong, Instant::now()) => {
                tracing::warn!(%error, "the core may begin with switches that it kept, and without what it is to remember");
            }
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends when `watched` changed; never, where there is nothing to watch or nobody who tells any more.
async fn changed<T>(watched: &mut Option<watch::Receiver<T>>) {
    if let Some(receiver) = watched
        && receiver.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

fn bounded(reason: &str) -> String {
    reason.chars().take(MAX_REASON_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Since when something is wrong, and when that was logged last.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    told: Instant,
}

impl Wrong {
    /// Whether it is time to log it: at its beginning, and every minute.
    fn goes_on(wrong: &mut Option<Wrong>, now: Instant) -> bool {
        const REMIND_EVERY: Duration = Duration::from_secs(60);
        if wrong.is_some_and(|wrong| now < wrong.told + REMIND_EVERY) {
            return false;
        }
        *wrong = Some(Wrong { told: now });
        true
    }
}
