//! The controller's part of the document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the failover controller is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failover {
    /// `standby` or `master`.
    pub role: String,
    /// `standby`, `suspect`, `active` or `handing-back`.
    pub state: String,
    /// How long it has been so.
    pub state_seconds: u64,
    /// What decided it.
    pub why: String,
    /// The operator's hold.
    pub hold: Option<Hold>,
    /// Whether the core's switches are known to be what they are to be.
    pub in_force: bool,
    /// `unknown`, `gone` or `running`: the core on this machine.
    pub core: String,
    /// The core's switches as its status file shows them, by name.
    pub flags: BTreeMap<String, bool>,
    /// Why the core cannot be switched now.
    pub trouble: Option<String>,
    /// What the master's heartbeat means; none without one.
    pub heartbeat: Option<String>,
    /// What an active standby waits for before it hands back.
    pub waits_for: Option<String>,
    /// What watches the master.
    pub probes: Vec<Plugin>,
    /// What must be well before this node takes over.
    pub witnesses: Vec<Plugin>,
    /// The last changes of the state, newest first.
    pub transitions: Vec<Transition>,
}

/// Since when the operator keeps a node where it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hold {
    /// In the operator's words.
    pub reason: String,
    /// For how long.
    pub seconds: u64,
}

/// What a plugin told last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plugin {
    /// Its name in the configuration.
    pub name: String,
    /// `OK`, `WARNING`, `CRITICAL` or `UNKNOWN`; none before it ended once.
    pub state: Option<String>,
    /// What it printed, or what went wrong.
    pub output: String,
    /// How long ago it ended.
    pub age_seconds: Option<u64>,
}

/// One change of the state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Transition {
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
    /// What decided it.
    pub why: String,
    /// How long ago.
    pub age_seconds: u64,
}
