//! The words of the machine: states, orders, transitions.

use std::fmt;
use std::time::{Duration, Instant};

use nagios::Timestamp;
use nsca::sealed::Duty;
use serde::{Deserialize, Serialize};

/// Where the machine is between standing by and being on stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Off stage, and nothing speaks for going there.
    Standby,
    /// Off stage, and something speaks for going there, but not enough or not long enough.
    Suspect,
    /// On stage.
    Active,
    /// Leaving the stage: until the core shows that it is silent.
    HandingBack,
}

impl State {
    /// Every state, in the order of the table.
    pub const ALL: [State; 4] = [State::Standby, State::Suspect, State::Active, State::HandingBack];

    /// Whether the core's switches are to be on.
    pub fn is_on_stage(self) -> bool {
        match self {
            State::Active => true,
            State::Standby | State::Suspect | State::HandingBack => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Standby => "Standby",
            State::Suspect => "Suspect",
            State::Active => "Active",
            State::HandingBack => "HandingBack",
        })
    }
}

/// What the operator can tell the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on stage, and stay there until a release.
    TakeOver {
        /// Why, in the operator's words; may be empty.
        reason: String,
    },
    /// Leave the stage, and stay off it until a release.
    HandBack,
    /// Stay where you are until a release.
    Hold {
        /// Why, in the operator's words; may be empty.
        reason: String,
    },
    /// Decide for yourself again.
    Release,
}

/// Why the machine does not leave its role by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// In the operator's words.
    pub reason: String,
    /// Since when, in Unix seconds.
    pub since: i64,
}

/// The order was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// What the operator should know beside it.
    pub notes: Vec<String>,
}

/// The order was not carried out, and nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Why, and what to do instead.
    pub reason: String,
}

/// One step from one state to another, or to the same one for another reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// What decided it.
    pub why: String,
    /// When, in Unix seconds.
    pub at: i64,
}

/// What a node tells its peer about being on stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Its core is silent, and is to be.
    OffStage,
    /// Nothing is heard of it.
    Unreachable,
    /// Its core is not yet, or not known to be, what it is to be.
    Between,
    /// Its core notifies, and is to.
    OnStage,
}

impl Presence {
    /// What a peer's heartbeat says. A peer that takes no part in failover never says that it is on stage.
    pub fn heard(duty: Duty) -> Presence {
        match duty {
            Duty::Unknown => Presence::Between,
            Duty::StandingBy => Presence::OffStage,
            Duty::Active => Presence::OnStage,
        }
    }

    /// What this node's own heartbeats are to say.
    pub fn duty(self) -> Duty {
        match self {
            Presence::OffStage => Duty::StandingBy,
            Presence::OnStage => Duty::Active,
            Presence::Unreachable | Presence::Between => Duty::Unknown,
        }
    }

    /// What counts of several standbys: the one that is nearest to being on stage.
    pub fn of_all(each: impl IntoIterator<Item = Presence>) -> Presence {
        each.into_iter().max().unwrap_or(Presence::Unreachable)
    }
}

/// The present, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The clock that never jumps, for timers.
    pub instant: Instant,
    /// The clock on the wall, for records.
    pub wall: Timestamp,
}

impl Now {
    /// What the system's clocks say.
    pub fn read() -> Self {
        Now { instant: Instant::now(), wall: std::time::SystemTime::now().into() }
    }

    /// How long ago `earlier` was; zero if it is yet to come.
    pub(super) fn since(self, earlier: Instant) -> Duration {
        self.instant.saturating_duration_since(earlier)
    }
}
