//! What of the machine survives a restart of the daemon.

use std::time::Duration;

use config::Role;
use serde::{Deserialize, Serialize};

use super::evidence::Events;
use super::flapping::Flapping;
use super::{Hold, LocalCore, Machine, Output, State};

/// The machine at one moment, for the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The state.
    state: State,
    /// When it began, in Unix seconds.
    since: i64,
    why: String,
    hold: Option<Hold>,
    events: Events,
    /// When this node took over by itself, in Unix seconds.
    takeovers: Vec<i64>,
    /// The run of the local core.
    program_start: Option<i64>,
}

impl Snapshot {
    /// Of a node that has never run, at `unix_seconds`.
    pub(crate) fn beginning(unix_seconds: i64) -> Self {
        Snapshot {
            state: State::Standby,
            since: unix_seconds,
            why: "started".into(),
            hold: None,
            events: Events::default(),
            takeovers: Vec::new(),
            program_start: None,
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The operator's hold.
    pub(crate) fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// What event handlers told.
    pub(crate) fn events(&self) -> Events {
        self.events
    }

    /// The same with what event handlers told while no daemon ran.
    pub(crate) fn with_later_events(self, noted: Events) -> Self {
        Snapshot { events: self.events.later(noted), ..self }
    }
}

impl Machine {
    /// What is to be on the disk now.
    pub fn snapshot(&self) -> Snapshot {
        let shown = match self.enforcement.core() {
            LocalCore::Running(Some(shown)) => Some(shown.program_start),
            LocalCore::Running(None) | LocalCore::Gone => None,
            // Until the core was looked at, the last daemon knew best.
            LocalCore::Unknown => self.resumes,
        };
        Snapshot {
            state: if self.resumes.is_some() { State::Active } else { self.state },
            since: self.since,
            why: self.why.clone(),
            hold: self.hold.clone(),
            events: self.evidence.events(),
            takeovers: self.flapping.takeovers().collect(),
            program_start: shown,
        }
    }

    pub(super) fn save(&mut self) {
        // The last one counts.
        self.outputs.retain(|output| !matches!(output, Output::Save(_)));
        let snapshot = self.snapshot();
        self.outputs.push_front(Output::Save(snapshot));
    }

    pub(super) fn restore(&mut self, snapshot: Snapshot) {
        let Snapshot { state, since, why, hold, events, takeovers, program_start } = snapshot;
        self.hold = hold;
        self.flapping = Flapping::restore(takeovers);
        self.evidence.restore_events(events);
        self.state = match (state, self.settings.role) {
            // Counters begin at zero, so nothing is suspected yet.
            (State::Suspect, _) => State::Standby,
            // A standby may be on stage by now. If the core is the same one, this node was not away for long.
            (State::Active, Role::Master) if self.hold.is_none() => {
                self.resumes = program_start;
                State::Suspect
            }
            (state, _) => state,
        };
        if self.state == state {
            (self.since, self.why) = (since, why);
        }
        if self.state == State::Active {
            let passed = self.now.wall.seconds().saturating_sub(since);
            let stay = self.flapping.minimum_stay(since);
            let rest = stay.saturating_sub(Duration::from_secs(passed.try_into().unwrap_or(0)));
            self.stays_until = Some(self.now.instant + rest);
        }
    }
}
