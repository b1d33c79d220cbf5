//! Empties the spill directory.
//!
//! Invariants: files are taken oldest first; a file goes only after its result is in the spool; a file that is no result is
//! set aside as `….bad` (at most [`MAX_BAD_FILES`], then deleted) and holds up nothing; what a killed `understudy-ocsp` left half
//! written is deleted after [`PARTIAL_AGE`].

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use ocsp::handover::Answer;
use ocsp::spill::{self, ReadError};
use tracing::{error, info, warn};

use super::Intake;
use crate::error::StartError;
use crate::throttle::Throttle;

/// The directory is listed at least this often, for file systems whose times cannot be relied on.
const LIST_EVERY: Duration = Duration::from_secs(1);

/// A directory that was changed this shortly before it was listed is listed again: a file that came in the same clock
/// tick after the listing does not change the directory's time.
const CLOCK_TICK: Duration = Duration::from_millis(20);

/// How many files one turn takes before the socket's clients get an answer.
const FILES_PER_TURN: usize = 1_000;

/// How many damaged files are kept for inspection.
const MAX_BAD_FILES: usize = 1_000;

const BAD_SUFFIX: &str = "bad";

const PARTIAL_SUFFIX: &str = "partial";

/// Nobody writes a file for so long.
const PARTIAL_AGE: Duration = Duration::from_secs(3600);

const SET_GROUP_ID: u32 = 0o2000;

/// Whether the socket may take results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Directory {
    /// No older result waits.
    Empty,
    /// Older results wait.
    Backlog,
}

/// The spill directory of this node.
pub(crate) struct Spill {
    directory: PathBuf,
    /// Of the last listing, what is still to be taken.
    pending: VecDeque<PathBuf>,
    /// The directory's time and ours, just before the last listing.
    listed: Option<(SystemTime, Instant)>,
    /// A file whose result was taken but which cannot be deleted. Nothing more is taken until it can: else everything
    /// would be sent again and again.
    undeletable: Option<PathBuf>,
    next_sweep: Option<Instant>,
    complaint: Throttle,
}

impl Spill {
    /// Makes the directory if it is absent, for those who may write to the socket.
    pub(crate) fn open(directory: &Path, socket_mode: u32, group: Option<u32>) -> Result<Spill, StartError> {
        if !directory.exists() {
            fs::create_dir(directory).map_err(StartError::io(directory, "create the spill directory"))?;
            chown(directory, None, group)
                .map_err(StartError::io(directory, "give the spill directory to socket_group"))?;
            // Files inherit the group, so that this daemon can read what the core's user leaves.
            fs::set_permissions(directory, fs::Permissions::from_mode(SET_GROUP_ID | searchable(socket_mode)))
                .map_err(StartError::io(directory, "set the spill directory's permissions"))?;
        }
        // Now, because a directory that cannot be read should be noticed at the start.
        fs::read_dir(directory).map_err(StartError::io(directory, "read the spill directory"))?;
        Ok(Spill::new(directory.to_owned()))
    }

    fn new(directory: PathBuf) -> Spill {
        let complaint = Throttle::default();
        Spill { directory, pending: VecDeque::new(), listed: None, undeletable: None, next_sweep: None, complaint }
    }

    /// Takes what is there, within a turn's limit and the room in the spool.
    pub(crate) fn drain(&mut self, intake: &mut Intake, now: Instant) -> Directory {
        if let Err(error) = self.delete_leftover().and_then(|()| self.list_if_due(now)) {
            self.complain(&error, now);
            return Directory::Empty;
        }
        if self.next_sweep.is_none_or(|at| at <= now) {
            self.next_sweep = Some(now + PARTIAL_AGE);
            self.remove_partials();
        }
        let mut taken = 0;
        for _ in 0..FILES_PER_TURN {
            let path = match self.next_file(now) {
                Ok(Some(path)) => path,
                Ok(None) => break,
                Err(error) => {
                    self.complain(&error, now);
                    break;
                }
            };
            match self.take(&path, intake, now) {
                Ok(true) => taken += 1,
                Ok(false) => {
                    self.pending.push_front(path);
                    break;
                }
                Err(error) => {
                    self.complain(&error, now);
                    break;
                }
            }
        }
        if taken > 0 {
            info!(results = taken, left = self.pending.len(), directory = %self.directory.display(), "spilled results taken");
        }
        if taken < FILES_PER_TURN && self.pending.is_empty() { Directory::Empty } else { Directory::Backlog }
    }

    /// The oldest file. When all of a listing are taken, the directory is looked at again: what was spilled while they
    /// waited is older than what the socket holds.
    fn next_file(&mut self, now: Instant) -> io::Result<Option<PathBuf>> {
        self.list_if_due(now)?;
        Ok(self.pending.pop_front())
    }

    /// Takes one file. `false`: there is no room, the file stays.
    fn take(&mut self, path: &Path, intake: &mut Intake, now: Instant) -> io::Result<bool> {
        match spill::read(path) {
            Ok(handover) => match intake.take(handover, now) {
                Answer::Taken => {
                    intake.counters.from_spill.fetch_add(1, Relaxed);
                    self.undeletable = Some(path.to_owned());
                    self.delete_leftover()?;
                }
                Answer::Full => return Ok(false),
                Answer::Refused(reason) => self.set_aside(path, &reason)?,
            },
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(ReadError::Io(error)) => return Err(error),
            Err(error @ ReadError::Torn(_)) => self.set_aside(path, &error.to_string())?,
        }
        Ok(true)
    }

    fn list_if_due(&mut self, now: Instant) -> io::Result<()> {
        if !self.pending.is_empty() {
            return Ok(());
        }
        let modified = fs::metadata(&self.directory)?.modified()?;
        let is_fresh =
            self.listed.is_some_and(|(seen, at)| seen == modified && now.saturating_duration_since(at) < LIST_EVERY);
        if !is_fresh {
            let is_settled = SystemTime::now().duration_since(modified).is_ok_and(|age| age > CLOCK_TICK);
            self.pending = spill::list(&self.directory)?.into();
            self.listed = is_settled.then_some((modified, now));
        }
        Ok(())
    }

    fn delete_leftover(&mut self) -> io::Result<()> {
        let Some(path) = &self.undeletable else {
            return Ok(());
        };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.undeletable = None;
                Ok(())
            }
        }
    }

    /// Deletes what a killed `understudy-ocsp` left half written, as far as that can be done now.
    fn remove_partials(&self) {
        let is_leftover = |path: &Path| {
            let age = fs::symlink_metadata(path).and_then(|file| file.modified()).map(|time| time.elapsed());
            path.extension().is_some_and(|extension| extension == PARTIAL_SUFFIX)
                && matches!(age, Ok(Ok(age)) if age > PARTIAL_AGE)
        };
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let removed =
            entries.filter(|entry| is_leftover(&entry.path()) && fs::remove_file(entry.path()).is_ok()).count();
        if removed > 0 {
            info!(files = removed, directory = %self.directory.display(), "half-written spill files were deleted");
        }
    }

    fn set_aside(&self, path: &Path, reason: &str) -> io::Result<()> {
        let bad_files = fs::read_dir(&self.directory)?
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == BAD_SUFFIX))
            .count();
        if bad_files >= MAX_BAD_FILES {
            warn!(file = %path.display(), reason, "a spill file is no result and was deleted: too many of them are kept already");
            return fs::remove_file(path);
        }
        let mut aside = path.to_owned().into_os_string();
        aside.push(".");
        aside.push(BAD_SUFFIX);
        warn!(file = %Path::new(&aside).display(), reason, "a spill file is no result and was set aside");
        fs::rename(path, aside)
    }

    fn complain(&mut self, error: &io::Error, now: Instant) {
        if self.complaint.count(1, now).is_some() {
            error!(
                directory = %self.directory.display(),
                %error,
                "the spill directory cannot be emptied, results wait in it: this daemon needs to read, write and search it"
            );
        }
    }
}

/// Who may read a file may search a directory.
fn searchable(mode: u32) -> u32 {
    mode | (mode & 0o444) >> 2
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{handover, intake, on, queued};
    use super::*;
    use crate::testing::{done, full_outbox};

    fn spill(directory: &tempfile::TempDir) -> Spill {
        Spill::new(directory.path().to_owned())
    }

    fn files(directory: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_directory_is_made_for_the_core_s_group() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("spill");
        Spill::open(&path, 0o660, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o2770);
        assert!(Spill::open(&path, 0o660, None).is_ok());
        let orphan = parent.path().join("absent/spill");
        assert!(matches!(Spill::open(&orphan, 0o660, None), Err(StartError::NoDirectory { .. })));
    }

    #[test]
    fn files_are_taken_in_order_and_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spill, (_spool, mut intake)) = (spill(&directory), intake());
        for n in 0..5 {
            spill::write(directory.path(), &handover(n, &format!("host{n}"))).unwrap();
        }
        assert_eq!(spill.drain(&mut intake, Instant::now()), Directory::Empty);
        assert_eq!(queued(&intake), ["host0", "host1", "host2", "host3", "host4"]);
        assert_eq!(files(&directory), [""; 0]);
    }

    #[test]
    fn what_came_over_the_socket_is_not_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spill, (_spool, mut intake)) = (spill(&directory), intake());
        assert_eq!(intake.take(handover(1, "a"), Instant::now()), Answer::Taken);
        spill::write(directory.path(), &handover(1, "a")).unwrap();
        spill.drain(&mut intake, Instant::now());
        assert_eq!((queued(&intake), files(&directory)), (vec!["a".to_string()], vec![]));
    }

    #[test]
    fn torn_and_refused_files_are_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spill, (_spool, mut intake)) = (spill(&directory), intake());
        let torn = spill::write(directory.path(), &handover(1, "a")).unwrap();
        fs::write(&torn, &fs::read(&torn).unwrap()[..50]).unwrap();
        spill::write(directory.path(), &handover(2, "a;b")).unwrap();
        spill::write(directory.path(), &handover(3, "good")).unwrap();
        assert_eq!(spill.drain(&mut intake, Instant::now()), Directory::Empty);
        assert_eq!(queued(&intake), ["good"]);
        assert_eq!(files(&directory).iter().filter(|name| name.ends_with(".result.bad")).count(), 2);
        assert_eq!(files(&directory).len(), 2);
    }

    #[test]
    fn what_finds_no_room_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (_spool, outbox) = full_outbox();
        let (mut spill, mut intake) = (spill(&directory), on(outbox, Arc::default(), true));
        spill::write(directory.path(), &handover(1, "late")).unwrap();
        assert_eq!(spill.drain(&mut intake, Instant::now()), Directory::Backlog);
        assert_eq!(files(&directory).len(), 1);
        done(intake.outbox.confirm(0, u64::MAX));
        assert_eq!(spill.drain(&mut intake, Instant::now()), Directory::Empty);
        assert_eq!((queued(&intake).pop(), files(&directory).len()), (Some("late".into()), 0));
    }

    #[test]
    fn what_was_spilled_while_older_files_waited_goes_ahead_of_the_socket_too() {
        let directory = tempfile::tempdir().unwrap();
        let (_spool, outbox) = full_outbox();
        let (mut spill, mut intake) = (spill(&directory), on(outbox, Arc::default(), true));
        spill::write(directory.path(), &handover(1, "first")).unwrap();
        assert_eq!(spill.drain(&mut intake, Instant::now()), Directory::Backlog);
        spill::write(directory.path(), &handover(2, "second")).unwrap();
        done(intake.outbox.confirm(0, u64::MAX));
        assert_eq!(spill.drain(&mut intake, Instant::now()), Directory::Empty);
        assert_eq!(files(&directory), [""; 0]);
        let queued = queued(&intake);
        assert_eq!(queued[queued.len() - 2..], ["first", "second"]);
    }

    #[test]
    fn a_file_added_later_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spill, (_spool, mut intake)) = (spill(&directory), intake());
        let start = Instant::now();
        spill.drain(&mut intake, start);
        spill::write(directory.path(), &handover(1, "late")).unwrap();
        spill.drain(&mut intake, start + LIST_EVERY);
        assert_eq!(queued(&intake), ["late"]);
    }

    #[test]
    fn old_half_written_files_are_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spill, (_spool, mut intake)) = (spill(&directory), intake());
        let hours_ago = SystemTime::now() - 2 * PARTIAL_AGE;
        for (name, modified) in [(".old.partial", hours_ago), (".new.partial", SystemTime::now()), ("notes", hours_ago)]
        {
            fs::File::create(directory.path().join(name)).unwrap().set_modified(modified).unwrap();
        }
        let start = Instant::now();
        spill.drain(&mut intake, start);
        let mut left = files(&directory);
        left.sort();
        assert_eq!(left, [".new.partial", "notes"]);
        fs::File::open(directory.path().join(".new.partial")).unwrap().set_modified(hours_ago).unwrap();
        spill.drain(&mut intake, start + PARTIAL_AGE / 2);
        assert_eq!(files(&directory).len(), 2, "not at every turn");
        spill.drain(&mut intake, start + PARTIAL_AGE);
        assert_eq!(files(&directory), ["notes"]);
    }
}
