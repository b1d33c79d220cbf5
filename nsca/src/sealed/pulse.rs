//! Signs of life: heartbeats out and in, once a second, and what their absence means.

use std::time::{Duration, Instant};

use super::clock::Measurements;
use super::timers::{Timer, Timers};
use super::{ClockOffset, CoreVerdict, Duty, Heartbeat, Now, Warmth};

/// How often a heartbeat is sent.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// What a side says of its node with each heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Condition {
    pub(super) core: CoreVerdict,
    pub(super) duty: Duty,
    pub(super) warmth: Warmth,
}

/// The heartbeats of one session.
#[derive(Debug)]
pub(super) struct Pulse {
    stale_after: Duration,
    condition: Condition,
    due: bool,
    /// When the last authentic message came; before the first, when the session began.
    heard: Instant,
    /// `time` of the peer's newest heartbeat, and its arrival.
    newest: Option<(i64, Instant)>,
    measurements: Measurements,
}

impl Pulse {
    /// The first heartbeat is due at once.
    pub(super) fn new(stale_after: Duration, condition: Condition, now: Instant, timers: &mut Timers) -> Self {
        timers.set(Timer::Heartbeat, now + HEARTBEAT_INTERVAL);
        timers.set(Timer::Silence, now + stale_after);
        let measurements = Measurements::default();
        Pulse { stale_after, condition, due: true, heard: now, newest: None, measurements }
    }

    pub(super) fn stale_after(&self) -> Duration {
        self.stale_after
    }

    pub(super) fn clock_offset(&self) -> Option<ClockOffset> {
        self.measurements.best()
    }

    /// A change does not wait for the next second.
    pub(super) fn set(&mut self, condition: Condition) {
        self.due |= condition != self.condition;
        self.condition = condition;
    }

    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Something authentic came.
    pub(super) fn handle_message(&mut self, now: Instant, timers: &mut Timers) {
        self.heard = now;
        timers.set(Timer::Silence, now + self.stale_after);
    }

    pub(super) fn handle_heartbeat(&mut self, heartbeat: &Heartbeat, arrival: Now) {
        self.newest = Some((heartbeat.time_us, arrival.instant));
        self.measurements.handle_heartbeat(heartbeat, arrival.unix_us);
    }

    pub(super) fn handle_timer(&mut self, now: Instant, timers: &mut Timers) {
        self.due = true;
        timers.set(Timer::Heartbeat, now + HEARTBEAT_INTERVAL);
    }

    /// The heartbeat to be sent `now`, if one is due.
    pub(super) fn take_heartbeat(&mut self, now: Now) -> Option<Heartbeat> {
        std::mem::take(&mut self.due).then(|| {
            let (echo_us, held) = match self.newest {
                Some((time_us, arrival)) => (time_us, now.instant.saturating_duration_since(arrival)),
                None => (0, Duration::ZERO),
            };
            let held_us = u32::try_from(held.as_micros()).unwrap_or(u32::MAX);
            let Condition { core, duty, warmth } = self.condition;
            Heartbeat { time_us: now.unix_us, echo_us, held_us, core, duty, warmth }
        })
    }
}
