//! Says in the log who was refused and why, but not for ever: a broken or hostile peer must not fill the disk.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many complaints of one kind about one peer are logged in each [`PERIOD`].
const BURST: u32 = 5;

/// After this time a peer may be complained about anew, with the number of complaints left out in between.
const PERIOD: Duration = Duration::from_secs(60);

/// How many peers and kinds are told apart. Beyond it, complaints are counted together until some have expired.
const MAX_TRACKED: usize = 1024;

/// What is complained about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A connection that was turned away.
    Connection,
    /// A session that was ended.
    Session,
    /// A result that was dropped.
    Result,
}

/// Complaints of the last minute.
#[derive(Default)]
pub(crate) struct Complaints {
    recent: Mutex<Recent>,
}

impl Complaints {
    /// Calls `log` with the number of complaints left out before this one, unless this one is to be left out too.
    pub(crate) fn about(&self, peer: IpAddr, kind: Kind, log: impl FnOnce(u64)) {
        let verdict =
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).verdict(Some(peer), kind, Instant::now());
        if let Some(left_out) = verdict {
            log(left_out);
        }
    }
}

#[derive(Default)]
struct Recent {
    about: BTreeMap<(Option<IpAddr>, Kind), Entry>,
}

struct Entry {
    since: Instant,
    logged: u32,
    left_out: u64,
}

impl Recent {
    /// Whether to log, and how many were left out since it was last logged.
    fn verdict(&mut self, peer: Option<IpAddr>, kind: Kind, now: Instant) -> Option<u64> {
        if self.about.len() >= MAX_TRACKED && !self.about.contains_key(&(peer, kind)) {
            self.about.retain(|_, entry| now.saturating_duration_since(entry.since) < PERIOD);
            if self.about.len() >= MAX_TRACKED && peer.is_some() {
                return self.verdict(None, kind, now);
            }
        }
        let entry = self.about.entry((peer, kind)).or_insert(Entry { since: now, logged: 0, left_out: 0 });
        if now.saturating_duration_since(entry.since) >= PERIOD {
            (entry.since, entry.logged) = (now, 0);
        }
        if entry.logged >= BURST {
            entry.left_out += 1;
            return None;
        }
        entry.logged += 1;
        Some(std::mem::take(&mut entry.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(n.into()))
    }

    #[test]
    fn a_burst_is_logged_the_rest_is_counted_and_told_later() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(recent.verdict(peer(1), Kind::Session, start), Some(0));
        }
        for _ in 0..100 {
            assert_eq!(recent.verdict(peer(1), Kind::Session, start), None);
        }
        assert_eq!(recent.verdict(peer(2), Kind::Session, start), Some(0), "another peer has its own burst");
        assert_eq!(recent.verdict(peer(1), Kind::Result, start), Some(0), "another kind has its own burst");
        assert_eq!(recent.verdict(peer(1), Kind::Session, start + PERIOD), Some(100));
    }

    #[test]
    fn a_flood_of_peers_is_tracked_in_bounded_memory() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        let logged = (0..100_000).filter(|&n| recent.verdict(peer(n), Kind::Session, start).is_some()).count();
        assert!(recent.about.len() <= MAX_TRACKED + 3, "{} entries", recent.about.len());
        assert!(logged <= MAX_TRACKED + BURST as usize, "{logged} lines");
        assert_eq!(recent.verdict(peer(7_000_000), Kind::Session, start + PERIOD), Some(0), "room is made again");
    }
}
