//! The socket's file: who may connect, and which daemon it belongs to.
//!
//! It is bound in a directory of its own that nobody else can enter, given its mode, and moved to where clients look for
//! it. The directory around it is locked meanwhile, so that of two daemons that start at the same time one finds the other.

use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::unix::UCred;

/// Its owner and its group.
const MODE: u32 = 0o660;

/// How long another daemon may take to put its socket next to this one.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// How long a daemon that may be alive gets to take a connection.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Usually `/run/understudy`, which systemd makes when it starts the daemon.
    #[error(
        "{}: the directory {} does not exist: create it, writable for this daemon's user, or name another place with \
         control_socket in [node]", .0.display(), directory(.0).display()
    )]
    NoDirectory(PathBuf),
    /// Two daemons need two sockets.
    #[error(
        "{}: another understudy runs with this control socket: stop it, or give this one another control_socket in [node]",
        .0.display()
    )]
    AlreadyRunning(PathBuf),
    /// Deleting it could destroy what is not ours.
    #[error(
        "{}: something that is not a socket is in the way: move it aside, or name another control_socket in [node]",
        .0.display()
    )]
    InTheWay(PathBuf),
    /// Anything else that the system says.
    #[error("{}: cannot {action}: {error}; look at the directory's owner and mode, or name another control_socket in [node]", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

/// A socket in its place. The file goes when this does, unless another daemon has put its own there.
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    /// Makes the socket at `path`.
    pub(crate) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
        let _start = lock_directory(path)?;
        refuse_if_occupied(path)?;
        let nursery = Nursery::new(path)?;
        let hidden = nursery.0.join("s");
        let listener = UnixListener::bind(&hidden).map_err(failed(path, "bind the socket"))?;
        fs::set_permissions(&hidden, Permissions::from_mode(MODE)).map_err(failed(path, "set the socket's mode"))?;
        let inode = fs::symlink_metadata(&hidden).map_err(failed(path, "look at the socket"))?.ino();
        fs::rename(&hidden, path).map_err(failed(path, "put the socket in its place"))?;
        Ok((listener, SocketFile { path: path.to_owned(), inode }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this caller may ask: see the crate's documentation.
    pub(crate) fn admits(&self, caller: UCred) -> bool {
        let Some(file) = self.metadata() else { return false };
        let known = [0, nix::unistd::geteuid().as_raw()].contains(&caller.uid()) || caller.gid() == file.gid();
        known || file.mode() & 0o007 == 0
    }

    /// Of the file, if it is still ours.
    fn metadata(&self) -> Option<Metadata> {
        fs::symlink_metadata(&self.path).ok().filter(|file| file.ino() == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.metadata().is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A directory beside the socket that only this user can enter. Its name is short: a socket's path has an upper limit of
/// some hundred bytes.
struct Nursery(PathBuf);

impl Nursery {
    fn new(path: &Path) -> Result<Nursery, BindError> {
        let nursery = Nursery(directory(path).join(format!(".{}", std::process::id())));
        // What a daemon left that died just here with the same process id.
        nursery.clear();
        DirBuilder::new().mode(0o700).create(&nursery.0).map_err(failed(path, "prepare the socket"))?;
        Ok(nursery)
    }

    fn clear(&self) {
        let _ = fs::remove_file(self.0.join("s"));
        let _ = fs::remove_dir(&self.0);
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One daemon at a time looks whether a socket is in use and replaces it.
fn lock_directory(path: &Path) -> Result<File, BindError> {
    let directory = File::open(directory(path)).map_err(failed(path, "open its directory"))?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(directory),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
            Err(error) => return Err(failed(path, "lock its directory")(error.into())),
        }
    }
}

/// A socket that nobody listens on was left by a daemon that died, and may be replaced.
fn refuse_if_occupied(path: &Path) -> Result<(), BindError> {
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, "look at the socket")(error)),
    };
    if !file.file_type().is_socket() {
        return Err(BindError::InTheWay(path.to_owned()));
    }
    match connect(path, PROBE_WAIT) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // A daemon that hangs lives, too.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
            Err(failed(path, "try whether another daemon listens there")(error))
        }
        Ok(_) | Err(_) => Err(BindError::AlreadyRunning(path.to_owned())),
    }
}

/// Connects to the socket at `path`; `WouldBlock` when whoever listens there takes no connection within `limit`. The
/// stream's time-out for writing is `limit`.
pub(crate) fn connect(path: &Path, limit: Duration) -> io::Result<std::os::unix::net::UnixStream> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_write_timeout(Some(limit))?;
    socket.connect(&socket2::SockAddr::unix(path)?)?;
    Ok(socket.into())
}

/// Where the socket lies.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// For `map_err`: what was tried.
fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> BindError {
    let path = path.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::NotFound => BindError::NoDirectory(path),
        _ => BindError::Io { path, action, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_socket_is_refused_and_a_stale_one_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let (listener, file) = SocketFile::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert!(matches!(SocketFile::bind(&path), Err(BindError::AlreadyRunning(_))));
        assert!(path.exists(), "a refused start harms nobody");
        drop((listener, file));
        assert!(!path.exists(), "an orderly end removes the socket");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, second) = SocketFile::bind(&path).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside the socket");
        fs::remove_file(&path).unwrap();
        let (_third_listener, _third) = SocketFile::bind(&path).unwrap();
        drop(second);
        assert!(path.exists(), "the socket of another daemon stays");
    }

    #[test]
    fn daemons_that_start_at_the_same_time_wait_for_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let other_start = lock_directory(&path).unwrap();
        let Err(error) = SocketFile::bind(&path) else { panic!("bound while another daemon was about to") };
        assert!(matches!(error, BindError::Io { action: "lock its directory", .. }), "{error}");
        drop(other_start);
        assert!(SocketFile::bind(&path).is_ok());
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(matches!(SocketFile::bind(&file), Err(BindError::InTheWay(_))));
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        let absent = directory.path().join("absent/control.sock");
        let Err(error) = SocketFile::bind(&absent) else { panic!("bound in no directory") };
        assert!(matches!(error, BindError::NoDirectory(_)));
        assert!(error.to_string().contains("absent does not exist"), "{error}");
    }
}
