//! A time during which something does not work, and when the log says so.

use std::time::{Duration, Instant};

/// How often the log repeats that it lasts.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// Says when to tell: at its beginning or after some patience, every minute while it lasts, and at its end.
#[derive(Debug, Default)]
pub(crate) struct Episode {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    since: Instant,
    told: Option<Instant>,
}

impl Episode {
    /// It does not work. How long it has lasted, if that is to be told now; nothing is told before `patience`.
    pub(crate) fn goes_on(&mut self, patience: Duration, now: Instant) -> Option<Duration> {
        let current = self.current.get_or_insert(Current { since: now, told: None });
        let lasts = now.saturating_duration_since(current.since);
        let lately = current.told.is_some_and(|told| now.saturating_duration_since(told) < REMIND_EVERY);
        if lasts < patience || lately {
            return None;
        }
        current.told = Some(now);
        Some(lasts)
    }

    /// It works. How long it did not, if that was told.
    pub(crate) fn ends(&mut self, now: Instant) -> Option<Duration> {
        let Current { since, told } = self.current.take()?;
        told.map(|_| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_its_beginning_every_minute_and_at_its_end() {
        let (mut episode, start) = (Episode::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(episode.goes_on(Duration::ZERO, start), Some(Duration::ZERO));
        assert_eq!(episode.goes_on(Duration::ZERO, after(59)), None);
        assert_eq!(episode.goes_on(Duration::ZERO, after(60)), Some(Duration::from_secs(60)));
        assert_eq!(episode.ends(after(61)), Some(Duration::from_secs(61)));
        assert_eq!(episode.ends(after(62)), None);
    }

    #[test]
    fn what_is_over_before_the_patience_is_never_told() {
        let (mut episode, start) = (Episode::default(), Instant::now());
        let patience = Duration::from_secs(5);
        assert_eq!(episode.goes_on(patience, start), None);
        assert_eq!(episode.goes_on(patience, start + Duration::from_secs(4)), None);
        assert_eq!(episode.ends(start + Duration::from_secs(4)), None);
    }
}
