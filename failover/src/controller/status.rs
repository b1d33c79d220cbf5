//! What `understudy status` shows of the controller.

use std::time::Duration;

use nagios::ServiceState;
use serde::Serialize;

use super::run::Run;
use crate::machine::{Hold, LocalCore, Now, Presence, Shown, State, Transition};
use crate::plugin::Outcome;

/// How many transitions are shown.
const SHOWN_TRANSITIONS: usize = 20;

/// Everything there is to see. Times are Unix seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// This node's name.
    pub node: String,
    /// Whose understudy it is.
    pub role: config::Role,
    /// What a take-over switches on.
    pub switches: Vec<config::Switch>,
    /// The machine's state.
    pub state: State,
    /// When that began.
    pub since: i64,
    /// What decided it.
    pub why: String,
    /// The operator's hold.
    pub hold: Option<Hold>,
    /// What peers are told.
    pub presence: Presence,
    /// Whether the core's switches are known to be what they are to be.
    pub in_force: bool,
    /// The core on this machine.
    pub core: CoreStatus,
    /// Its switches, as its status file shows them.
    pub shown: Option<Shown>,
    /// Why commands cannot be written.
    pub not_issued: Option<String>,
    /// What the heartbeat means; none without one.
    pub heartbeat: Option<&'static str>,
    /// What an active standby waits for before it hands back.
    pub waits_for: Option<&'static str>,
    /// The probes.
    pub probes: Vec<PluginStatus>,
    /// The witnesses.
    pub witnesses: Vec<PluginStatus>,
    /// The last transitions, newest first.
    pub history: Vec<Transition>,
}

/// The core on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoreStatus {
    /// Not looked at yet.
    Unknown,
    /// It does not run.
    Gone,
    /// It runs.
    Running,
}

/// What a plugin told last.
#[derive(Clone, Debug, Serialize)]
pub struct PluginStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `OK`, `WARNING`, `CRITICAL` or `UNKNOWN`; none before it ended once.
    pub state: Option<String>,
    /// What it printed, or what went wrong.
    pub output: String,
    /// When it ended.
    pub at: Option<i64>,
    /// How long it ran.
    pub took: Duration,
}

impl Status {
    pub(super) fn new(run: &Run) -> Self {
        let machine = &run.machine;
        let (since, why) = machine.since();
        let (core, shown) = match machine.core() {
            LocalCore::Unknown => (CoreStatus::Unknown, None),
            LocalCore::Gone => (CoreStatus::Gone, None),
            LocalCore::Running(shown) => (CoreStatus::Running, shown.clone()),
        };
        Status {
            node: run.node.clone(),
            role: run.config.role,
            switches: run.config.switches.clone(),
            state: machine.state(),
            since,
            why: why.to_owned(),
            hold: machine.held().cloned(),
            presence: machine.presence(),
            in_force: machine.is_in_force(),
            core,
            shown,
            not_issued: run.not_issued.as_ref().map(|(error, _)| error.clone()),
            heartbeat: machine.heartbeat(),
            waits_for: machine.waits_for(),
            probes: run.plugins.0.clone(),
            witnesses: run.plugins.1.clone(),
            history: run.history.last().rev().take(SHOWN_TRANSITIONS).cloned().collect(),
        }
    }
}

impl PluginStatus {
    fn new(name: &str) -> Self {
        PluginStatus { name: name.to_owned(), state: None, output: String::new(), at: None, took: Duration::ZERO }
    }

    pub(super) fn handle_outcome(&mut self, outcome: &Outcome, now: Now) {
        let changed = self.state.as_deref() != Some(&outcome.state.to_string());
        if changed && outcome.state != ServiceState::Ok {
            let (plugin, state, output) = (&self.name, outcome.state, &outcome.output);
            tracing::info!(plugin, %state, output, "a plugin has another result");
        }
        self.state = Some(outcome.state.to_string());
        self.output.clone_from(&outcome.output);
        (self.at, self.took) = (Some(now.wall.seconds()), outcome.took);
    }
}

/// Probes and witnesses before their first run.
pub(super) fn plugins(config: &config::Failover) -> (Vec<PluginStatus>, Vec<PluginStatus>) {
    let probes = config.probes.iter().map(|probe| PluginStatus::new(&probe.plugin.name)).collect();
    let witnesses = config.witnesses.iter().map(|witness| PluginStatus::new(&witness.name)).collect();
    (probes, witnesses)
}
