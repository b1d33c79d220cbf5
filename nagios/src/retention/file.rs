//! The core's retention file on disk, and what takes its place for a moment.
//!
//! ```text
//! retention.dat                    the core's own, or a partial one of ours, which begins with MARK
//! retention.dat.understudy-kept    the core's own, while a partial one is in its place
//! retention.dat.understudy-new     what is being written
//! ```
//!
//! **Invariant:** at every moment there is a whole file at the path: things are written beside it, synced, and renamed.
//!
//! **Invariant:** while a partial file is in its place, the core's own one is kept, also when we are killed:
//! [`RetentionFile::put_back`] at the next start finds it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::MARK;
use super::beside::{Beside, directory, give, sync_directory};

/// A core's retention file.
#[derive(Clone, Debug)]
pub struct RetentionFile {
    path: PathBuf,
}

/// Why a retention file could not be replaced. What was there is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} the core's retention file {}: {source}: {}", path.display(), advice(source))]
pub struct RetentionError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "is it this core's state_retention_file?",
        io::ErrorKind::PermissionDenied => "run as the core's user, who may write its directory",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on its disk",
        _ => "check the file and its disk",
    }
}

impl RetentionFile {
    /// The file at `path`. Nothing is opened yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Puts `contents` in its place, with its owner and mode, and keeps what was there. If there was none, because the core has
    /// not saved yet, it gets the directory's owner, and no rights for others.
    ///
    /// # Errors
    /// It cannot be replaced, or the new one could not have its owner.
    pub fn replace(&self, contents: &[u8]) -> Result<(), RetentionError> {
        self.try_replace(contents).map_err(|source| self.error("replace", source))
    }

    /// Whether a partial file of ours is in its place: nobody has saved since, or, where the core removes it, read it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_ours(&self) -> Result<bool, RetentionError> {
        found(begins_with_mark(&self.path)).map(Option::unwrap_or_default).map_err(|source| self.error("read", source))
    }

    /// Puts the kept file back if a partial one is still in its place, and says whether it was. What was kept is gone then; if
    /// there was none before, there is none again.
    ///
    /// # Errors
    /// The file cannot be put back.
    pub fn put_back(&self) -> Result<bool, RetentionError> {
        self.try_put_back().map_err(|source| self.error("put back", source))
    }

    fn try_replace(&self, contents: &[u8]) -> io::Result<()> {
        // After a crash of ours, what is kept is the core's own file, and what is in its place is not.
        self.try_put_back()?;
        let kept = self.beside("kept");
        // A core that has not saved yet has none; then its directory says whose it would be.
        let (like, mode) = match found(fs::metadata(&self.path))? {
            Some(own) => {
                keep(&self.path, &kept)?;
                let mode = own.mode() & 0o7777;
                (own, mode)
            }
            None => (fs::metadata(directory(&self.path))?, 0o600),
        };
        let new = Beside::write(&self.path, &like, mode, &mut &*contents);
        let replaced = new.and_then(|new| new.replace(&self.path));
        if replaced.is_err() {
            let _ = self.try_put_back();
        }
        replaced
    }

    fn try_put_back(&self) -> io::Result<bool> {
        let kept = self.beside("kept");
        let is_kept = kept.try_exists()?;
        let in_place = found(begins_with_mark(&self.path))?;
        match (in_place, is_kept) {
            (Some(true) | None, true) => fs::rename(&kept, &self.path)?,
            // There was none before.
            (Some(true), false) => fs::remove_file(&self.path)?,
            (Some(false), true) => fs::remove_file(&kept)?,
            (Some(false) | None, false) => return Ok(false),
        }
        sync_directory(&self.path)?;
        Ok(in_place != Some(false))
    }

    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".understudy-");
        name.push(what);
        name.into()
    }

    fn error(&self, doing: &'static str, source: io::Error) -> RetentionError {
        RetentionError { doing, path: self.path.clone(), source }
    }
}

/// Keeps the file at `path` at `kept` too: as a link, which costs nothing however large it is. Once another file is at `path`, nobody
/// writes to this one. Where links are refused it is copied.
fn keep(path: &Path, kept: &Path) -> io::Result<()> {
    remove(kept)?;
    if fs::hard_link(path, kept).is_ok() {
        return Ok(());
    }
    copy(path, kept)
}

fn copy(path: &Path, kept: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    let half = kept.with_extension("understudy-half");
    remove(&half)?;
    fs::copy(path, &half)?;
    let file = File::open(&half)?;
    give(&file, &found)?;
    file.sync_all()?;
    fs::rename(half, kept)
}

fn begins_with_mark(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::with_capacity(MARK.len());
    File::open(path)?.take(MARK.len() as u64).read_to_end(&mut begin)?;
    Ok(begin == MARK)
}

fn remove(path: &Path) -> io::Result<()> {
    found(fs::remove_file(path)).map(drop)
}

/// None if there is no such file.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const FULL: &[u8] = b"info {\n}\n";

    struct Site {
        directory: tempfile::TempDir,
        file: RetentionFile,
        owner: (u32, u32),
    }

    fn owner(path: &Path) -> (u32, u32) {
        let found = fs::metadata(path).unwrap();
        (found.uid(), found.gid())
    }

    impl Site {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("retention.dat");
            fs::write(&path, FULL).unwrap();
            if nix::unistd::geteuid().is_root() {
                // Only root can show that another owner stays.
                std::os::unix::fs::chown(&path, Some(1), Some(1)).unwrap();
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let owner = owner(&path);
            Self { owner, directory, file: RetentionFile::new(path) }
        }

        fn holds(&self, expected: &[u8]) {
            assert_eq!(fs::read(&self.file.path).unwrap(), expected);
            assert_eq!(fs::metadata(&self.file.path).unwrap().mode() & 0o7777, 0o640);
            assert_eq!(owner(&self.file.path), self.owner);
        }

        fn files(&self) -> usize {
            fs::read_dir(self.directory.path()).unwrap().count()
        }
    }

    fn partial() -> Vec<u8> {
        [MARK, b"info {\n}\n"].concat()
    }

    #[test]
    fn what_no_core_took_is_put_back() {
        let site = Site::new();
        site.file.replace(&partial()).unwrap();
        site.holds(&partial());
        assert!(site.file.is_ours().unwrap());
        assert!(site.file.put_back().unwrap());
        site.holds(FULL);
        assert_eq!(site.files(), 1);
        assert!(!site.file.put_back().unwrap(), "there is nothing to put back any more");
    }

    #[test]
    fn what_a_core_saved_stays() {
        let site = Site::new();
        site.file.replace(&partial()).unwrap();
        fs::write(&site.file.path, b"info {\ncreated=1\n}\n").unwrap();
        assert!(!site.file.is_ours().unwrap());
        assert!(!site.file.put_back().unwrap());
        site.holds(b"info {\ncreated=1\n}\n");
        assert_eq!(site.files(), 1);
    }

    #[test]
    fn a_crash_in_between_costs_nothing() {
        let site = Site::new();
        site.file.replace(&partial()).unwrap();
        // The next run begins anew without having put anything back.
        site.file.replace(&partial()).unwrap();
        assert!(site.file.put_back().unwrap());
        site.holds(FULL);
        fs::write(site.file.beside("new"), "left behind").unwrap();
        fs::write(site.directory.path().join("retention.dat.understudy-half"), "left behind").unwrap();
        site.file.replace(&partial()).unwrap();
        fs::remove_file(&site.file.path).unwrap();
        assert!(site.file.put_back().unwrap(), "no file at all is as bad as a partial one");
        site.holds(FULL);
    }

    #[test]
    fn a_copy_is_as_good_as_a_link() {
        let site = Site::new();
        let kept = site.file.beside("kept");
        copy(&site.file.path, &kept).unwrap();
        fs::write(&site.file.path, partial()).unwrap();
        assert!(site.file.put_back().unwrap());
        site.holds(FULL);
        assert_eq!(site.files(), 1);
    }

    #[test]
    fn a_core_that_never_saved_has_no_file_again() {
        let site = Site::new();
        fs::remove_file(&site.file.path).unwrap();
        site.file.replace(&partial()).unwrap();
        assert_eq!(fs::metadata(&site.file.path).unwrap().mode() & 0o7777, 0o600);
        assert!(site.file.put_back().unwrap());
        assert_eq!(site.files(), 0);
        assert!(!site.file.is_ours().unwrap());
    }

    #[test]
    fn what_cannot_be_replaced_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let missing = RetentionFile::new(directory.path().join("none/retention.dat"));
        let error = missing.replace(&partial()).unwrap_err().to_string();
        assert!(error.contains("is it this core's state_retention_file?"), "{error}");
        let occupied = RetentionFile::new(directory.path().join("retention.dat"));
        fs::create_dir_all(directory.path().join("retention.dat.understudy-new/x")).unwrap();
        fs::write(&occupied.path, FULL).unwrap();
        assert!(occupied.replace(&partial()).is_err());
        assert_eq!(fs::read(&occupied.path).unwrap(), FULL);
        assert!(!occupied.beside("kept").exists());
    }
}
