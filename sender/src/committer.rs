//! The thread that makes the spool survive a power cut.
//!
//! Invariant: what was appended is synced within [`spool::COMMIT_WITHIN`] and the time that the disk takes; many results
//! share one sync. The spool is not locked while the disk is waited for, and sending does not wait for it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use spool::{COMMIT_WITHIN, Trouble};
use tracing::{error, warn};

use crate::StartError;
use crate::outbox::{Outbox, State};
use crate::throttle::Throttle;

/// The running thread. When this is dropped, it commits what is left and ends.
pub(crate) struct Committer {
    outbox: Arc<Outbox>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(crate) fn start(outbox: Arc<Outbox>) -> Result<Committer, StartError> {
        let thread = std::thread::Builder::new().name("spool-commit".into()).spawn({
            let outbox = Arc::clone(&outbox);
            move || serve(&outbox)
        });
        Ok(Committer { outbox, thread: Some(thread.map_err(StartError::Thread)?) })
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.outbox.lock().ending = true;
        self.outbox.commit_wanted.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            warn!("the thread that commits the spool panicked");
        }
    }
}

fn serve(outbox: &Outbox) {
    let mut complaint = Throttle::default();
    let mut state = outbox.lock();
    loop {
        let ending = state.ending;
        let wait = match state.spool.next_commit_due() {
            None if ending => return,
            None => None,
            Some(due) => Some(due.saturating_duration_since(Instant::now())),
        };
        state = match wait {
            None => outbox.commit_wanted.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(wait) if !wait.is_zero() && !ending => {
                outbox.commit_wanted.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => commit(outbox, state, &mut complaint),
        };
        if ending {
            return;
        }
    }
}

fn commit<'o>(outbox: &'o Outbox, mut state: MutexGuard<'o, State>, complaint: &mut Throttle) -> MutexGuard<'o, State> {
    let outcome = match state.spool.begin_commit(Instant::now()) {
        // Something is due but nothing is to be done: a compaction has done it.
        Ok(None) => {
            let waited = outbox.commit_wanted.wait_timeout(state, COMMIT_WITHIN);
            return waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(Some(commit)) => {
            drop(state);
            let committed = commit.run();
            state = outbox.lock();
            state.spool.finish_commit(committed, Instant::now()).map(drop)
        }
        Err(trouble) => Err(trouble),
    };
    if let Err(trouble) = outcome {
        complain(&trouble, complaint);
    }
    state
}

fn complain(trouble: &Trouble, complaint: &mut Throttle) {
    if let Some(times) = complaint.count(1, Instant::now()) {
        error!(times, error = %trouble, "results in the spool may not survive a power cut; it is tried again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{done, numbered, outbox};

    #[test]
    fn what_was_appended_and_confirmed_is_committed_at_the_latest_at_the_end() {
        let (_directory, outbox) = outbox();
        let committer = Committer::start(Arc::clone(&outbox)).unwrap();
        for number in 0..3 {
            assert!(outbox.append(&[numbered(number)])[0].is_ok());
            let mut state = outbox.lock();
            while state.spool.committed() < state.spool.newest() {
                state = outbox.commit_wanted.wait_timeout(state, COMMIT_WITHIN / 10).unwrap().0;
                // It may have been its turn.
                outbox.commit_wanted.notify_one();
            }
        }
        assert!(outbox.append(&[numbered(3)])[0].is_ok());
        done(outbox.confirm(0, u64::MAX));
        drop(committer);
        let state = outbox.lock();
        assert_eq!((state.spool.committed(), state.spool.next_commit_due()), (state.spool.newest(), None));
    }
}
