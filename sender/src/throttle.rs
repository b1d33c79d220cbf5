//! One log line instead of thousands.

use std::time::{Duration, Instant};

/// How long a kind of message stays quiet after it was logged.
pub(crate) const QUIET: Duration = Duration::from_secs(30);

/// Lets one message through per [`QUIET`] and counts what it stands for.
#[derive(Default)]
pub(crate) struct Throttle {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// Counts `events` and, when it is time for a message, says how many it stands for, these included.
    pub(crate) fn count(&mut self, events: u64, now: Instant) -> Option<u64> {
        self.held_back += events;
        if self.held_back == 0 || self.last.is_some_and(|last| now.saturating_duration_since(last) < QUIET) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_rest_in_sum() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.count(0, start), None);
        assert_eq!(throttle.count(1, start), Some(1));
        assert_eq!(throttle.count(5, start + QUIET / 2), None);
        assert_eq!(throttle.count(2, start + QUIET), Some(7));
        assert_eq!(throttle.count(0, start + 3 * QUIET), None);
    }
}
