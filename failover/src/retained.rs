//! What a core that does not run finds in its [retention file](nagios::retention) when it starts: it is silenced there, and gets
//! to know what it [is to remember](Amend).
//!
//! With `use_retained_program_state=1` a core begins with the switches of its retention file, and
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
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use config::Switch;
use nagios::main_config::MainConfig;
use nagios::retention::{self, Beside, HEAD_BYTES, MARK, NotARetentionFile, RetainedSwitch};
use nix::libc;
use nsca::sealed::CoreVerdict;

use crate::verdict::{CoreFiles, Fifo, decide};

/// Knows what a core is to remember that does not run.
pub trait Amend: std::fmt::Debug + Send + 'static {
    /// Whether there may be something new since the file was amended last.
    fn is_due(&mut self) -> bool;

    /// Gives the whole file anew, or none if it is right as it is, or cannot be told from something else. Blocks on the disk.
    fn amend(&mut self, file: &mut dyn Read) -> Option<Vec<u8>>;
}

/// The retention file of the local core.
#[derive(Debug)]
pub(crate) struct Retained {
    core: CoreFiles,
    path: PathBuf,
    switches: Vec<RetainedSwitch>,
    amend: Option<Box<dyn Amend>>,
    /// What was looked at last.
    seen: Option<Looked>,
}

/// A file that was looked at, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looked {
    version: Version,
    is_silenced: bool,
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
    /// None if the core begins with the switches of its configuration, and there is nothing that it is to remember.
    pub(crate) fn new(core: &config::Core, switches: &[Switch], amend: Option<Box<dyn Amend>>) -> Option<Self> {
        let main = core.main.as_ref().filter(|main| main.retain_state_information() == Some(true))?;
        let path = main.state_retention_file()?;
        let kept = switches.iter().filter_map(|switch| retained(*switch));
        let switches: Vec<_> = kept.filter(|_| keeps_switches(main)).collect();
        let is_concerned = !switches.is_empty() || amend.is_some();
        is_concerned.then_some(Retained { core: CoreFiles::new(core), path, switches, amend, seen: None })
    }

    /// Has the core remember what it is to, and turns the switches off in the file if it is to begin silent, if no core runs. Says
    /// which switches were on. Looks into the file only if it was written since, or there is something new. Blocks on the disk.
    pub(crate) fn prepare(&mut self, is_to_be_silent: bool) -> Result<Vec<RetainedSwitch>, RetainedError> {
        if self.may_run() {
            return Ok(Vec::new());
        }
        match self.prepare_file(is_to_be_silent) {
            Err(RetainedError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            prepared => prepared,
        }
    }

    fn prepare_file(&mut self, is_to_be_silent: bool) -> Result<Vec<RetainedSwitch>, RetainedError> {
        let path = self.path.clone();
        let failed = |source| RetainedError::Io { path: path.clone(), source };
        // What stands for it stays what it is.
        let file_path = fs::canonicalize(&path).map_err(failed)?;
        let mut old = open(&file_path).map_err(failed)?;
        let like = old.metadata().map_err(failed)?;
        let found = Looked { version: version(&like), is_silenced: is_to_be_silent };
        let is_due = self.amend.as_mut().is_some_and(|amend| amend.is_due());
        if self.seen == Some(found) && !is_due {
            return Ok(Vec::new());
        }
        let mut head = Vec::new();
        (&mut old).take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
        if head.starts_with(MARK) {
            // Whoever gave the core a partial file puts its own one back.
            return Ok(Vec::new());
        }
        let silenced = if is_to_be_silent { retention::silence(&mut head, &self.switches) } else { Ok(Vec::new()) };
        let silenced = silenced.map_err(|source| RetainedError::NotARetentionFile { path: path.clone(), source });
        self.seen = Some(found);
        let silenced = silenced?;
        let amended = self.amend.as_mut().and_then(|amend| amend.amend(&mut head.as_slice().chain(&mut old)));
        if silenced.is_empty() && amended.is_none() {
            return Ok(silenced);
        }
        old.seek(SeekFrom::Start(head.len() as u64)).map_err(failed)?;
        let mut whole: Box<dyn Read> = match &amended {
            Some(amended) => Box::new(amended.as_slice()),
            None => Box::new(head.as_slice().chain(old)),
        };
        let beside = Beside::write(&file_path, &like, like.mode() & 0o7777, &mut whole).map_err(failed)?;
        if self.may_run() || fs::metadata(&file_path).map(|now| version(&now)).map_err(failed)? != found.version {
            self.seen = None;
            return Ok(Vec::new());
        }
        beside.replace(&file_path).map_err(failed)?;
        Ok(silenced)
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

/// What is not set is each core's default: it keeps them.
fn keeps_switches(main: &MainConfig) -> bool {
    main.use_retained_program_state() != Some(false)
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
        Retained::new(core, &[Switch::Notifications, Switch::ServiceChecks, Switch::Obsessing], None)
    }

    #[test]
    fn the_switches_are_turned_off_and_all_else_is_kept() {
        let (directory, core) = stopped("");
        let path = directory.path().join("retention.dat");
        fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
        let like = fs::metadata(&path).unwrap();
        fs::write(directory.path().join("retention.dat.understudy-new"), "left by a killed daemon").unwrap();
        let mut retained = retained(&core).unwrap();
        let silenced = retained.prepare(true).unwrap();
        assert_eq!(silenced, [RetainedSwitch::Notifications, RetainedSwitch::ServiceChecks]);
        let off = ON
            .replace("notifications=1", "notifications=0")
            .replace("service_checks_enabled=1", "service_checks_enabled=0");
        assert!(fs::read_to_string(&path).unwrap() == off + &objects(), "another byte changed");
        let is = fs::metadata(&path).unwrap();
        assert_eq!((is.mode(), is.uid(), is.gid()), (like.mode(), like.uid(), like.gid()));
        assert_eq!(retained.prepare(true).unwrap(), []);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        // The core ran again, and was stopped with its switches on.
        fs::write(&path, ON).unwrap();
        assert_eq!(retained.prepare(true).unwrap().len(), 2);
    }

    #[test]
    fn nothing_is_touched_while_a_core_may_run() {
        let (directory, core) = stopped("");
        mkfifo(&directory.path().join("nagios.cmd"), Mode::from_bits_truncate(0o600)).unwrap();
        let mut retained = retained(&core).unwrap();
        let reader = open(&directory.path().join("nagios.cmd")).unwrap();
        // The pid of a core that was killed, beside one that runs in the foreground.
        fs::write(directory.path().join("nagios.lock"), "1999999999").unwrap();
        assert_eq!(retained.prepare(true).unwrap(), []);
        drop(reader);
        assert_eq!(retained.prepare(true).unwrap().len(), 2);
    }

    #[test]
    fn what_the_core_does_not_keep_is_not_looked_at() {
        for settings in ["use_retained_program_state=0\n", "retain_state_information=0\n", "state_retention_file=\n"] {
            let (_directory, core) = stopped(settings);
            assert!(retained(&core).is_none(), "{settings}");
        }
        let (_directory, core) = stopped("");
        assert!(Retained::new(&core, &[Switch::Obsessing], None).is_none());
    }

    #[test]
    fn what_is_no_retention_file_is_an_error_once_and_none_is_no_error() {
        let (directory, core) = stopped("");
        let path = directory.path().join("retention.dat");
        let mut retained = retained(&core).unwrap();
        fs::write(&path, "a letter").unwrap();
        let error = retained.prepare(true).unwrap_err().to_string();
        assert!(error.contains("retention.dat") && error.contains("state_retention_file"), "{error}");
        assert_eq!(retained.prepare(true).unwrap(), []);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a letter");
        fs::remove_file(&path).unwrap();
        assert_eq!(retained.prepare(true).unwrap(), []);
    }

    /// Has the core remember one word more, once.
    #[derive(Debug)]
    struct Word(bool);

    impl Amend for Word {
        fn is_due(&mut self) -> bool {
            self.0
        }

        fn amend(&mut self, file: &mut dyn Read) -> Option<Vec<u8>> {
            let mut whole = Vec::new();
            file.read_to_end(&mut whole).unwrap();
            std::mem::take(&mut self.0).then(|| [&whole[..], b"word\n"].concat())
        }
    }

    #[test]
    fn the_core_is_silenced_and_remembers_more_in_one_file() {
        let (directory, core) = stopped("");
        let path = directory.path().join("retention.dat");
        let mut retained = Retained::new(&core, &[Switch::Notifications], Some(Box::new(Word(true)))).unwrap();
        assert_eq!(retained.prepare(true).unwrap(), [RetainedSwitch::Notifications]);
        let off = ON.replace("notifications=1", "notifications=0");
        assert!(fs::read_to_string(&path).unwrap() == off + &objects() + "word\n", "another byte changed");
        assert_eq!(retained.prepare(true).unwrap(), []);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_core_that_need_not_be_silent_remembers_more_too() {
        for settings in ["", "use_retained_program_state=0\n"] {
            let (directory, core) = stopped(settings);
            let mut retained = Retained::new(&core, &[Switch::Notifications], Some(Box::new(Word(true)))).unwrap();
            assert_eq!(retained.prepare(false).unwrap(), []);
            let whole = fs::read_to_string(directory.path().join("retention.dat")).unwrap();
            assert!(whole == ON.to_owned() + &objects() + "word\n", "another byte changed");
            // Now it is to be silent.
            let silenced = retained.prepare(true).unwrap();
            assert_eq!(silenced.len(), usize::from(settings.is_empty()));
        }
    }
}
