//! The schedule's clock, which stands still while nobody is in charge.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::plan::ROUND;

/// Milliseconds since the Unix epoch.
pub type Moment = u64;

pub fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// **Invariant:** a moment of the schedule falls at the same part of a round of the wall clock, however often the clock stood
/// still. So it always comes at the same fraction of a second, too.
pub struct Clock {
    /// What the wall clock is ahead of the schedule: whole rounds.
    ahead: Moment,
    stopped_at: Option<Moment>,
}

impl Clock {
    /// The schedule begins with the next round of the wall clock.
    pub fn start(now: Moment) -> Self {
        Clock { ahead: now.next_multiple_of(round()), stopped_at: None }
    }

    /// Where in the schedule it is; none while it stands still, or before the beginning.
    pub fn position(&mut self, now: Moment, runs: bool) -> Option<Duration> {
        let position = now.checked_sub(self.ahead)?;
        match (self.stopped_at, runs) {
            (None, true) => Some(Duration::from_millis(position)),
            (None, false) => {
                self.stopped_at = Some(position);
                None
            }
            (Some(_), false) => None,
            (Some(stopped_at), true) => {
                self.ahead = (now - stopped_at).next_multiple_of(round());
                self.stopped_at = None;
                None
            }
        }
    }
}

fn round() -> Moment {
    ROUND.as_millis().try_into().unwrap()
}
