//! `perfdata_copy_to`: every line for the program that owned the perfdata file before.
//!
//! Into a FIFO a line goes whole or not at all. A file is appended to, and made again after its owner moved it away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use tracing::warn;

use crate::throttle::Throttle;

/// How soon a target that could not be opened is tried again.
const OPEN_EVERY: Duration = Duration::from_secs(1);

/// The other reader of the perfdata lines.
pub(crate) struct Copy {
    path: PathBuf,
    target: Option<Target>,
    next_attempt: Option<Instant>,
    /// Lines of this turn.
    buffer: Vec<u8>,
    complaint: Throttle,
}

struct Target {
    file: File,
    inode: u64,
    is_fifo: bool,
}

impl Copy {
    pub(crate) fn new(path: PathBuf) -> Copy {
        Copy { path, target: None, next_attempt: None, buffer: Vec::new(), complaint: Throttle::default() }
    }

    /// Keeps a line until [`Copy::flush`].
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
    }

    /// Passes the lines on; gives how many were not taken.
    pub(crate) fn flush(&mut self, now: Instant) -> u64 {
        let lines = std::mem::take(&mut self.buffer);
        if lines.is_empty() {
            return 0;
        }
        let (lost, error) = match self.open(now) {
            Ok(target) => target.write(&lines),
            Err(error) => (lines.iter().filter(|byte| **byte == b'\n').count() as u64, Some(error)),
        };
        if let Some(error) = error {
            if error.kind() != io::ErrorKind::WouldBlock {
                self.target = None;
            }
            if let Some(lines) = self.complaint.count(lost, now) {
                warn!(path = %self.path.display(), lines, %error, "perfdata_copy_to did not take lines; is its reader running?");
            }
        }
        self.buffer = lines;
        self.buffer.clear();
        lost
    }

    fn open(&mut self, now: Instant) -> io::Result<&Target> {
        let inode = fs::metadata(&self.path).map(|file| file.ino()).ok();
        if let Some(target) = self.target.take_if(|target| Some(target.inode) == inode) {
            return Ok(self.target.insert(target));
        }
        if self.next_attempt.is_some_and(|next| now < next) {
            return Err(io::Error::other("it could not be opened a moment ago"));
        }
        self.next_attempt = Some(now + OPEN_EVERY);
        let target = Target::open(&self.path)?;
        self.next_attempt = None;
        Ok(self.target.insert(target))
    }
}

impl Target {
    fn open(path: &std::path::Path) -> io::Result<Target> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)?;
        let about = file.metadata()?;
        Ok(Target { file, inode: about.ino(), is_fifo: about.file_type().is_fifo() })
    }

    /// How many lines were lost, and why.
    fn write(&self, lines: &[u8]) -> (u64, Option<io::Error>) {
        let mut file = &self.file;
        if !self.is_fifo {
            let error = file.write_all(lines).err();
            let lost = error.as_ref().map_or(0, |_| lines.iter().filter(|byte| **byte == b'\n').count() as u64);
            return (lost, error);
        }
        let (mut lost, mut why) = (0, None);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if let Err(error) = file.write_all(line) {
                lost += 1;
                why = Some(error);
            }
        }
        (lost, why)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn a_file_is_appended_to_and_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("service-perfdata");
        fs::write(&path, "before\n").unwrap();
        let mut copy = Copy::new(path.clone());
        copy.line(b"one");
        assert_eq!(copy.flush(Instant::now()), 0);
        fs::rename(&path, directory.path().join("moved")).unwrap();
        copy.line(b"two");
        copy.line(b"three");
        assert_eq!(copy.flush(Instant::now()), 0);
        assert_eq!(fs::read_to_string(directory.path().join("moved")).unwrap(), "before\none\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\nthree\n");
    }

    #[test]
    fn a_fifo_without_reader_costs_lines_not_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
        let mut copy = Copy::new(path.clone());
        copy.line(b"lost");
        assert_eq!(copy.flush(Instant::now()), 1);
        let mut reader = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).unwrap();
        copy.line(b"kept");
        assert_eq!(copy.flush(Instant::now() + OPEN_EVERY), 0);
        let mut bytes = [0; 10];
        let read = reader.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..read], b"kept\n");
    }
}
