//! Every transition there is. The machine reads this table to decide, and ARCHITECTURE.md shows it.
//!
//! Of several rows whose condition holds, the first one counts. While the machine is held, only the rows marked so hold.

use std::fmt::Write as _;

use config::Role;

use super::state::State;

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Of nodes with this role; none: of all.
    pub role: Option<Role>,
    /// In these states.
    pub from: &'static [State],
    /// When this is so.
    pub when: Condition,
    /// The state after.
    pub to: State,
    /// Also while the machine is held.
    pub also_held: bool,
}

/// What can be so. The machine knows how to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The heartbeat says Dead(crash) for `CRASH_CONFIRMATION`.
    CoreCrashed,
    /// The heartbeat says Dead for `restart_grace`.
    CoreStopped,
    /// No heartbeat for `stale_after`, and the probes fail, or there are none.
    MasterSilent,
    /// No heartbeat since a goodbye, for the grace, and there are no probes.
    MasterLeft,
    /// The heartbeat tells nothing, and the probes fail.
    ProbesFail,
    /// An event handler told a failure.
    EventReported,
    /// Anything speaks for taking over.
    Trouble,
    /// Nothing speaks for taking over.
    NoTrouble,
    /// The master's core is known to live, for long enough, and nothing says that it is not up to date.
    MasterProven,
    /// The master's core is known to live, for long enough, and has not been brought up to date for `COLD_AT_MOST`.
    MasterProvenCold,
    /// The local core is silent.
    CoreIsSilent,
    /// A daemon that was active was restarted, and the core was not.
    SameRunOfTheCore,
    /// A standby says that it is on stage.
    StandbyOnStage,
    /// The standby says that it is off stage.
    StandbyOffStage,
    /// It cannot be known whether a standby is on stage.
    StandbyUnclear,
    /// As before, for `fail_open`.
    StandbyUnclearForLong,
    /// This master's core does not run, and a standby may be on its way to the stage.
    OutrunByStandby,
    /// Orders of the operator.
    OrderedToTakeOver,
    /// Orders of the operator.
    OrderedToHandBack,
    /// Orders of the operator.
    OrderedToHold,
    /// Orders of the operator.
    Released,
}

use Condition as C;
use State::{Active, HandingBack, Standby, Suspect};

const OFF: &[State] = &[Standby, Suspect];
const SILENT_OR_ABOUT_TO: &[State] = &[Suspect, HandingBack];

/// The table.
pub const TABLE: &[Row] = &[
    order(&State::ALL, C::OrderedToTakeOver, Active),
    order(&[Active, HandingBack], C::OrderedToHandBack, HandingBack),
    order(OFF, C::OrderedToHandBack, Standby),
    order(OFF, C::OrderedToHold, Standby),
    order(&[Active], C::OrderedToHold, Active),
    order(&[HandingBack], C::OrderedToHold, HandingBack),
    order(OFF, C::Released, Standby),
    order(&[Active], C::Released, Active),
    order(&[HandingBack], C::Released, HandingBack),
    standby(&[Standby], C::Trouble, Suspect),
    standby(SILENT_OR_ABOUT_TO, C::CoreCrashed, Active),
    standby(SILENT_OR_ABOUT_TO, C::CoreStopped, Active),
    standby(SILENT_OR_ABOUT_TO, C::MasterSilent, Active),
    standby(SILENT_OR_ABOUT_TO, C::MasterLeft, Active),
    standby(SILENT_OR_ABOUT_TO, C::ProbesFail, Active),
    standby(SILENT_OR_ABOUT_TO, C::EventReported, Active),
    standby(&[Suspect], C::NoTrouble, Standby),
    standby(&[Active], C::MasterProven, HandingBack),
    standby(&[Active], C::MasterProvenCold, HandingBack),
    master(&[Standby], C::StandbyUnclear, Suspect),
    master(&[Suspect], C::SameRunOfTheCore, Active),
    master(&[Standby, Suspect, HandingBack], C::StandbyOffStage, Active),
    master(&[Suspect, HandingBack], C::StandbyUnclearForLong, Active),
    master(&[Suspect], C::StandbyOnStage, Standby),
    master(&[Active], C::StandbyOnStage, HandingBack),
    master(&[Active], C::OutrunByStandby, HandingBack),
    Row { role: None, from: &[HandingBack], when: C::CoreIsSilent, to: Standby, also_held: true },
];

const fn standby(from: &'static [State], when: Condition, to: State) -> Row {
    Row { role: Some(Role::Standby), from, when, to, also_held: false }
}

const fn master(from: &'static [State], when: Condition, to: State) -> Row {
    Row { role: Some(Role::Master), from, when, to, also_held: false }
}

const fn order(from: &'static [State], when: Condition, to: State) -> Row {
    Row { role: None, from, when, to, also_held: true }
}

impl Condition {
    /// The reason that a record of the transition gives.
    pub fn reason(self) -> &'static str {
        match self {
            C::CoreCrashed => "the master's core crashed",
            C::CoreStopped => "the master's core was stopped, and did not come back",
            C::MasterSilent => "the master is silent",
            C::MasterLeft => "the master said goodbye, and did not come back",
            C::ProbesFail => "the probes fail",
            C::EventReported => "an event handler reported that the master is gone",
            C::Trouble => "something speaks for taking over",
            C::NoTrouble => "nothing speaks for taking over any more",
            C::MasterProven => "the master's core lives",
            C::MasterProvenCold => "the master's core lives, but was not brought up to date in time",
            C::CoreIsSilent => "this core is silent",
            C::SameRunOfTheCore => "this core still runs as it did before the daemon was restarted",
            C::StandbyOnStage => "a standby is active",
            C::StandbyOffStage => "the standby is standing by",
            C::StandbyUnclear => "whether a standby is active cannot be known",
            C::StandbyUnclearForLong => "whether a standby is active could not be known for too long",
            C::OutrunByStandby => "this core does not run, and a standby may be taking over",
            C::OrderedToTakeOver => "ordered to take over",
            C::OrderedToHandBack => "ordered to hand back",
            C::OrderedToHold => "ordered to hold",
            C::Released => "released",
        }
    }

    /// The words of the table.
    fn description(self) -> &'static str {
        match self {
            C::CoreCrashed => "heartbeat Dead(crash) for 2 s; witnesses OK",
            C::CoreStopped => "heartbeat Dead for `restart_grace`; witnesses OK",
            C::MasterSilent => {
                "heartbeat Silent; every probe failed `failures_to_take_over` times in a row (with `any`: one of them), or \
                 there is none; witnesses OK since"
            }
            C::MasterLeft => "Goodbye, and no heartbeat for `goodbye_grace`; there is no probe; witnesses OK since",
            C::ProbesFail => "no heartbeat configured, or it does not tell; probes failed as above; witnesses OK since",
            C::EventReported => {
                "event handler: host HARD DOWN or process HARD CRITICAL; the heartbeat does not say otherwise; witnesses OK \
                 since"
            }
            C::Trouble => "a probe or event failed, or the heartbeat is late, Dead or Silent",
            C::NoTrouble => "none of it any more",
            C::MasterProven => {
                "`hand_back = \"automatic\"`; every probe succeeded `successes_to_hand_back` times in a row; nothing else \
                 fails; a core-watching probe, a heartbeat Alive for as many intervals, or a process HARD OK proves a live \
                 core; the minimum stay is over; the heartbeat does not say that the core is cold"
            }
            C::MasterProvenCold => "as before, but the heartbeat has said for 60 s that the core is cold",
            C::CoreIsSilent => "the switches are off in the status file, or the core does not run",
            C::SameRunOfTheCore => "was Active before a restart of the daemon, and `program_start` is the same",
            C::StandbyOnStage => "a standby is active",
            C::StandbyOffStage => "the standby is standing by",
            C::StandbyUnclear => "the standby cannot be reached, or is between",
            C::StandbyUnclearForLong => "so for `fail_open`",
            C::OutrunByStandby => "its core does not run, and the standby is between, not yet for `fail_open`",
            C::OrderedToTakeOver => "`takeover`; held from now on",
            C::OrderedToHandBack => "`hand-back`; held from now on",
            C::OrderedToHold => "`hold`",
            C::Released => "`release`; counters begin at zero",
        }
    }
}

/// The table in Markdown, as ARCHITECTURE.md has it.
pub fn markdown() -> String {
    let mut text = String::from("| role | from | when | to | while held |\n| --- | --- | --- | --- | --- |\n");
    for row in TABLE {
        let role = match row.role {
            None => "both",
            Some(Role::Standby) => "standby",
            Some(Role::Master) => "master",
        };
        let from = row.from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let held = if row.also_held { "yes" } else { "no" };
        writeln!(text, "| {role} | {from} | {} | {} | {held} |", row.when.description(), row.to)
            .expect("a String takes every write");
    }
    text
}
