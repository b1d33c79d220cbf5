//! How long to wait before the next attempt.
//!
//! Invariants: a wait is never shorter than half of, nor longer than, `FIRST × 2ⁿ` after n failures in a row, and never
//! longer than [`LONGEST`]. Waits are jittered so that many senders do not fall upon a restarted daemon together.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The longest first wait.
pub(crate) const FIRST: Duration = Duration::from_millis(500);

/// No wait is longer: a destination that is back gets its results within this time.
pub(crate) const LONGEST: Duration = Duration::from_secs(15);

/// The waits of one destination.
pub(crate) struct Backoff {
    failures: u32,
    random: StdRng,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Backoff {
        Backoff { failures: 0, random: StdRng::seed_from_u64(seed) }
    }

    /// Counts a failure and says how long to wait after it.
    pub(crate) fn failed(&mut self) -> Duration {
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.random.random_range(longest / 2..=longest)
    }

    /// The next failure is a first one again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_again_after_a_success() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(seed);
            for failure in 0..40 {
                let longest = FIRST.saturating_mul(2_u32.saturating_pow(failure)).min(LONGEST);
                let wait = backoff.failed();
                assert!(wait >= longest / 2 && wait <= longest, "seed {seed}, failure {failure}: {wait:?}");
            }
            backoff.succeeded();
            assert!(backoff.failed() <= FIRST);
        }
    }

    #[test]
    fn two_senders_do_not_wait_alike() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            [(); 8].map(|()| backoff.failed())
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
