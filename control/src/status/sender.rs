//! The sender's part of a status.

use serde::{Deserialize, Serialize};

use super::{ByCause, LastError, Queue, SessionKind};

/// The sender's role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sender {
    /// Where `understudy-ocsp` hands results over.
    pub socket: String,
    /// Where results came from.
    pub intake: Intake,
    /// Where they wait.
    pub spool: Queue,
    /// Where they go, in the order of the configuration.
    pub destinations: Vec<Destination>,
}

/// Where a sender's results came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Intake {
    /// Taken from `understudy-ocsp`.
    pub handed_over: u64,
    /// Files of the spill directory among them.
    pub from_spill: u64,
    /// Read from the perfdata FIFO.
    pub perfdata: u64,
    /// Results that this node's receiver passed on.
    pub relayed: u64,
    /// What was not taken.
    pub dropped: ByCause,
}

/// One destination of a sender.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Destination {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// The kind of session that there is at this moment. Classic ones are there only while results are on their way.
    pub session: Option<SessionKind>,
    /// The name of the node at the other end of a sealed session.
    pub peer: Option<String>,
    /// How long the session has lasted.
    pub session_seconds: Option<u64>,
    /// Results that wait.
    pub queued: u64,
    /// How long the oldest of them has waited.
    pub oldest_waiting_seconds: Option<u64>,
    /// Results that the other side has confirmed.
    pub acknowledged: u64,
    /// Results that were not sent, or not whole.
    pub skipped: ByCause,
    /// How far the peer's clock is ahead of this node's; negative: behind.
    pub clock_offset_ms: Option<i64>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<LastError>,
}
