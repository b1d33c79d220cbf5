//! The way into the spool for what this node's receiver took.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use nagios::Attributed;
use tracing::warn;

use crate::outbox::{NotTaken, Outbox};
use crate::status::Counters;
use crate::throttle::Throttle;

/// Takes results that came over the network, to be sent on. Clones lead into the same spool.
#[derive(Clone)]
pub struct Inlet {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) counters: Arc<Counters>,
    /// Whether such results are wanted.
    pub(crate) relay_passive: bool,
    pub(crate) complaint: Arc<std::sync::Mutex<Throttle>>,
}

impl Inlet {
    /// Writes results into the spool, with their origins; says how many were taken, the first ones. When this returns, they survive
    /// the death of this process, and a power cut after [`spool::COMMIT_WITHIN`].
    ///
    /// A result that is too long for the spool is taken, counted as refused, and goes no further: giving it again would change
    /// nothing. With `relay_passive = false` all are taken, counted, and go no further.
    ///
    /// **Blocks** on the disk: usually for microseconds, for seconds while the spool is compacted. Call it from a thread that
    /// may wait, not from a task of the runtime.
    ///
    /// # Errors
    ///
    /// None were taken: the spool cannot write, or the sender was stopped. Give them again later.
    pub fn append(&self, results: &[Attributed]) -> Result<usize, NotTaken> {
        if !self.relay_passive {
            self.counters.not_relayed.fetch_add(results.len() as u64, Relaxed);
            return Ok(results.len());
        }
        let outcomes = self.outbox.append(results);
        let is_final =
            |outcome: &&Result<(), NotTaken>| !matches!(outcome, Err(NotTaken::Spool(_) | NotTaken::Stopped));
        let taken = outcomes.iter().take_while(is_final).count();
        let refused = outcomes[..taken].iter().filter(|outcome| outcome.is_err()).count() as u64;
        self.counters.refused.fetch_add(refused, Relaxed);
        self.counters.relayed.fetch_add(taken as u64 - refused, Relaxed);
        let mut complaint = self.complaint.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(results) = complaint.count(refused, Instant::now()) {
            warn!(
                results,
                "results are too long to be sent on; raise max_size in [sender.spool], or shorten what is submitted"
            );
        }
        match outcomes.into_iter().nth(taken) {
            Some(Err(error)) if taken == 0 => Err(error),
            _ => Ok(taken),
        }
    }
}

#[cfg(test)]
mod tests {
    use nagios::{CheckResult, PluginOutput, stored};

    use super::*;
    use crate::testing::{full_outbox, numbered, outbox};

    fn inlet(outbox: Arc<Outbox>, relay_passive: bool) -> Inlet {
        Inlet { outbox, counters: Arc::default(), relay_passive, complaint: Arc::default() }
    }

    fn from(origin: &str, result: CheckResult) -> Attributed {
        Attributed { result, origin: origin.into() }
    }

    #[test]
    fn results_are_stored_with_their_origins_and_long_ones_hold_nothing_up() {
        let (_directory, outbox) = outbox();
        let inlet = inlet(Arc::clone(&outbox), true);
        let long =
            CheckResult { output: PluginOutput::from_text(&vec![b'x'; spool::MAX_PAYLOAD_BYTES]), ..numbered(1) };
        let results = [from("", numbered(0)), from("other", long), from("other", numbered(2))];
        assert_eq!(inlet.append(&results).unwrap(), 3);
        let mut reader = spool::Reader::from(0);
        let state = outbox.lock();
        let batch = reader.next_batch(&state.spool).unwrap();
        let stored: Vec<_> = batch.iter().map(|record| stored::decode(record.payload).unwrap()).collect();
        assert_eq!(stored, [(numbered(0), &b""[..]), (numbered(2), &b"other"[..])]);
        drop(state);
        let status = inlet.counters.snapshot();
        assert_eq!((status.relayed, status.refused), (2, 1));
    }

    #[test]
    fn a_full_spool_takes_none_and_says_why() {
        let (_directory, outbox) = full_outbox();
        let inlet = inlet(outbox, true);
        assert!(matches!(inlet.append(&[from("", numbered(0))]), Err(NotTaken::Spool(_))));
        assert_eq!(inlet.append(&[]).unwrap(), 0);
        assert_eq!(inlet.counters.snapshot().relayed, 0);
    }

    #[test]
    fn after_the_end_nothing_is_taken() {
        let (_directory, outbox) = outbox();
        outbox.lock().ending = true;
        assert!(matches!(inlet(outbox, true).append(&[from("", numbered(0))]), Err(NotTaken::Stopped)));
    }

    #[test]
    fn without_relay_all_is_taken_and_goes_no_further() {
        let (_directory, outbox) = outbox();
        let inlet = inlet(Arc::clone(&outbox), false);
        assert_eq!(inlet.append(&[from("a", numbered(0)), from("", numbered(1))]).unwrap(), 2);
        assert_eq!((outbox.waiting(0), inlet.counters.snapshot().not_relayed), (0, 2));
    }
}
