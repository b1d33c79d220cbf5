//! A directory of the operating system, locked.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, posix_fallocate};

use super::{Disk, DiskFile};

const LOCK: &str = "lock";
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory of the operating system. The lock is held as long as this lives, and ends with the process.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: File,
    /// Holds the process id of whoever has the lock, for messages only.
    _lock: Flock<File>,
}

/// Why a directory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or this one, has it open.
    #[error(
        "{path} is in use by {holder}: two writers would destroy it. Stop that one, or give this one another directory"
    )]
    InUse {
        /// The directory.
        path: String,
        /// "process 4711", or "another process".
        holder: String,
    },
    /// What the system says.
    #[error("cannot open the directory: {0}")]
    Io(#[from] io::Error),
}

impl Directory {
    /// Makes the directory if it is missing, for its owner alone, and locks it.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn open(path: &Path) -> Result<Self, LockError> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)?;
        let handle = File::open(path)?;
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), handle, _lock: lock })
    }
}

fn lock(directory: &Path) -> Result<Flock<File>, LockError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(directory.join(LOCK))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            // For messages only: on a full disk the lock is as good without.
            let _ = write_pid(&mut lock);
            Ok(lock)
        }
        Err((file, Errno::EWOULDBLOCK)) => {
            Err(LockError::InUse { path: directory.display().to_string(), holder: holder(file) })
        }
        Err((_, errno)) => Err(LockError::Io(errno.into())),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(std::process::id().to_string().as_bytes())
}

fn holder(file: File) -> String {
    const MAX_PID_BYTES: u64 = 20;
    let mut text = String::new();
    let read = file.take(MAX_PID_BYTES).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

impl Disk for Directory {
    type File = File;

    fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(FILE_MODE).open(self.path.join(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let length = i64::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        posix_fallocate(self, 0, length)?;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
