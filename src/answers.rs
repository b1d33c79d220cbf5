//! What the running daemon answers to the commands that talk to it.

use std::time::{Instant, SystemTime};

use config::Config;
use control::{Answer, Handler, Request, Status};

use crate::report;
use crate::run::Roles;

/// The roles, and what is to be known to speak of them.
pub(crate) struct Answers {
    /// What they were started with.
    pub(crate) config: Config,
    /// When.
    pub(crate) started: Instant,
    pub(crate) roles: Roles,
}

impl Handler for Answers {
    /// On a thread that may wait: a spool that is being compacted answers only after seconds.
    async fn handle(&self, request: Request) -> Answer {
        tokio::task::block_in_place(|| match request {
            Request::Status => Answer::Status(Box::new(self.status())),
            Request::Forget { destination } => self.forget(&destination),
        })
    }
}

impl Answers {
    fn status(&self) -> Status {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let sender = self.roles.sender.as_ref().zip(self.config.sender.as_ref());
        let status = Status {
            time: now.as_secs(),
            node: self.config.node.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            warnings: Vec::new(),
            core: self.config.core.as_ref().map(report::core),
            sender: sender.map(|(sender, config)| report::sender(config, sender.status())),
            receiver: self.roles.receiver.as_ref().map(|role| report::receiver(role.addresses(), role.counts())),
        };
        status.judged()
    }

    fn forget(&self, destination: &str) -> Answer {
        let destinations = self.config.sender.iter().flat_map(|sender| &sender.destinations);
        let known: Vec<String> = destinations.map(|destination| destination.name.clone()).collect();
        if known.iter().any(|name| name == destination) {
            // The sender makes classic sessions only.
            Answer::NothingToForget
        } else {
            Answer::NoSuchDestination { known }
        }
    }
}
