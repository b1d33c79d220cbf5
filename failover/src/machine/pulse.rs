//! What the heartbeat tells of the master.

use std::time::{Duration, Instant};

use nsca::sealed::CoreVerdict;

use super::settings::HeartbeatSettings;

/// How long a core must be gone without having been stopped before the standby takes over.
pub const CRASH_CONFIRMATION: Duration = Duration::from_secs(2);

/// How long a standby waits for a master's core that lives and is not up to date.
pub const COLD_AT_MOST: Duration = Duration::from_secs(60);

/// A heartbeat that comes a little after its second is not late, however short `stale_after` is.
const LATE_AT_LEAST: Duration = Duration::from_millis(1500);

/// The heartbeat of one master.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    settings: HeartbeatSettings,
    word: Word,
    /// When the last sign of life came; before the first, when the machine began.
    heard: Instant,
}

/// What the master said last.
#[derive(Clone, Copy, Debug)]
enum Word {
    Nothing,
    /// The same verdict since `since`; if it is one of a dead core, the core has been dead since `dead`.
    Core {
        verdict: CoreVerdict,
        since: Instant,
        dead: Instant,
        /// Since when it has said beside a core that is not dead that this core is not up to date.
        cold: Option<Instant>,
    },
    Goodbye {
        grace: Duration,
    },
}

/// What the heartbeat means at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Nothing was heard since the machine began, which was not long ago.
    NotYet,
    /// The core lives, and has done so since.
    Alive(Instant),
    /// The master is there, and does not say how its core is.
    Untold,
    /// The core is gone, and left things behind, for so long; any kind of dead for so long.
    Crashed { crashed: Instant, dead: Instant },
    /// The core is gone in order.
    Stopped { dead: Instant },
    /// Nothing was heard for `stale_after`.
    Silent { heard: Instant },
    /// The master said goodbye, and may be away until then.
    Away { until: Instant },
}

impl Pulse {
    pub(super) fn new(settings: HeartbeatSettings, now: Instant) -> Self {
        Pulse { settings, word: Word::Nothing, heard: now }
    }

    pub(super) fn handle_heard(&mut self, verdict: CoreVerdict, is_cold: bool, now: Instant) {
        let is_dead = |verdict| matches!(verdict, CoreVerdict::DeadCrash | CoreVerdict::DeadClean);
        let cold = (is_cold && !is_dead(verdict)).then(|| self.cold(now).unwrap_or(now));
        let (since, dead) = match (self.life(now), self.word) {
            (Life::Silent { .. } | Life::NotYet | Life::Away { .. }, _) => (now, now),
            (_, Word::Core { verdict: before, since, dead, .. }) if before == verdict => (since, dead),
            (_, Word::Core { verdict: before, dead, .. }) if is_dead(before) && is_dead(verdict) => (now, dead),
            _ => (now, now),
        };
        self.word = Word::Core { verdict, since, dead, cold };
        self.heard = now;
    }

    pub(super) fn handle_goodbye(&mut self, now: Instant) {
        let grace = match self.word {
            Word::Core { verdict: CoreVerdict::DeadCrash | CoreVerdict::DeadClean, .. } => self.settings.restart_grace,
            Word::Core { .. } | Word::Nothing => self.settings.goodbye_grace,
            Word::Goodbye { .. } => return,
        };
        self.word = Word::Goodbye { grace };
        self.heard = now;
    }

    /// Counts from zero: what lasts, lasts since now.
    pub(super) fn restart(&mut self, now: Instant) {
        match &mut self.word {
            Word::Core { since, dead, cold, .. } => {
                (*since, *dead) = (now, now);
                *cold = cold.map(|_| now);
            }
            Word::Goodbye { .. } => self.heard = now,
            Word::Nothing => {}
        }
    }

    pub(super) fn life(&self, now: Instant) -> Life {
        let quiet = now.saturating_duration_since(self.heard);
        match self.word {
            Word::Goodbye { grace } => Life::Away { until: self.heard + grace },
            Word::Nothing if quiet < self.settings.restart_grace => Life::NotYet,
            Word::Core { verdict, since, dead, .. } if quiet < self.settings.stale_after => match verdict {
                CoreVerdict::Alive => Life::Alive(since),
                CoreVerdict::DeadCrash => Life::Crashed { crashed: since, dead },
                CoreVerdict::DeadClean => Life::Stopped { dead },
                CoreVerdict::Unknown => Life::Untold,
            },
            Word::Nothing | Word::Core { .. } => Life::Silent { heard: self.heard },
        }
    }

    /// Whether heartbeats are missing, though not yet for long enough.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        matches!(self.word, Word::Core { .. }) && now >= self.late()
    }

    /// Whether the core has been gone for long enough without having been stopped.
    pub(super) fn has_crashed(&self, now: Instant) -> bool {
        matches!(self.life(now), Life::Crashed { crashed, .. } if now >= crashed + CRASH_CONFIRMATION)
    }

    /// Whether the core has been gone for so long that it is no restart.
    pub(super) fn has_stopped(&self, now: Instant) -> bool {
        let (Life::Crashed { dead, .. } | Life::Stopped { dead }) = self.life(now) else { return false };
        now >= dead + self.settings.restart_grace
    }

    /// Since when the master has said that its core lives and is not up to date.
    pub(super) fn cold(&self, now: Instant) -> Option<Instant> {
        match (self.life(now), self.word) {
            (Life::Alive(_) | Life::Untold, Word::Core { cold, .. }) => cold,
            _ => None,
        }
    }

    /// Every moment at which something changes by itself.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> + use<> {
        let HeartbeatSettings { stale_after, restart_grace, .. } = self.settings;
        let deadlines = match self.word {
            Word::Nothing => [Some(self.heard + restart_grace), None, None, None, None],
            Word::Goodbye { grace } => [Some(self.heard + grace), None, None, None, None],
            Word::Core { since, dead, cold, .. } => [
                Some(self.late()),
                Some(self.heard + stale_after),
                Some(since + CRASH_CONFIRMATION),
                Some(dead + restart_grace),
                cold.map(|cold| cold + COLD_AT_MOST),
            ],
        };
        deadlines.into_iter().flatten()
    }

    fn late(&self) -> Instant {
        self.heard + (self.settings.stale_after / 2).max(LATE_AT_LEAST)
    }
}
