//! The machine that decides when this node's core is on stage. No I/O: time is an argument, inputs and outputs are data.
//!
//! ```text
//! probes, witnesses, heartbeat, events ─▶ evidence ─┐
//! peer's presence (role master) ────────────────────┼─▶ table ─▶ state ─▶ enforcement ─▶ mode commands
//! operator's orders ─▶ hold ────────────────────────┘                         ▲
//! the local core's status file ───────────────────────────────────────────────┘
//! ```
//!
//! [`Machine::handle`] takes what happened, [`Machine::poll`] gives what to do, [`Machine::timeout`] says when to call
//! [`Machine::handle_timeout`] at the latest.
//!
//! **Invariant:** every transition is a row of [`table::TABLE`].
//!
//! **Invariant:** while the machine is held, it goes on or off stage only by order.
//!
//! **Invariant:** a standby that is on stage, also one that was restarted, stays there until the master's core is known to
//! live.

mod enforcement;
mod evidence;
mod flapping;
mod orders;
mod pulse;
mod settings;
mod snapshot;
mod state;
pub mod table;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use config::{HandBack, Role};
use nagios::{ModeCommand, ServiceState};
use nsca::sealed::CoreVerdict;

pub use enforcement::{Flag, LocalCore, RETRY_WRITING, Shown};
pub use evidence::{Events, HURRIED_INTERVAL};
pub use flapping::LONGEST_STAY;
pub use pulse::{COLD_AT_MOST, CRASH_CONFIRMATION};
pub(crate) use settings::DEFAULT_STATUS_INTERVAL;
pub use settings::{HeartbeatSettings, ProbeSettings, Settings};
pub use snapshot::Snapshot;
pub use state::{Confirmed, Hold, Now, Order, Presence, Refused, State, Transition};

pub(crate) use enforcement::commands;

use enforcement::Enforcement;
use evidence::Evidence;
use flapping::Flapping;
use pulse::Life;
use table::{Condition, Row, TABLE};

use crate::event::Event;

/// More transitions than this do not follow from one input.
const MAX_STEPS: usize = State::ALL.len();

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A probe ended.
    Probe {
        /// Which one, as in the settings.
        index: usize,
        /// What it returned.
        state: ServiceState,
        /// When it began to run.
        started: Instant,
    },
    /// A witness ended.
    Witness {
        /// Which one.
        index: usize,
        /// What it returned.
        state: ServiceState,
        /// When it began to run.
        started: Instant,
    },
    /// A heartbeat of the master came.
    Heard {
        /// How its core is.
        core: CoreVerdict,
        /// Whether it says that its core is not up to date yet. A master that does not tell says no.
        is_cold: bool,
    },
    /// The master's sender was stopped in order.
    Goodbye,
    /// The core called an event handler.
    Event(Event),
    /// The local core was looked at.
    Core(LocalCore),
    /// What the standbys of this master say, or that they cannot be reached.
    Peer(Presence),
    /// The commands with this ticket are in the command file, or could not be written there.
    Issued {
        /// As in [`Output::Issue`].
        ticket: u64,
        /// Whether they were.
        written: bool,
    },
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write these commands, in this order, and tell by [`Input::Issued`] when that is done. It replaces every earlier
    /// batch that is not yet written.
    Issue {
        /// To tell the batches apart.
        ticket: u64,
        /// What to write.
        commands: Vec<ModeCommand>,
    },
    /// Note, log and tell this.
    Transition(Transition),
    /// Run the operator's hook.
    RunHook {
        /// Which one.
        hook: Hook,
        /// What it is about.
        transition: Transition,
    },
    /// Put this on the disk.
    Save(Snapshot),
}

/// A program of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `on_takeover`
    TakeOver,
    /// `on_hand_back`
    HandBack,
}

/// One node's controller.
#[derive(Clone, Debug)]
pub struct Machine {
    settings: Settings,
    state: State,
    /// When the state began, in Unix seconds.
    since: i64,
    why: String,
    hold: Option<Hold>,
    evidence: Evidence,
    enforcement: Enforcement,
    flapping: Flapping,
    /// Until when the standby stays on stage whatever the master does.
    stays_until: Option<Instant>,
    peer: Presence,
    /// Since when the peer has been neither on nor off stage.
    unclear_since: Option<Instant>,
    /// The run of the core beside which this master was on stage when its daemon ended.
    resumes: Option<i64>,
    outputs: VecDeque<Output>,
    now: Now,
}

impl Machine {
    /// A machine that goes on where `snapshot` was taken; without one it is off stage.
    pub fn new(settings: Settings, snapshot: Option<Snapshot>, now: Now) -> Self {
        let mut machine = Machine {
            state: State::Standby,
            since: now.wall.seconds(),
            why: "started".into(),
            hold: None,
            evidence: Evidence::new(&settings, now.instant),
            enforcement: Enforcement::new(&settings.switches, settings.confirmation, now),
            flapping: Flapping::default(),
            stays_until: None,
            peer: Presence::Unreachable,
            unclear_since: Some(now.instant),
            resumes: None,
            outputs: VecDeque::new(),
            now,
            settings,
        };
        if let Some(snapshot) = snapshot {
            machine.restore(snapshot);
        }
        machine.advance(now);
        machine
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Probe { index, state, started } => {
                self.evidence.handle_probe(&self.settings, index, state, started);
            }
            Input::Witness { index, state, started } => {
                self.evidence.handle_witness(index, state, started, now.instant);
            }
            Input::Heard { core, is_cold } => self.evidence.handle_heard(core, is_cold, now.instant),
            Input::Goodbye => self.evidence.handle_goodbye(now.instant),
            Input::Event(event) => {
                self.evidence.handle_event(event, now);
                self.save();
            }
            Input::Core(core) => self.handle_core(core, now),
            Input::Peer(presence) => self.handle_peer(presence, now),
            Input::Issued { ticket, written } => self.enforcement.handle_issued(ticket, written, now),
        }
        self.advance(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.advance(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Machine::handle_timeout`] is to be called, if nothing happens before.
    pub fn timeout(&self) -> Option<Instant> {
        let unclear = self.unclear_since.map(|since| since + self.settings.fail_open);
        self.evidence
            .deadlines(&self.settings, self.now.instant)
            .chain(self.enforcement.deadlines())
            .chain(self.stays_until)
            .chain(unclear)
            .filter(|deadline| *deadline > self.now.instant)
            .min()
    }

    /// How often probes are to run, and how often witnesses.
    pub fn pace(&self) -> (Duration, Duration) {
        if self.state.is_on_stage() {
            return (self.settings.interval, self.settings.interval);
        }
        self.evidence.pace(&self.settings, self.now.instant)
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when, in Unix seconds, and why.
    pub fn since(&self) -> (i64, &str) {
        (self.since, &self.why)
    }

    /// The operator's hold.
    pub fn held(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// What is known of the local core.
    pub fn core(&self) -> &LocalCore {
        self.enforcement.core()
    }

    /// Whether the core's switches are known to be what they are to be.
    pub fn is_in_force(&self) -> bool {
        self.enforcement.is_in_force(self.state.is_on_stage())
    }

    /// Whether the core does not run, and is to be silent from the beginning when it comes back.
    pub fn is_to_start_silent(&self) -> bool {
        *self.enforcement.core() == LocalCore::Gone && !self.state.is_on_stage()
    }

    /// What a peer is to be told.
    pub fn presence(&self) -> Presence {
        match self.state {
            State::Active if self.is_in_force() => Presence::OnStage,
            State::Standby | State::Suspect if self.is_in_force() => Presence::OffStage,
            State::Active | State::HandingBack | State::Standby | State::Suspect => Presence::Between,
        }
    }

    /// What the heartbeat means at present, in a word; none without one.
    pub fn heartbeat(&self) -> Option<&'static str> {
        self.evidence.life(self.now.instant).map(|life| match life {
            Life::NotYet => "not yet heard",
            Life::Alive(_) => "alive",
            Life::Untold => "there, core unknown",
            Life::Crashed { .. } => "dead (crash)",
            Life::Stopped { .. } => "dead (clean)",
            Life::Silent { .. } => "silent",
            Life::Away { .. } => "said goodbye",
        })
    }

    /// What an active standby waits for before it hands back by itself.
    pub fn waits_for(&self) -> Option<&'static str> {
        if self.state != State::Active || self.settings.role == Role::Master {
            return None;
        }
        if self.hold.is_some() {
            return Some("held by the operator");
        }
        self.evidence
            .unproven(&self.settings, self.now.instant)
            .or_else(|| (self.settings.hand_back == HandBack::Manual).then_some("hand_back is manual"))
            .or_else(|| self.must_stay().then_some("it took over too often in the last hour, and stays for a while"))
            .or_else(|| self.evidence.cold(self.now.instant).map(|_| "the master's core is not up to date yet"))
    }

    fn handle_core(&mut self, core: LocalCore, now: Now) {
        let run = |core: &LocalCore| match core {
            LocalCore::Running(Some(shown)) => Some(shown.program_start),
            LocalCore::Running(None) | LocalCore::Gone | LocalCore::Unknown => None,
        };
        let before = run(self.enforcement.core());
        self.enforcement.handle_core(core, now);
        if run(self.enforcement.core()) != before {
            self.save();
        }
    }

    fn handle_peer(&mut self, presence: Presence, now: Now) {
        self.peer = presence;
        self.unclear_since = match presence {
            Presence::OnStage | Presence::OffStage => None,
            Presence::Between | Presence::Unreachable => Some(self.unclear_since.unwrap_or(now.instant)),
        };
    }

    /// Everything that follows from what is known now.
    fn advance(&mut self, now: Now) {
        self.now = now;
        self.evidence.update(now.instant);
        self.enforcement.compare(now);
        for _ in 0..MAX_STEPS {
            let Some(row) = self.row() else { break };
            let takes_over = row.to == State::Active && self.settings.role == Role::Standby;
            if takes_over {
                // First, so that it is saved with the transition.
                self.flapping.handle_take_over(now.wall.seconds());
            }
            self.transit(row.to, row.when.reason().to_owned());
            if takes_over {
                self.stays_until = Some(now.instant + self.flapping.minimum_stay(now.wall.seconds()));
            }
        }
        if self.resumes.is_some() && *self.enforcement.core() != LocalCore::Unknown {
            self.resumes = None;
            self.save();
        }
        if let Some((ticket, commands)) = self.enforcement.enforce(self.state.is_on_stage(), now) {
            self.outputs.push_back(Output::Issue { ticket, commands });
        }
    }

    /// The first row of the table that applies.
    fn row(&self) -> Option<&'static Row> {
        TABLE.iter().find(|row| {
            row.role.is_none_or(|role| role == self.settings.role)
                && row.from.contains(&self.state)
                && (row.also_held || self.hold.is_none())
                && self.holds(row.when)
        })
    }

    fn holds(&self, condition: Condition) -> bool {
        let (evidence, settings, now) = (&self.evidence, &self.settings, self.now.instant);
        match condition {
            Condition::CoreCrashed => evidence.core_crashed(settings, now),
            Condition::CoreStopped => evidence.core_stopped(settings, now),
            Condition::MasterSilent => evidence.master_is_silent(settings, now),
            Condition::MasterLeft => evidence.master_left(now),
            Condition::ProbesFail => evidence.probes_alone_fail(settings, now),
            Condition::EventReported => evidence.event_reported(now),
            Condition::Trouble => evidence.is_trouble(now),
            Condition::NoTrouble => !evidence.is_trouble(now),
            Condition::MasterProven => self.may_hand_back() && evidence.master_is_proven(settings, now),
            Condition::MasterProvenCold => self.may_hand_back() && evidence.master_is_proven_cold(settings, now),
            Condition::CoreIsSilent => self.enforcement.is_in_force(false),
            Condition::SameRunOfTheCore => match self.enforcement.core() {
                LocalCore::Running(Some(shown)) => self.resumes == Some(shown.program_start),
                LocalCore::Running(None) | LocalCore::Gone | LocalCore::Unknown => false,
            },
            Condition::StandbyOnStage => self.peer == Presence::OnStage,
            Condition::StandbyOffStage => self.peer == Presence::OffStage,
            Condition::StandbyUnclear => self.unclear_since.is_some(),
            Condition::StandbyUnclearForLong => {
                self.unclear_since.is_some_and(|since| now >= since + settings.fail_open)
            }
            Condition::OutrunByStandby => {
                *self.enforcement.core() == LocalCore::Gone
                    && self.peer == Presence::Between
                    && !self.holds(Condition::StandbyUnclearForLong)
            }
            // Orders are carried out when they are given.
            Condition::OrderedToTakeOver
            | Condition::OrderedToHandBack
            | Condition::OrderedToHold
            | Condition::Released => false,
        }
    }

    fn may_hand_back(&self) -> bool {
        self.settings.hand_back == HandBack::Automatic && !self.must_stay()
    }

    fn must_stay(&self) -> bool {
        self.stays_until.is_some_and(|until| self.now.instant < until)
    }

    fn transit(&mut self, to: State, why: String) {
        let at = self.now.wall.seconds();
        let transition = Transition { from: self.state, to, why: why.clone(), at };
        if to == State::Active && self.state != State::Active {
            self.evidence.handle_take_over();
            self.stays_until = None;
        }
        let hook = match (self.state, to) {
            (State::Active, State::Active) => None,
            (_, State::Active) => Some(Hook::TakeOver),
            (State::HandingBack, State::Standby) => Some(Hook::HandBack),
            _ => None,
        };
        if to != self.state {
            (self.state, self.since, self.why) = (to, at, why);
        }
        // On the disk before anything is done: a daemon that is killed now must know.
        self.save();
        self.outputs.push_back(Output::Transition(transition.clone()));
        if let Some(hook) = hook {
            self.outputs.push_back(Output::RunHook { hook, transition });
        }
    }
}
