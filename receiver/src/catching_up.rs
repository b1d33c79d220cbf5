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

/// How long a peer that is catching up may be silent before it holds nothing up any more.
const SILENT_AT_MOST: Duration = Duration::from_secs(2);

/// How long a peer that is catching up is silent before it has nothing more: what it has may have come another way, from
/// here, or to the receiver that was here before.
const DONE_AFTER: Duration = Duration::from_secs(1);

/// How many peers are known to catch up at one time. Others hold nothing up.
const MAX_PEERS: usize = 256;

/// Which peers are catching up.
#[derive(Debug)]
pub(crate) struct CatchingUp {
    peers: Mutex<BTreeMap<Arc<str>, Peer>>,
    /// Wakes the injector.
    wake: Arc<Notify>,
}

#[derive(Debug)]
struct Peer {
    since: Instant,
    /// When results of it came last.
    heard: Instant,
}

impl CatchingUp {
    pub(crate) fn new(wake: Arc<Notify>) -> Self {
        CatchingUp { peers: Mutex::default(), wake }
    }

    /// The peer is catching up, and results of it came; or no more: it has come to the end of what waited, or its session
    /// ended.
    fn set(&self, origin: &Arc<str>, is_catching_up: bool, now: Instant) {
        let mut peers = self.lock();
        if !is_catching_up {
            peers.remove(origin);
        } else if let Some(peer) = peers.get_mut(origin) {
            peer.heard = now;
        } else if peers.len() < MAX_PEERS {
            peers.insert(origin.clone(), Peer { since: now, heard: now });
        }
        drop(peers);
        self.wake.notify_one();
    }

    /// Whether results have to wait.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.lock().values().any(|peer| {
            now.saturating_duration_since(peer.since) < HELD_AT_MOST
                && now.saturating_duration_since(peer.heard) < SILENT_AT_MOST
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer's way to the end of what waited when its session began.
#[derive(Debug)]
pub(crate) struct Chase {
    all: Arc<CatchingUp>,
    origin: Arc<str>,
    target: u64,
    /// When results came last.
    heard: Instant,
}

impl Chase {
    /// A session begins: the receiver has everything up to `accepted`, the peer up to `newest`. None if nothing waited.
    pub(crate) fn begin(all: &Arc<CatchingUp>, origin: &str, accepted: u64, newest: u64, now: Instant) -> Option<Self> {
        if newest <= accepted {
            return None;
        }
        let chase = Chase { all: all.clone(), origin: origin.into(), target: newest, heard: now };
        all.set(&chase.origin, true, now);
        Some(chase)
    }

    /// The journal has everything up to `through`. Goes on if that is not all.
    pub(crate) fn go_on(mut self, through: u64, now: Instant) -> Option<Self> {
        if through >= self.target {
            return None;
        }
        self.all.set(&self.origin, true, now);
        self.heard = now;
        Some(self)
    }

    /// From when on it counts as ended, if nothing comes.
    pub(crate) fn ends(&self) -> Instant {
        self.heard + DONE_AFTER
    }
}

impl Drop for Chase {
    fn drop(&mut self) {
        self.all.set(&self.origin, false, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(all: &Arc<CatchingUp>, origin: &str, now: Instant) -> Option<Chase> {
        Chase::begin(all, origin, 5, 10, now)
    }

    #[test]
    fn results_wait_until_all_have_caught_up() {
        let (all, now) = (Arc::new(CatchingUp::new(Arc::default())), Instant::now());
        assert!(Chase::begin(&all, "c", 7, 7, now).is_none(), "nothing waited");
        assert!(!all.holds(now));
        let a = begin(&all, "a", now).unwrap();
        let b = begin(&all, "b", now).unwrap();
        let a = a.go_on(9, now + DONE_AFTER).unwrap();
        assert_eq!(a.ends(), now + 2 * DONE_AFTER, "unless more comes");
        assert!(all.holds(now));
        assert!(a.go_on(12, now).is_none());
        assert!(all.holds(now), "b is not done");
        drop(b);
        assert!(!all.holds(now), "its session ended");
    }

    #[test]
    fn nobody_holds_results_up_for_ever() {
        let (all, start) = (Arc::new(CatchingUp::new(Arc::default())), Instant::now());
        let mut chase = begin(&all, "a", start);
        assert!(all.holds(start + SILENT_AT_MOST / 2));
        assert!(!all.holds(start + SILENT_AT_MOST), "nothing more comes");
        let mut now = start;
        while now < start + HELD_AT_MOST {
            assert!(all.holds(now), "{:?}", now - start);
            now += SILENT_AT_MOST / 2;
            chase = chase.and_then(|chase| chase.go_on(6, now));
        }
        assert!(!all.holds(now), "it takes too long");
    }
}
