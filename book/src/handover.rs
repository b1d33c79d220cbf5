//! How a running core is given a retention file.
//!
//! ```text
//! Waiting ─▶ Placing ─▶ Issuing ─▶ Confirming ─▶ done
//!    a save is    the file    READ, SAVE,  │  the core has saved, and shows what it was given
//!    too near     is in place [ENABLE]     └▶ Lingering ─▶ done
//!                                             the commands were withdrawn, and may have been on their way
//! ```
//!
//! Whoever drives [`Handover`] carries out each [`Action`], tells how it went, and calls [`Handover::handle_timeout`] when
//! [`Handover::poll_timeout`] says so. [`Settings::enables`] says whether the core is to notify from then on; otherwise it only
//! gets to know.
//!
//! **Invariant:** if notifications are to be enabled they are, whatever happens and as soon as [`Settings::latest`] says: a core
//! that notifies twice is better than one that does not notify. They are not, if whoever wanted that withdraws.
//!
//! **Invariant:** a partial file is put back if it is not known that the core has saved over it, and not while the core may be
//! about to read it: it would read its own comments and downtimes again.
//!
//! **Invariant:** nothing is put in place within [`CLEARANCE`] of an automatic save that was not seen yet: a save in between
//! would make the core read its own comments and downtimes again.

use std::collections::VecDeque;
use std::time::Duration;

use nagios::{Flavour, ModeCommand, Timestamp};

/// How far an automatic save has to be away.
pub const CLEARANCE: Duration = Duration::from_secs(5);

/// How long a step of ours may take: to write a file, to hand a line to the core.
const STEP: Duration = Duration::from_secs(10);

/// What has to be known of the core, and what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which core it is.
    pub flavour: Flavour,
    /// `program_start`: automatic saves are counted from then on.
    pub program_start: Option<Timestamp>,
    /// `retention_update_interval`; none if it saves only at its end.
    pub save_interval: Option<Duration>,
    /// `status_update_interval`
    pub status_interval: Duration,
    /// Whether the core is to notify from then on.
    pub enables: bool,
    /// When the commands are handed over without a file if it is not in place by then.
    pub latest: Option<Timestamp>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keep the retention file and put the partial one in its place; for Icinga 1, write the partial one.
    Place,
    /// Hand these commands to the core, in one write.
    Issue(&'static [ModeCommand]),
    /// What was handed over and is not written yet is not to be written any more.
    Withdraw,
    /// Put the kept file back, if the partial one is still there; for Icinga 1, remove it.
    PutBack,
    /// It is over.
    Finish(Outcome),
}

const ENABLE: &[ModeCommand] = &[ModeCommand::EnableNotifications];

/// What has the core take a partial file that is in its place.
fn taking(flavour: Flavour, enables: bool) -> &'static [ModeCommand] {
    use ModeCommand::{EnableNotifications, ReadStateInformation, SaveStateInformation, SyncStateInformation};
    match (flavour, enables) {
        (Flavour::Icinga1, true) => &[SyncStateInformation, SaveStateInformation, EnableNotifications],
        (Flavour::Icinga1, false) => &[SyncStateInformation, SaveStateInformation],
        (Flavour::Nagios3 | Flavour::Nagios4 | Flavour::Naemon | Flavour::Icinga2, true) => {
            &[ReadStateInformation, SaveStateInformation, EnableNotifications]
        }
        (Flavour::Nagios3 | Flavour::Nagios4 | Flavour::Naemon | Flavour::Icinga2, false) => {
            &[ReadStateInformation, SaveStateInformation]
        }
    }
}

/// How it ended. If notifications were to be enabled, they are in each case but the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outcome {
    /// The core has taken the memory, and shows it.
    #[error("the core has taken over what the other one had notified of")]
    Confirmed,
    /// An automatic save was near until it was too late.
    #[error(
        "the core knows nothing of what the other one had notified of: it was about to save its retention file, which must not \
         be replaced then; is it busy?"
    )]
    SaveNear,
    /// The file could not be put in place.
    #[error(
        "the core knows nothing of what the other one had notified of: its retention file could not be replaced; `understudy \
         config check` says what is in the way"
    )]
    NotPlaced,
    /// The core did not take the commands in time. What enables notifications waits on.
    #[error("the core knows nothing of what the other one had notified of: it took no commands; is it running?")]
    NotIssued,
    /// The core has not saved.
    #[error(
        "the core has not read what the other one had notified of, or not saved since: does it have retain_state_information=1?"
    )]
    NotTaken,
    /// The core saved, but its status file does not show what it should.
    #[error("the status file does not show what the other core had notified of: see retain_status_information")]
    NotShown,
    /// The core ended meanwhile.
    #[error("the core ended while it was to take over what the other one had notified of")]
    CoreGone,
    /// Whoever wanted it does not want it any more.
    #[error("it was called off before the core had taken anything")]
    Withdrawn,
}

/// A core's take-over of a memory.
#[derive(Debug)]
pub struct Handover {
    settings: Settings,
    state: State,
    actions: VecDeque<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until a save is far enough away: until then, or until the one that is due was seen.
    Waiting {
        until: Timestamp,
        due: Timestamp,
    },
    /// The file is being put in place.
    Placing {
        until: Timestamp,
    },
    /// The commands are being handed over.
    Issuing {
        until: Timestamp,
        saved: bool,
    },
    /// The core is to save and to show.
    Confirming {
        until: Timestamp,
        issued: Timestamp,
        saved: bool,
    },
    /// The commands are withdrawn, but some may have been on their way.
    Lingering {
        until: Timestamp,
        outcome: Outcome,
    },
    Done,
}

impl Handover {
    /// Begins at `now`, which decides whether an automatic save is near.
    pub fn new(settings: Settings, now: Timestamp) -> Self {
        let (until, due) = settings.clear_of_saves(now);
        let mut handover = Self { settings, state: State::Waiting { until, due }, actions: VecDeque::new() };
        handover.handle_timeout(now);
        handover
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); none when it is over.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting { until, .. } | State::Placing { until } => Some(self.not_later(until)),
            State::Issuing { until, .. } | State::Confirming { until, .. } | State::Lingering { until, .. } => {
                Some(until)
            }
            State::Done => None,
        }
    }

    /// The core's own retention file was written at `written`.
    pub fn handle_written(&mut self, written: Timestamp, now: Timestamp) {
        if let State::Waiting { due, .. } = self.state
            && written >= due
        {
            self.place(now);
        }
    }

    /// The file is in its place, or not.
    pub fn handle_placed(&mut self, placed: bool, now: Timestamp) {
        if let State::Placing { .. } = self.state {
            if placed {
                self.state = State::Issuing { until: after(now, STEP), saved: false };
                self.actions.push_back(Action::Issue(taking(self.settings.flavour, self.settings.enables)));
            } else {
                self.go_without(Outcome::NotPlaced);
            }
        }
    }

    /// The core took the commands.
    pub fn handle_issued(&mut self, now: Timestamp) {
        if let State::Issuing { saved, .. } = self.state {
            let until = after(now, 3 * self.settings.status_interval + CLEARANCE);
            self.state = State::Confirming { until, issued: now, saved };
        }
    }

    /// The commands will not be written: somebody else's took their place.
    pub fn handle_not_issued(&mut self, now: Timestamp) {
        if let State::Issuing { .. } = self.state {
            self.linger(Outcome::NotIssued, now);
        }
    }

    /// The partial file is gone, or the core has saved over it. That may be known before it is known that it took the commands.
    pub fn handle_saved(&mut self) {
        match &mut self.state {
            State::Issuing { saved, .. } | State::Confirming { saved, .. } => *saved = true,
            State::Lingering { outcome, .. } => {
                let outcome = *outcome;
                self.finish(outcome);
            }
            State::Waiting { .. } | State::Placing { .. } | State::Done => {}
        }
    }

    /// A status file that was written at `created` shows what the core was given, or not.
    pub fn handle_status(&mut self, created: Timestamp, shown: bool) {
        // A file of the same second may have been written before.
        if let State::Confirming { issued, saved: true, .. } = self.state
            && shown
            && created.seconds() > issued.seconds()
        {
            self.finish(Outcome::Confirmed);
        }
    }

    /// The core is gone.
    pub fn handle_core_gone(&mut self) {
        if self.state != State::Done {
            self.finish(Outcome::CoreGone);
        }
    }

    /// It is not wanted any more. What the core has taken stays.
    pub fn withdraw(&mut self, now: Timestamp) {
        match self.state {
            State::Waiting { .. } | State::Placing { .. } => self.finish(Outcome::Withdrawn),
            State::Issuing { .. } => {
                self.actions.push_back(Action::Withdraw);
                self.state = State::Lingering { until: after(now, CLEARANCE), outcome: Outcome::Withdrawn };
            }
            State::Confirming { .. } | State::Lingering { .. } | State::Done => {}
        }
    }

    /// It is `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout().is_none_or(|until| now < until) {
            return;
        }
        match self.state {
            State::Waiting { until, .. } if now < until => self.go_without(Outcome::SaveNear),
            State::Waiting { .. } => self.place(now),
            State::Placing { .. } => self.go_without(Outcome::NotPlaced),
            State::Issuing { .. } => self.linger(Outcome::NotIssued, now),
            State::Confirming { saved: false, .. } => self.finish(Outcome::NotTaken),
            State::Confirming { saved: true, .. } => self.finish(Outcome::NotShown),
            State::Lingering { outcome, .. } => self.finish(outcome),
            State::Done => {}
        }
    }

    fn place(&mut self, now: Timestamp) {
        self.state = State::Placing { until: after(now, STEP) };
        self.actions.push_back(Action::Place);
    }

    fn not_later(&self, until: Timestamp) -> Timestamp {
        self.settings.latest.map_or(until, |latest| latest.min(until))
    }

    /// Nothing is in place, so there is nothing to read.
    fn go_without(&mut self, outcome: Outcome) {
        self.enable();
        self.finish(outcome);
    }

    /// What the core has not taken by now it is not to take any more.
    fn linger(&mut self, outcome: Outcome, now: Timestamp) {
        self.actions.push_back(Action::Withdraw);
        self.enable();
        self.state = State::Lingering { until: after(now, CLEARANCE), outcome };
    }

    fn enable(&mut self) {
        if self.settings.enables {
            self.actions.push_back(Action::Issue(ENABLE));
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.state = State::Done;
        self.actions.extend([Action::PutBack, Action::Finish(outcome)]);
    }
}

impl Settings {
    /// The first moment from `now` on that is no [`CLEARANCE`] before or after an automatic save; and when the save is due that
    /// is near: once it was seen, nothing is near any more.
    fn clear_of_saves(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let (Some(start), Some(interval)) = (self.program_start, self.save_interval) else {
            return (now, now);
        };
        let interval = micros(interval);
        let since = now.micros() - start.micros();
        if interval <= 2 * micros(CLEARANCE) || since < 0 {
            return (now, now);
        }
        let since_save = if since < interval { i64::MAX } else { since % interval };
        let until_save = interval - since % interval;
        let due = if since_save < micros(CLEARANCE) {
            now.micros() - since_save
        } else if until_save <= micros(CLEARANCE) {
            now.micros() + until_save
        } else {
            return (now, now);
        };
        let due = Timestamp::from_micros(due);
        (after(due, CLEARANCE), due)
    }
}

fn after(now: Timestamp, duration: Duration) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_add(micros(duration)))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
