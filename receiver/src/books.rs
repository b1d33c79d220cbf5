//! Where sealed sessions bring what they hear of the books of their senders: what a core remembers that results do not tell.

use std::fmt;

use nsca::sealed::{Heading, NodeName};

/// Keeps the books of other nodes. Called by sessions as they read, so it must not wait for a disk.
///
/// For each node calls come from one session at a time, but for a moment when one session takes the place of another.
pub trait Books: Send + Sync + 'static {
    /// A session of this node begins, and both sides know of books.
    fn begin(&self, node: &NodeName);

    /// What comes next.
    fn heading(&self, node: &NodeName, heading: Heading);

    /// A record, as the node encoded it.
    ///
    /// # Errors
    /// It does not fit to what is kept. The session then asks for the whole book, once a minute at most.
    fn record(&self, node: &NodeName, record: &[u8]) -> Result<(), Amiss>;

    /// The node has answered the last [`Want`](nsca::sealed::Want) with so many results. Those that were not too old are in
    /// the journal now. Where answers follow each other closely, only the last one may be told.
    fn answered(&self, node: &NodeName, shown: u32);
}

/// Why a record was not taken, for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Amiss(String);

impl Amiss {
    /// For this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Amiss(reason.to_string())
    }
}
