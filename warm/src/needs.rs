//! What a core must be, and who this daemon must be, so that the core can be given what another one remembers.
//!
//! Each finding is one sentence that says what to change.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, Core};
use nagios::Flavour;
use nagios::main_config::MainConfig;
use nix::unistd::{AccessFlags, eaccess, geteuid};

/// How often a core saves where its configuration does not say it, in minutes.
const DEFAULT_SAVE_MINUTES: u64 = 60;

/// Why a core cannot be given a memory at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// Its files are not known.
    #[error("name the core's main_config in [core]: it says where the core keeps what it remembers")]
    NoMainConfig,
    /// There is no way.
    #[error("a core of flavour {0} cannot be given what another one remembers")]
    Flavour(Flavour),
    /// It keeps nothing.
    #[error("set retain_state_information=1: without it the core reads nothing that it is given")]
    RetainsNothing,
    /// It does not say where.
    #[error("set state_retention_file: it is where the core is given what another one remembers")]
    NoRetentionFile,
    /// Icinga 1 has a file of its own for this.
    #[error("set sync_retention_file to a path beside state_retention_file: Icinga 1 reads there what it is given")]
    NoSyncFile,
}

/// The core's own retention file, and where it is given another one.
pub(crate) fn files(core: &Core) -> Result<(PathBuf, PathBuf), Lack> {
    if core.flavour == Flavour::Icinga2 {
        return Err(Lack::Flavour(core.flavour));
    }
    let main = core.main.as_ref().ok_or(Lack::NoMainConfig)?;
    // What is not set is off.
    if main.retain_state_information() != Some(true) {
        return Err(Lack::RetainsNothing);
    }
    let retention = main.state_retention_file().ok_or(Lack::NoRetentionFile)?;
    let partial = match core.flavour {
        Flavour::Icinga1 => main.sync_retention_file().ok_or(Lack::NoSyncFile)?,
        Flavour::Nagios3 | Flavour::Nagios4 | Flavour::Naemon | Flavour::Icinga2 => retention.clone(),
    };
    Ok((retention, partial))
}

/// How often the core saves by itself; none if only at its end.
pub(crate) fn save_interval(core: &Core) -> Option<Duration> {
    let minutes = core.main.as_ref().and_then(|main| main.get("retention_update_interval"));
    let minutes = minutes.and_then(|minutes| std::str::from_utf8(minutes).ok()?.trim().parse().ok());
    let minutes: u64 = minutes.unwrap_or(DEFAULT_SAVE_MINUTES);
    (minutes > 0).then(|| Duration::from_secs(minutes.saturating_mul(60)))
}

/// What keeps the core of this node from being given what another one remembers, and from telling what it remembers itself, as
/// this user finds it. Looks at the disk, and changes nothing.
pub fn findings(config: &Config) -> Vec<String> {
    let Some(core) = &config.core else { return Vec::new() };
    let mut findings = Vec::new();
    // Who never takes over needs to be given nothing.
    if config.failover.is_some() && config.receiver.is_some() {
        match files(core) {
            Err(lack) => findings.push(lack.to_string()),
            Ok((retention, partial)) => {
                findings.extend(unreadable(&retention, "the core's state_retention_file"));
                findings.extend(irreplaceable(&partial));
            }
        }
    }
    if let (Some(main), true) = (&core.main, config.sender.is_some()) {
        if main.log_notifications() == Some(false) {
            findings
                .push("set log_notifications=1: without it the other node knows late whom this core notified".into());
        }
        if let Some(log) = main.log_file() {
            findings.extend(unreadable(&log, "the core's log_file"));
        }
    }
    findings
}

/// What of the objects of this core does not survive being read again. Reads the core's own copy of all object definitions.
pub fn forgetful_objects(config: &Config) -> Option<String> {
    let core = config.core.as_ref().filter(|_| config.failover.is_some() && config.receiver.is_some())?;
    let path = core.main.as_ref().and_then(MainConfig::object_cache_file)?;
    let count = count_forgetful(&path).ok().filter(|count| *count > 0)?;
    Some(format!(
        "set retain_status_information=1 for the {count} hosts and services that have 0: without it they forget what they are given"
    ))
}

fn count_forgetful(path: &Path) -> io::Result<usize> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut line, mut count) = (Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = line.trim_ascii().strip_prefix(b"retain_status_information");
        count += usize::from(text.is_some_and(|value| value.trim_ascii() == b"0"));
        line.clear();
    }
    Ok(count)
}

fn unreadable(path: &Path, what: &str) -> Option<String> {
    match File::open(path) {
        Ok(_) => None,
        // A core that has not run yet has none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!(
            "let this daemon's user read {what} {}: {error}; run it as the core's user, or in its group",
            path.display()
        )),
    }
}

/// Why this user could not put another file in the place of the one at `path`, with the owner of that one.
fn irreplaceable(path: &Path) -> Option<String> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if let Err(error) = eaccess(directory, AccessFlags::W_OK | AccessFlags::X_OK) {
        return Some(format!(
            "let this daemon's user write into {}: {error}; it is where the core is given what another one remembers, so run the \
             daemon as the core's user",
            directory.display()
        ));
    }
    let owner = fs::metadata(path).ok().map(|found| found.uid())?;
    let own = geteuid();
    (!own.is_root() && owner != own.as_raw()).then(|| {
        format!(
            "run this daemon as the user who owns {}: no other one can put a file with that owner in its place",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    fn core(directory: &Path, flavour: Flavour, settings: &str) -> Core {
        let main = MainConfig::parse(&directory.join("nagios.cfg"), settings.as_bytes()).unwrap();
        let (command_file, status_file) = (None, None);
        Core { flavour, command_file, status_file, check_result_path: None, main: Some(main) }
    }

    const ENOUGH: &str =
        "retain_state_information=1\nstate_retention_file=retention.dat\nlog_file=nagios.log\nlog_notifications=1\n";

    #[test]
    fn what_a_core_lacks_is_found_before_it_matters() {
        let directory = tempfile::tempdir().unwrap();
        let lack = |flavour, settings: &str| files(&core(directory.path(), flavour, settings)).unwrap_err();
        assert_eq!(lack(Flavour::Nagios4, ""), Lack::RetainsNothing);
        assert_eq!(lack(Flavour::Nagios4, "retain_state_information=1\n"), Lack::NoRetentionFile);
        assert_eq!(lack(Flavour::Icinga1, ENOUGH), Lack::NoSyncFile);
        assert_eq!(lack(Flavour::Icinga2, ENOUGH), Lack::Flavour(Flavour::Icinga2));
        let unknown = Core { main: None, ..core(directory.path(), Flavour::Nagios4, "") };
        assert_eq!(files(&unknown).unwrap_err(), Lack::NoMainConfig);
        let icinga = format!("{ENOUGH}sync_retention_file=sync.dat\n");
        let (retention, partial) = files(&core(directory.path(), Flavour::Icinga1, &icinga)).unwrap();
        assert_eq!((retention, partial), (directory.path().join("retention.dat"), directory.path().join("sync.dat")));
    }

    #[test]
    fn rights_that_are_missing_are_found() {
        let directory = tempfile::tempdir().unwrap();
        assert!(irreplaceable(&directory.path().join("none/retention.dat")).unwrap().contains("write into"));
        assert_eq!(unreadable(&directory.path().join("none/log"), "the log"), None, "there is none yet");
        fs::create_dir(directory.path().join("locked")).unwrap();
        let path = directory.path().join("locked/retention.dat");
        fs::write(&path, "x").unwrap();
        if geteuid().is_root() {
            // Root may do all that; nothing can be shown but that it is not bothered.
            chown(&path, Some(1), Some(1)).unwrap();
            assert_eq!(irreplaceable(&path), None);
        } else {
            fs::set_permissions(directory.path().join("locked"), fs::Permissions::from_mode(0o500)).unwrap();
            assert!(irreplaceable(&path).unwrap().contains("as the core's user"));
        }
    }

    #[test]
    fn objects_that_forget_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let text = "define service {\n\tretain_status_information\t0\n\tretain_nonstatus_information\t0\n\t}\n\
                    define host {\n\tretain_status_information\t1\n\t}\n";
        fs::write(directory.path().join("objects.cache"), text).unwrap();
        assert_eq!(count_forgetful(&directory.path().join("objects.cache")).unwrap(), 1);
    }

    #[test]
    fn a_core_says_how_often_it_saves() {
        let interval = |settings| save_interval(&core(Path::new("/x"), Flavour::Nagios4, settings));
        assert_eq!(interval(""), Some(Duration::from_secs(3600)));
        assert_eq!(interval("retention_update_interval=2\n"), Some(Duration::from_secs(120)));
        assert_eq!(interval("retention_update_interval=0\n"), None);
    }
}
