//! How a running core is given a retention file.
//!
//! ```text
//! Waiting ─▶ Placing ─▶ Issuing ─▶ Confirming ─▶ done
//!    a save is    the file    READ, SAVE,     the core has saved, and shows what it was given
//!    too near     is in place ENABLE
//! ```
//!
//! Whoever drives [`Handover`] carries out each [`Action`], tells how it went, and calls [`Handover::handle_timeout`] when
//! [`Handover::poll_timeout`] says so.
//!
//! **Invariant:** notifications are enabled in the end, whatever happens, exactly once, and never later than [`Settings`] says:
//! a core that notifies twice is better than one that does not notify.
//!
//! **Invariant:** a partial file is put back if it is not known that the core has saved over it.
//!
//! **Invariant:** nothing is put in place within [`CLEARANCE`] of an automatic save: a save in between would make the core read
//! its own comments and downtimes again.

use std::collections::VecDeque;
use std::time::Duration;

use nagios::{Flavour, Timestamp};

/// How far an automatic save has to be away.
pub const CLEARANCE: Duration = Duration::from_secs(5);

/// How long a step of ours may take: to write a file, to hand a line to the core.
const STEP: Duration = Duration::from_secs(10);

/// What has to be known of the core.
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
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keep the retention file and put the partial one in its place; for Icinga 1, write the partial one. Made of what the core
    /// shows now.
    Place,
    /// Hand these commands to the core, in one write.
    Issue(Commands),
    /// Put the kept file back, if the partial one is still there; for Icinga 1, remove it.
    PutBack,
    /// It is over.
    Finish(Outcome),
}

/// Commands that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commands {
    /// `READ_STATE_INFORMATION`, `SAVE_STATE_INFORMATION`, `ENABLE_NOTIFICATIONS`
    ReadSaveEnable,
    /// `SYNC_STATE_INFORMATION`, `ENABLE_NOTIFICATIONS`
    SyncEnable,
    /// `ENABLE_NOTIFICATIONS`
    Enable,
}

impl Commands {
    /// The names, in their order.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::ReadSaveEnable => &["READ_STATE_INFORMATION", "SAVE_STATE_INFORMATION", "ENABLE_NOTIFICATIONS"],
            Self::SyncEnable => &["SYNC_STATE_INFORMATION", "ENABLE_NOTIFICATIONS"],
            Self::Enable => &["ENABLE_NOTIFICATIONS"],
        }
    }

    /// The lines, each with its end: one write, since they are fewer than `PIPE_BUF` bytes.
    pub fn lines(self, now: Timestamp) -> Vec<u8> {
        let line = |name: &&str| format!("[{}] {name}\n", now.seconds());
        self.names().iter().map(line).collect::<String>().into_bytes()
    }
}

/// How it ended. Notifications are on in each case, unless the core does not take commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outcome {
    /// The core has taken the memory, and shows it.
    #[error("the core has taken over what the master had notified of")]
    Confirmed,
    /// The file could not be put in place.
    #[error(
        "notifications are on, but the core knows nothing of what the master had notified of: the file could not be placed"
    )]
    NotPlaced,
    /// The core did not take the commands in time.
    #[error("the core takes no commands: is it running?")]
    NotIssued,
    /// The core has not saved.
    #[error(
        "notifications are on, but the core has not read what the master had notified of: does it have retain_state_information=1?"
    )]
    NotTaken,
    /// The core saved, but its status file does not show what it should.
    #[error(
        "notifications are on, but the status file does not show what the master had notified of: see retain_status_information"
    )]
    NotShown,
    /// The core ended meanwhile.
    #[error(
        "the core ended while it was to take over what the master had notified of: rewrite its retention file before it starts"
    )]
    CoreGone,
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
    /// Until a save is far enough away.
    Waiting {
        until: Timestamp,
    },
    /// The file is being put in place.
    Placing {
        until: Timestamp,
    },
    /// The commands are being handed over.
    Issuing {
        until: Timestamp,
        placed: Result<(), Outcome>,
    },
    /// The core is to save and to show.
    Confirming {
        until: Timestamp,
        issued: Timestamp,
        saved: bool,
    },
    Done,
}

impl Handover {
    /// Begins at `now`, which decides whether an automatic save is near.
    pub fn new(settings: Settings, now: Timestamp) -> Self {
        let until = settings.clear_of_saves(now);
        let mut handover = Self { settings, state: State::Waiting { until }, actions: VecDeque::new() };
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
            State::Waiting { until }
            | State::Placing { until }
            | State::Issuing { until, .. }
            | State::Confirming { until, .. } => Some(until),
            State::Done => None,
        }
    }

    /// The file is in its place, or not.
    pub fn handle_placed(&mut self, placed: bool, now: Timestamp) {
        if let State::Placing { .. } = self.state {
            self.issue(if placed { Ok(()) } else { Err(Outcome::NotPlaced) }, now);
        }
    }

    /// The core took the commands.
    pub fn handle_issued(&mut self, now: Timestamp) {
        let State::Issuing { placed, .. } = self.state else {
            return;
        };
        match placed {
            Ok(()) => {
                let until = after(now, 3 * self.settings.status_interval + CLEARANCE);
                self.state = State::Confirming { until, issued: now, saved: false };
            }
            Err(outcome) => self.finish(outcome),
        }
    }

    /// The partial file is gone, or the core has saved over it.
    pub fn handle_saved(&mut self) {
        if let State::Confirming { saved, .. } = &mut self.state {
            *saved = true;
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
        match self.state {
            State::Done => {}
            State::Waiting { .. } | State::Placing { .. } | State::Issuing { .. } | State::Confirming { .. } => {
                self.finish(Outcome::CoreGone);
            }
        }
    }

    /// It is `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout().is_none_or(|until| now < until) {
            return;
        }
        match self.state {
            State::Waiting { .. } => {
                self.state = State::Placing { until: after(now, STEP) };
                self.actions.push_back(Action::Place);
            }
            State::Placing { .. } => self.issue(Err(Outcome::NotPlaced), now),
            State::Issuing { .. } => self.finish(Outcome::NotIssued),
            State::Confirming { saved: false, .. } => self.finish(Outcome::NotTaken),
            State::Confirming { saved: true, .. } => self.finish(Outcome::NotShown),
            State::Done => {}
        }
    }

    fn issue(&mut self, placed: Result<(), Outcome>, now: Timestamp) {
        let commands = match (placed, self.settings.flavour) {
            (Err(_), _) => Commands::Enable,
            (Ok(()), Flavour::Icinga1) => Commands::SyncEnable,
            (Ok(()), Flavour::Nagios3 | Flavour::Nagios4 | Flavour::Naemon | Flavour::Icinga2) => {
                Commands::ReadSaveEnable
            }
        };
        self.state = State::Issuing { until: after(now, STEP), placed };
        self.actions.push_back(Action::Issue(commands));
    }

    fn finish(&mut self, outcome: Outcome) {
        self.state = State::Done;
        self.actions.extend([Action::PutBack, Action::Finish(outcome)]);
    }
}

impl Settings {
    /// The first moment from `now` on that is no [`CLEARANCE`] before or after an automatic save.
    fn clear_of_saves(&self, now: Timestamp) -> Timestamp {
        let (Some(start), Some(interval)) = (self.program_start, self.save_interval) else {
            return now;
        };
        let interval = micros(interval);
        let since = now.micros() - start.micros();
        if interval <= 2 * micros(CLEARANCE) || since < 0 {
            return now;
        }
        let since_save = if since < interval { i64::MAX } else { since % interval };
        let until_save = interval - since % interval;
        if since_save < micros(CLEARANCE) {
            Timestamp::from_micros(now.micros() - since_save + micros(CLEARANCE))
        } else if until_save <= micros(CLEARANCE) {
            Timestamp::from_micros(now.micros() + until_save + micros(CLEARANCE))
        } else {
            now
        }
    }
}

fn after(now: Timestamp, duration: Duration) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_add(micros(duration)))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: Settings = Settings {
        flavour: Flavour::Nagios4,
        program_start: Some(Timestamp::from_seconds(1000)),
        save_interval: Some(Duration::from_secs(60)),
        status_interval: Duration::from_secs(10),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn actions(handover: &mut Handover) -> Vec<Action> {
        std::iter::from_fn(|| handover.poll_action()).collect()
    }

    /// One that has handed over its commands at 1030.
    fn issued() -> Handover {
        let mut handover = Handover::new(SETTINGS, at(1030));
        assert_eq!(actions(&mut handover), [Action::Place]);
        handover.handle_placed(true, at(1030));
        assert_eq!(actions(&mut handover), [Action::Issue(Commands::ReadSaveEnable)]);
        handover.handle_issued(at(1030));
        handover
    }

    fn ends(mut handover: Handover, outcome: Outcome) {
        assert_eq!(actions(&mut handover), [Action::PutBack, Action::Finish(outcome)]);
        assert_eq!(handover.poll_timeout(), None);
        handover.handle_core_gone();
        assert_eq!(handover.poll_action(), None, "over is over");
    }

    #[test]
    fn what_the_core_saved_and_shows_is_confirmed() {
        let mut handover = issued();
        handover.handle_status(at(1031), true);
        assert_eq!(handover.poll_action(), None, "it may have shown that before");
        handover.handle_saved();
        handover.handle_status(at(1030), true);
        handover.handle_status(at(1031), false);
        assert_eq!(handover.poll_action(), None);
        handover.handle_status(at(1032), true);
        ends(handover, Outcome::Confirmed);
    }

    #[test]
    fn notifications_go_on_whatever_happens() {
        let mut unplaced = Handover::new(SETTINGS, at(1030));
        actions(&mut unplaced);
        unplaced.handle_placed(false, at(1031));
        assert_eq!(actions(&mut unplaced), [Action::Issue(Commands::Enable)]);
        unplaced.handle_issued(at(1031));
        ends(unplaced, Outcome::NotPlaced);

        let mut slow = Handover::new(SETTINGS, at(1030));
        actions(&mut slow);
        slow.handle_timeout(at(1040));
        assert_eq!(actions(&mut slow), [Action::Issue(Commands::Enable)]);
        slow.handle_timeout(at(1050));
        ends(slow, Outcome::NotIssued);
    }

    #[test]
    fn what_is_not_confirmed_ends_in_time() {
        let mut untaken = issued();
        assert_eq!(untaken.poll_timeout(), Some(at(1065)));
        untaken.handle_timeout(at(1064));
        assert_eq!(untaken.poll_action(), None);
        untaken.handle_timeout(at(1065));
        ends(untaken, Outcome::NotTaken);
        let mut unshown = issued();
        unshown.handle_saved();
        unshown.handle_timeout(at(1065));
        ends(unshown, Outcome::NotShown);
        let mut gone = issued();
        gone.handle_core_gone();
        ends(gone, Outcome::CoreGone);
    }

    #[test]
    fn no_save_is_near() {
        for (now, begins) in [
            (1000, 1000), // the core has not saved yet
            (1054, 1054),
            (1055, 1065),
            (1060, 1065),
            (1064, 1065),
            (1065, 1065),
            (1119, 1125),
            (900, 900), // a clock that was set back
        ] {
            let mut handover = Handover::new(SETTINGS, at(now));
            let waits = handover.poll_action().is_none();
            assert_eq!(waits, now != begins, "{now}");
            if waits {
                assert_eq!(handover.poll_timeout(), Some(at(begins)), "{now}");
                handover.handle_timeout(at(begins));
                assert_eq!(handover.poll_action(), Some(Action::Place));
            }
        }
        let never = Settings { save_interval: None, ..SETTINGS };
        assert_eq!(Handover::new(never, at(1060)).poll_action(), Some(Action::Place));
    }

    #[test]
    fn commands_are_one_write() {
        let lines = Commands::ReadSaveEnable.lines(at(7));
        assert_eq!(lines, b"[7] READ_STATE_INFORMATION\n[7] SAVE_STATE_INFORMATION\n[7] ENABLE_NOTIFICATIONS\n");
        let mut icinga = Handover::new(Settings { flavour: Flavour::Icinga1, ..SETTINGS }, at(1030));
        actions(&mut icinga);
        icinga.handle_placed(true, at(1030));
        assert_eq!(actions(&mut icinga), [Action::Issue(Commands::SyncEnable)]);
        assert_eq!(Commands::Enable.names(), ["ENABLE_NOTIFICATIONS"]);
    }

    proptest! {
        /// Any inputs in any order: notifications are enabled once if the core takes commands, and it ends.
        #[test]
        fn every_handover_ends_with_notifications_on(inputs in proptest::collection::vec((0..6_u8, 0..20_i64), 0..40), start in 1000..1120_i64) {
            let mut handover = Handover::new(SETTINGS, at(start));
            let (mut now, mut enabled, mut finished) = (start, 0, None);
            let end = [(6, 1000), (6, 1000), (6, 1000), (6, 1000)];
            for (input, seconds) in inputs.into_iter().chain(end) {
                now += seconds;
                match input {
                    0 => handover.handle_placed(true, at(now)),
                    1 => handover.handle_placed(false, at(now)),
                    2 => handover.handle_saved(),
                    3 => handover.handle_status(at(now), true),
                    4 => handover.handle_status(at(now), false),
                    _ => handover.handle_timeout(at(now)),
                }
                for action in actions(&mut handover) {
                    match action {
                        Action::Issue(_) => {
                            enabled += 1;
                            handover.handle_issued(at(now));
                        }
                        Action::Finish(outcome) => finished = Some(outcome),
                        Action::Place | Action::PutBack => {}
                    }
                }
            }
            // What an issued command leads to may have come after the last look.
            finished = finished.or(actions(&mut handover).into_iter().find_map(|action| match action {
                Action::Finish(outcome) => Some(outcome),
                Action::Place | Action::Issue(_) | Action::PutBack => None,
            }));
            prop_assert_eq!(enabled, 1);
            prop_assert!(finished.is_some());
        }
    }
}
