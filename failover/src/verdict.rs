//! How the core on this machine is, told by what it leaves in the file system. No word from the core is needed.
//!
//! ```text
//! command file      status file        main process         verdict
//! any               any                ended                Dead(crash)
//! without reader    missing            -                    Dead(clean): a stop in order removed it
//! without reader    there, or unknown  -                    Dead(crash)
//! with reader       fresh, or unknown  -                    Alive
//! with reader       stale, or missing  -                    Unknown: the core hangs, starts, or cannot write
//! absent            fresh              -                    Unknown: check_external_commands=0, or about to stop
//! absent            stale, or missing  -                    Dead(clean)
//! absent            unknown            lives                Unknown
//! absent            unknown            -                    Dead(clean)
//! cannot be told    any                -                    Unknown
//! ```
//!
//! Tried with Nagios 4.4.6: a stop in order (SIGTERM) removes the status file and the query socket, a millisecond later the
//! reader is gone, and the FIFO stays; after SIGKILL all of them stay; a reload (SIGHUP) interrupts neither files nor reader,
//! and has no query socket for a second. Others remove the FIFO as well.
//!
//! The main process is the one that listens on the query socket (Nagios 4, Naemon), else the one that the lock file names;
//! without either it is not known. The lock file counts only if it exists: a core in the foreground writes none. A core that
//! was killed leaves a worker behind that reads the command file for half a second, or, where nobody collects the dead main
//! process, for ever: see `main_process.rs`.
//!
//! A core that merely hangs is Alive until its status file is stale, and Unknown from then on: nobody can say that it will
//! not go on. While the verdict is Unknown, the probes decide.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nagios::Flavour;
use nagios::main_config::MainConfig;
use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;
use nsca::sealed::CoreVerdict;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::machine::DEFAULT_STATUS_INTERVAL;
use crate::main_process::{Listener, lives};

/// How often the core is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A status file is stale after so many of its intervals, and this.
const STALE_INTERVALS: u32 = 3;
const STALE_MARGIN: Duration = Duration::from_secs(5);

/// What Nagios 4 calls its query socket.
const DEFAULT_QUERY_SOCKET: &str = "nagios.qh";

/// The longest lock file that is read, in bytes. It holds one number.
const LOCK_FILE_BYTES: u64 = 32;

/// What was seen of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The command file.
    pub command_file: Fifo,
    /// The status file.
    pub status: StatusAge,
    /// Whether the core's main process lives; none if it is not known.
    pub main_process_lives: Option<bool>,
}

/// What is at the command file's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fifo {
    /// A FIFO that somebody reads.
    Read,
    /// A FIFO that nobody reads.
    Unread,
    /// Nothing.
    Absent,
    /// Something else, or it may not be opened, or the path is not known.
    Untold,
}

/// How old the status file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusAge {
    /// So old, where it is written at this interval.
    Written {
        /// Since its last modification; zero if that lies in the future.
        age: Duration,
        /// `status_update_interval`
        interval: Duration,
    },
    /// It is not there.
    Missing,
    /// Its path is not known, or it may not be looked at.
    Untold,
}

/// Judges what was seen.
pub fn decide(observed: &Observed) -> CoreVerdict {
    if observed.main_process_lives == Some(false) {
        return CoreVerdict::DeadCrash;
    }
    match (observed.command_file, observed.status.is_fresh(), observed.main_process_lives) {
        (Fifo::Unread, _, _) if observed.status == StatusAge::Missing => CoreVerdict::DeadClean,
        (Fifo::Unread, _, _) => CoreVerdict::DeadCrash,
        (Fifo::Read, Some(true) | None, _) => CoreVerdict::Alive,
        (Fifo::Read, Some(false), _) => CoreVerdict::Unknown,
        (Fifo::Absent, Some(true), _) | (Fifo::Absent, None, Some(true)) => CoreVerdict::Unknown,
        (Fifo::Absent, _, _) => CoreVerdict::DeadClean,
        (Fifo::Untold, _, _) => CoreVerdict::Unknown,
    }
}

impl StatusAge {
    fn is_fresh(self) -> Option<bool> {
        match self {
            StatusAge::Written { age, interval } => Some(age <= interval * STALE_INTERVALS + STALE_MARGIN),
            StatusAge::Missing => Some(false),
            StatusAge::Untold => None,
        }
    }
}

/// Where a core can be looked at.
#[derive(Debug)]
pub struct CoreFiles {
    command_file: Option<PathBuf>,
    status_file: Option<PathBuf>,
    lock_file: Option<PathBuf>,
    query_socket: Option<Listener>,
    status_update_interval: Duration,
}

impl CoreFiles {
    /// As the configuration and the core's own have it.
    pub fn new(core: &config::Core) -> Self {
        let main = core.main.as_ref();
        CoreFiles {
            command_file: core.command_file.clone(),
            status_file: core.status_file.clone(),
            lock_file: main.and_then(MainConfig::lock_file),
            query_socket: query_socket(core).map(Listener::new),
            status_update_interval: main
                .and_then(MainConfig::status_update_interval)
                .unwrap_or(DEFAULT_STATUS_INTERVAL),
        }
    }

    /// How often this core writes its status file.
    pub fn status_update_interval(&self) -> Duration {
        self.status_update_interval
    }

    /// Looks. Never blocks on the core, creates nothing, writes nothing.
    pub fn observe(&mut self) -> Observed {
        Observed {
            command_file: self.command_file.as_deref().map_or(Fifo::Untold, fifo),
            status: self.status_age(),
            main_process_lives: self.main_process_lives(),
        }
    }

    /// Looks, and judges.
    pub fn verdict(&mut self) -> CoreVerdict {
        decide(&self.observe())
    }

    /// A core in the foreground leaves the lock file of an earlier one as it is, so what it names comes second.
    fn main_process_lives(&mut self) -> Option<bool> {
        let listens = self.query_socket.as_mut().and_then(Listener::lives);
        listens.or_else(|| self.lock_file.as_deref().and_then(lock_pid).map(lives))
    }

    fn status_age(&self) -> StatusAge {
        let Some(path) = &self.status_file else { return StatusAge::Untold };
        match fs::metadata(path).and_then(|found| found.modified()) {
            Ok(modified) => {
                let age = SystemTime::now().duration_since(modified).unwrap_or_default();
                StatusAge::Written { age, interval: self.status_update_interval }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => StatusAge::Missing,
            Err(_) => StatusAge::Untold,
        }
    }
}

/// Looks at a core again and again.
pub struct Watch {
    verdicts: watch::Receiver<CoreVerdict>,
    task: AbortHandle,
}

impl Watch {
    /// Begins to look. Runs inside a tokio runtime.
    pub fn start(mut files: CoreFiles) -> Self {
        let (sender, verdicts) = watch::channel(CoreVerdict::Unknown);
        let task = tokio::spawn(async move {
            let mut looks = tokio::time::interval(LOOK_EVERY);
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                // A disk that hangs must not hold up anybody else.
                let looking = tokio::task::spawn_blocking(move || {
                    let verdict = files.verdict();
                    (files, verdict)
                });
                let Ok((returned, verdict)) = looking.await else { return };
                files = returned;
                sender.send_if_modified(|known| std::mem::replace(known, verdict) != verdict);
            }
        });
        Watch { verdicts, task: task.abort_handle() }
    }

    /// The verdicts: Unknown until the first look.
    pub fn verdicts(&self) -> watch::Receiver<CoreVerdict> {
        self.verdicts.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn fifo(path: &Path) -> Fifo {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Fifo::Absent,
        Err(_) => return Fifo::Untold,
    };
    if !found.file_type().is_fifo() {
        return Fifo::Untold;
    }
    match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(_) => Fifo::Read,
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENXIO) => Fifo::Unread,
            Some(Errno::ENOENT) => Fifo::Absent,
            _ => Fifo::Untold,
        },
    }
}

fn lock_pid(path: &Path) -> Option<Pid> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    io::Read::read_to_string(&mut io::Read::take(file, LOCK_FILE_BYTES), &mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

/// Where Nagios 4 is not told where to listen, it does so beside its default command file; Debian has it so. Naemon's
/// configuration names it, and older cores have none.
fn query_socket(core: &config::Core) -> Option<PathBuf> {
    core.main.as_ref().and_then(MainConfig::query_socket).or_else(|| {
        let beside = core.command_file.as_ref().filter(|_| core.flavour == Flavour::Nagios4)?;
        Some(beside.with_file_name(DEFAULT_QUERY_SOCKET))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table() {
        use CoreVerdict::{Alive, DeadClean, DeadCrash, Unknown};
        let interval = Duration::from_secs(10);
        let fresh = StatusAge::Written { age: Duration::from_secs(35), interval };
        let stale = StatusAge::Written { age: Duration::from_secs(36), interval };
        let (missing, untold) = (StatusAge::Missing, StatusAge::Untold);
        for (command_file, status, main_process_lives, verdict) in [
            (Fifo::Read, fresh, Some(false), DeadCrash),
            (Fifo::Absent, missing, Some(false), DeadCrash),
            (Fifo::Unread, missing, None, DeadClean),
            (Fifo::Unread, fresh, None, DeadCrash),
            (Fifo::Unread, untold, None, DeadCrash),
            (Fifo::Unread, fresh, Some(true), DeadCrash),
            (Fifo::Read, fresh, None, Alive),
            (Fifo::Read, untold, Some(true), Alive),
            (Fifo::Read, stale, Some(true), Unknown),
            (Fifo::Read, missing, None, Unknown),
            (Fifo::Absent, fresh, None, Unknown),
            (Fifo::Absent, stale, Some(true), DeadClean),
            (Fifo::Absent, missing, None, DeadClean),
            (Fifo::Absent, untold, Some(true), Unknown),
            (Fifo::Absent, untold, None, DeadClean),
            (Fifo::Untold, fresh, Some(true), Unknown),
        ] {
            let observed = Observed { command_file, status, main_process_lives };
            assert_eq!(decide(&observed), verdict, "{observed:?}");
        }
    }

    #[test]
    fn files_are_seen_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        assert_eq!(fifo(&path("absent")), Fifo::Absent);
        fs::write(path("file"), "").unwrap();
        assert_eq!(fifo(&path("file")), Fifo::Untold);
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert_eq!(fifo(&path("fifo")), Fifo::Unread);
        let _reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path("fifo")).unwrap();
        assert_eq!(fifo(&path("fifo")), Fifo::Read);

        fs::write(path("lock"), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(lock_pid(&path("lock")).map(lives), Some(true));
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let pid = ended.id();
        ended.wait().unwrap();
        fs::write(path("lock"), pid.to_string()).unwrap();
        assert_eq!(lock_pid(&path("lock")).map(lives), Some(false));
        for text in ["", "0", "-1", "none"] {
            fs::write(path("lock"), text).unwrap();
            assert_eq!(lock_pid(&path("lock")), None, "{text:?}");
        }
    }
}
