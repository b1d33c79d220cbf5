//! Whether the core restarted, so that it needs the newest results again; whether it is active; and, on request, when it
//! last checked each object itself.
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

mod activity;
mod own_checks;
mod restarts;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nagios::ModeCommand;
use nagios::status::{self, Look, StatusError, Version};
use tokio::sync::Notify;

use crate::episode::Episode;
use activity::Activity;
use own_checks::OwnChecks;
pub(crate) use own_checks::OwnTimes;
pub(crate) use restarts::Inode;
use restarts::{Mark, Restarts};

/// How often the status file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A status file that cannot be read for less than this is not worth a line in the log.
const UNREADABLE_AFTER: Duration = Duration::from_secs(10);

/// Watches one core.
pub(crate) struct CoreWatch {
    restarts: Restarts,
    activity: Activity,
    /// None without a status file.
    own_checks: Option<OwnChecks>,
    status_file: Option<PathBuf>,
    /// The status file of which the beginning was read last.
    seen: Option<Version>,
    mark_file: PathBuf,
    written: Option<Mark>,
    due: Option<Instant>,
    unreadable: Episode,
}

impl CoreWatch {
    /// Goes on where the last process with this journal ended. `wake` is notified when the core's own checks are known.
    pub(crate) fn new(journal: &config::Journal, wake: &Arc<Notify>) -> Self {
        let mark_file = journal.directory.with_extension("core");
        // A mark that cannot be read is as good as none: the journal begins next to a running core.
        let written = fs::read_to_string(&mark_file).ok().and_then(|text| Mark::parse(&text));
        CoreWatch {
            restarts: Restarts::new(written),
            activity: Activity::default(),
            own_checks: journal.status_file.clone().map(|path| OwnChecks::new(path, wake.clone())),
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
        match self.read_program_status(&path) {
            Ok(()) => {
                self.unreadable.ends(now);
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

    /// Whether the core notifies or runs checks itself.
    pub(crate) fn is_active(&self) -> bool {
        self.activity.is_active()
    }

    /// The core was given these commands.
    pub(crate) fn commanded(&mut self, commands: &[ModeCommand]) {
        for command in commands {
            self.activity.handle_command(*command, unix_seconds());
        }
    }

    /// When the core last checked each object itself; none if that has to be read first.
    pub(crate) fn own_times(&mut self, now: Instant) -> Option<Arc<OwnTimes>> {
        match &mut self.own_checks {
            Some(own_checks) => own_checks.known(self.seen, now),
            None => Some(Arc::default()),
        }
    }

    /// Somebody uses them.
    pub(crate) fn want_own_times(&mut self, now: Instant) {
        if let Some(own_checks) = &mut self.own_checks {
            own_checks.want(self.seen, now);
        }
    }

    /// Reads the beginning of the status file, if it was written since the last time.
    fn read_program_status(&mut self, path: &Path) -> Result<(), StatusError> {
        let (version, mut reader) = match status::look(path, self.seen)? {
            Look::New(version, reader) => (version, reader),
            Look::Missing | Look::Known => return Ok(()),
        };
        while let Some(block) = reader.next_block()? {
            let Some(status) = block.program_status() else { continue };
            self.activity.handle_status(activity::is_active(&status), version.modified);
            if let Some(started) = status.program_start() {
                self.restarts.handle_program_start(started.seconds());
            }
            break;
        }
        self.seen = Some(version);
        Ok(())
    }

    fn write_mark(&mut self) {
        let mark = self.restarts.mark();
        if self.written == Some(mark) {
            return;
        }
        match spool::disk::replace(&self.mark_file, mark.to_string().as_bytes()) {
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

fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
