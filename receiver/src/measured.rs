//! Pieces of the receiver for `bench`, which counts their instructions, and for the test that counts allocations: the real
//! ones, without threads, sockets and clocks around them. Nobody else has a use for them.

use std::path::Path;
use std::sync::Arc;

use nagios::{Flavour, Outputs, Timestamp};
use nsca::classic::ServerSession;
use tokio::runtime::Runtime;

use crate::StartError;
use crate::backlog::{Next, Selection};
use crate::batch::Batch;
use crate::connection;
use crate::injector::Lines;
use crate::journal::{Journal, Tail};
use crate::peers::{Keeper, Peers};

const MAX_SIZE: u64 = 256 << 20;

/// From what a connection has read to the lines for the command file.
pub struct Way {
    journal: Arc<Journal>,
    peers: Arc<Keeper>,
    tail: Tail,
    lines: Lines,
    nowhere: Arc<str>,
    outputs: Outputs,
    runtime: Runtime,
}

impl Way {
    /// With a journal in `directory`.
    ///
    /// # Errors
    /// When the journal cannot be opened.
    pub fn open(directory: &Path) -> Result<Way, StartError> {
        let config = config::Journal { directory: directory.join("journal"), max_size: MAX_SIZE, status_file: None };
        let peers = Keeper::new(directory.join("peers"));
        let (journal, tail) = Journal::open(&config, [7; 16], false, peers.clone(), Arc::default())?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(StartError::Thread)?;
        Ok(Way {
            journal,
            peers,
            tail,
            lines: Lines::new(Flavour::Nagios4),
            nowhere: Arc::from(""),
            outputs: Outputs::default(),
            runtime,
        })
    }

    /// For sealed sessions.
    pub fn with_peers<T>(&self, with: impl FnOnce(&mut Peers) -> T) -> T {
        with(&mut self.peers.lock())
    }

    /// The results of the packets in `bytes`.
    pub fn decode(&mut self, session: &mut ServerSession, bytes: &[u8], now: Timestamp) -> Batch {
        let mut results = Vec::new();
        let refused = connection::decode(session, bytes, now, &mut self.outputs, |result| results.extend(result));
        debug_assert!(refused.is_ok(), "{refused:?}");
        Batch::classic(results, &self.nowhere)
    }

    /// Appends a batch to the journal, reads it there, and makes lines of it.
    pub fn bring(&mut self, batch: &Batch) -> &[u8] {
        let taken = self.journal.append_here(batch);
        debug_assert!(taken.is_ok(), "{taken:?}");
        let Next::Results(results) = self.runtime.block_on(self.tail.read(&Selection::default())) else {
            return &[];
        };
        let _ = self.lines.load(results.iter().map(|result| &result.result));
        self.tail.done(results.len());
        self.lines.bytes()
    }
}
