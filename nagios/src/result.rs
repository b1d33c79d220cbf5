//! A check result: one outcome of one host or service check.

mod name;
mod object;
mod output;
mod state;
mod timestamp;

use std::sync::Arc;

pub use object::{HostName, MAX_NAME_BYTES, NameError, Object, ServiceDescription};
pub use output::{Outputs, PluginOutput, unescape};
pub use state::{CheckType, HostState, ReturnCode, ServiceState, StateType, StateWordError};
pub use timestamp::Timestamp;

/// One outcome of one host or service check.
///
/// The last three fields are known when the master's core tells them and unknown when the result came
/// from a classic client or a command file, which have no place for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// What was checked.
    pub object: Object,
    /// What the plugin returned, as it is on the wire.
    pub code: ReturnCode,
    /// What the plugin printed.
    pub output: PluginOutput,
    /// When the check was done. A command file carries whole seconds of it.
    pub check_time: Timestamp,
    /// Whether the state had been confirmed by retries.
    pub state_type: Option<StateType>,
    /// Which of `max_check_attempts` this was, from 1.
    pub attempt: Option<u32>,
    /// Whether the core ran the check itself.
    pub check_type: Option<CheckType>,
}

/// A check result and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributed {
    /// The result.
    pub result: CheckResult,
    /// The node whose spool it entered first. Empty: none yet, it was checked or taken here.
    pub origin: Arc<str>,
}

impl CheckResult {
    /// A result of which only what a command file can say is known.
    pub fn new(object: Object, code: ReturnCode, output: PluginOutput, check_time: Timestamp) -> Self {
        Self { object, code, output, check_time, state_type: None, attempt: None, check_type: None }
    }
}
