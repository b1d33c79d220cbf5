//! The connections of one batch: as many lanes as the destination has, each opened when it has something to carry.
//!
//! Encryption is a chain in which each byte waits for the one before it. Several connections are several chains, which a
//! processor encrypts in about the time of one.
//!
//! **Invariant:** all results of an object travel in the same lane, in order.
//!
//! **Invariant:** a lane whose connection failed carries nothing more in this batch; the others are brought to their end,
//! so that what they have carried need not be sent again.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::SocketAddr;
use std::time::Instant;

use nagios::{CheckResult, Object, ServiceDescription};
use nsca::classic::ClientSession;
use nsca::packet::Truncated;

use super::classic::Connection;
use super::connect;
use super::error::LinkError;

/// The lanes of one batch.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    /// The connection that told what kind of session it is. The first lane that needs one takes it.
    first: Option<Connection>,
    peer: SocketAddr,
}

enum Lane {
    /// Nothing to carry yet.
    Idle,
    Open(Connection),
    Failed(LinkError),
}

impl Lanes {
    /// `count` lanes to `peer`, where `first` leads.
    pub(crate) fn new(first: Connection, peer: SocketAddr, count: usize) -> Lanes {
        Lanes { lanes: (0..count).map(|_| Lane::Idle).collect(), first: Some(first), peer }
    }

    /// Which lane the results of an object travel in.
    pub(crate) fn of(&self, object: &Object) -> usize {
        if self.lanes.len() == 1 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        object.host().as_bytes().hash(&mut hasher);
        object.service().map(ServiceDescription::as_bytes).hash(&mut hasher);
        let lanes = self.lanes.len() as u64;
        usize::try_from(hasher.finish() % lanes).expect("less than the number of lanes")
    }

    /// Opens a lane that is idle. `session` is one that has not begun.
    pub(crate) async fn open(&mut self, lane: usize, session: impl FnOnce() -> ClientSession) {
        if !matches!(self.lanes[lane], Lane::Idle) {
            return;
        }
        self.lanes[lane] = match self.first.take() {
            Some(first) => Lane::Open(first),
            None => match connect::begin_classic(self.peer, session()).await {
                Ok((stream, session)) => Lane::Open(Connection::new(stream, session)),
                Err(error) => Lane::Failed(error),
            },
        };
    }

    /// Encodes a result for the next [`write`](Lanes::write). `None`: the lane has failed.
    pub(crate) fn encode(&mut self, lane: usize, result: &CheckResult, now: Instant) -> Option<Truncated> {
        match &mut self.lanes[lane] {
            Lane::Open(connection) => Some(connection.encode(result, now)),
            Lane::Idle | Lane::Failed(_) => None,
        }
    }

    /// Encrypts and writes what was encoded.
    pub(crate) async fn write(&mut self) {
        let open = self.lanes.iter_mut().filter_map(|lane| match lane {
            Lane::Open(connection) => Some(connection),
            Lane::Idle | Lane::Failed(_) => None,
        });
        Connection::encrypt_together(open);
        for lane in &mut self.lanes {
            if let Lane::Open(connection) = lane {
                let written = connection.write().await;
                lane.note(written);
            }
        }
    }

    /// Whether any lane has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.lanes.iter().any(|lane| matches!(lane, Lane::Failed(_)))
    }

    /// Gives the daemon a moment to refuse what it has got: see [`Connection::prove`]. All lanes have one password.
    pub(crate) async fn prove(&mut self) {
        for lane in &mut self.lanes {
            if let Lane::Open(connection) = lane {
                let proven = connection.prove().await;
                return lane.note(proven);
            }
        }
    }

    /// Ends our side of all lanes, and waits until the daemon has read everything. For each lane why it failed, if it did.
    pub(crate) async fn finish(mut self) -> Vec<Result<(), LinkError>> {
        for lane in &mut self.lanes {
            if let Lane::Open(connection) = lane {
                let ended = connection.end().await;
                lane.note(ended);
            }
        }
        let mut outcomes = Vec::with_capacity(self.lanes.len());
        for lane in self.lanes {
            outcomes.push(match lane {
                Lane::Idle => Ok(()),
                Lane::Open(connection) => connection.closed().await,
                Lane::Failed(error) => Err(error),
            });
        }
        outcomes
    }
}

impl Lane {
    fn note(&mut self, outcome: Result<(), LinkError>) {
        if let Err(error) = outcome {
            *self = Lane::Failed(error);
        }
    }
}
