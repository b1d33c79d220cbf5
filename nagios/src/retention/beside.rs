//! A new file in the place of another one, with its owner and mode.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// A file beside another one, which goes away unless it replaces that.
#[derive(Debug)]
pub struct Beside {
    path: PathBuf,
}

impl Beside {
    /// Writes `contents` beside `path`, on the disk, with the owner of `like` and with `mode`.
    ///
    /// # Errors
    /// What the system says. Nothing is left then.
    pub fn write(path: &Path, like: &Metadata, mode: u32, contents: &mut impl Read) -> io::Result<Self> {
        let beside = Beside { path: path.with_added_extension("understudy-new") };
        // A daemon that was killed may have left one.
        beside.remove();
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside.path)?;
        io::copy(contents, &mut new)?;
        give(&new, like)?;
        new.set_permissions(Permissions::from_mode(mode))?;
        new.sync_all()?;
        Ok(beside)
    }

    /// Puts it in the place of the file at `path`, in the same directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        sync_directory(path)
    }

    fn remove(&self) {
        // Where it is not there, or may not be removed, whatever comes next says so.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Waits until the names in the directory of `path` are on the disk.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// Where the file at `path` is.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives `file` the owner of `like`.
pub(super) fn give(file: &File, like: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (like.uid(), like.gid()) {
        return Ok(());
    }
    fchown(file, Some(like.uid()), Some(like.gid()))
}
