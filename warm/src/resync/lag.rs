//! Notices results that went missing: in the gap of a spool that was full, with a core that was killed, on the way. No I/O.
//!
//! A result that is on its way is shown before long, and what is checked often is always a little behind. What lacks the
//! same result in all status files of [`PATIENCE`] lacks it for good.
//!
//! **Invariant:** an object that never catches up, because its core takes no results of it, makes fewer and fewer
//! resynchronisations: at most one in [`LONGEST_PAUSE`] in the end.

use std::collections::BTreeMap;

use nagios::Object;

use super::machine::Behind;

/// How long a result may be on its way, in seconds of this core's status files.
pub const PATIENCE: i64 = 20;

/// The first pause after one was asked for, and the longest, in seconds.
pub const FIRST_PAUSE: i64 = 60;
/// See [`FIRST_PAUSE`].
pub const LONGEST_PAUSE: i64 = 3600;

/// What has been behind, and since when.
#[derive(Debug, Default)]
pub struct Lag {
    /// What the core showed of it, and since which status file.
    behind: BTreeMap<Object, (i64, i64)>,
    pause: i64,
    quiet_until: i64,
}

impl Lag {
    /// What is behind in the status file that was written at `created`, in Unix seconds. Whether something is missing.
    pub fn handle_comparison(&mut self, behind: Vec<Behind>, created: i64) -> bool {
        let mut before = std::mem::take(&mut self.behind);
        for Behind { object, shown, .. } in behind {
            let since = match before.remove(&object) {
                Some((known, since)) if known == shown => since,
                _ => created,
            };
            self.behind.insert(object, (shown, since));
        }
        let is_missing = self.behind.values().any(|(_, since)| created - since >= PATIENCE);
        if !is_missing {
            if created >= self.quiet_until {
                self.pause = 0;
            }
            return false;
        }
        if created < self.quiet_until {
            return false;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.quiet_until = created + self.pause;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nagios::HostName;

    fn behind(shown: i64) -> Vec<Behind> {
        vec![Behind { object: Object::Host(HostName::try_from("a").unwrap()), shown, known: shown + 1 }]
    }

    #[test]
    fn what_is_on_its_way_is_not_missing() {
        let mut lag = Lag::default();
        for at in (0..1000).step_by(10) {
            assert!(!lag.handle_comparison(behind(at), at), "it is always a little behind, and goes on");
        }
        assert!(!lag.handle_comparison(behind(1), 1000));
        assert!(!lag.handle_comparison(Vec::new(), 1010));
        assert!(!lag.handle_comparison(behind(1), 1010 + PATIENCE), "it had caught up");
    }

    #[test]
    fn what_never_catches_up_is_asked_for_less_and_less() {
        let mut lag = Lag::default();
        let asked: Vec<i64> = (0..20_000).filter(|at| lag.handle_comparison(behind(7), *at)).collect();
        assert_eq!(asked[..4], [20, 80, 200, 440]);
        assert!(asked.windows(2).all(|pair| pair[1] - pair[0] <= LONGEST_PAUSE));
        assert_eq!(asked[asked.len() - 1] - asked[asked.len() - 2], LONGEST_PAUSE);
        let end = 20_000 + LONGEST_PAUSE;
        assert!(!lag.handle_comparison(Vec::new(), end));
        assert!(!lag.handle_comparison(behind(8), end + 1));
        assert!(lag.handle_comparison(behind(8), end + 1 + PATIENCE), "once all was well, it begins anew");
        assert!(lag.handle_comparison(behind(8), end + 1 + PATIENCE + FIRST_PAUSE));
    }
}
