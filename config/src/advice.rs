//! What the core's own main configuration lacks for the roles of this node.

use std::path::Path;

use nagios::main_config::MainConfig;

use crate::{Config, Failover, Role, Switch};

impl Config {
    /// What to change for the better here, and in the settings of the core where `main_config` is named; one sentence each.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = self.hints.clone();
        let Some(main) = self.core.as_ref().and_then(|core| core.main.as_ref()) else {
            return advice;
        };
        if self.receiver.is_some() {
            receiving(main, &mut advice);
        }
        if let Some(sender) = &self.sender {
            match &sender.perfdata {
                Some(fifo) => perfdata(main, &fifo.path, &mut advice),
                None => obsessing(main, self.failover.as_ref(), &mut advice),
            }
        }
        if let Some(failover) = &self.failover {
            switching(main, failover, &mut advice);
        }
        advice
    }
}

/// What a core must do so that its switches are the controller's alone.
fn switching(main: &MainConfig, failover: &Failover, advice: &mut Vec<String>) {
    let mut set = |key: &str, value: u8, otherwise: &str| {
        let setting = format!("set {key}={value}");
        if !advice.iter().any(|known| known.starts_with(&setting)) {
            advice.push(format!("{setting}: without it {otherwise}"));
        }
    };
    for (key, value) in failover.switches.iter().flat_map(|switch| settings_of(*switch, main)) {
        if value != Some(false) {
            set(key, 0, "the core does that from its start until the controller corrects it");
        }
    }
    if main.use_retained_program_state() != Some(false) {
        set("use_retained_program_state", 0, "a core that crashed comes back with the switches of its last save");
    }
    if main.passive_host_checks_are_soft() != Some(true) {
        set("passive_host_checks_are_soft", 1, "the first DOWN of a host is HARD at once");
    }
    if main.check_external_commands() == Some(false) {
        set("check_external_commands", 1, "the core takes no commands");
    }
    let is_idle = |switch| failover.role == Role::Standby && failover.switches.contains(&switch);
    // The cores' own defaults differ: services yes, hosts no.
    if is_idle(Switch::ServiceChecks) && main.check_service_freshness() != Some(false) {
        set("check_service_freshness", 0, "the core checks stale services also while it is to check nothing");
    }
    if is_idle(Switch::HostChecks) && main.check_host_freshness() == Some(true) {
        set("check_host_freshness", 0, "the core checks stale hosts also while it is to check nothing");
    }
}

/// The settings that say whether a switch is on when the core starts.
fn settings_of(switch: Switch, main: &MainConfig) -> Vec<(&'static str, Option<bool>)> {
    match switch {
        Switch::ServiceChecks => vec![("execute_service_checks", main.execute_service_checks())],
        Switch::HostChecks => vec![("execute_host_checks", main.execute_host_checks())],
        Switch::Notifications => vec![("enable_notifications", main.enable_notifications())],
        // Off unless it is said otherwise.
        Switch::Obsessing => vec![
            ("obsess_over_services", main.obsess_over_services().or(Some(false))),
            ("obsess_over_hosts", main.obsess_over_hosts().or(Some(false))),
        ],
    }
}

/// What a core must do with results that come from outside.
fn receiving(main: &MainConfig, advice: &mut Vec<String>) {
    let wanted = [
        ("check_external_commands", main.check_external_commands(), "the core does not read its command file"),
        ("accept_passive_service_checks", main.accept_passive_service_checks(), "passive service checks are dropped"),
        ("accept_passive_host_checks", main.accept_passive_host_checks(), "passive host checks are dropped"),
    ];
    for (key, value, otherwise) in wanted {
        if value == Some(false) {
            advice.push(format!("set {key}=1 in the core's main configuration: without it {otherwise}"));
        }
    }
    if main.passive_host_checks_are_soft() != Some(true) {
        advice.push("set passive_host_checks_are_soft=1: without it the first DOWN of a host is HARD at once".into());
    }
}

/// What a core must do to tell its results by command. Where the controller switches that, the command alone.
fn obsessing(main: &MainConfig, failover: Option<&Failover>, advice: &mut Vec<String>) {
    let is_switched = failover.is_some_and(|failover| failover.switches.contains(&Switch::Obsessing));
    let pairs = [
        ("obsess_over_services", main.obsess_over_services(), "ocsp_command", main.ocsp_command(), "service"),
        ("obsess_over_hosts", main.obsess_over_hosts(), "ochp_command", main.ochp_command(), "host"),
    ];
    for (switch, on, command, value, kind) in pairs {
        let runs = format!("to a command that runs `understudy-ocsp {kind} …`");
        let otherwise = format!("no {kind} result reaches the sender");
        if is_switched && value.is_none() {
            advice.push(format!("set {command} {runs}: without it {otherwise} while this core is active"));
        } else if !is_switched && (on != Some(true) || value.is_none()) {
            advice.push(format!("set {switch}=1 and {command} {runs}: without them {otherwise}"));
        }
    }
}

/// What a core must do to tell its results through the perfdata FIFO.
fn perfdata(main: &MainConfig, fifo: &Path, advice: &mut Vec<String>) {
    if main.process_performance_data() != Some(true) {
        advice.push("set process_performance_data=1: without it the perfdata FIFO stays silent".into());
    }
    let kinds = [
        ("service", main.service_perfdata_file(), main.service_perfdata_process_empty_results()),
        ("host", main.host_perfdata_file(), main.host_perfdata_process_empty_results()),
    ];
    for (kind, file, empty_results) in kinds {
        if file.as_deref() != Some(fifo) {
            advice.push(format!("set {kind}_perfdata_file={} and its template and mode", fifo.display()));
        }
        if empty_results == Some(false) {
            advice.push(format!(
                "set {kind}_perfdata_process_empty_results=1: without it results without performance data are not sent"
            ));
        }
    }
}
