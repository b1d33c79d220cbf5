//! Silences a core before it starts, where it would begin with switches that it kept.
//!
//! With `use_retained_program_state=1` a core begins with the switches of its [retention file](nagios::retention), and
//! notifies until the first commands reach it. So while it does not run, and is to be silent, they are turned off in that
//! file. Never on: what enables a core has to come after the results that wait for it.
//!
//! **Invariant:** the file is the old one or the new one, whole, with the same owner and mode: it is written beside, synced,
//! renamed, and the directory synced.
//!
//! **Invariant:** it is replaced only while no core runs: none that is known to live, and none that reads the command file,
//! also at the last look before.
//!
//! A core that starts just then reads the old file or the new one. After the old one it notifies until it is commanded, as
//! without this module. It could lose what it saves only by starting, saving and ending in the instant between the last look
//! and the renaming: a core that starts saves nothing for minutes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use config::Switch;
use nagios::main_config::MainConfig;
use nagios::retention::{self, Beside, HEAD_BYTES, NotARetentionFile, RetainedSwitch};
use nix::libc;
use nsca::sealed::CoreVerdict;

use crate::verdict::{CoreFiles, Fifo, decide};

/// The retention file of the local core.
#[derive(Debug)]
pub(crate) struct Retained {
    core: CoreFiles,
    path: PathBuf,
    switches: Vec<RetainedSwitch>,
    /// What was looked at last.
    seen: Option<Version>,
}

/// Device, inode, size and modification time.
type Version = (u64, u64, u64, i64, i64);

/// Why a retention file stays as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetainedError {
    #[error("{path}: {source}")]
    NotARetentionFile { path: PathBuf, source: NotARetentionFile },
    #[error(
        "cannot replace {path}: {source}; let this daemon run as the core's user, or set use_retained_program_state=0 in the \
         core's configuration"
    )]
    Io { path: PathBuf, source: io::Error },
}

impl Retained {
    /// None if the core begins with the switches of its configuration.
    pub(crate) fn new(core: &config::Core, switches: &[Switch]) -> Option<Self> {
        let main = core.main.as_ref().filter(|main| keeps_switches(main))?;
        let switches: Vec<_> = switches.iter().filter_map(|switch| retained(*switch)).collect();
        let path = main.state_retention_file()?;
        (!switches.is_empty()).then_some(Retained { core: CoreFiles::new(core), path, switches, seen: None })
    }

    /// Turns the switches off in the file, if no core runs and they are on. Says which those were. Looks into the file only if
    /// it was written since. Blocks on the disk.
    pub(crate) fn silence(&mut self) -> Result<Vec<RetainedSwitch>, RetainedError> {
        if self.may_run() {
            return Ok(Vec::new());
        }
        match self.silence_file() {
            Err(RetainedError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            silenced => silenced,
        }
    }

    fn silence_file(&mut self) -> Result<Vec<RetainedSwitch>, RetainedError> {
        let path = self.path.clone();
        let failed = |source| RetainedError::Io { path: path.clone(), source };
        // What stands for it stays what it is.
        let file_path = fs::canonicalize(&path).map_err(failed)?;
        let mut old = open(&file_path).map_err(failed)?;
        let found = version(&old.metadata().map_err(failed)?);
        if self.seen == Some(found) {
            return Ok(Vec::new());
        }
        let mut head = Vec::new();
        (&mut old).take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
        let silenced = retention::silence(&mut head, &self.switches)
            .map_err(|source| RetainedError::NotARetentionFile { path: path.clone(), source });
        if !matches!(&silenced, Ok(switches) if !switches.is_empty()) {
            self.seen = Some(found);
            return silenced;
        }
        let like = old.metadata().map_err(failed)?;
        let beside =
            Beside::write(&file_path, &like, like.mode() & 0o7777, &mut head.as_slice().chain(old)).map_err(failed)?;
        if self.may_run() || fs::metadata(&file_path).map(|now| version(&now)).map_err(failed)? != found {
            return Ok(Vec::new());
        }
        beside.replace(&file_path).map_err(failed)?;
        silenced
    }

    /// Whether there may be a core that reads the file, or writes it.
    fn may_run(&mut self) -> bool {
        let seen = self.core.observe();
        match decide(&seen) {
            CoreVerdict::DeadCrash | CoreVerdict::DeadClean => seen.command_file == Fifo::Read,
            CoreVerdict::Alive | CoreVerdict::Unknown => true,
        }
    }
}

fn keeps_switches(main: &MainConfig) -> bool {
    // What is not set is each core's default: the one off, the other on.
    main.retain_state_information() == Some(true) && main.use_retained_program_state() != Some(false)
}

fn retained(switch: Switch) -> Option<RetainedSwitch> {
    match switch {
        Switch::Notifications => Some(RetainedSwitch::Notifications),
        Switch::ServiceChecks => Some(RetainedSwitch::ServiceChecks),
        Switch::HostChecks => Some(RetainedSwitch::HostChecks),
        Switch::Obsessing => None,
    }
}

/// Never waits for whoever writes into a FIFO.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn version(found: &fs::Metadata) -> Version {
    (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use tempfile::TempDir;

    const ON: &str = "program {\nmodified_host_attributes=3\nmodified_service_attributes=3\nenable_notifications=1\n\
                      active_service_checks_enabled=1\nactive_host_checks_enabled=1\n}\n";

    /// A stopped core, and objects behind its switches.
    fn stopped(settings: &str) -> (TempDir, config::Core) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let text = format!(
            "command_file=nagios.cmd\nstatus_file=status.dat\nlock_file=nagios.lock\nstate_retention_file=retention.dat\n\
             retain_state_information=1\n{settings}"
        );
        let main = MainConfig::parse(&path.join("nagios.cfg"), text.as_bytes()).unwrap();
        let core = config::Core {
            flavour: nagios::Flavour::Nagios4,
            command_file: main.command_file(),
            status_file: main.status_file(),
            check_result_path: None,
            main: Some(main),
        };
        fs::write(path.join("retention.dat"), ON.to_owned() + &objects()).unwrap();
        (directory, core)
    }

    /// More than is looked at.
    fn objects() -> String {
        "host {\nenable_notifications=1\n}\n".repeat(HEAD_BYTES / 20)
    }

    fn retained(core: &config::Core) -> Option<Retained> {
        Retained::new(core, &[Switch::Notifications, Switch::ServiceChecks, Switch::Obsessing])
    }

    #[test]
    fn the_switches_are_turned_off_and_all_else_is_kept() {
        let (directory, core) = stopped("");
        let path = directory.path().join("retention.dat");
        fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
        let like = fs::metadata(&path).unwrap();
        fs::write(directory.path().join("retention.dat.understudy-new"), "left by a killed daemon").unwrap();
        let mut retained = retained(&core).unwrap();
        let silenced = retained.silence().unwrap();
        assert_eq!(silenced, [RetainedSwitch::Notifications, RetainedSwitch::ServiceChecks]);
        let off = ON
            .replace("notifications=1", "notifications=0")
            .replace("service_checks_enabled=1", "service_checks_enabled=0");
        assert!(fs::read_to_string(&path).unwrap() == off + &objects(), "another byte changed");
        let is = fs::metadata(&path).unwrap();
        assert_eq!((is.mode(), is.uid(), is.gid()), (like.mode(), like.uid(), like.gid()));
        assert_eq!(retained.silence().unwrap(), []);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        // The core ran again, and was stopped with its switches on.
        fs::write(&path, ON).unwrap();
        assert_eq!(retained.silence().unwrap().len(), 2);
    }

    #[test]
    fn nothing_is_touched_while_a_core_may_run() {
        let (directory, core) = stopped("");
        mkfifo(&directory.path().join("nagios.cmd"), Mode::from_bits_truncate(0o600)).unwrap();
        let mut retained = retained(&core).unwrap();
        let reader = open(&directory.path().join("nagios.cmd")).unwrap();
        // The pid of a core that was killed, beside one that runs in the foreground.
        fs::write(directory.path().join("nagios.lock"), "1999999999").unwrap();
        assert_eq!(retained.silence().unwrap(), []);
        drop(reader);
        assert_eq!(retained.silence().unwrap().len(), 2);
    }

    #[test]
    fn what_the_core_does_not_keep_is_not_looked_at() {
        for settings in ["use_retained_program_state=0\n", "retain_state_information=0\n", "state_retention_file=\n"] {
            let (_directory, core) = stopped(settings);
            assert!(retained(&core).is_none(), "{settings}");
        }
        let (_directory, core) = stopped("");
        assert!(Retained::new(&core, &[Switch::Obsessing]).is_none());
    }

    #[test]
    fn what_is_no_retention_file_is_an_error_once_and_none_is_no_error() {
        let (directory, core) = stopped("");
        let path = directory.path().join("retention.dat");
        let mut retained = retained(&core).unwrap();
        fs::write(&path, "a letter").unwrap();
        let error = retained.silence().unwrap_err().to_string();
        assert!(error.contains("retention.dat") && error.contains("state_retention_file"), "{error}");
        assert_eq!(retained.silence().unwrap(), []);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a letter");
        fs::remove_file(&path).unwrap();
        assert_eq!(retained.silence().unwrap(), []);
    }
}
