//! What a session waits for.

use std::time::Instant;

/// The timers of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// When to give up waiting for the peer's part of the handshake.
    Handshake,
    /// When to send the next heartbeat.
    Heartbeat,
    /// When to give up a peer of whom nothing was heard.
    Silence,
}

/// When each timer expires, if it runs.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timer {
    const ALL: [Timer; 3] = [Timer::Handshake, Timer::Heartbeat, Timer::Silence];
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) fn stop_all(&mut self) {
        *self = Timers::default();
    }

    /// When the next one expires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Stops a timer that has expired and returns it.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<Timer> {
        let expired = Timer::ALL.into_iter().find(|timer| self.0[*timer as usize].is_some_and(|at| at <= now))?;
        self.stop(expired);
        Some(expired)
    }
}
