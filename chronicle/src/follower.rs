//! The thread that follows the core: what it logs at once, what its status file shows a little later.
//!
//! ```text
//! ┌─▶ the log ─▶ is there a new status file? ─▶ a slice of it ─▶ pause ─▶ the log ─▶ a slice … ─▶ keep ─▶ pause ─┐
//! └──────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! **Invariant:** while a file is read, at most one part in [`SHARE`] of a processor is used, and of all time at most one part in
//! [`REST`], however often the core writes its file.
//!
//! **Invariant:** the log waits until a status file was read: it tells of objects that only that file names.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::book::Shown;
use nagios::Timestamp;
use nagios::log::{LogEvent, LogFollower, LogPosition};
use nagios::status::{Look, StatusError, StatusReader, Version, look};
use tracing::{debug, info, warn};

use crate::kept::Kept;
use crate::own::{Picture, Shared};
use crate::trouble::Trouble;

/// How often the log is read, and the status file looked at.
const TICK: Duration = Duration::from_millis(100);

/// How many blocks are read before they are written down.
const SLICE_BLOCKS: usize = 256;

/// After a slice that took some time, this many times as long goes to others.
const SHARE: u32 = 4;

/// A status file that takes some work is not followed by the next one before this many times as long, from its beginning.
const REST: u32 = 20;

/// How long there may be no status file: a large core needs a while for its start.
const MISSING_FOR: Duration = Duration::from_secs(60);

/// How often what is to outlive this process is kept, at most.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// What is followed, and where is kept how far.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) status: PathBuf,
    pub(crate) log: Option<PathBuf>,
    /// Where the core puts its old logs.
    pub(crate) archive: Option<PathBuf>,
    /// Where it saves what it remembers.
    pub(crate) retention: Option<PathBuf>,
    pub(crate) kept: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Follower {
    shared: Arc<Shared>,
    files: Files,
    log: Option<LogFollower>,
    /// The status file that was read last, or could not be.
    seen: Option<Version>,
    /// Since when there is none.
    missing_since: Option<Instant>,
    pictures: u64,
    next_look: Instant,
    kept: Kept,
    kept_at: Instant,
    left_out: u64,
    troubles: Troubles,
}

#[derive(Debug)]
struct Troubles {
    log: Trouble,
    status: Trouble,
    kept: Trouble,
}

/// The thread has to end.
struct Stopped;

/// What a status file says of itself and its core.
#[derive(Default)]
struct Head {
    created: i64,
    program_start: i64,
    notifies: Option<bool>,
}

impl Follower {
    pub(crate) fn new(files: Files, shared: Arc<Shared>) -> Self {
        let mut troubles = Troubles {
            log: Trouble::new("the core's log is not followed, what it notifies is known some seconds later"),
            status: Trouble::new("the core's status file is not followed, what others know of this core grows old"),
            kept: Trouble::new("after a restart, less will be known of what the core has notified"),
        };
        let kept = Kept::read(&files.kept).unwrap_or_else(|error| {
            troubles.kept.note(&error);
            Kept::default()
        });
        let log = files.log.clone().map(|path| resume(path, files.archive.as_deref(), kept.log));
        let mut known = shared.lock();
        (known.own.activity, known.notified) = (kept.activity, kept.notifies);
        drop(known);
        let now = Instant::now();
        Follower {
            shared,
            files,
            log,
            seen: None,
            missing_since: None,
            pictures: 0,
            next_look: now,
            kept,
            kept_at: now,
            left_out: 0,
            troubles,
        }
    }

    /// Follows until the end.
    pub(crate) fn run(mut self) {
        while self.turn().is_ok() && !self.shared.is_stopped_within(TICK) {}
        self.keep();
    }

    fn turn(&mut self) -> Result<(), Stopped> {
        self.follow_log()?;
        if Instant::now() >= self.next_look {
            self.look_at_status()?;
        }
        if self.kept_at.elapsed() >= KEEP_EVERY {
            self.keep();
        }
        Ok(())
    }

    /// Takes what the core has logged.
    fn follow_log(&mut self) -> Result<(), Stopped> {
        let Some(log) = self.log.as_mut().filter(|_| self.pictures > 0) else { return Ok(()) };
        loop {
            let begun = Instant::now();
            let polled = log.poll(|line| {
                if let Some(LogEvent::Notification(told)) = LogEvent::parse(line) {
                    self.shared.lock().handle_notification(&told);
                }
            });
            match polled {
                Ok(true) => pause(&self.shared, begun)?,
                Ok(false) => {
                    self.troubles.log.is_over();
                    return Ok(());
                }
                Err(error) => {
                    self.troubles.log.note(&error);
                    return Ok(());
                }
            }
        }
    }

    fn look_at_status(&mut self) -> Result<(), Stopped> {
        match look(&self.files.status, self.seen) {
            Ok(Look::Missing) => self.miss_status(),
            Ok(Look::Known) => self.missing_since = None,
            Ok(Look::New(version, reader)) => {
                self.missing_since = None;
                // What the core logged before it wrote this.
                self.follow_log()?;
                self.seen = Some(version);
                match self.read_picture(reader) {
                    Ok(()) => self.handle_picture()?,
                    Err(Unread::Stopped) => return Err(Stopped),
                    Err(Unread::Status(error)) => self.troubles.status.note(&error),
                }
            }
            Err(error) => self.troubles.status.note(&error),
        }
        Ok(())
    }

    /// A core that stops removes it, and writes another one when it is back.
    fn miss_status(&mut self) {
        if self.missing_since.get_or_insert_with(Instant::now).elapsed() >= MISSING_FOR {
            let path = self.files.status.display();
            self.troubles.status.note(&format!("there is no {path}: if the core runs, correct status_file in [core]"));
        }
    }

    /// After the first status file comes what it does not tell, and what was logged before there was anything to be told of.
    fn handle_picture(&mut self) -> Result<(), Stopped> {
        self.troubles.status.is_over();
        if self.pictures == 1 {
            match self.read_retention() {
                Ok(()) => {}
                Err(Unread::Stopped) => return Err(Stopped),
                // It is the core's affair; the log tells most of it too.
                Err(Unread::Status(error)) => debug!(%error, "the core's retention file was not read"),
            }
        }
        self.follow_log()
    }

    /// Reads what the core has saved of problems that last.
    fn read_retention(&self) -> Result<(), Unread> {
        let Some(path) = &self.files.retention else { return Ok(()) };
        let Look::New(_, mut reader) = look(path, None)? else { return Ok(()) };
        let mut slice = Vec::new();
        loop {
            let begun = Instant::now();
            for _ in 0..SLICE_BLOCKS {
                let Some(block) = reader.next_block()? else {
                    self.shared.lock().handle_saved(&mut slice);
                    return Ok(());
                };
                let saved = block.memory().filter(|memory| !memory.notified_on.is_empty());
                slice.extend(saved.and_then(|memory| Some((block.object().ok()?, memory))));
            }
            self.shared.lock().handle_saved(&mut slice);
            pause(&self.shared, begun)?;
        }
    }

    /// Reads a status file to its end.
    fn read_picture(&mut self, mut reader: StatusReader<File>) -> Result<(), Unread> {
        let (mut head, mut slice, mut work) = (Head::default(), Vec::with_capacity(SLICE_BLOCKS), Duration::ZERO);
        let (first, mut last_log) = (Instant::now(), Instant::now());
        loop {
            let begun = Instant::now();
            let is_begun = head.created != 0;
            let at_end = !read_slice(&mut reader, &mut head, &mut slice)?;
            if head.created == 0 {
                return Err(Unread::Status(StatusError::NotAStatusFile { line: 1 }));
            }
            let mut known = self.shared.lock();
            if !is_begun {
                known.own.book.begin_picture(head.created);
            }
            known.handle_shown(&mut slice);
            drop(known);
            work += begun.elapsed();
            if at_end {
                break;
            }
            pause(&self.shared, begun)?;
            if last_log.elapsed() >= TICK {
                self.follow_log()?;
                last_log = Instant::now();
            }
        }
        self.next_look = first + work * REST;
        self.end_picture(&head, work);
        Ok(())
    }

    fn end_picture(&mut self, head: &Head, work: Duration) {
        self.pictures += 1;
        let &Head { created, program_start, notifies } = head;
        let picture = Picture { created, program_start, notifies, number: self.pictures };
        let mut known = self.shared.lock();
        known.handle_picture(&picture);
        let (objects, left_out) = (known.own.book.len(), known.own.book.left_out());
        drop(known);
        self.shared.pictures.send_replace(picture);
        if self.pictures == 1 {
            info!(objects, ?work, "the core is followed");
        }
        debug!(created, objects, ?work, "a status file was read");
        if left_out > 0 && self.left_out == 0 {
            warn!(
                left_out,
                "not all of the core's objects are in the book: there are too many, or names with `;` or control characters"
            );
        }
        self.left_out = left_out;
    }

    /// Keeps what is to outlive this process, if it is news.
    fn keep(&mut self) {
        self.kept_at = Instant::now();
        let position = self.log.as_ref().filter(|_| self.pictures > 0).and_then(LogFollower::position);
        let known = self.shared.lock();
        let (activity, notifies) = (known.own.activity, known.notified);
        drop(known);
        let kept = Kept { log: position.or(self.kept.log), activity, notifies };
        if kept == self.kept {
            return;
        }
        match kept.write(&self.files.kept) {
            Ok(()) => {
                self.kept = kept;
                self.troubles.kept.is_over();
            }
            Err(error) => self.troubles.kept.note(&error),
        }
    }
}

/// Why a status file was not read to its end.
enum Unread {
    Status(StatusError),
    Stopped,
}

impl From<StatusError> for Unread {
    fn from(error: StatusError) -> Self {
        Unread::Status(error)
    }
}

impl From<Stopped> for Unread {
    fn from(Stopped: Stopped) -> Self {
        Unread::Stopped
    }
}

/// Follows the log from its beginning, and before that a log from which the one before us has not read everything.
fn resume(path: PathBuf, archive: Option<&Path>, position: Option<LogPosition>) -> LogFollower {
    let is_current = |position: LogPosition| {
        fs::metadata(&path).is_ok_and(|found| (found.dev(), found.ino()) == (position.device, position.inode))
    };
    match position.filter(|position| !is_current(*position)) {
        Some(position) => LogFollower::resume(path, archive, position),
        None => LogFollower::from_start(path),
    }
}

/// Reads the next blocks, and says whether there are more.
fn read_slice(reader: &mut StatusReader<File>, head: &mut Head, slice: &mut Vec<Shown>) -> Result<bool, StatusError> {
    for _ in 0..SLICE_BLOCKS {
        let Some(block) = reader.next_block()? else { return Ok(false) };
        if let Some(info) = block.info_status() {
            head.created = info.created().map_or(0, Timestamp::seconds);
        } else if let Some(program) = block.program_status() {
            head.program_start = program.program_start().map_or(0, Timestamp::seconds);
            head.notifies = program.enable_notifications();
        }
        slice.extend(Shown::of(&block));
    }
    Ok(true)
}

/// Leaves the processor to others for a while after the work that has `begun` then.
fn pause(shared: &Shared, begun: Instant) -> Result<(), Stopped> {
    let is_stopped = shared.is_stopped_within(begun.elapsed() * (SHARE - 1));
    if is_stopped { Err(Stopped) } else { Ok(()) }
}
