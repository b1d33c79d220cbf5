//! Whether this node's core is up to date, as its heartbeats tell. No I/O.
//!
//! ```text
//! the daemon begins, the core is gone ─▶ Cold, for as long as it is gone
//! the core was started, or a peer whose memory counts connected ─▶ Cold ─ resynchronised, and told what people did on the
//!                                                                       other core; or COLD_AT_MOST ─▶ Warm
//! ```

use std::time::{Duration, Instant};

use nsca::sealed::Warmth;

/// How long a core that runs is cold at most.
pub const COLD_AT_MOST: Duration = Duration::from_secs(60);

/// How warm a core is.
#[derive(Clone, Copy, Debug)]
pub struct Thermometer(State);

#[derive(Clone, Copy, Debug)]
enum State {
    Gone,
    Cold { since: Instant, is_resynced: bool },
    Warm,
}

impl Thermometer {
    /// Of a daemon that begins at `now`: whatever it was before, nobody has looked.
    pub fn new(now: Instant) -> Self {
        Self(State::Cold { since: now, is_resynced: false })
    }

    /// The core does not run.
    pub fn handle_core_gone(&mut self) {
        self.0 = State::Gone;
    }

    /// The core was started.
    pub fn handle_core_started(&mut self, now: Instant) {
        self.0 = State::Cold { since: now, is_resynced: false };
    }

    /// A peer whose memory counts has connected.
    pub fn handle_contact(&mut self, now: Instant) {
        match &mut self.0 {
            State::Gone => {}
            State::Cold { is_resynced, .. } => *is_resynced = false,
            State::Warm => self.handle_core_started(now),
        }
    }

    /// The core is up to date, or nothing more can be done for it.
    pub fn handle_resynced(&mut self) {
        if let State::Cold { is_resynced, .. } = &mut self.0 {
            *is_resynced = true;
        }
    }

    /// Whether the core shows what people did on the other one.
    pub fn handle_remarks(&mut self, are_settled: bool) {
        if are_settled && matches!(self.0, State::Cold { is_resynced: true, .. }) {
            self.0 = State::Warm;
        }
    }

    /// What heartbeats say at `now`.
    pub fn warmth(&self, now: Instant) -> Warmth {
        match self.0 {
            State::Cold { since, .. } if now < since + COLD_AT_MOST => Warmth::Cold,
            State::Gone => Warmth::Cold,
            State::Cold { .. } | State::Warm => Warmth::Warm,
        }
    }

    /// When that changes by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.0 {
            State::Cold { since, .. } => Some(since + COLD_AT_MOST),
            State::Gone | State::Warm => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_cold_until_it_was_brought_up_to_date() {
        let now = Instant::now();
        let mut thermometer = Thermometer::new(now);
        assert_eq!(thermometer.warmth(now), Warmth::Cold);
        thermometer.handle_remarks(true);
        assert_eq!(thermometer.warmth(now), Warmth::Cold, "it is not resynchronised");
        thermometer.handle_resynced();
        thermometer.handle_remarks(false);
        assert_eq!(thermometer.warmth(now), Warmth::Cold, "what people did is missing");
        thermometer.handle_remarks(true);
        assert_eq!(thermometer.warmth(now), Warmth::Warm);
        thermometer.handle_remarks(false);
        assert_eq!(thermometer.warmth(now), Warmth::Warm, "what comes later comes later");
        thermometer.handle_contact(now);
        assert_eq!(thermometer.warmth(now), Warmth::Cold);
        thermometer.handle_resynced();
        thermometer.handle_contact(now);
        thermometer.handle_remarks(true);
        assert_eq!(thermometer.warmth(now), Warmth::Cold, "it is told everything again");
        thermometer.handle_resynced();
        thermometer.handle_core_gone();
        thermometer.handle_resynced();
        assert_eq!(thermometer.warmth(now + 10 * COLD_AT_MOST), Warmth::Cold, "there is no core");
        thermometer.handle_core_started(now);
        thermometer.handle_resynced();
        thermometer.handle_remarks(true);
        assert_eq!(thermometer.warmth(now), Warmth::Warm);
    }

    #[test]
    fn a_core_that_cannot_be_brought_up_to_date_is_not_cold_for_ever() {
        let now = Instant::now();
        let mut thermometer = Thermometer::new(now);
        thermometer.handle_core_started(now);
        let later = now + COLD_AT_MOST / 2;
        thermometer.handle_contact(later);
        assert_eq!(thermometer.poll_timeout(), Some(now + COLD_AT_MOST), "it began with the core");
        assert_eq!(thermometer.warmth(later), Warmth::Cold);
        assert_eq!(thermometer.warmth(now + COLD_AT_MOST), Warmth::Warm);
    }
}
