//! Pacing: no more results per second than the core can bear. Without a clock: time is an argument.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How much may go at once after a pause: what is due in this time.
const BURST: Duration = Duration::from_secs(1);

/// Results go in portions of what is due in this part of a second, so that a low rate is a trickle and not a flood now and
/// then.
const PORTIONS_PER_SECOND: u32 = 10;

/// A token bucket. It holds what is due in one second; a portion that finds too little waits for the rest.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    rate: NonZeroU32,
    /// When the bucket, drawn on as it is, is empty: tokens in it are the time from here to now.
    empty_at: Instant,
}

impl TokenBucket {
    /// A bucket for `rate` results per second that is full at `now`.
    pub(crate) fn new(rate: NonZeroU32, now: Instant) -> Self {
        Self { rate, empty_at: now.checked_sub(BURST).unwrap_or(now) }
    }

    /// How many results are asked for together at most.
    pub(crate) fn portion(&self) -> usize {
        (self.rate.get() / PORTIONS_PER_SECOND).max(1) as usize
    }

    /// Draws `count` tokens, and says how long to wait before they are used.
    pub(crate) fn draw(&mut self, count: usize, now: Instant) -> Duration {
        if let Some(full) = now.checked_sub(BURST) {
            self.empty_at = self.empty_at.max(full);
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.empty_at += Duration::from_secs(1) * count / self.rate.get();
        self.empty_at.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(rate: u32, now: Instant) -> TokenBucket {
        TokenBucket::new(NonZeroU32::new(rate).unwrap(), now)
    }

    /// A moment with a past: the clock of a machine begins at its start.
    fn start() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    #[test]
    fn after_a_burst_the_rate_holds() {
        let start = start();
        let mut bucket = bucket(3000, start);
        assert_eq!(bucket.portion(), 300);
        for _ in 0..10 {
            assert_eq!(bucket.draw(300, start), Duration::ZERO, "one second's worth goes at once");
        }
        let mut now = start;
        for _ in 0..1000 {
            now += bucket.draw(300, now);
        }
        assert_eq!((now - start).as_millis(), 100_000, "300,000 results at 3,000 a second");
    }

    #[test]
    fn a_long_pause_earns_no_more_than_a_burst() {
        let start = start();
        let mut bucket = bucket(10, start);
        let later = start + Duration::from_secs(1000);
        let waits: Vec<Duration> = (0..12).map(|_| bucket.draw(1, later)).collect();
        assert!(waits[..10].iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[10..], [Duration::from_millis(100), Duration::from_millis(200)]);
    }
}
