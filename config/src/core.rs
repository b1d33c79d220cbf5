//! `[core]`: the monitoring core on this machine, mostly as its own main configuration file describes it.

use std::path::PathBuf;

use nagios::Flavour;
use nagios::main_config::MainConfig;
use serde::Deserialize;
use toml::Spanned;

use crate::ConfigError;
use crate::error::Source;
use crate::values::CoreFlavour;

/// The monitoring core on this machine.
#[derive(Clone, Debug)]
pub struct Core {
    /// Whose dialect its command file speaks.
    pub flavour: Flavour,
    /// Its external command FIFO.
    pub command_file: Option<PathBuf>,
    /// What it rewrites every few seconds with the state of everything.
    pub status_file: Option<PathBuf>,
    /// Where it reaps check results from.
    pub check_result_path: Option<PathBuf>,
    /// Its main configuration, if `main_config` names it.
    pub main: Option<MainConfig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    main_config: Option<Spanned<PathBuf>>,
    flavour: Option<CoreFlavour>,
    command_file: Option<Spanned<PathBuf>>,
    status_file: Option<Spanned<PathBuf>>,
    check_result_path: Option<Spanned<PathBuf>>,
}

pub(crate) fn check(file: Spanned<File>, source: &Source<'_>) -> Result<Core, ConfigError> {
    let section = file.span();
    let file = file.into_inner();
    if file.main_config.is_none() && file.command_file.is_none() && file.status_file.is_none() {
        return Err(source.at(section, "name the core: add main_config = \"/etc/nagios4/nagios.cfg\""));
    }
    let main = file.main_config.map(|path| read_main_config(path, source)).transpose()?;
    let path = |set: Option<Spanned<PathBuf>>, of_main: fn(&MainConfig) -> Option<PathBuf>| match set {
        Some(path) => absolute(path, source).map(Some),
        None => Ok(main.as_ref().and_then(of_main)),
    };
    Ok(Core {
        flavour: match (file.flavour, &main) {
            (Some(flavour), _) => flavour.0,
            (None, Some(main)) => main.flavour(),
            (None, None) => Flavour::default(),
        },
        command_file: path(file.command_file, MainConfig::command_file)?,
        status_file: path(file.status_file, MainConfig::status_file)?,
        check_result_path: path(file.check_result_path, MainConfig::check_result_path)?,
        main,
    })
}

fn read_main_config(path: Spanned<PathBuf>, source: &Source<'_>) -> Result<MainConfig, ConfigError> {
    let span = path.span();
    MainConfig::read(path.get_ref()).map_err(|e| source.at(span, e.to_string()))
}

/// The daemon changes its directory; only an absolute path means the same everywhere.
pub(crate) fn absolute(path: Spanned<PathBuf>, source: &Source<'_>) -> Result<PathBuf, ConfigError> {
    if path.get_ref().is_absolute() {
        return Ok(path.into_inner());
    }
    let message = format!("{:?} is a relative path: write it from the root, as in \"/var/…\"", path.get_ref());
    Err(source.at(path.span(), message))
}
