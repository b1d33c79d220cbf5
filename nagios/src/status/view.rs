//! What the fields of a block mean.

use super::Block;
use crate::flavour::Flavour;
use crate::result::{CheckType, NameError, Object, PluginOutput, ReturnCode, StateType, Timestamp, unescape};

/// A `hoststatus` or `servicestatus` block. A field that is missing or unreadable is none, or empty.
#[derive(Clone, Copy, Debug)]
pub struct ObjectStatus<'a>(Block<'a>);

impl<'a> ObjectStatus<'a> {
    pub(super) fn new(block: Block<'a>) -> Self {
        Self(block)
    }

    /// Whose status it is.
    ///
    /// # Errors
    /// A name is missing, or is none that a command file could carry.
    pub fn object(&self) -> Result<Object, NameError> {
        self.0.object()
    }

    /// `has_been_checked`: without it, state and output say nothing.
    pub fn has_been_checked(&self) -> bool {
        flag(&self.0, "has_been_checked").unwrap_or(false)
    }

    /// `current_state`.
    pub fn state(&self) -> Option<ReturnCode> {
        number(&self.0, "current_state").map(ReturnCode::new)
    }

    /// `state_type`.
    pub fn state_type(&self) -> Option<StateType> {
        flag(&self.0, "state_type").map(|hard| if hard { StateType::Hard } else { StateType::Soft })
    }

    /// `check_type`: of the last check.
    pub fn check_type(&self) -> Option<CheckType> {
        flag(&self.0, "check_type").map(|passive| if passive { CheckType::Passive } else { CheckType::Active })
    }

    /// `current_attempt`, from 1.
    pub fn current_attempt(&self) -> Option<u32> {
        number(&self.0, "current_attempt")
    }

    /// `last_check`, in whole seconds; none before the first.
    pub fn last_check(&self) -> Option<Timestamp> {
        time(&self.0, "last_check")
    }

    /// `plugin_output`: the first line, true text, but with `:` for `;`.
    pub fn plugin_output(&self) -> &'a [u8] {
        self.text("plugin_output")
    }

    /// `long_plugin_output`: the other lines, escaped as they are in the file.
    pub fn long_plugin_output(&self) -> &'a [u8] {
        self.text("long_plugin_output")
    }

    /// The true text of `long_plugin_output`. `flavour` decides whether a backslash is escaped there.
    pub fn long_text(&self, flavour: Flavour) -> Vec<u8> {
        let escaped = self.long_plugin_output();
        match flavour {
            Flavour::Nagios3 | Flavour::Nagios4 | Flavour::Icinga1 => unescape(escaped),
            Flavour::Naemon | Flavour::Icinga2 => unescape_newlines(escaped),
        }
    }

    /// `performance_data`: true text.
    pub fn performance_data(&self) -> &'a [u8] {
        self.text("performance_data")
    }

    /// The three texts as one.
    pub fn output(&self, flavour: Flavour) -> PluginOutput {
        PluginOutput::from_parts(self.plugin_output(), self.performance_data(), &self.long_text(flavour))
    }

    fn text(&self, key: &str) -> &'a [u8] {
        self.0.get(key).unwrap_or_default()
    }
}

/// The `programstatus` block: what is in force in the core. A field that is missing or unreadable is none.
#[derive(Clone, Copy, Debug)]
pub struct ProgramStatus<'a>(Block<'a>);

impl<'a> ProgramStatus<'a> {
    pub(super) fn new(block: Block<'a>) -> Self {
        Self(block)
    }

    /// `program_start`: another value means another run of the core.
    pub fn program_start(&self) -> Option<Timestamp> {
        time(&self.0, "program_start")
    }

    /// `nagios_pid`, `icinga_pid` or `naemon_pid`.
    pub fn pid(&self) -> Option<u32> {
        ["nagios_pid", "naemon_pid", "icinga_pid"].into_iter().find_map(|key| number(&self.0, key))
    }

    /// `enable_notifications`.
    pub fn enable_notifications(&self) -> Option<bool> {
        flag(&self.0, "enable_notifications")
    }

    /// `active_service_checks_enabled`.
    pub fn active_service_checks_enabled(&self) -> Option<bool> {
        flag(&self.0, "active_service_checks_enabled")
    }

    /// `active_host_checks_enabled`.
    pub fn active_host_checks_enabled(&self) -> Option<bool> {
        flag(&self.0, "active_host_checks_enabled")
    }

    /// `passive_service_checks_enabled`: without it the core drops what is injected.
    pub fn passive_service_checks_enabled(&self) -> Option<bool> {
        flag(&self.0, "passive_service_checks_enabled")
    }

    /// `passive_host_checks_enabled`: without it the core drops what is injected.
    pub fn passive_host_checks_enabled(&self) -> Option<bool> {
        flag(&self.0, "passive_host_checks_enabled")
    }

    /// `obsess_over_services`.
    pub fn obsess_over_services(&self) -> Option<bool> {
        flag(&self.0, "obsess_over_services")
    }

    /// `obsess_over_hosts`.
    pub fn obsess_over_hosts(&self) -> Option<bool> {
        flag(&self.0, "obsess_over_hosts")
    }

    /// `process_performance_data`.
    pub fn process_performance_data(&self) -> Option<bool> {
        flag(&self.0, "process_performance_data")
    }
}

/// The `info` block: when and by which core the file was written.
#[derive(Clone, Copy, Debug)]
pub struct InfoStatus<'a>(Block<'a>);

impl<'a> InfoStatus<'a> {
    pub(super) fn new(block: Block<'a>) -> Self {
        Self(block)
    }

    /// `created`: when the file was written.
    pub fn created(&self) -> Option<Timestamp> {
        time(&self.0, "created")
    }

    /// `version`: the core's, `4.4.6` for example.
    pub fn version(&self) -> Option<&'a [u8]> {
        self.0.get("version")
    }
}

/// A moment; 0 stands for none.
fn time(block: &Block<'_>, key: &str) -> Option<Timestamp> {
    number(block, key).filter(|seconds| *seconds != 0).map(Timestamp::from_seconds)
}

fn flag(block: &Block<'_>, key: &str) -> Option<bool> {
    number::<i64>(block, key).map(|value| value != 0)
}

fn number<N: std::str::FromStr>(block: &Block<'_>, key: &str) -> Option<N> {
    std::str::from_utf8(block.get(key)?.trim_ascii()).ok()?.parse().ok()
}

/// For cores that escape newlines only.
fn unescape_newlines(escaped: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(escaped.len());
    let mut from = 0;
    for at in memchr::memmem::find_iter(escaped, b"\\n") {
        text.extend_from_slice(&escaped[from..at]);
        text.push(b'\n');
        from = at + 2;
    }
    text.extend_from_slice(&escaped[from..]);
    text
}
