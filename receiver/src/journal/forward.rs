//! Reading the journal for the relay: everything, in order, once, whatever the core takes of it.
//!
//! The relay's position is its own. Who has no relay has no such position: it would keep the journal from forgetting what
//! the core is done with.

use std::sync::Arc;
use std::time::Instant;

use nagios::{Attributed, stored};
use spool::{FileState, Reader, Spool, Trouble};

use super::{CORE, Journal};

/// Who reads the journal, beside the core.
const RELAY: &str = "relay";

/// The relay's end of the journal.
pub(crate) struct Forward {
    journal: Arc<Journal>,
    reader: Reader,
}

/// Results to relay, in order.
pub(crate) struct Portion {
    pub(crate) results: Vec<Attributed>,
    /// The sequence of each.
    sequences: Vec<u64>,
    /// The last sequence that was read: what cannot be used may follow the last result.
    through: u64,
}

/// Keeps the positions of those who read the journal. A relay that is new begins with what comes from now on: whoever gets
/// its results wants no flood of old ones. That is on the disk when this returns, if the disk takes it, so that a position
/// that is missing later means a new relay, never one that was forgotten.
pub(super) fn keep_positions(spool: &mut Spool, has_relay: bool, found: FileState) {
    let now = Instant::now();
    let is_new = has_relay && spool.position(RELAY).is_none();
    let readers: &[&str] = if has_relay { &[CORE, RELAY] } else { &[CORE] };
    spool.keep_positions(readers, now).expect("two short names");
    // If all positions are lost, the relay may have been anywhere: everything is relayed again.
    if is_new && found != FileState::Replaced {
        spool.advance(RELAY, spool.newest(), now);
        if let Err(error) = spool.commit(now) {
            tracing::warn!(%error, "cannot write where the relay begins: if the daemon is killed now, it begins anew");
        }
    }
}

impl Forward {
    /// Begins behind what was relayed.
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        let position = journal.spool.blocking_lock().position(RELAY).unwrap_or(0);
        Forward { journal, reader: Reader::from(position + 1) }
    }

    /// What follows; none if there is nothing now.
    pub(crate) fn read(&mut self) -> Result<Option<Portion>, Trouble> {
        let batch = self.reader.next_batch(&*self.journal.spool.blocking_lock())?;
        let Some(through) = batch.iter().last().map(|record| record.sequence) else { return Ok(None) };
        let mut portion = Portion { results: Vec::new(), sequences: Vec::new(), through };
        for record in batch.iter() {
            // What cannot be used is told when it is to be injected.
            let Ok((result, origin)) = stored::decode(record.payload) else { continue };
            let origin = match portion.results.last() {
                Some(last) if last.origin.as_bytes() == origin => last.origin.clone(),
                _ => String::from_utf8_lossy(origin).into(),
            };
            portion.results.push(Attributed { result, origin });
            portion.sequences.push(record.sequence);
        }
        Ok(Some(portion))
    }

    /// The first `count` of a portion are relayed; the others are read again.
    pub(crate) fn done(&mut self, portion: &Portion, count: usize) {
        let passed = match portion.sequences.get(count) {
            None => portion.through,
            Some(next) => {
                self.reader.seek(*next);
                next - 1
            }
        };
        self.journal.spool.blocking_lock().advance(RELAY, passed, Instant::now());
        self.journal.dirty.notify_one();
    }

    /// Waits until something is appended.
    pub(crate) async fn wait(&self) {
        self.journal.appended_for_relay.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing;

    fn outputs(portion: Option<Portion>) -> Vec<String> {
        portion.map(|portion| portion.results.iter().map(testing::output).collect()).unwrap_or_default()
    }

    #[test]
    fn a_new_relay_begins_at_the_end_and_another_process_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _tail) = testing::open_with(directory.path(), &Arc::default(), false);
        testing::append(&journal, &["a1"]);
        let reopen = |journal: Arc<Journal>, has_relay| {
            journal.spool.blocking_lock().commit(Instant::now()).unwrap();
            drop(journal);
            testing::open_with(directory.path(), &Arc::default(), has_relay).0
        };
        drop(_tail);
        let journal = reopen(journal, true);
        testing::append(&journal, &["a2", "B1", "c1"]);
        let mut forward = Forward::new(journal.clone());
        let portion = forward.read().unwrap().unwrap();
        assert_eq!(portion.results.iter().map(|result| &*result.origin).collect::<Vec<_>>(), ["", "peer", ""]);
        forward.done(&portion, 2);
        assert_eq!(outputs(forward.read().unwrap()), ["c1"], "what was not taken is read again");
        drop(forward);
        let journal = reopen(journal, true);
        let mut forward = Forward::new(journal.clone());
        let portion = forward.read().unwrap().unwrap();
        forward.done(&portion, 1);
        assert_eq!(outputs(Some(portion)), ["c1"]);
        assert!(forward.read().unwrap().is_none());
        drop(forward);
        // Without a relay it holds nothing up, and is forgotten.
        let journal = reopen(journal, false);
        assert_eq!(journal.spool.blocking_lock().position(RELAY), None);
    }
}
