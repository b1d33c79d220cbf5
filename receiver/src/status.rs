//! What a receiver tells of itself.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::peers::Peers;
use crate::{Counts, SessionStatus};

/// How a receiver is.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What it has done since it started.
    pub counts: Counts,
    /// Who was refused, by cause; causes that never came up are left out.
    pub refused: BTreeMap<&'static str, u64>,
    /// What waits for the core; none in a receiver without a journal.
    pub journal: Option<JournalStatus>,
    /// The open sessions, the oldest first.
    pub sessions: Vec<SessionStatus>,
    /// The nodes that have sent in sealed sessions, by name, with each of their spools in the order of their last sessions.
    pub nodes: Vec<NodeStatus>,
}

/// How the journal is.
#[derive(Clone, Debug, Serialize)]
pub struct JournalStatus {
    /// How many results the core does not have yet. `None`: the disk cannot be read.
    pub waiting: Option<u64>,
    /// How many results are here, with those that are kept for a core that restarts.
    pub results: u64,
    /// How many bytes they take on the disk.
    pub bytes: u64,
    /// How many results are not committed yet.
    pub uncommitted: u64,
    /// Why the last write did not work; none if it did.
    pub trouble: Option<String>,
}

/// What is remembered of a spool.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// The node that it belongs to.
    pub node: String,
    /// Its id, in hexadecimal digits.
    pub spool: String,
    /// Its epoch.
    pub epoch: u64,
    /// The last sequence that is committed.
    pub accepted: u64,
    /// Whether the node is connected, and sends from this spool.
    pub connected: bool,
}

pub(crate) fn nodes(peers: &Peers) -> Vec<NodeStatus> {
    let remembered = peers.remembered();
    let status = remembered.map(|known| NodeStatus {
        node: known.source.node.to_string(),
        spool: known.source.spool.to_string(),
        epoch: known.source.epoch,
        accepted: known.accepted,
        connected: known.is_connected,
    });
    status.collect()
}
