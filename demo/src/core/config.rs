//! The miniature core's configuration.
//!
//! ```text
//! # comment
//! command_file=PATH
//! status_file=PATH
//! execute_checks=0|1
//! enable_notifications=0|1
//! check_interval=SECONDS
//! illegal_macro_output_chars=CHARACTERS
//! ocsp_command=COMMAND LINE         words, in single quotes where they hold blanks; macros as in Nagios
//! ochp_command=COMMAND LINE
//! notification_command=COMMAND LINE
//! host=NAME;SHELL COMMAND
//! service=HOST;DESCRIPTION;SHELL COMMAND
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use nagios::{HostName, Object, ServiceDescription};

use super::macros::CommandLine;

#[derive(Debug)]
pub(super) struct Config {
    pub(super) command_file: PathBuf,
    pub(super) status_file: PathBuf,
    pub(super) execute_checks: bool,
    pub(super) enable_notifications: bool,
    pub(super) check_interval: Duration,
    /// Taken out of plugin outputs before they are put into a command line.
    pub(super) illegal_macro_output_chars: Vec<u8>,
    pub(super) ocsp_command: Option<CommandLine>,
    pub(super) ochp_command: Option<CommandLine>,
    /// Tells somebody of a service's problem or recovery.
    pub(super) notification_command: Option<CommandLine>,
    /// What is monitored, and the shell command that checks it.
    pub(super) checks: BTreeMap<Object, String>,
}

impl Config {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut config = Self {
            command_file: PathBuf::new(),
            status_file: PathBuf::new(),
            execute_checks: true,
            enable_notifications: true,
            check_interval: Duration::from_secs(2),
            illegal_macro_output_chars: Vec::new(),
            ocsp_command: None,
            ochp_command: None,
            notification_command: None,
            checks: BTreeMap::new(),
        };
        for (number, line) in (1..).zip(text.lines()) {
            if !line.is_empty() && !line.starts_with('#') {
                config.set(line).with_context(|| format!("line {number}: {line}"))?;
            }
        }
        if config.command_file.as_os_str().is_empty() || config.status_file.as_os_str().is_empty() {
            bail!("command_file and status_file are needed");
        }
        Ok(config)
    }

    fn set(&mut self, line: &str) -> anyhow::Result<()> {
        let (key, value) = line.split_once('=').context("expected key=value")?;
        match key {
            "command_file" => self.command_file = value.into(),
            "status_file" => self.status_file = value.into(),
            "execute_checks" => self.execute_checks = value == "1",
            "enable_notifications" => self.enable_notifications = value == "1",
            "check_interval" => self.check_interval = Duration::from_secs(value.parse()?),
            "illegal_macro_output_chars" => self.illegal_macro_output_chars = value.into(),
            "ocsp_command" => self.ocsp_command = Some(CommandLine::parse(value)?),
            "ochp_command" => self.ochp_command = Some(CommandLine::parse(value)?),
            "notification_command" => self.notification_command = Some(CommandLine::parse(value)?),
            "host" => {
                let (host, command) = value.split_once(';').context("expected NAME;COMMAND")?;
                self.checks.insert(Object::Host(HostName::try_from(host)?), command.into());
            }
            "service" => {
                let (host, rest) = value.split_once(';').context("expected HOST;DESCRIPTION;COMMAND")?;
                let (service, command) = rest.split_once(';').context("expected HOST;DESCRIPTION;COMMAND")?;
                let service = ServiceDescription::try_from(service)?;
                self.checks.insert(Object::Service(HostName::try_from(host)?, service), command.into());
            }
            _ => bail!("unknown key"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything() {
        let config = Config::parse(
            "# a comment\ncommand_file=/c\nstatus_file=/s\nexecute_checks=0\ncheck_interval=7\n\
             illegal_macro_output_chars=`=\nocsp_command=/bin/x a\nhost=web1;exit 0\nservice=web1;disk;a; b=c\n",
        )
        .unwrap();
        assert_eq!((config.command_file, config.status_file), ("/c".into(), "/s".into()));
        assert_eq!((config.execute_checks, config.check_interval), (false, Duration::from_secs(7)));
        assert_eq!(config.illegal_macro_output_chars, b"`=");
        assert!(config.ocsp_command.is_some() && config.ochp_command.is_none());
        let checks: Vec<_> = config.checks.iter().map(|(object, check)| format!("{object} {check}")).collect();
        assert_eq!(checks, ["web1 exit 0", "web1;disk a; b=c"]);
    }

    #[test]
    fn errors_name_the_line() {
        let cases =
            [("nonsense", "key=value"), ("colour=red", "unknown key"), ("service=web1;disk", "DESCRIPTION;COMMAND")];
        for (line, expected) in cases {
            let error = format!("{:#}", Config::parse(&format!("status_file=/s\n{line}\n")).unwrap_err());
            assert!(error.contains("line 2") && error.contains(expected), "{error}");
        }
        assert!(Config::parse("status_file=/s").is_err());
    }
}
