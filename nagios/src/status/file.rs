//! The status file on disk, which the core replaces at each of its intervals.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{StatusError, StatusReader};

/// Which status file it is. Two that are written one after the other differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// When it was written, in seconds since 1970.
    pub modified: i64,
    /// And the part of a second.
    pub nanoseconds: i64,
    /// Its inode.
    pub inode: u64,
}

impl Version {
    fn of(found: &Metadata) -> Self {
        Version { modified: found.mtime(), nanoseconds: found.mtime_nsec(), inode: found.ino() }
    }
}

/// What is at a status file's path.
#[derive(Debug)]
pub enum Look {
    /// Nothing: a core removes it when it stops, and writes it a while after its start.
    Missing,
    /// The version that is known.
    Known,
    /// Another one.
    New(Version, StatusReader<File>),
}

/// Looks at the status file at `path`, and opens it unless it is the version that is `known`.
///
/// # Errors
/// It is there, and cannot be opened.
pub fn look(path: &Path, known: Option<Version>) -> Result<Look, StatusError> {
    let unreadable = |source: io::Error| StatusError::Io { line: 0, source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::Missing),
        Err(error) => return Err(unreadable(error)),
    };
    let version = Version::of(&file.metadata().map_err(unreadable)?);
    if known == Some(version) {
        return Ok(Look::Known);
    }
    Ok(Look::New(version, StatusReader::new(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_new_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.dat");
        assert!(matches!(look(&path, None).unwrap(), Look::Missing));
        std::fs::write(&path, "info {\n\tcreated=1\n\t}\n").unwrap();
        let Look::New(version, mut reader) = look(&path, None).unwrap() else { panic!("it is new") };
        assert!(reader.next_block().unwrap().is_some());
        assert!(matches!(look(&path, Some(version)).unwrap(), Look::Known));

        let beside = directory.path().join("another");
        std::fs::write(&beside, "info {\n\tcreated=2\n\t}\n").unwrap();
        std::fs::rename(beside, &path).unwrap();
        assert!(matches!(look(&path, Some(version)).unwrap(), Look::New(..)));
    }
}
