//! A miniature core: of what Nagios does, just enough that a relay cannot tell the difference.
//!
//! It runs checks, executes an `ocsp_command` and an `ochp_command` for each result, notifies of services' problems and
//! recoveries, reads external commands from a FIFO and writes a status file. Its checks and notifications can be switched by
//! command. It knows no schedules, dependencies or retention.
//!
//! One thread owns all state and handles one event after the other; every check, the FIFO and the signals have threads
//! of their own that only send events. As in Nagios 3 and Icinga 1, the core waits for the commands that it executes.

mod check;
mod command_file;
mod config;
mod macros;
mod object;
mod status_file;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use nagios::command::ParseCommandError;
use nagios::{CheckType, Object, ReturnCode, Timestamp};

use crate::interrupt::on_interrupt;
use check::Outcome;
use command_file::CommandFile;
use config::Config;
use macros::CommandLine;
use object::{Monitored, Objects};

/// How often the status file is written.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the core that the file describes until SIGTERM or SIGINT.
///
/// # Errors
///
/// When the configuration is wrong, or the command file or the status file cannot be written.
pub fn main(config: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::read(config)?;
    let (events, inbox) = mpsc::channel();
    let stop = events.clone();
    on_interrupt(move || {
        // The core has ended already when nobody listens.
        let _ = stop.send(Event::Stop);
    })?;
    run(config, &events, &inbox)?;
    Ok(ExitCode::SUCCESS)
}

/// What the core's thread reacts to.
#[derive(Debug)]
enum Event {
    /// A line from the command file, without its newline.
    Command(Vec<u8>),
    /// A check has ended.
    Checked(Object, Outcome),
    /// Remove the command file and end.
    Stop,
}

fn run(config: Config, events: &Sender<Event>, inbox: &Receiver<Event>) -> anyhow::Result<()> {
    // Removed when it goes out of scope, as a core does on a clean stop.
    let _command_file = CommandFile::create(&config.command_file, events.clone())?;
    let mut core = Core::new(config, events.clone());
    let mut next_status = Instant::now();
    loop {
        let now = Instant::now();
        if now >= next_status {
            status_file::write(&core)?;
            next_status = now + STATUS_INTERVAL;
        }
        core.start_due_checks(now);
        let wake = core.next_check().map_or(next_status, |check| check.min(next_status));
        match inbox.recv_timeout(wake.saturating_duration_since(now)) {
            Ok(Event::Command(line)) => core.execute(&line),
            Ok(Event::Checked(object, outcome)) => core.checked(&object, outcome),
            Ok(Event::Stop) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("the caller holds a sender"),
        }
    }
    status_file::write(&core)
}

/// The whole state of the core.
struct Core {
    config: Config,
    program_start: Timestamp,
    objects: Objects,
    service_checks: bool,
    host_checks: bool,
    notifications: bool,
    events: Sender<Event>,
}

impl Core {
    fn new(config: Config, events: Sender<Event>) -> Self {
        Self {
            program_start: Timestamp::from(std::time::SystemTime::now()),
            objects: object::scheduled(&config, Instant::now()),
            service_checks: config.execute_checks,
            host_checks: config.execute_checks,
            notifications: config.enable_notifications,
            config,
            events,
        }
    }

    fn checks_enabled(&self, object: &Object) -> bool {
        if object.service().is_some() { self.service_checks } else { self.host_checks }
    }

    fn next_check(&self) -> Option<Instant> {
        let active = self.objects.iter().filter(|(object, _)| self.checks_enabled(object));
        active.filter_map(|(_, monitored)| monitored.next_check()).min()
    }

    fn start_due_checks(&mut self, now: Instant) {
        let (service_checks, host_checks) = (self.service_checks, self.host_checks);
        for (object, monitored) in &mut self.objects {
            let enabled = if object.service().is_some() { service_checks } else { host_checks };
            if enabled && monitored.next_check().is_some_and(|due| due <= now) {
                let command = monitored.start_check(now + self.config.check_interval);
                check::start(object.clone(), command, self.events.clone());
            }
        }
    }

    fn checked(&mut self, object: &Object, outcome: Outcome) {
        if let Some(monitored) = self.objects.get_mut(object) {
            monitored.check_ended();
            let code = match object {
                Object::Service(..) => outcome.code,
                // A plugin's codes are a service's: everything but OK and WARNING means that the host is down.
                Object::Host(_) => ReturnCode::new(i16::from(outcome.code.get() > 1)),
            };
            monitored.record(object, code, &outcome.text, outcome.begun, CheckType::Active);
            self.tell(object);
        }
    }

    fn execute(&mut self, line: &[u8]) {
        match nagios::command::parse(line) {
            Ok(result) => {
                let Some(monitored) = self.objects.get_mut(&result.object) else {
                    eprintln!("result for the unknown object {}", result.object);
                    return;
                };
                let text = result.output.to_text();
                if monitored.record(&result.object, result.code, &text, result.check_time, CheckType::Passive) {
                    self.tell(&result.object);
                }
            }
            Err(ParseCommandError::OtherCommand { name }) => self.change_mode(&name),
            Err(error) => eprintln!("command file: {error}"),
        }
    }

    fn change_mode(&mut self, command: &str) {
        match command {
            "START_EXECUTING_SVC_CHECKS" => self.service_checks = true,
            "STOP_EXECUTING_SVC_CHECKS" => self.service_checks = false,
            "START_EXECUTING_HOST_CHECKS" => self.host_checks = true,
            "STOP_EXECUTING_HOST_CHECKS" => self.host_checks = false,
            "ENABLE_NOTIFICATIONS" => self.notifications = true,
            "DISABLE_NOTIFICATIONS" => self.notifications = false,
            // There is no retention file.
            "SAVE_STATE_INFORMATION" => {}
            other => eprintln!("command file: this core does not know {other}"),
        }
    }

    /// Tells of the object's latest result: the ocsp or ochp command in any case, and somebody if it is worth a notification.
    fn tell(&mut self, object: &Object) {
        let is_service = object.service().is_some();
        let obsess = if is_service { &self.config.ocsp_command } else { &self.config.ochp_command };
        let Some(monitored) = self.objects.get_mut(object) else { return };
        let notify =
            self.config.notification_command.as_ref().filter(|_| is_service && monitored.notify(self.notifications));
        for command in obsess.iter().chain(notify) {
            self.execute_command(command, object, &self.objects[object]);
        }
    }

    fn execute_command(&self, command: &CommandLine, object: &Object, monitored: &Monitored) {
        let words = command.expand(object, monitored, &self.config.illegal_macro_output_chars);
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        match Command::new(program).args(arguments).stdin(Stdio::null()).status() {
            Ok(status) if status.success() => {}
            Ok(status) => eprintln!("the command for {object} ended with {status}"),
            Err(error) => eprintln!("cannot run {}: {error}", program.display()),
        }
    }
}

#[cfg(test)]
mod tests;
