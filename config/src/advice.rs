//! What the core's own main configuration lacks for the roles of this node.

use std::path::Path;

use nagios::main_config::MainConfig;

use crate::Config;

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
                None => obsessing(main, &mut advice),
            }
        }
        if self.failover.is_some() {
            switching(main, &mut advice);
        }
        advice
    }
}

/// What a core must do so that its switches are the controller's alone.
fn switching(main: &MainConfig, advice: &mut Vec<String>) {
    if main.enable_notifications() != Some(false) {
        advice.push(
            "set enable_notifications=0: without it the core notifies from its start until the controller corrects it"
                .into(),
        );
    }
    if main.use_retained_program_state() != Some(false) {
        advice.push(
            "set use_retained_program_state=0: without it a core that crashed comes back with the switches of its last \
             save"
                .into(),
        );
    }
    let soft = "set passive_host_checks_are_soft=1: without it the first DOWN of a host is HARD at once";
    if main.passive_host_checks_are_soft() != Some(true) && !advice.iter().any(|line| line == soft) {
        advice.push(soft.into());
    }
    if main.check_external_commands() == Some(false) && !advice.iter().any(|line| line.contains("external_commands")) {
        advice.push("set check_external_commands=1: without it the core takes no commands".into());
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

/// What a core must do to tell its results by command.
fn obsessing(main: &MainConfig, advice: &mut Vec<String>) {
    let pairs = [
        ("obsess_over_services", main.obsess_over_services(), "ocsp_command", main.ocsp_command(), "service"),
        ("obsess_over_hosts", main.obsess_over_hosts(), "ochp_command", main.ochp_command(), "host"),
    ];
    for (switch, on, command, value, kind) in pairs {
        if on != Some(true) || value.is_none() {
            advice.push(format!(
                "set {switch}=1 and {command} to a command that runs `understudy-ocsp {kind} …`: without them no {kind} \
                 result reaches the sender"
            ));
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
