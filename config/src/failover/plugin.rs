//! Probes and witnesses: plugins by their command lines.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use nagios::ServiceState;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{Mode, SHORTEST_INTERVAL, duration};
use crate::ConfigError;
use crate::error::Source;
use crate::values::HumanDuration;

/// The most probes, and the most witnesses. Each is a process every few seconds.
pub const MAX_PLUGINS: usize = 32;

/// The longest name of a plugin, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// A plugin as every core runs them: return code 0 to 3, output for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// What it is called in logs and status; unlike the others of its kind.
    pub name: String,
    /// The program and its arguments; the one line for a shell if `shell`.
    pub command: Vec<String>,
    /// Whether `/bin/sh -c` runs it. Default: no, so that nothing in it is special.
    pub shell: bool,
    /// After which time it is killed and counts as UNKNOWN. Default: 10 s; least: 1 s.
    pub timeout: Duration,
}

/// A plugin that watches the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How it runs.
    pub plugin: Plugin,
    /// Which results are failures. OK is a success; what is neither says nothing.
    pub takes_over_on: Problems,
    /// What its OK proves. Default: that the master's core lives.
    pub watches: Watches,
}

/// What a probe looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watches {
    /// The master's core: its OK proves that the core lives.
    #[default]
    Core,
    /// Only the master's host: its OK never hands back.
    Host,
}

/// A set of states that are not OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problems {
    /// Return code 1.
    pub warning: bool,
    /// Return code 2.
    pub critical: bool,
    /// Return code 3, every other code, a signal, or the time-out.
    pub unknown: bool,
}

impl Problems {
    /// Everything that is not OK.
    pub const ALL: Problems = Problems { warning: true, critical: true, unknown: true };
    /// CRITICAL alone.
    pub const CRITICAL: Problems = Problems { warning: false, critical: true, unknown: false };

    /// Whether `state` is one of them.
    pub fn contains(self, state: ServiceState) -> bool {
        match state {
            ServiceState::Ok => false,
            ServiceState::Warning => self.warning,
            ServiceState::Critical => self.critical,
            ServiceState::Unknown => self.unknown,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginFile {
    name: Spanned<String>,
    command: Spanned<Vec<String>>,
    #[serde(default)]
    shell: bool,
    timeout: Option<Spanned<HumanDuration>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeFile {
    name: Spanned<String>,
    command: Spanned<Vec<String>>,
    #[serde(default)]
    shell: bool,
    timeout: Option<Spanned<HumanDuration>>,
    takes_over_on: Option<Spanned<Vec<Problem>>>,
    #[serde(default)]
    watches: Watches,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Problem {
    Warning,
    Critical,
    Unknown,
}

pub(super) fn probes(
    files: Vec<Spanned<ProbeFile>>,
    mode: Mode,
    source: &Source<'_>,
) -> Result<Vec<Probe>, ConfigError> {
    let mut names = Names::default();
    let default = match mode {
        Mode::Failover => Problems::ALL,
        Mode::Redundant => Problems::CRITICAL,
    };
    files
        .into_iter()
        .map(|file| {
            let span = file.span();
            let ProbeFile { name, command, shell, timeout, takes_over_on, watches } = file.into_inner();
            let plugin = PluginFile { name, command, shell, timeout };
            Ok(Probe {
                plugin: plugin.check(span, &mut names, source)?,
                takes_over_on: takes_over_on.map_or(Ok(default), |set| problems(&set, source))?,
                watches,
            })
        })
        .collect()
}

pub(super) fn witnesses(files: Vec<Spanned<PluginFile>>, source: &Source<'_>) -> Result<Vec<Plugin>, ConfigError> {
    let mut names = Names::default();
    files
        .into_iter()
        .map(|file| {
            let span = file.span();
            file.into_inner().check(span, &mut names, source)
        })
        .collect()
}

/// The names that are taken.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl PluginFile {
    fn check(self, span: Range<usize>, names: &mut Names, source: &Source<'_>) -> Result<Plugin, ConfigError> {
        let PluginFile { name, command, shell, timeout } = self;
        let text = name.get_ref();
        if text.is_empty() || text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
            let message = format!("a name has 1 to {MAX_NAME_BYTES} bytes, and no control characters");
            return Err(source.at(name.span(), message));
        }
        if !names.0.insert(text.clone()) {
            return Err(source.at(name.span(), format!("{text:?} is there twice: each needs a name of its own")));
        }
        if names.0.len() > MAX_PLUGINS {
            return Err(source.at(span, format!("more than {MAX_PLUGINS} of a kind: each is a process every interval")));
        }
        let words = command.get_ref();
        if words.first().is_none_or(String::is_empty) || words.iter().any(|word| word.contains('\0')) {
            let message =
                "name the program and its arguments, as in [\"/usr/lib/nagios/plugins/check_ping\", \"-H\", …]";
            return Err(source.at(command.span(), message));
        }
        if shell && words.len() != 1 {
            return Err(source.at(command.span(), "with shell = true the command is one line: [\"…\"]"));
        }
        Ok(Plugin {
            name: name.into_inner(),
            command: command.into_inner(),
            shell,
            timeout: duration(timeout, Duration::from_secs(10), SHORTEST_INTERVAL, source)?,
        })
    }
}

fn problems(set: &Spanned<Vec<Problem>>, source: &Source<'_>) -> Result<Problems, ConfigError> {
    let has = |problem| set.get_ref().contains(&problem);
    if set.get_ref().is_empty() {
        let message = "this probe would never fail: name at least one of \"warning\", \"critical\", \"unknown\"";
        return Err(source.at(set.span(), message));
    }
    Ok(Problems { warning: has(Problem::Warning), critical: has(Problem::Critical), unknown: has(Problem::Unknown) })
}
