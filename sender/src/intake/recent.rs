//! Which hand-overs were taken a moment ago.
//!
//! When our answer comes too late, `understudy-ocsp` spills a result that was taken. Both copies carry one id.
//!
//! Invariant: an id is remembered for [`MEMORY`], unless [`MAX_IDS`] younger ones came since.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use ocsp::handover::Id;

/// `understudy-ocsp` spills within a second; a stalled disk may make more of it.
const MEMORY: Duration = Duration::from_secs(60);

/// About a minute's worth at a thousand results per second; 3 MB.
const MAX_IDS: usize = 65_536;

/// The ids of what was taken.
#[derive(Default)]
pub(crate) struct Recent {
    order: VecDeque<(Instant, Id)>,
    ids: HashSet<Id>,
}

impl Recent {
    pub(crate) fn contains(&self, id: &Id) -> bool {
        self.ids.contains(id)
    }

    pub(crate) fn remember(&mut self, id: Id, now: Instant) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back((now, id));
        while self.order.len() > MAX_IDS
            || self.order.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > MEMORY)
        {
            let Some((_, oldest)) = self.order.pop_front() else {
                break;
            };
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> Id {
        (n as u128).to_le_bytes()
    }

    #[test]
    fn ids_are_forgotten_by_time() {
        let mut recent = Recent::default();
        let start = Instant::now();
        recent.remember(id(1), start);
        recent.remember(id(2), start + MEMORY);
        assert!(recent.contains(&id(1)) && recent.contains(&id(2)));
        recent.remember(id(3), start + MEMORY + Duration::from_millis(1));
        assert!(!recent.contains(&id(1)) && recent.contains(&id(2)));
    }

    #[test]
    fn ids_are_forgotten_by_number() {
        let mut recent = Recent::default();
        let now = Instant::now();
        for n in 0..=MAX_IDS {
            recent.remember(id(n), now);
            recent.remember(id(n), now);
        }
        assert!(!recent.contains(&id(0)) && recent.contains(&id(1)) && recent.contains(&id(MAX_IDS)));
        assert_eq!((recent.ids.len(), recent.order.len()), (MAX_IDS, MAX_IDS));
    }
}
