//! The status file, in the format of Nagios 4: those of its fields that tools read.

use std::fmt::Write as _;
use std::fs;

use anyhow::Context;
use nagios::{CheckType, Object, StateType, Timestamp};

use super::Core;
use super::object::{MAX_ATTEMPTS, Monitored};

/// Written under another name and renamed: a reader sees a whole file.
pub(super) fn write(core: &Core) -> anyhow::Result<()> {
    let path = &core.config.status_file;
    let partial = path.with_extension("partial");
    let describe = || format!("cannot write the status file {}", path.display());
    fs::write(&partial, render(core)).with_context(describe)?;
    fs::rename(&partial, path).with_context(describe)
}

fn render(core: &Core) -> Vec<u8> {
    let mut text = Vec::with_capacity(64 * 1024);
    let now = Timestamp::from(std::time::SystemTime::now());
    block(&mut text, "info", &[("created", &now.seconds()), ("version", &env!("CARGO_PKG_VERSION"))]);
    block(
        &mut text,
        "programstatus",
        &[
            ("nagios_pid", &std::process::id()),
            ("daemon_mode", &0),
            ("program_start", &core.program_start.seconds()),
            ("enable_notifications", &u8::from(core.notifications)),
            ("active_service_checks_enabled", &u8::from(core.service_checks)),
            ("passive_service_checks_enabled", &1),
            ("active_host_checks_enabled", &u8::from(core.host_checks)),
            ("passive_host_checks_enabled", &1),
            ("obsess_over_services", &u8::from(core.config.ocsp_command.is_some())),
            ("obsess_over_hosts", &u8::from(core.config.ochp_command.is_some())),
        ],
    );
    for (object, monitored) in &core.objects {
        object_block(&mut text, object, monitored);
    }
    text
}

fn block(text: &mut Vec<u8>, kind: &str, fields: &[(&str, &dyn std::fmt::Display)]) {
    let mut lines = String::new();
    for (key, value) in fields {
        writeln!(lines, "\t{key}={value}").expect("a String takes every write");
    }
    text.extend_from_slice(format!("{kind} {{\n{lines}\t}}\n\n").as_bytes());
}

fn object_block(text: &mut Vec<u8>, object: &Object, monitored: &Monitored) {
    let kind = if object.service().is_some() { "servicestatus" } else { "hoststatus" };
    text.extend_from_slice(kind.as_bytes());
    text.extend_from_slice(b" {\n");
    let mut field = |key: &str, value: &[u8]| {
        text.extend_from_slice(format!("\t{key}=").as_bytes());
        text.extend_from_slice(value);
        text.push(b'\n');
    };
    field("host_name", object.host().as_bytes());
    if let Some(service) = object.service() {
        field("service_description", service.as_bytes());
    }
    let number = |value: i64| value.to_string().into_bytes();
    let seconds = |time: Option<Timestamp>| number(time.map_or(0, Timestamp::seconds));
    field("check_type", &number(i64::from(monitored.check_type == CheckType::Passive)));
    field("current_state", &number(monitored.state.into()));
    field("state_type", &number(i64::from(monitored.state_type == StateType::Hard)));
    field("current_attempt", &number(monitored.attempt.into()));
    field("max_attempts", &number(MAX_ATTEMPTS.into()));
    field("has_been_checked", &number(monitored.last_check.is_some().into()));
    field("last_check", &seconds(monitored.last_check));
    field("last_state_change", &seconds(monitored.last_state_change));
    field("plugin_output", &monitored.parts.output);
    field("long_plugin_output", &monitored.parts.long_output);
    field("performance_data", &monitored.parts.perfdata);
    text.extend_from_slice(b"\t}\n\n");
}
