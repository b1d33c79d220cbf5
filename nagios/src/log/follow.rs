//! The log file, followed from poll to poll.
//!
//! A core rotates its log itself: it renames the file into `log_archive_path` and begins a new one. Others copy the file away
//! and truncate it. What was written in between is not lost:
//!
//! - another inode at the path: the old file, which is still open, is read to its end first;
//! - a shorter file: it is read from its beginning;
//! - no file: the old one goes on being read until there is a new one;
//! - rotated while nobody followed: the archive is searched for the inode that the [`LogPosition`] names.
//!
//! Lost is what an archive on another file system got while nobody followed, and all but the last file if several rotations
//! passed between two polls: the status file corrects what follows from that.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::LogLines;

/// What one poll reads at most, in bytes.
const POLL_BYTES: usize = 1 << 20;

/// How many files of an archive are looked at.
const MAX_ARCHIVED: usize = 10_000;

/// Follows a log file.
#[derive(Debug)]
pub struct LogFollower {
    path: PathBuf,
    open: Option<Open>,
    lines: LogLines,
    buffer: Vec<u8>,
}

/// Up to where a log was read. Whoever keeps it goes on there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// The file's device.
    pub device: u64,
    /// The file's inode.
    pub inode: u64,
    /// The beginning of the first line that was not handed out.
    pub offset: u64,
}

/// Why the log cannot be followed. The next poll tries again.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the core's log {}: {source}: {}", path.display(), advice(source))]
pub struct LogError {
    path: PathBuf,
    source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run as a user who may read it",
        io::ErrorKind::IsADirectory => "is this the core's log_file?",
        _ => "check the file and its disk",
    }
}

#[derive(Debug)]
struct Open {
    file: File,
    device: u64,
    inode: u64,
    /// How much of the file was read.
    read: u64,
}

impl LogFollower {
    /// Follows the log at `path` from what is written from now on.
    pub fn from_end(path: PathBuf) -> Self {
        let mut follower = Self::from_start(path);
        // What cannot be opened yet is new when it can.
        follower.open = Open::at(&follower.path, |bytes| bytes).ok().flatten();
        follower
    }

    /// Follows the log at `path` from its beginning.
    pub fn from_start(path: PathBuf) -> Self {
        Self { path, open: None, lines: LogLines::default(), buffer: Vec::new() }
    }

    /// Goes on at `position`, be the file in its place or in the directory `archive`; from the beginning of the log if it is
    /// nowhere.
    pub fn resume(path: PathBuf, archive: Option<&Path>, position: LogPosition) -> Self {
        let mut follower = Self::from_start(path);
        let is_it = |open: &Open| (open.device, open.inode) == (position.device, position.inode);
        let offset = |bytes: u64| if position.offset <= bytes { position.offset } else { 0 };
        let current = Open::at(&follower.path, offset).ok().flatten().filter(is_it);
        follower.open = current.or_else(|| archived(archive?, position, offset).filter(is_it));
        follower
    }

    /// Hands out each line that was written since the last call, without its newline, and says whether to call again at once.
    /// Of much, it reads 1 MiB.
    ///
    /// # Errors
    /// The log cannot be read. What was not read comes with a later call.
    pub fn poll(&mut self, take: impl FnMut(&[u8])) -> Result<bool, LogError> {
        self.try_poll(take).map_err(|source| LogError { path: self.path.clone(), source })
    }

    /// Where to go on after a restart; none before the log was there.
    pub fn position(&self) -> Option<LogPosition> {
        let open = self.open.as_ref()?;
        let offset = open.read - (self.lines.begun_bytes() as u64).min(open.read);
        Some(LogPosition { device: open.device, inode: open.inode, offset })
    }

    fn try_poll(&mut self, take: impl FnMut(&[u8])) -> io::Result<bool> {
        if self.open.is_none() {
            self.open = Open::at(&self.path, |_| 0)?;
        }
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        // Looked at before reading: what the core wrote into the old file came before it began the new one.
        let replaced = open.is_replaced(&self.path)?;
        if open.file.metadata()?.len() < open.read {
            self.lines.reset();
            open.go_to(0)?;
        }
        self.buffer.clear();
        let bytes = (&mut open.file).take(POLL_BYTES as u64).read_to_end(&mut self.buffer)?;
        open.read += bytes as u64;
        self.lines.handle_bytes(&self.buffer, take);
        let at_end = bytes < POLL_BYTES;
        if at_end && replaced {
            self.lines.reset();
            self.open = None;
        }
        Ok(replaced || !at_end)
    }
}

impl Open {
    /// Opens the file at `path`, to be read from what `start` makes of its length; none if there is no file.
    fn at(path: &Path, start: impl Fn(u64) -> u64) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        let mut open = Self { file, device: found.dev(), inode: found.ino(), read: 0 };
        open.go_to(start(found.len()))?;
        Ok(Some(open))
    }

    fn go_to(&mut self, offset: u64) -> io::Result<()> {
        self.read = self.file.seek(SeekFrom::Start(offset))?;
        Ok(())
    }

    /// Whether another file is at `path`.
    fn is_replaced(&self, path: &Path) -> io::Result<bool> {
        match fs::metadata(path) {
            Ok(found) => Ok((found.dev(), found.ino()) != (self.device, self.inode)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The file that `position` names, in a directory of rotated logs.
fn archived(archive: &Path, position: LogPosition, start: impl Fn(u64) -> u64) -> Option<Open> {
    let entries = fs::read_dir(archive).ok()?.take(MAX_ARCHIVED).filter_map(Result::ok);
    let entry = entries.into_iter().find(|entry| {
        entry.metadata().is_ok_and(|found| (found.dev(), found.ino()) == (position.device, position.inode))
    })?;
    Open::at(&entry.path(), start).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write as _;

    struct Log {
        directory: tempfile::TempDir,
    }

    impl Log {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap() }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("nagios.log")
        }

        fn archive(&self) -> PathBuf {
            self.directory.path().join("archive")
        }

        fn write(&self, text: &str) {
            let mut file = OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn rotate(&self) {
            fs::create_dir_all(self.archive()).unwrap();
            fs::rename(self.path(), self.archive().join("old.log")).unwrap();
        }
    }

    /// All lines until there is nothing more to read.
    fn lines(follower: &mut LogFollower) -> Vec<String> {
        let mut lines = Vec::new();
        while follower.poll(|line| lines.push(String::from_utf8_lossy(line).into_owned())).unwrap() {}
        lines
    }

    #[test]
    fn lines_come_when_they_are_whole() {
        let log = Log::new();
        let mut follower = LogFollower::from_start(log.path());
        assert_eq!(lines(&mut follower), [""; 0], "there is no log yet");
        assert_eq!(follower.position(), None);
        log.write("a\nb");
        assert_eq!(lines(&mut follower), ["a"]);
        assert_eq!(follower.position().unwrap().offset, 2);
        log.write("c\n");
        assert_eq!(lines(&mut follower), ["bc"]);
    }

    #[test]
    fn the_end_is_where_to_begin() {
        let log = Log::new();
        log.write("old\n");
        let mut follower = LogFollower::from_end(log.path());
        log.write("new\n");
        assert_eq!(lines(&mut follower), ["new"]);
        let missing = Log::new();
        let mut follower = LogFollower::from_end(missing.path());
        missing.write("first\n");
        assert_eq!(lines(&mut follower), ["first"], "all of a log that was not there");
    }

    #[test]
    fn rotation_loses_nothing() {
        let log = Log::new();
        log.write("a\n");
        let mut follower = LogFollower::from_start(log.path());
        assert_eq!(lines(&mut follower), ["a"]);
        log.write("b\n");
        log.rotate();
        assert_eq!(lines(&mut follower), ["b"], "what came before the rotation, while there is no new file");
        log.write("c\n");
        assert_eq!(lines(&mut follower), ["c"]);
        log.write("d\nhalf");
        log.rotate();
        log.write("e\n");
        assert_eq!(lines(&mut follower), ["d", "e"], "half a line is not glued to the next file");
    }

    #[test]
    fn a_truncated_file_is_read_from_its_beginning() {
        let log = Log::new();
        log.write("a long line\nhalf");
        let mut follower = LogFollower::from_start(log.path());
        assert_eq!(lines(&mut follower), ["a long line"]);
        OpenOptions::new().write(true).truncate(true).open(log.path()).unwrap();
        log.write("b\n");
        assert_eq!(lines(&mut follower), ["b"]);
    }

    #[test]
    fn a_follower_goes_on_where_another_one_ended() {
        let log = Log::new();
        log.write("a\nhalf");
        let mut follower = LogFollower::from_start(log.path());
        assert_eq!(lines(&mut follower), ["a"]);
        let position = follower.position().unwrap();
        log.write(" a line\n");
        let mut next = LogFollower::resume(log.path(), None, position);
        assert_eq!(lines(&mut next), ["half a line"]);

        log.write("b\n");
        let position = next.position().unwrap();
        log.write("c\n");
        log.rotate();
        log.write("d\n");
        let mut later = LogFollower::resume(log.path(), Some(&log.archive()), position);
        assert_eq!(lines(&mut later), ["b", "c", "d"], "what was rotated away is found again");
        let mut lost = LogFollower::resume(log.path(), None, position);
        assert_eq!(lines(&mut lost), ["d"]);
    }

    #[test]
    fn much_is_read_in_pieces() {
        let log = Log::new();
        log.write(&"0123456\n".repeat(POLL_BYTES / 8 + 1));
        let mut follower = LogFollower::from_start(log.path());
        let mut count = 0;
        assert!(follower.poll(|_| count += 1).unwrap());
        assert_eq!(count, POLL_BYTES / 8);
        assert!(!follower.poll(|_| count += 1).unwrap());
        assert_eq!(count, POLL_BYTES / 8 + 1);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let error = LogFollower::from_start(directory.path().into()).poll(|_| {}).unwrap_err().to_string();
        assert!(error.contains("is this the core's log_file?"), "{error}");
    }
}
