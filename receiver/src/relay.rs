//! The relay: what this receiver accepted goes on to the sender of the same node, and so to its standby.
//!
//! A thread of its own reads the journal at its own pace, so that a sender that is slow or in trouble delays nothing else.
//!
//! **Invariant:** every result that was accepted is handed over at least once, in the order of the journal. The position
//! is never ahead of what was taken; what was taken in the last [`spool::POSITIONS_WITHIN`] before the daemon is killed is
//! handed over again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::counts::Counters;
use crate::episode::Episode;
use crate::journal::{Forward, Journal, Portion};
use crate::surroundings::Relay;
use crate::vital;

/// How soon results are handed over again that were not taken.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The running thread.
pub(crate) struct Relaying {
    closing: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Relaying {
    /// Starts the thread. Runs inside a tokio runtime.
    pub(crate) fn start(journal: Arc<Journal>, relay: Relay, counters: Arc<Counters>) -> io::Result<Self> {
        let closing = CancellationToken::new();
        let (runtime, until) = (Handle::current(), closing.clone());
        let ended = vital::spawn("relay", move || {
            let forward = Forward::new(journal);
            let worker = Worker { forward, relay, counters, closing: until, runtime, trouble: Episode::default() };
            worker.run();
        })?;
        Ok(Relaying { closing, ended })
    }

    /// Nothing more is appended. Waits until everything is handed over, or the sender takes no more, or `deadline`: what
    /// is left then is handed over when the daemon runs again.
    pub(crate) async fn stop(self, deadline: Instant) {
        self.closing.cancel();
        if tokio::time::timeout_at(deadline.into(), self.ended).await.is_err() {
            tracing::warn!("the sender on this node has not taken everything: the rest follows at the next start");
        }
    }
}

struct Worker {
    forward: Forward,
    relay: Relay,
    counters: Arc<Counters>,
    /// Nothing more is appended.
    closing: CancellationToken,
    runtime: Handle,
    trouble: Episode,
}

impl Worker {
    fn run(mut self) {
        loop {
            // Asked before, so that what was appended just before the end is read.
            let is_last = self.closing.is_cancelled();
            let goes_on = match self.forward.read() {
                Ok(Some(portion)) => match self.hand_over(&portion) {
                    Ok(()) => true,
                    Err(reason) => self.wait_for_better_times(&reason),
                },
                Ok(None) if is_last => false,
                Ok(None) => {
                    self.wait_for_results();
                    true
                }
                Err(error) => self.wait_for_better_times(&error.to_string()),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Hands a portion over, as far as it is taken.
    fn hand_over(&mut self, portion: &Portion) -> Result<(), String> {
        let count = portion.results.len();
        let (taken, reason) = match (self.relay)(&portion.results) {
            Ok(taken) => (taken.min(count), "it took only some of them".to_owned()),
            Err(reason) => (0, reason),
        };
        self.counters.relayed.add(taken);
        self.forward.done(portion, taken);
        if taken < count {
            return Err(reason);
        }
        if let Some(lasted) = self.trouble.ends(Instant::now()) {
            tracing::info!(after_seconds = lasted.as_secs(), "results are relayed again");
        }
        Ok(())
    }

    /// False if that is the end.
    fn wait_for_better_times(&mut self, reason: &str) -> bool {
        if let Some(lasts) = self.trouble.goes_on(Duration::ZERO, Instant::now()) {
            let for_seconds = lasts.as_secs();
            tracing::error!(reason, for_seconds, "results are not relayed: they wait in the journal");
        }
        let over = async { tokio::time::timeout(RETRY_PAUSE, self.closing.cancelled()).await };
        self.runtime.block_on(over).is_err()
    }

    /// For more of them, or the end.
    fn wait_for_results(&self) {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.forward.wait() => {}
                () = self.closing.cancelled() => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing;
    use nagios::Attributed;
    use std::sync::mpsc;
    use tokio::runtime::Runtime;

    #[test]
    fn everything_is_handed_over_in_order_and_what_was_not_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let counters: Arc<Counters> = Arc::default();
        let (journal, tail) = testing::open_with(directory.path(), &counters, true);
        testing::append(&journal, &["a1", "B1", "a2"]);
        let (handed, got) = mpsc::channel();
        // In trouble at first, then it takes one at a time, then everything.
        let mut calls = 0;
        let relay: Relay = Box::new(move |results: &[Attributed]| {
            calls += 1;
            let taken = match calls {
                1 => return Err("its disk is full".to_owned()),
                2 => 1,
                _ => results.len(),
            };
            results[..taken].iter().for_each(|result| handed.send(testing::output(result)).unwrap());
            Ok(taken)
        });
        let runtime = Runtime::new().unwrap();
        let _entered = runtime.enter();
        let relaying = Relaying::start(journal.clone(), relay, counters.clone()).unwrap();
        let take = |count: usize| -> Vec<String> {
            (0..count).map(|_| got.recv_timeout(Duration::from_secs(20)).unwrap()).collect()
        };
        assert_eq!(take(3), ["a1", "B1", "a2"]);
        testing::append(&journal, &["c1"]);
        assert_eq!(take(1), ["c1"]);
        // What comes just before the end is handed over, too.
        testing::append(&journal, &["c2"]);
        runtime.block_on(relaying.stop(Instant::now() + Duration::from_secs(20)));
        assert_eq!(take(1), ["c2"]);
        assert_eq!(counters.read().relayed, 5);
        assert_eq!(tail.depth(), 5, "the core's position is another one");
    }

    #[test]
    fn a_sender_in_trouble_does_not_hold_up_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _tail) = testing::open_with(directory.path(), &Arc::default(), true);
        testing::append(&journal, &["a1"]);
        let relay: Relay = Box::new(|_: &[Attributed]| Err("stopped".to_owned()));
        let runtime = Runtime::new().unwrap();
        let _entered = runtime.enter();
        let relaying = Relaying::start(journal, relay, Arc::default()).unwrap();
        let start = Instant::now();
        runtime.block_on(relaying.stop(start + Duration::from_secs(60)));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
