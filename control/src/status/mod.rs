//! The document behind `understudy status`: what `--json` prints, and what the text is made of.
//!
//! It goes over the socket as it is, so that the client needs nothing else. Units are in the names: `_seconds`, `_ms`,
//! `bytes`. All counts are since the daemon's start. Readers ignore members that they do not know, and take those that are
//! missing for empty.
//!
//! **Invariant:** the text shows what the document says and nothing else; the same document gives the same text.

mod failover;
mod number;
mod receiver;
mod sender;
mod text;
mod verdict;
mod warm;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use failover::{Failover, Hold, Plugin, Transition};
pub use receiver::{Listener, Receiver, ReceiverSession, RememberedNode};
pub use sender::{Destination, Intake, Sender};
pub use warm::{Book, Event, Warm};

/// How a node and its roles are at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// When this was so, by the daemon's clock: seconds since the Unix epoch.
    pub time: u64,
    /// The node's name.
    pub node: String,
    /// The daemon's version.
    pub version: String,
    /// How long the daemon has been running.
    pub uptime_seconds: u64,
    /// What somebody should look at now, one sentence each. Nothing: all is well.
    pub warnings: Vec<String>,
    /// The core beside it, if it is configured.
    pub core: Option<Core>,
    /// The sender's role, if it runs.
    pub sender: Option<Sender>,
    /// The receiver's role, if it runs.
    pub receiver: Option<Receiver>,
    /// The failover controller, if it runs.
    pub failover: Option<Failover>,
    /// What keeps its core like the one in charge, if it runs.
    pub warm: Option<Warm>,
}

/// The monitoring core on this machine, as the configuration knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Core {
    /// Whose dialect it speaks, as in the configuration.
    pub flavour: String,
    /// Its command file, if it is known.
    pub command_file: Option<String>,
    /// Why it takes no commands now: it is not running, or this is not its command file.
    pub trouble: Option<String>,
}

/// Which kind of session a peer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// As every `send_nsca` and `nsca` speaks it: encrypted at best.
    #[default]
    Classic,
    /// Between two Understudies: authenticated, encrypted, acknowledged.
    Sealed,
}

/// A queue on disk: a sender's spool, or a receiver's journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Results in it, also those that are kept for later although they were delivered.
    pub results: u64,
    /// What they take on disk.
    pub bytes: u64,
    /// What they may take.
    pub max_bytes: u64,
    /// Older results that were dropped in favour of newer ones of their objects, because the queue was full.
    pub superseded: u64,
    /// Results whose text was cut, because the queue was full.
    pub cut: u64,
    /// Bytes that were found damaged.
    pub damaged_bytes: u64,
    /// Why it takes no results now.
    pub trouble: Option<String>,
}

/// What went wrong last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastError {
    /// What it was.
    pub message: String,
    /// How long ago, if that is known.
    pub age_seconds: Option<u64>,
}

/// Numbers of results or sessions by what happened to them: `snake_case`, which the text shows as words.
pub type ByCause = BTreeMap<String, u64>;

impl Status {
    /// Adds the warnings that follow from everything else.
    #[must_use]
    pub fn judged(mut self) -> Status {
        self.warnings.extend(verdict::warnings(&self));
        self
    }

    /// The document as text for people: the verdict first, then some lines for each role and peer. No colours; lines have at
    /// most 100 columns, unless a single word is longer.
    pub fn to_text(&self) -> String {
        text::of(self)
    }
}
