//! The time, as each node sees it.

use std::time::{Duration, Instant};

use nsca::sealed::Now;

/// When all runs begin, in seconds since the Unix epoch.
const BEGINNING: i64 = 1_800_000_000;

/// The true time, which goes when it is told to.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    beginning: Instant,
    elapsed: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Clock { beginning: Instant::now(), elapsed: Duration::ZERO }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.elapsed += by;
    }

    /// By a clock that is ahead by so many seconds.
    pub(crate) fn now(&self, ahead: i64) -> Now {
        let unix_us = (BEGINNING + ahead) * 1_000_000 + i64::try_from(self.elapsed.as_micros()).unwrap();
        Now { instant: self.beginning + self.elapsed, unix_us }
    }
}
