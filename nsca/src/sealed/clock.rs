//! The time, and how far the peer's clock differs.
//!
//! ```text
//! this node      echo ───────────────▶                 ▲ arrival
//! the peer                            │ ◀── held ───▶ time
//! ```
//!
//! The round trip is `arrival − echo − held`. If both ways take equally long, the peer's clock is ahead by
//! `(time − held − echo + time − arrival) / 2`; the error is half the round trip at most.

use std::time::{Duration, Instant, SystemTime};

use super::Heartbeat;

/// The offset is that of the fastest of so many heartbeats.
const MEASUREMENTS: usize = 8;

/// A heartbeat that took longer says more about the network, or about a clock that jumped.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(60);

/// The present, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The clock that never jumps, for timers.
    pub instant: Instant,
    /// The clock on the wall, in µs since the Unix epoch.
    pub unix_us: i64,
}

/// How the peer's clock compares with this node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// How many µs the peer's clock is ahead; negative when it is behind.
    pub ahead_us: i64,
    /// How long a heartbeat took there and back. Half of it is how wrong `ahead_us` may be.
    pub round_trip: Duration,
}

/// The newest measurements.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    ring: [Option<ClockOffset>; MEASUREMENTS],
    next: usize,
}

impl Now {
    /// From what the system says.
    pub fn new(instant: Instant, time: SystemTime) -> Self {
        let unix_us = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        };
        Now { instant, unix_us }
    }
}

impl Measurements {
    pub(super) fn handle_heartbeat(&mut self, heartbeat: &Heartbeat, arrival_us: i64) {
        if let Some(measured) = measure(heartbeat, arrival_us) {
            self.ring[self.next] = Some(measured);
            self.next = (self.next + 1) % MEASUREMENTS;
        }
    }

    pub(super) fn best(&self) -> Option<ClockOffset> {
        self.ring.iter().flatten().min_by_key(|measured| measured.round_trip).copied()
    }
}

/// `None` for a heartbeat that echoes nothing, was held for too long, or took impossibly or uselessly long.
fn measure(heartbeat: &Heartbeat, arrival_us: i64) -> Option<ClockOffset> {
    let [time, echo, held, arrival] =
        [heartbeat.time_us, heartbeat.echo_us, heartbeat.held_us.into(), arrival_us].map(i128::from);
    if heartbeat.echo_us == 0 || heartbeat.held_us == u32::MAX {
        return None;
    }
    let round_trip = u64::try_from(arrival - echo - held).ok().map(Duration::from_micros)?;
    if round_trip > MAX_ROUND_TRIP {
        return None;
    }
    let ahead_us = i64::try_from((time - held - echo + time - arrival) / 2).ok()?;
    Some(ClockOffset { ahead_us, round_trip })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::{CoreVerdict, Duty, Warmth};

    fn heartbeat(time_us: i64, echo_us: i64, held_us: u32) -> Heartbeat {
        Heartbeat {
            time_us,
            echo_us,
            held_us,
            core: CoreVerdict::Unknown,
            duty: Duty::Unknown,
            warmth: Warmth::Unknown,
        }
    }

    #[test]
    fn the_offset_is_that_of_the_fastest_heartbeat() {
        let mut measurements = Measurements::default();
        assert_eq!(measurements.best(), None);
        // Sent at 1,000; there and back in 100 and 60 µs; held for 500; the peer is 1,000,000 ahead.
        measurements.handle_heartbeat(&heartbeat(1_001_600, 1_000, 500), 1_660);
        let expected = ClockOffset { ahead_us: 1_000_020, round_trip: Duration::from_micros(160) };
        assert_eq!(measurements.best(), Some(expected));
        measurements.handle_heartbeat(&heartbeat(1_001_505, 1_000, 500), 1_510);
        let faster = ClockOffset { ahead_us: 1_000_000, round_trip: Duration::from_micros(10) };
        assert_eq!(measurements.best(), Some(faster));
        (0..8).for_each(|_| measurements.handle_heartbeat(&heartbeat(1_001_600, 1_000, 500), 1_660));
        assert_eq!(measurements.best(), Some(expected), "old measurements are forgotten");
    }

    #[test]
    fn numbers_that_make_no_sense_are_ignored() {
        let mut measurements = Measurements::default();
        for (time, echo, held, arrival) in [
            (5, 0, 0, 5),
            (5, 1, u32::MAX, 5),
            (5, 10, 0, 5),
            (i64::MAX, i64::MIN, 7, i64::MAX),
            (i64::MIN, i64::MAX, 7, i64::MAX),
        ] {
            measurements.handle_heartbeat(&heartbeat(time, echo, held), arrival);
        }
        assert_eq!(measurements.best(), None);
    }
}
