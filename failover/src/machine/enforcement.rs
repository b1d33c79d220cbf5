//! Keeps the local core's switches where they are to be.
//!
//! What is to be is compared with what the status file shows, and commands are issued until both agree: level, not
//! edge. What was written counts as in force until the status file had its time to show it.
//!
//! ```text
//!            issue              written              shown by a newer status file
//!  (shown) ────────▶ InFlight ────────▶ Written ──────────────────────────────────▶ (shown)
//!                       │ not written      │ not shown within the confirmation time
//!                       └──────────────────┴─▶ issued again
//! ```
//!
//! **Invariant:** no command is written twice within the confirmation time, unless its opposite was written in between, or
//! the core restarted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use config::Switch;
use nagios::{ModeCommand, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::Now;

/// After which time a command that could not be written is tried again.
pub const RETRY_WRITING: Duration = Duration::from_secs(1);

/// A switch of the core that the status file shows. Commands are issued in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// `active_service_checks_enabled`
    ServiceChecks,
    /// `active_host_checks_enabled`
    HostChecks,
    /// `enable_notifications`
    Notifications,
    /// `obsess_over_services`
    ObsessOverServices,
    /// `obsess_over_hosts`
    ObsessOverHosts,
}

/// What is known of the core on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalCore {
    /// Nobody has looked yet.
    Unknown,
    /// It does not run.
    Gone,
    /// It runs, and its status file shows this; none if there is no status file of this run yet.
    Running(Option<Shown>),
}

/// What the status file shows of the core as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Which run of the core it is, in Unix seconds.
    pub program_start: i64,
    /// When the file was written, in Unix seconds.
    pub created: i64,
    /// Which switches are on. One that is missing is not shown by this core.
    pub flags: BTreeMap<Flag, bool>,
}

/// The switches of the local core.
#[derive(Clone, Debug)]
pub(super) struct Enforcement {
    flags: Vec<Flag>,
    confirmation: Duration,
    core: LocalCore,
    /// What is not known from the status file alone.
    beliefs: BTreeMap<Flag, Belief>,
    ticket: u64,
    retry: Option<Instant>,
    /// The run that was last seen before the core was gone, and since when it is back.
    before: Option<(i64, Option<Timestamp>)>,
    /// When the machine began, in Unix seconds. What the daemon before it wrote then shows in later status files only.
    began: i64,
}

#[derive(Clone, Copy, Debug)]
enum Belief {
    /// On its way, and what was written before it.
    InFlight(bool, Option<(bool, Now)>),
    Written(bool, Now),
    /// Written, and this core's status file has no such line.
    Assumed(bool),
}

/// Commands to write, and by which number to tell that they were.
pub(super) type Batch = (u64, Vec<ModeCommand>);

impl Enforcement {
    pub(super) fn new(switches: &[Switch], confirmation: Duration, now: Now) -> Self {
        Enforcement {
            flags: flags(switches),
            confirmation,
            core: LocalCore::Unknown,
            beliefs: BTreeMap::new(),
            ticket: 0,
            retry: None,
            before: None,
            began: now.wall.seconds(),
        }
    }

    pub(super) fn handle_core(&mut self, core: LocalCore, now: Now) {
        let core = self.without_an_old_run(core, now);
        let runs = |core: &LocalCore| match core {
            LocalCore::Running(shown) => shown.as_ref().map(|shown| shown.program_start),
            LocalCore::Unknown | LocalCore::Gone => None,
        };
        match (runs(&self.core), runs(&core)) {
            (Some(known), Some(new)) if known != new => {
                self.beliefs.retain(|_, belief| belief.outlives_a_restart(new));
            }
            _ => {}
        }
        if core == LocalCore::Gone {
            self.beliefs.clear();
            self.retry = None;
        }
        // A status file that cannot be read for a moment makes nothing unknown.
        if core != LocalCore::Running(None) || !matches!(self.core, LocalCore::Running(Some(_))) {
            self.core = core;
        }
    }

    /// The commands with the number `ticket` are in the command file, or are not.
    pub(super) fn handle_issued(&mut self, ticket: u64, written: bool, now: Now) {
        if ticket != self.ticket {
            return;
        }
        if !written {
            self.retry = Some(now.instant + RETRY_WRITING);
        }
        self.beliefs.retain(|_, belief| {
            let Belief::InFlight(value, before) = *belief else { return true };
            let in_file = if written { Some((value, now)) } else { before };
            if let Some((value, at)) = in_file {
                *belief = Belief::Written(value, at);
            }
            in_file.is_some()
        });
    }

    /// Drops each belief that the status file has confirmed, or had its time to.
    pub(super) fn compare(&mut self, now: Now) {
        let LocalCore::Running(shown) = &self.core else { return };
        let confirmation = self.confirmation;
        self.beliefs.retain(|flag, belief| {
            let Belief::Written(value, at) = *belief else { return true };
            let expired = now.since(at.instant) >= confirmation;
            let newer = shown.as_ref().filter(|shown| shown.created > at.wall.seconds());
            match newer.map(|shown| shown.flags.get(flag)) {
                Some(Some(shown)) if *shown == value => false,
                Some(None) => {
                    *belief = Belief::Assumed(value);
                    true
                }
                Some(Some(_)) | None => !expired,
            }
        });
    }

    /// What must be written so that all switches are `on`, or off. It replaces what was not yet written before.
    pub(super) fn enforce(&mut self, on: bool, now: Now) -> Option<Batch> {
        let LocalCore::Running(_) = self.core else { return None };
        if self.retry.is_some_and(|retry| now.instant < retry) {
            return None;
        }
        self.retry = None;
        if self.flags.iter().all(|flag| self.believed(*flag) == Some(on)) {
            return None;
        }
        let mut commands = Vec::new();
        for flag in &self.flags {
            let belief = self.beliefs.get(flag).copied();
            let replaced = matches!(belief, Some(Belief::InFlight(..)));
            if replaced || self.believed(*flag) != Some(on) {
                let before = match belief {
                    Some(Belief::Written(value, at)) => Some((value, at)),
                    // How far it came is not known.
                    Some(Belief::InFlight(..) | Belief::Assumed(_)) | None => None,
                };
                commands.push(flag.command(on));
                self.beliefs.insert(*flag, Belief::InFlight(on, before));
            }
        }
        commands.push(ModeCommand::SaveStateInformation);
        self.ticket += 1;
        Some((self.ticket, commands))
    }

    /// Whether all switches are known to be `on`, or off. A core that does not run is off.
    pub(super) fn is_in_force(&self, on: bool) -> bool {
        match &self.core {
            LocalCore::Unknown => false,
            LocalCore::Gone => !on,
            LocalCore::Running(None) => false,
            LocalCore::Running(Some(shown)) => self.flags.iter().all(|flag| match self.beliefs.get(flag) {
                None => shown.created > self.began && shown.flags.get(flag) == Some(&on),
                Some(Belief::Assumed(value)) => *value == on,
                Some(Belief::InFlight(..) | Belief::Written(..)) => false,
            }),
        }
    }

    pub(super) fn core(&self) -> &LocalCore {
        &self.core
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let confirmed = self.beliefs.values().filter_map(|belief| match belief {
            Belief::Written(_, at) => Some(at.instant + self.confirmation),
            Belief::InFlight(..) | Belief::Assumed(_) => None,
        });
        confirmed.chain(self.retry)
    }

    fn believed(&self, flag: Flag) -> Option<bool> {
        match self.beliefs.get(&flag) {
            Some(Belief::InFlight(value, _) | Belief::Written(value, _) | Belief::Assumed(value)) => Some(*value),
            None => self.shown(flag),
        }
    }

    fn shown(&self, flag: Flag) -> Option<bool> {
        match &self.core {
            LocalCore::Running(Some(shown)) => shown.flags.get(&flag).copied(),
            LocalCore::Unknown | LocalCore::Gone | LocalCore::Running(None) => None,
        }
    }

    /// The status file that a core left behind says nothing of the core that came after it.
    fn without_an_old_run(&mut self, core: LocalCore, now: Now) -> LocalCore {
        if core == LocalCore::Gone {
            if let LocalCore::Running(Some(shown)) = &self.core {
                self.before = Some((shown.program_start, None));
            } else if let Some((_, back)) = &mut self.before {
                *back = None;
            }
            return core;
        }
        let Some((old, back)) = &mut self.before else { return core };
        let back = *back.get_or_insert(now.wall);
        match core {
            LocalCore::Running(Some(shown)) if shown.program_start != *old || shown.created > back.seconds() => {
                self.before = None;
                LocalCore::Running(Some(shown))
            }
            LocalCore::Running(_) => LocalCore::Running(None),
            core @ (LocalCore::Unknown | LocalCore::Gone) => core,
        }
    }
}

impl Belief {
    /// Whether the run of the core that began at `start`, in Unix seconds, knows of it.
    fn outlives_a_restart(&self, start: i64) -> bool {
        match self {
            Belief::InFlight(..) => true,
            Belief::Written(_, at) => at.wall.seconds() > start,
            Belief::Assumed(_) => false,
        }
    }
}

impl Flag {
    /// The command that turns it on, or off.
    pub fn command(self, on: bool) -> ModeCommand {
        match (self, on) {
            (Flag::ServiceChecks, true) => ModeCommand::StartExecutingServiceChecks,
            (Flag::ServiceChecks, false) => ModeCommand::StopExecutingServiceChecks,
            (Flag::HostChecks, true) => ModeCommand::StartExecutingHostChecks,
            (Flag::HostChecks, false) => ModeCommand::StopExecutingHostChecks,
            (Flag::Notifications, true) => ModeCommand::EnableNotifications,
            (Flag::Notifications, false) => ModeCommand::DisableNotifications,
            (Flag::ObsessOverServices, true) => ModeCommand::StartObsessingOverServices,
            (Flag::ObsessOverServices, false) => ModeCommand::StopObsessingOverServices,
            (Flag::ObsessOverHosts, true) => ModeCommand::StartObsessingOverHosts,
            (Flag::ObsessOverHosts, false) => ModeCommand::StopObsessingOverHosts,
        }
    }
}

/// What turns all of `switches` on, or off.
pub(crate) fn commands(switches: &[Switch], on: bool) -> Vec<ModeCommand> {
    flags(switches).into_iter().map(|flag| flag.command(on)).collect()
}

fn flags(switches: &[Switch]) -> Vec<Flag> {
    let mut flags: Vec<Flag> = switches
        .iter()
        .flat_map(|switch| match switch {
            Switch::ServiceChecks => &[Flag::ServiceChecks][..],
            Switch::HostChecks => &[Flag::HostChecks],
            Switch::Notifications => &[Flag::Notifications],
            Switch::Obsessing => &[Flag::ObsessOverServices, Flag::ObsessOverHosts],
        })
        .copied()
        .collect();
    flags.sort_unstable();
    flags
}
