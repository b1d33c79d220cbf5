//! What the running daemon answers to the commands that talk to it.

use std::time::{Duration, Instant};

use config::Config;
use control::{Answer, EventKind, Handler, Request, Status, Verified};
use failover::Handle;
use failover::event::Kind;
use failover::machine::{Confirmed, Refused};
use sender::ForgetError;

use crate::report;
use crate::run::Roles;

/// Why this daemon knows nothing of other cores.
const NO_BOOKS: &str = "this daemon keeps no books of other nodes: it needs a [receiver], and a [core] with a status file; see \
                        `understudy config check`";

/// How long it is waited for the end of a resynchronisation before it is said that it goes on.
const RESYNC_PATIENCE: Duration = Duration::from_secs(4);

/// The roles, and what is to be known to speak of them.
pub(crate) struct Answers {
    /// What they were started with.
    pub(crate) config: Config,
    /// When.
    pub(crate) started: Instant,
    pub(crate) roles: Roles,
}

impl Handler for Answers {
    async fn handle(&self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(Box::new(self.status().await)),
            Request::Forget { destination } => tokio::task::block_in_place(|| self.forget(&destination)),
            Request::Takeover { reason } => self.order(async |stage| stage.takeover(reason).await).await,
            Request::HandBack => self.order(async |stage| stage.hand_back().await).await,
            Request::Hold { reason } => self.order(async |stage| stage.hold(reason).await).await,
            Request::Verify { at_once } => self.verify(at_once).await,
            Request::Resync => self.resync().await,
            Request::Release => self.order(async |stage| stage.release().await).await,
            Request::Event { kind, state, state_type } => {
                self.order(async |stage| stage.event(kind_of(kind), &state, &state_type).await).await
            }
        }
    }
}

impl Answers {
    async fn status(&self) -> Status {
        let Answers { config, started, roles } = self;
        let receiver = match roles.receiver.as_ref().zip(config.receiver.as_ref()) {
            Some((role, config)) => Some(report::receiver(config, role.addresses(), role.status().await)),
            None => None,
        };
        let failover = match &roles.stage.controller {
            // One that has ended says so to whoever orders something.
            Some(controller) => controller.handle().status().await.ok().map(report::failover),
            None => None,
        };
        let warm = roles.stage.warm.as_deref().map(report::warm);
        let sender = roles.sender.as_ref().zip(config.sender.as_ref());
        // A spool that is being compacted answers only after seconds.
        let (sender, core) = tokio::task::block_in_place(|| {
            let sender = sender.map(|(role, config)| report::sender(config, role.status()));
            (sender, config.core.as_ref().map(|core| report::core(core, receiver.is_some())))
        });
        let status = Status {
            time: report::unix_seconds(),
            node: config.node.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: started.elapsed().as_secs(),
            warnings: roles.stage.warm.iter().filter_map(|warm| report::untold(warm)).collect(),
            core,
            sender,
            receiver,
            failover,
            warm,
        };
        status.judged()
    }

    async fn verify(&self, at_once: bool) -> Answer {
        let Some(warm) = &self.roles.stage.warm else { return Answer::CannotTell { reason: NO_BOOKS.to_owned() } };
        match warm.verify(at_once).await {
            Ok(warm::Verified { agrees, undecided, line, differences }) => {
                Answer::Verified(Verified { agrees, undecided: undecided as u64, line, differences })
            }
            Err(reason) => Answer::CannotTell { reason: reason.to_string() },
        }
    }

    async fn resync(&self) -> Answer {
        let Some(warm) = &self.roles.stage.warm else { return Answer::Refused { reason: NO_BOOKS.to_owned() } };
        match tokio::time::timeout(RESYNC_PATIENCE, warm.resync()).await {
            Ok(Ok(report)) => match report::resync_refused(&report) {
                None => Answer::Done { notes: vec![report::resync_ended(&report)] },
                Some(reason) => Answer::Refused { reason },
            },
            Ok(Err(ended)) => Answer::Refused { reason: ended.to_string() },
            Err(_) => {
                let note = "begun: how it ends is in the log, and in `understudy status`";
                Answer::Done { notes: vec![note.to_owned()] }
            }
        }
    }

    /// What is for the failover controller.
    async fn order(&self, order: impl AsyncFnOnce(Handle) -> Result<Confirmed, Refused>) -> Answer {
        let Some(controller) = &self.roles.stage.controller else {
            let reason = "this daemon takes no part in failover: add a [failover] section to its configuration and restart \
                          it, or ask the other node's daemon";
            return Answer::Refused { reason: reason.to_owned() };
        };
        match order(controller.handle()).await {
            Ok(Confirmed { notes }) => Answer::Done { notes },
            Err(Refused { reason }) => Answer::Refused { reason },
        }
    }

    /// Blocks on the disk.
    fn forget(&self, destination: &str) -> Answer {
        let Some(sender) = &self.roles.sender else { return Answer::NoSuchDestination { known: Vec::new() } };
        match sender.forget(destination) {
            Ok(true) => Answer::Forgotten,
            Ok(false) => Answer::NothingToForget,
            Err(ForgetError::Unknown(_)) => {
                let destinations = self.config.sender.iter().flat_map(|sender| &sender.destinations);
                Answer::NoSuchDestination { known: destinations.map(|known| known.name.clone()).collect() }
            }
            Err(error @ ForgetError::Io { .. }) => Answer::Refused { reason: error.to_string() },
        }
    }
}

/// The controller's word for it.
pub(crate) fn kind_of(kind: EventKind) -> Kind {
    match kind {
        EventKind::Host => Kind::Host,
        EventKind::Service => Kind::Service,
    }
}
