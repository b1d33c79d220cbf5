//! A master that flaps costs a bounded number of transitions.
//!
//! The more often the standby took over in the last hour, the longer it stays on stage at least before it hands back:
//!
//! ```text
//! take-overs in the last hour    1     2      3      4      5       6 and more
//! minimum stay                   0     2 min  4 min  8 min  16 min  30 min
//! ```
//!
//! So there are at most seven take-overs in any hour: the sixth comes 30 minutes after the first at the earliest, the
//! seventh 30 minutes later, and so does each one after it.

use std::collections::VecDeque;
use std::time::Duration;

/// What counts as flapping, and how many take-overs in it are remembered.
const WINDOW: Duration = Duration::from_secs(3600);
const REMEMBERED: usize = 16;

/// The longest minimum stay.
pub const LONGEST_STAY: Duration = Duration::from_secs(30 * 60);

/// When the standby took over by itself, in Unix seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Flapping {
    takeovers: VecDeque<i64>,
}

impl Flapping {
    pub(super) fn restore(takeovers: impl IntoIterator<Item = i64>) -> Self {
        let mut takeovers: VecDeque<i64> = takeovers.into_iter().collect();
        takeovers.truncate(REMEMBERED);
        Flapping { takeovers }
    }

    pub(super) fn handle_take_over(&mut self, unix_seconds: i64) {
        if self.takeovers.len() == REMEMBERED {
            self.takeovers.pop_front();
        }
        self.takeovers.push_back(unix_seconds);
    }

    /// How long the standby must stay on stage that it took at `unix_seconds`.
    pub(super) fn minimum_stay(&self, unix_seconds: i64) -> Duration {
        let oldest = unix_seconds.saturating_sub_unsigned(WINDOW.as_secs());
        let lately = self.takeovers.iter().filter(|at| (oldest..=unix_seconds).contains(*at)).count();
        match lately {
            0 | 1 => Duration::ZERO,
            2..=5 => Duration::from_secs(60 << (lately - 1)),
            _ => LONGEST_STAY,
        }
    }

    pub(super) fn takeovers(&self) -> impl Iterator<Item = i64> {
        self.takeovers.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_master_does_there_are_at_most_seven_take_overs_in_an_hour() {
        let mut flapping = Flapping::default();
        let (mut now, mut takeovers) = (1_700_000_000, Vec::new());
        while takeovers.len() < 100 {
            flapping.handle_take_over(now);
            takeovers.push(now);
            // Hands back as soon as it may, and takes over again at once.
            now += i64::try_from(flapping.minimum_stay(now).as_secs()).unwrap().max(1);
        }
        for (index, from) in takeovers.iter().enumerate() {
            let hour = takeovers[index..].iter().take_while(|at| **at < from + 3600).count();
            assert!(hour <= 7, "{hour} in an hour");
        }
    }

    #[test]
    fn a_take_over_now_and_then_costs_nothing() {
        let mut flapping = Flapping::default();
        for at in [0, 4000, 8000] {
            flapping.handle_take_over(at);
            assert_eq!(flapping.minimum_stay(at), Duration::ZERO);
        }
        flapping.handle_take_over(8100);
        assert_eq!(flapping.minimum_stay(8100), Duration::from_secs(120));
    }
}
