//! The spill directory: where results wait while the sender is away.
//!
//! ```text
//! 00001700000000000001-4711-0.result    microseconds since the epoch, process id, counter: names sort by time
//! .00001700000000000001-4711-0.partial  being written
//! ```
//!
//! A file holds one hand-over, encoded as in [`crate::handover`], so that a torn one is recognised. It appears under
//! its final name only when it is complete. The core's user writes, the sender's user reads: the directory belongs
//! to both through a common group, files are readable for owner and group (less what the umask takes), never for others.
//!
//! A file may hold a result that the sender took as well, when its answer came late: the id tells.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::handover::{DecodeError, HandOver, MAX_HANDOVER_BYTES};

/// Where results are left unless told otherwise.
pub const DEFAULT_DIRECTORY: &str = "/var/lib/understudy/spill";

/// How many files the directory may hold: beyond that the sender has been away for too long, and the core is told.
pub const MAX_FILES: usize = 100_000;

const SUFFIX: &str = ".result";
const PARTIAL_SUFFIX: &str = ".partial";
const FILE_MODE: u32 = 0o640;

/// Leaves one result in the directory; gives the file's path.
///
/// # Errors
///
/// What the system says when the directory is missing, not writable or its disk is full, and
/// [`io::ErrorKind::Other`] when [`MAX_FILES`] are there. Nothing stays behind then.
pub fn write(directory: &Path, handover: &HandOver) -> io::Result<PathBuf> {
    if fs::read_dir(directory)?.take(MAX_FILES).count() == MAX_FILES {
        let message = format!("it holds {MAX_FILES} results, no more are kept. Start the sender, which drains it");
        return Err(io::Error::other(message));
    }
    let name = file_name();
    let partial = directory.join(format!(".{name}{PARTIAL_SUFFIX}"));
    let path = directory.join(format!("{name}{SUFFIX}"));
    write_new(&partial, &handover.encode()).and_then(|()| fs::rename(&partial, &path)).inspect_err(|_| {
        // The first error is the one to report; a partial file that stays is never read.
        let _ = fs::remove_file(&partial);
    })?;
    Ok(path)
}

/// The complete files in the directory, oldest first.
///
/// # Errors
///
/// What the system says when the directory cannot be read.
pub fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        // Anything but a regular file (a FIFO, say) could block who reads it.
        if !name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes()) && entry.file_type()?.is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The result in a file of [`list`].
///
/// # Errors
///
/// See [`ReadError`].
pub fn read(path: &Path) -> Result<HandOver, ReadError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_HANDOVER_BYTES).expect("1 MiB fits") + 1;
    File::open(path).map_err(ReadError::Io)?.take(limit).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    HandOver::decode(&bytes).map_err(ReadError::Torn)
}

/// Why a spill file gave no result.
#[derive(Debug)]
pub enum ReadError {
    /// The file cannot be read; it may be readable later.
    Io(io::Error),
    /// The file holds no whole hand-over and never will.
    Torn(DecodeError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the spill file: {error}"),
            Self::Torn(error) => write!(f, "the spill file is damaged: {error}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Torn(error) => Some(error),
        }
    }
}

/// Without suffix; sorts by time, and within one process and microsecond no two are the same.
fn file_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    let process = std::process::id();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{micros:020}-{process}-{number}")
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::handover::new_id;

    fn result(code: i16) -> HandOver {
        HandOver {
            id: new_id(),
            host: b"web1".to_vec(),
            service: None,
            code,
            output: b"DOWN".to_vec(),
            perfdata: Vec::new(),
            long_output: Vec::new(),
            check_time_us: 1,
            state_type: None,
            attempt: None,
            check_type: None,
        }
    }

    #[test]
    fn what_is_written_is_listed_in_order_and_read() {
        let directory = tempfile::tempdir().unwrap();
        let written: Vec<_> = (0..20).map(result).collect();
        let paths: Vec<_> = written.iter().map(|r| write(directory.path(), r).unwrap()).collect();
        assert_eq!(list(directory.path()).unwrap(), paths);
        let read: Vec<_> = paths.iter().map(|path| read(path).unwrap()).collect();
        assert_eq!(read, written);
    }

    #[test]
    fn only_complete_regular_files_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(".1-1-1.partial"), "").unwrap();
        fs::write(directory.path().join("notes.txt"), "").unwrap();
        fs::create_dir(directory.path().join("2-2-2.result")).unwrap();
        assert_eq!(list(directory.path()).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn others_may_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), &result(0)).unwrap();
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{mode:o}");
    }

    #[test]
    fn torn_files_are_told_from_unreadable_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), &result(0)).unwrap();
        let bytes = fs::read(&path).unwrap();
        for end in 0..bytes.len() {
            fs::write(&path, &bytes[..end]).unwrap();
            assert!(matches!(read(&path), Err(ReadError::Torn(_))), "cut at {end}");
        }
        assert!(matches!(read(&directory.path().join("absent")), Err(ReadError::Io(_))));
    }

    #[test]
    fn a_missing_directory_is_an_error_and_is_not_created() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("spill");
        assert_eq!(write(&missing, &result(0)).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!missing.exists());
    }
}
