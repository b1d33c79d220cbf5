//! Whether the core restarted, so that it needs the newest results again.
//!
//! Two things tell: its command file had no reader for a while, or is another one; and `program_start` in its status file
//! changed. One restart is usually told by both, and counts once: a run of the core that began before its reader was seen
//! is the one that the reader belongs to.
//!
//! What the core of this moment is owed survives this process in a small file beside the journal:
//!
//! ```text
//! owed␊               there is no core, or it restarted and does not have everything yet
//! given 1700000000␊   the run of the core that began then has everything
//! given␊              the core has everything; when its run began is not known
//! ```

mod restarts;

use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nagios::status::{BlockKind, StatusError, StatusReader};

use crate::episode::Episode;
pub(crate) use restarts::Inode;
use restarts::{Mark, Restarts};

/// How often the status file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A status file that cannot be read for less than this is not worth a line in the log.
const UNREADABLE_AFTER: Duration = Duration::from_secs(10);

/// How much of the status file is read at once: what is wanted is at its beginning.
const READ_BYTES: usize = 16 << 10;

/// Watches one core.
pub(crate) struct CoreWatch {
    restarts: Restarts,
    status_file: Option<PathBuf>,
    /// Of the status file read last: modification time and inode.
    seen: Option<(i64, i64, u64)>,
    mark_file: PathBuf,
    written: Option<Mark>,
    due: Option<Instant>,
    unreadable: Episode,
}

impl CoreWatch {
    /// Goes on where the last process with this journal ended.
    pub(crate) fn new(journal: &config::Journal) -> Self {
        let mark_file = journal.directory.with_extension("core");
        // A mark that cannot be read is as good as none: the journal begins next to a running core.
        let written = fs::read_to_string(&mark_file).ok().and_then(|text| Mark::parse(&text));
        CoreWatch {
            restarts: Restarts::new(written),
            status_file: journal.status_file.clone(),
            seen: None,
            mark_file,
            written,
            due: None,
            unreadable: Episode::default(),
        }
    }

    /// The command file was looked at, where there is one. Looks at the status file too, if it is time to.
    pub(crate) fn look(&mut self, command_file: Option<Reads>, now: Instant) {
        match command_file {
            Some(Reads::Nobody) => self.restarts.handle_gone(),
            Some(Reads::Core(inode)) => self.restarts.handle_reader(inode, unix_seconds()),
            None => {}
        }
        if self.due.is_none_or(|due| now >= due) {
            self.due = Some(now + LOOK_EVERY);
            self.look_at_status_file(now);
        }
        self.write_mark();
    }

    fn look_at_status_file(&mut self, now: Instant) {
        let Some(path) = self.status_file.clone() else {
            return;
        };
        match self.program_start(&path) {
            Ok(started) => {
                self.unreadable.ends(now);
                if let Some(started) = started {
                    self.restarts.handle_program_start(started);
                }
            }
            Err(error) => {
                if self.unreadable.goes_on(UNREADABLE_AFTER, now).is_some() {
                    tracing::warn!(file = %path.display(), %error, "cannot tell whether the core restarted");
                }
            }
        }
    }

    /// Nobody reads the command file.
    pub(crate) fn gone(&mut self) {
        self.restarts.handle_gone();
    }

    /// Whether the core is there and restarted since the last call: it needs the newest results again, from the first one.
    pub(crate) fn take_restart(&mut self) -> bool {
        self.restarts.take_restart()
    }

    /// Takes [`CoreWatch::take_restart`] back.
    pub(crate) fn restarted(&mut self) {
        self.restarts.handle_restart();
    }

    /// Whether the core is there, and was not yet [given](CoreWatch::given) what the last restart called for.
    pub(crate) fn is_under_way(&self) -> bool {
        self.restarts.is_under_way()
    }

    /// The core has the newest results again.
    pub(crate) fn given(&mut self) {
        self.restarts.handle_given();
        self.write_mark();
    }

    /// When the core started, if its status file was written since the last time.
    fn program_start(&mut self, path: &Path) -> Result<Option<i64>, StatusError> {
        let unreadable = |source: io::Error| StatusError::Io { line: 0, source };
        let file = match File::open(path) {
            Ok(file) => file,
            // A core removes it when it stops, and writes it when it has started.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let found = file.metadata().map_err(unreadable)?;
        let version = (found.mtime(), found.mtime_nsec(), found.ino());
        if self.seen == Some(version) {
            return Ok(None);
        }
        let mut reader = StatusReader::new(BufReader::with_capacity(READ_BYTES, file));
        let mut started = None;
        while let Some(block) = reader.next_block()? {
            if block.kind() == BlockKind::Program {
                started = block.program_status().and_then(|status| status.program_start());
                break;
            }
        }
        self.seen = Some(version);
        Ok(started.map(nagios::Timestamp::seconds))
    }

    fn write_mark(&mut self) {
        let mark = self.restarts.mark();
        if self.written == Some(mark) {
            return;
        }
        match replace(&self.mark_file, &mark.to_string()) {
            Ok(()) => self.written = Some(mark),
            // It is tried again at the next look; a disk that is full is told by the journal.
            Err(error) => tracing::debug!(file = %self.mark_file.display(), %error, "cannot write"),
        }
    }
}

/// Who reads the command file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Nobody,
    Core(Inode),
}

/// The file holds the old text or the new one, whatever happens.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("core.partial");
    let mut file = File::create(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
