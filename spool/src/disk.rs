//! What the spool asks of a file system: one flat directory, and files read and written by position.
//!
//! [`Directory`] is the real one. [`simulated::SimulatedDisk`] keeps everything in memory and can lose what a power
//! cut can lose.

mod directory;
pub mod simulated;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

pub use directory::{Directory, LockError};

/// One directory, held by one writer.
///
/// **Invariant:** the spool believes only in what it synced: a file's bytes after [`DiskFile::sync`], its name after
/// [`Disk::sync`].
pub trait Disk: Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// What to call the directory in messages.
    fn path(&self) -> String;

    /// The names of the files.
    ///
    /// # Errors
    /// What the system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file, or empties the one there, and opens it for reading and writing.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name; a file that had it is gone. Other observers see one or the other, never neither.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. It stays readable for those who have it open.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Waits until all changes of names are on the disk.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;

    /// Reads at most `buffer.len()` bytes from `offset`; 0 at the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some of `bytes` at `offset`. They survive the process at once, a power cut after [`DiskFile::sync`].
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file, or lengthens it with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes the file `length` bytes long, with room on the disk for each, so that writing them needs no more.
    ///
    /// # Errors
    /// What the system says.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// What the system says. What was written may then be lost at a power cut even if a later call succeeds.
    fn sync(&self) -> io::Result<()>;
}

/// The unit in which a bad sector is passed over.
const BAD_BLOCK_BYTES: usize = 4096;

/// Raw error number of "input/output error", the one that a bad sector gives.
const EIO: i32 = nix::libc::EIO;

/// Fills `buffer` from `offset`, as far as the file goes. Blocks that the disk cannot read come as zeros, which no
/// checksum accepts: they cost the records in them, no others.
pub(crate) fn read_full(file: &impl DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let at = offset + filled as u64;
        match file.read_at(&mut buffer[filled..], at) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(EIO) => {
                let length = usize::try_from(file.length()?.saturating_sub(at)).unwrap_or(usize::MAX);
                let block = BAD_BLOCK_BYTES.min(buffer.len() - filled).min(length);
                if block == 0 {
                    break;
                }
                let one = &mut buffer[filled..filled + block];
                match file.read_at(one, at) {
                    Ok(bytes) if bytes > 0 => filled += bytes,
                    _ => {
                        one.fill(0);
                        filled += block;
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes all of `bytes`.
pub(crate) fn write_full(file: &impl DiskFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The file's bytes, or `None` if there is no such file. At most `limit` bytes are read.
pub(crate) fn read_file<D: Disk>(disk: &D, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(limit)];
    let filled = read_full(&file, &mut bytes, 0)?;
    bytes.truncate(filled);
    Ok(Some(bytes))
}

/// Replaces a file at once and for good: whatever happens, it holds the old bytes or the new ones, and after success
/// the new ones.
pub(crate) fn replace_file<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> io::Result<()> {
    let partial = format!("{name}{PARTIAL_SUFFIX}");
    let file = disk.create(&partial)?;
    let written = write_full(&file, bytes, 0).and_then(|()| file.sync());
    if let Err(error) = written {
        // The first error is the one to report; a partial file is removed when the spool is opened.
        let _ = disk.remove(&partial);
        return Err(error);
    }
    disk.rename(&partial, name)?;
    disk.sync()
}

/// The same for a file anywhere: its name and the directory's entry are on the disk after success.
///
/// # Errors
/// What the system says. Unless it is about the directory's last sync, the file holds the old bytes.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_added_extension(&PARTIAL_SUFFIX[1..]);
    let mut file = File::create(&partial)?;
    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        // The first error is the one to report.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    fs::rename(&partial, path)?;
    match path.parent() {
        Some(directory) if directory != Path::new("") => File::open(directory)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// What files are called while they are written.
pub(crate) const PARTIAL_SUFFIX: &str = ".partial";
