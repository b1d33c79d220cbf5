//! Peers that are catching up: they send what waited while they could not.
//!
//! A core that is active is to get only the last states of such a peer. Over a fast link the results come so slowly, beside
//! what the injector takes, that there would never be a backlog to reduce. So nothing is injected until they have come:
//! results of others wait with them, at most [`HELD_AT_MOST`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long a peer that is catching up holds up results.
pub(crate) const HELD_AT_MOST: Duration = Duration::from_secs(30);

/// How many peers are known to catch up at one time. Others hold nothing up.
const MAX_PEERS: usize = 256;

/// Which peers are catching up, and since when.
#[derive(Debug)]
pub(crate) struct CatchingUp {
    since: Mutex<BTreeMap<Arc<str>, Instant>>,
    /// Wakes the injector.
    wake: Arc<Notify>,
}

impl CatchingUp {
    pub(crate) fn new(wake: Arc<Notify>) -> Self {
        CatchingUp { since: Mutex::default(), wake }
    }

    /// The peer is catching up from now on, or no more: it has come to the end of what waited, or its session ended.
    #[cfg_attr(not(test), expect(dead_code, reason = "only sealed sessions can tell, and there are none yet"))]
    pub(crate) fn set(&self, origin: &Arc<str>, is_catching_up: bool, now: Instant) {
        let mut since = self.lock();
        if !is_catching_up {
            since.remove(origin);
        } else if since.len() < MAX_PEERS {
            since.entry(origin.clone()).or_insert(now);
        }
        drop(since);
        self.wake.notify_one();
    }

    /// Whether results have to wait.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.lock().values().any(|since| now.saturating_duration_since(*since) < HELD_AT_MOST)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_wait_until_all_have_caught_up_but_not_for_ever() {
        let (peers, start) = (CatchingUp::new(Arc::default()), Instant::now());
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let later = start + HELD_AT_MOST / 2;
        assert!(!peers.holds(start));
        peers.set(&a, true, start);
        peers.set(&b, true, later);
        peers.set(&a, true, later);
        peers.set(&b, false, later);
        assert!(peers.holds(later), "a is not done");
        assert!(!peers.holds(start + HELD_AT_MOST), "a takes too long, also when it says so twice");
        peers.set(&a, false, start + HELD_AT_MOST);
        peers.set(&a, true, start + HELD_AT_MOST);
        assert!(peers.holds(start + HELD_AT_MOST), "another time");
    }
}
