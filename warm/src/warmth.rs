//! Whether this node's core is up to date, as its heartbeats tell. No I/O.
//!
//! ```text
//! the daemon begins, the core is gone ─▶ Cold, for as long as it is gone
//! the core was started, or a peer whose memory counts connected ─▶ Cold ─ resynchronised, and told what people did on the
//!                                                                       other core; or REMARKS_WITHIN; or COLD_AT_MOST ─▶ Warm
//! ```

use std::time::{Duration, Instant};

use nsca::sealed::Warmth;

/// How long a core that runs is cold at most.
pub const COLD_AT_MOST: Duration = Duration::from_secs(60);

/// How long a core that was resynchronised waits for what people did on the other one, at most: they may go on for ever.
pub const REMARKS_WITHIN: Duration = Duration::from_secs(5);

/// How warm a core is.
#[derive(Clone, Copy, Debug)]
pub struct Thermometer(State);

#[derive(Clone, Copy, Debug)]
enum State {
    Gone,
    Cold { since: Instant, resynced: Option<Instant> },
    Warm,
}

impl Thermometer {
    /// Of a daemon that begins at `now`: whatever it was before, nobody has looked.
    pub fn new(now: Instant) -> Self {
        Self(State::Cold { since: now, resynced: None })
    }

    /// The core does not run.
    pub fn handle_core_gone(&mut self) {
        self.0 = State::Gone;
    }

    /// The core was started.
    pub fn handle_core_started(&mut self, now: Instant) {
        self.0 = State::Cold { since: now, resynced: None };
    }

    /// A peer whose memory counts has connected.
    pub fn handle_contact(&mut self, now: Instant) {
        match &mut self.0 {
            State::Gone => {}
            State::Cold { resynced, .. } => *resynced = None,
            State::Warm => self.handle_core_started(now),
        }
    }

    /// The core is up to date, or nothing more can be done for it.
    pub fn handle_resynced(&mut self, now: Instant) {
        if let State::Cold { resynced, .. } = &mut self.0 {
            resynced.get_or_insert(now);
        }
    }

    /// Whether the core shows what people did on the other one.
    pub fn handle_remarks(&mut self, are_settled: bool) {
        if are_settled && matches!(self.0, State::Cold { resynced: Some(_), .. }) {
            self.0 = State::Warm;
        }
    }

    /// What heartbeats say at `now`.
    pub fn warmth(&self, now: Instant) -> Warmth {
        match self.0 {
            State::Cold { .. } if self.poll_timeout().is_some_and(|until| now < until) => Warmth::Cold,
            State::Gone => Warmth::Cold,
            State::Cold { .. } | State::Warm => Warmth::Warm,
        }
    }

    /// When that changes by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.0 {
            State::Cold { since, resynced } => {
                let at_last = since + COLD_AT_MOST;
                Some(resynced.map_or(at_last, |resynced| at_last.min(resynced + REMARKS_WITHIN)))
            }
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
        thermometer.handle_resynced(now);
        thermometer.handle_remarks(false);
        assert_eq!(thermometer.warmth(now), Warmth::Cold, "what people did is missing");
        thermometer.handle_remarks(true);
        assert_eq!(thermometer.warmth(now), Warmth::Warm);
        thermometer.handle_remarks(false);
        assert_eq!(thermometer.warmth(now), Warmth::Warm, "what comes later comes later");
        thermometer.handle_contact(now);
        assert_eq!(thermometer.warmth(now), Warmth::Cold);
        thermometer.handle_resynced(now);
        thermometer.handle_contact(now);
        thermometer.handle_remarks(true);
        assert_eq!(thermometer.warmth(now), Warmth::Cold, "it is told everything again");
        thermometer.handle_resynced(now);
        thermometer.handle_core_gone();
        thermometer.handle_resynced(now);
        assert_eq!(thermometer.warmth(now + 10 * COLD_AT_MOST), Warmth::Cold, "there is no core");
        thermometer.handle_core_started(now);
        thermometer.handle_resynced(now);
        thermometer.handle_remarks(true);
        assert_eq!(thermometer.warmth(now), Warmth::Warm);
    }

    #[test]
    fn people_who_go_on_keep_no_core_cold() {
        let now = Instant::now();
        let mut thermometer = Thermometer::new(now);
        thermometer.handle_resynced(now);
        thermometer.handle_remarks(false);
        assert_eq!(thermometer.poll_timeout(), Some(now + REMARKS_WITHIN));
        assert_eq!(thermometer.warmth(now + REMARKS_WITHIN), Warmth::Warm);
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
