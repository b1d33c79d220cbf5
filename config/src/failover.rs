//! `[failover]`: when this node is active, and when it stands by.

mod plugin;

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use nsca::sealed::NodeName;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::ConfigError;
use crate::core::Core;
use crate::error::Source;
use crate::findings::Findings;
use crate::values::HumanDuration;
pub use plugin::{MAX_PLUGINS, Plugin, Probe, Problems, Watches};
use plugin::{PluginFile, ProbeFile};

/// How often the probes run where nothing else is configured.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// The shortest `interval`: plugins are processes.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest `stale_after`: heartbeats come once a second, and one may be lost.
const SHORTEST_STALE_AFTER: Duration = Duration::from_secs(2);

/// The highest number of failures or successes in a row that can be asked for.
const MOST_IN_A_ROW: u32 = 1000;

/// The longest of every duration here.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The controller's role, on a standby or on a master.
#[derive(Clone, Debug)]
pub struct Failover {
    /// Whose understudy this node is: nobody's, or a master's.
    pub role: Role,
    /// What the standby does while the master works.
    pub mode: Mode,
    /// How often probes and witnesses run. Default: 10 s; least: 1 s.
    pub interval: Duration,
    /// How often in a row a probe must fail to count as failed. Default: 3.
    pub failures_to_take_over: u32,
    /// How often in a row each probe must succeed before the standby hands back; a heartbeat must be well for as many
    /// intervals. Default: 3.
    pub successes_to_hand_back: u32,
    /// Whether one failed probe is enough. Default: all must fail.
    pub take_over_when: TakeOverWhen,
    /// Who decides that the standby hands back to the master. Default: the daemon.
    pub hand_back: HandBack,
    /// How long a master waits for a standby that it cannot reach before it becomes active. Default: 30 s.
    pub fail_open: Duration,
    /// What is switched in the local core. Default: what `mode` says; on a master the notifications.
    pub switches: Vec<Switch>,
    /// The program and arguments to run after a take-over. Empty: none.
    pub on_takeover: Vec<String>,
    /// The program and arguments to run after a hand-back. Empty: none.
    pub on_hand_back: Vec<String>,
    /// How long a hook may take before it is killed. Default: 30 s.
    pub hook_timeout: Duration,
    /// What watches the master. Empty on a master.
    pub probes: Vec<Probe>,
    /// What must be well before the standby takes over.
    pub witnesses: Vec<Plugin>,
    /// The sealed session of this node's master. `None`: the probes alone decide.
    pub heartbeat: Option<Heartbeat>,
    /// The core's external command FIFO.
    pub command_file: PathBuf,
    /// The core's status file, which shows what is in force.
    pub status_file: PathBuf,
}

/// Whose understudy a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It takes over for a master.
    Standby,
    /// It is active unless a standby is.
    Master,
}

/// What a standby's core does while the master works: the documentation's two scenarios.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Scenario 2: it checks nothing and notifies nobody.
    #[default]
    Failover,
    /// Scenario 1: it checks everything and notifies nobody.
    Redundant,
}

/// How several probes are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TakeOverWhen {
    /// Every probe must have failed.
    #[default]
    All,
    /// One failed probe is enough.
    Any,
}

/// Who decides that the standby hands back to the master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandBack {
    /// The daemon, when the master's core is known to live.
    #[default]
    Automatic,
    /// The operator.
    Manual,
}

/// What can be switched in the local core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// Active checks of services.
    ServiceChecks,
    /// Active checks of hosts.
    HostChecks,
    /// Notifications.
    Notifications,
    /// `ocsp_command` and `ochp_command`: results of this core for others.
    Obsessing,
}

/// What the heartbeat of the master's sealed session means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The master's node name.
    pub node: NodeName,
    /// After which silence the master counts as silent. Default: 5 s; least: 2 s.
    pub stale_after: Duration,
    /// How long a core that was stopped in order may stay away, so that a restart is no failover. Default: 30 s.
    pub restart_grace: Duration,
    /// How long a sender that said goodbye may stay away where no probe watches the master. Default: 5 min.
    pub goodbye_grace: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    role: Role,
    #[serde(default)]
    mode: Mode,
    interval: Option<Spanned<HumanDuration>>,
    failures_to_take_over: Option<Spanned<u32>>,
    successes_to_hand_back: Option<Spanned<u32>>,
    #[serde(default)]
    take_over_when: TakeOverWhen,
    #[serde(default)]
    hand_back: HandBack,
    fail_open: Option<Spanned<HumanDuration>>,
    switches: Option<Spanned<Vec<Switch>>>,
    #[serde(default)]
    on_takeover: Vec<String>,
    #[serde(default)]
    on_hand_back: Vec<String>,
    hook_timeout: Option<Spanned<HumanDuration>>,
    #[serde(default)]
    probe: Vec<Spanned<ProbeFile>>,
    #[serde(default)]
    witness: Vec<Spanned<PluginFile>>,
    heartbeat: Option<Spanned<HeartbeatFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeartbeatFile {
    node: Spanned<String>,
    stale_after: Option<Spanned<HumanDuration>>,
    restart_grace: Option<Spanned<HumanDuration>>,
    goodbye_grace: Option<Spanned<HumanDuration>>,
}

/// What else the file has.
#[derive(Clone, Copy)]
pub(crate) struct Others<'a> {
    pub(crate) core: Option<&'a Core>,
    pub(crate) sends: bool,
    pub(crate) receives: bool,
}

pub(crate) fn check(
    file: Spanned<File>,
    others: Others<'_>,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Result<Failover, ConfigError> {
    let section = file.span();
    let file = file.into_inner();
    if file.role == Role::Master {
        nothing_watches_the_standby(&file, source)?;
    }
    let (command_file, status_file) = core_files(others.core, section, source)?;
    let heartbeat = file.heartbeat.map(|file| heartbeat(file, others, source)).transpose()?;
    let failover = Failover {
        role: file.role,
        mode: file.mode,
        interval: duration(file.interval, DEFAULT_INTERVAL, SHORTEST_INTERVAL, source)?,
        failures_to_take_over: in_a_row(file.failures_to_take_over, source)?,
        successes_to_hand_back: in_a_row(file.successes_to_hand_back, source)?,
        take_over_when: file.take_over_when,
        hand_back: file.hand_back,
        fail_open: duration(file.fail_open, Duration::from_secs(30), Duration::ZERO, source)?,
        switches: switches(file.switches, file.role, file.mode, others.sends, source)?,
        on_takeover: file.on_takeover,
        on_hand_back: file.on_hand_back,
        hook_timeout: duration(file.hook_timeout, Duration::from_secs(30), SHORTEST_INTERVAL, source)?,
        probes: plugin::probes(file.probe, file.mode, source)?,
        witnesses: plugin::witnesses(file.witness, source)?,
        heartbeat,
        command_file,
        status_file,
    };
    warn(&failover, others, findings);
    Ok(failover)
}

fn nothing_watches_the_standby(file: &File, source: &Source<'_>) -> Result<(), ConfigError> {
    let span = None
        .or(file.probe.first().map(Spanned::span))
        .or(file.witness.first().map(Spanned::span))
        .or(file.heartbeat.as_ref().map(Spanned::span));
    match span {
        Some(span) => {
            let message = "a master watches nobody: probes, witnesses and the heartbeat belong to role = \"standby\"";
            Err(source.at(span, message))
        }
        None => Ok(()),
    }
}

fn core_files(
    core: Option<&Core>,
    section: Range<usize>,
    source: &Source<'_>,
) -> Result<(PathBuf, PathBuf), ConfigError> {
    let Some(core) = core else {
        return Err(source.at(section, "there is no core to switch: add a [core] section with main_config"));
    };
    let known = |path: &Option<PathBuf>, key: &str, why: &str| {
        path.clone().ok_or_else(|| {
            let message = format!("the core's {key} is not known, and {why}: add main_config or {key} to [core]");
            source.at(section.clone(), message)
        })
    };
    Ok((
        known(&core.command_file, "command_file", "it takes the commands")?,
        known(&core.status_file, "status_file", "it shows whether the commands are in force")?,
    ))
}

fn heartbeat(file: Spanned<HeartbeatFile>, others: Others<'_>, source: &Source<'_>) -> Result<Heartbeat, ConfigError> {
    let section = file.span();
    let HeartbeatFile { node, stale_after, restart_grace, goodbye_grace } = file.into_inner();
    if !others.receives {
        let message = "a heartbeat comes over the master's sealed session: add a [[receiver.listener]]";
        return Err(source.at(section, message));
    }
    Ok(Heartbeat {
        node: NodeName::try_from(node.get_ref().as_str()).map_err(|e| source.at(node.span(), e.to_string()))?,
        stale_after: duration(stale_after, Duration::from_secs(5), SHORTEST_STALE_AFTER, source)?,
        restart_grace: duration(restart_grace, Duration::from_secs(30), Duration::ZERO, source)?,
        goodbye_grace: duration(goodbye_grace, Duration::from_secs(300), Duration::ZERO, source)?,
    })
}

/// Notifications can be left out by hand only.
fn switches(
    set: Option<Spanned<Vec<Switch>>>,
    role: Role,
    mode: Mode,
    sends: bool,
    source: &Source<'_>,
) -> Result<Vec<Switch>, ConfigError> {
    let mut switches = match set {
        Some(set) if set.get_ref().is_empty() => {
            let message = "nothing is switched: leave switches out, or name what a take-over switches on";
            return Err(source.at(set.span(), message));
        }
        Some(set) => set.into_inner(),
        None => match (role, mode) {
            // A master that waits for the hand-back must know the states by then, so its checks go on.
            (Role::Master, _) => vec![Switch::Notifications],
            (Role::Standby, Mode::Redundant) => vec![Switch::Notifications],
            (Role::Standby, Mode::Failover) => {
                let all = [Switch::ServiceChecks, Switch::HostChecks, Switch::Notifications, Switch::Obsessing];
                all.into_iter().filter(|switch| sends || *switch != Switch::Obsessing).collect()
            }
        },
    };
    switches.sort_unstable();
    switches.dedup();
    Ok(switches)
}

fn duration(
    set: Option<Spanned<HumanDuration>>,
    default: Duration,
    least: Duration,
    source: &Source<'_>,
) -> Result<Duration, ConfigError> {
    let Some(set) = set else { return Ok(default) };
    let value = set.get_ref().0;
    if value < least || value > LONGEST {
        let message = format!("write a duration from {}s to {}h", least.as_secs(), LONGEST.as_secs() / 3600);
        return Err(source.at(set.span(), message));
    }
    Ok(value)
}

fn in_a_row(set: Option<Spanned<u32>>, source: &Source<'_>) -> Result<u32, ConfigError> {
    match set {
        None => Ok(3),
        Some(set) if (1..=MOST_IN_A_ROW).contains(set.get_ref()) => Ok(set.into_inner()),
        Some(set) => Err(source.at(set.span(), format!("write a number from 1 to {MOST_IN_A_ROW}"))),
    }
}

/// What works, but perhaps not as meant.
fn warn(failover: &Failover, others: Others<'_>, findings: &mut Findings) {
    let probed = !failover.probes.is_empty();
    match failover.role {
        Role::Master if !others.sends => findings.warn(
            "role = \"master\" without a [sender]: this node cannot learn whether a standby is active, and notifies after \
             fail_open in any case",
        ),
        Role::Standby if !probed && failover.heartbeat.is_none() => findings.warn(
            "nothing watches the master: only event handlers (`understudy event`) and the operator make this node take over",
        ),
        Role::Standby if !probed => findings.warn(
            "no probe beside the heartbeat: a cut connection alone makes this node take over after stale_after; add a \
             [[failover.probe]]",
        ),
        Role::Master | Role::Standby => {}
    }
    if failover.role == Role::Standby && failover.witnesses.is_empty() {
        findings.advise(
            "add a [[failover.witness]], a gateway say: without one this node takes over also when it is itself cut off",
        );
    }
    let proven = failover.heartbeat.is_some() || failover.probes.iter().any(|probe| probe.watches == Watches::Core);
    if probed && !proven && failover.hand_back == HandBack::Automatic {
        findings.warn(
            "no probe watches the master's core, and there is no heartbeat: this node does not hand back by itself",
        );
    }
}
