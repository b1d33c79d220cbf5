//! What outlives this process: `state_directory/chronicle`.
//!
//! ```text
//! {"version":1,
//!  "log":{"device":2049,"inode":131,"offset":52113},     how far which log was read
//!  "notified":{"since":1700000000,"until":1700000500},   when the core notified last; Unix seconds
//!  "notifies":true}                                      whether it did in the last status file
//! ```
//!
//! **Invariant:** it is replaced as a whole. Without it, or if it is damaged, a log that was rotated away meanwhile is not read to
//! its end, and when the core notified last is known from the next status file on.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use book::Activity;
use nagios::log::LogPosition;
use serde::{Deserialize, Serialize};

/// Its name in the state directory.
pub(crate) const FILE_NAME: &str = "chronicle";

const VERSION: u32 = 1;

/// What is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) log: Option<LogPosition>,
    pub(crate) activity: Option<Activity>,
    pub(crate) notifies: Option<bool>,
}

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    #[error("cannot {doing} {}: {source}: check its disk, and whether this user may write there", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not of this version, or damaged: {reason}; it is written anew", path.display())]
    Damaged { path: PathBuf, reason: String },
}

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    log: Option<Log>,
    notified: Option<Notified>,
    notifies: Option<bool>,
}

#[derive(Serialize, Deserialize)]
struct Log {
    device: u64,
    inode: u64,
    offset: u64,
}

#[derive(Serialize, Deserialize)]
struct Notified {
    since: i64,
    until: i64,
}

impl Kept {
    /// What was kept; nothing if there is no file.
    pub(crate) fn read(path: &Path) -> Result<Self, KeptError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(KeptError::Io { doing: "read", path: path.to_owned(), source }),
        };
        let damaged = |reason| KeptError::Damaged { path: path.to_owned(), reason };
        let contents: Contents = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if contents.version != VERSION {
            return Err(damaged(format!("it is of version {}", contents.version)));
        }
        Ok(Self {
            log: contents.log.map(|Log { device, inode, offset }| LogPosition { device, inode, offset }),
            activity: contents.notified.map(|Notified { since, until }| Activity { since, until }),
            notifies: contents.notifies,
        })
    }

    /// Keeps this. When it returns, the disk knows.
    pub(crate) fn write(&self, path: &Path) -> Result<(), KeptError> {
        self.try_write(path).map_err(|source| KeptError::Io { doing: "write", path: path.to_owned(), source })
    }

    fn try_write(&self, path: &Path) -> io::Result<()> {
        let contents = Contents {
            version: VERSION,
            log: self.log.map(|LogPosition { device, inode, offset }| Log { device, inode, offset }),
            notified: self.activity.map(|Activity { since, until }| Notified { since, until }),
            notifies: self.notifies,
        };
        let partial = path.with_extension("partial");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(&serde_json::to_vec(&contents)?)?;
        file.sync_all()?;
        fs::rename(partial, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        assert_eq!(Kept::read(&path).unwrap(), Kept::default());
        let kept = Kept {
            log: Some(LogPosition { device: 1, inode: 2, offset: 3 }),
            activity: Some(Activity { since: 4, until: 5 }),
            notifies: Some(true),
        };
        kept.write(&path).unwrap();
        assert_eq!(Kept::read(&path).unwrap(), kept);
        let whole = fs::read(&path).unwrap();
        let expected = br#"{"version":1,"log":{"device":1,"inode":2,"offset":3},"notified":{"since":4,"until":5},"notifies":true}"#;
        assert_eq!(whole, expected);
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(Kept::read(&path), Err(KeptError::Damaged { .. })), "cut at {cut}, and taken");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let error = Kept::default().write(&directory.path().join("none/chronicle")).unwrap_err().to_string();
        assert!(error.contains("none/chronicle") && error.contains("check its disk"), "{error}");
    }
}
