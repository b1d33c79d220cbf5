//! The receiver's part of a status.

use serde::{Deserialize, Serialize};

use super::{ByCause, Queue, SessionKind};

/// The receiver's role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Receiver {
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Connections that were let in.
    pub connections: u64,
    /// Results that were taken.
    pub accepted: u64,
    /// Results that the core took.
    pub injected: u64,
    /// Results whose output was cut to the core's line limit; they are among the injected.
    pub cut: u64,
    /// Results that wait for the core, if that is counted.
    pub waiting: Option<u64>,
    /// How long the oldest of them has waited.
    pub oldest_waiting_seconds: Option<u64>,
    /// What is kept on disk, waiting results included.
    pub journal: Option<Queue>,
    /// Results that were taken from the wire and did not reach the core, nor will.
    pub dropped: ByCause,
    /// Connections and sessions that were turned away or ended.
    pub refused: ByCause,
    /// Who is connected, the oldest session first.
    pub sessions: Vec<ReceiverSession>,
    /// Whose results are remembered, so that none is taken twice.
    pub nodes: Vec<RememberedNode>,
}

/// Where a receiver listens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// Address and port.
    pub address: String,
}

/// One peer that is connected to a receiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReceiverSession {
    /// Where it is connected from.
    pub address: String,
    /// The node's name, in a sealed session.
    pub node: Option<String>,
    /// The kind.
    pub session: SessionKind,
    /// How long it has lasted.
    pub session_seconds: u64,
    /// Results taken in this session.
    pub accepted: u64,
    /// The number of the newest of them, in a sealed session.
    pub received: Option<u64>,
    /// The number up to which the peer knows them to be safe here, in a sealed session.
    pub acknowledged: Option<u64>,
    /// How far the peer's clock is ahead of this node's; negative: behind.
    pub clock_offset_ms: Option<i64>,
    /// What the peer says of its core.
    pub core: Option<String>,
}

/// What is remembered of a node that has sent in sealed sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RememberedNode {
    /// The node's name.
    pub node: String,
    /// The id of its spool, in hexadecimal digits.
    pub spool: String,
    /// The spool's epoch.
    pub epoch: u64,
    /// The number of the last result that was taken from it.
    pub accepted: u64,
    /// Whether it sends from this spool now.
    pub connected: bool,
}
