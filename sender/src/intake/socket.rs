//! The socket of `understudy-ocsp`, on a thread of its own: the kernel holds only ten datagrams
//! (`net.unix.max_dgram_qlen`), and the core waits for each answer.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ocsp::handover::{Answer, HandOver, MAX_HANDOVER_BYTES};
use tracing::warn;

use super::Intake;
use super::spill::{Directory, Spill};
use crate::error::StartError;
use crate::throttle::Throttle;
use crate::wait;

/// How many hand-overs are written into the spool together, and answered before the spill directory is looked at again.
const BATCH: usize = 64;

/// A batch of this many bytes takes no more, so that long results do not add up.
const BATCH_BYTES: usize = MAX_HANDOVER_BYTES;

/// How soon a spill directory with a backlog is tried again.
const BACKLOG_STEP: Duration = Duration::from_millis(20);

/// The bound socket. Its file goes when this does, unless another daemon has put its own there.
pub(crate) struct Socket {
    socket: UnixDatagram,
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Binds `path`, with these permissions and group from the first moment on that the path exists.
    pub(crate) fn bind(path: &Path, mode: u32, group: Option<u32>) -> Result<Socket, StartError> {
        refuse_if_occupied(path)?;
        let mut temporary = path.to_owned().into_os_string();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        // Left over by a daemon that died between bind and rename.
        let _ = fs::remove_file(&temporary);
        let socket = UnixDatagram::bind(&temporary).map_err(StartError::io(path, "bind the socket"))?;
        socket.set_nonblocking(true).map_err(StartError::io(path, "set the socket up"))?;
        let inode = publish(&temporary, path, mode, group).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })?;
        Ok(Socket { socket, path: path.to_owned(), inode })
    }

    /// Answers hand-overs and empties the spill directory until `stop`.
    pub(crate) fn serve(self, mut intake: Intake, mut spill: Spill, stop: &AtomicBool) {
        let mut datagram = vec![0; MAX_HANDOVER_BYTES + 1];
        let mut complaint = Throttle::default();
        while !stop.load(Ordering::Relaxed) {
            // In this order: who spilled a result before it handed over the next one finds it taken first.
            let batch = self.receive(&mut datagram, &mut complaint);
            let directory = spill.drain(&mut intake, Instant::now());
            self.answer(batch, directory, &mut intake, &mut complaint);
            let timeout = if directory == Directory::Backlog { BACKLOG_STEP } else { wait::STEP };
            wait::readable(&[self.socket.as_fd()], timeout);
        }
    }

    /// What clients have handed over until now, within a batch's limits.
    fn receive(&self, datagram: &mut [u8], complaint: &mut Throttle) -> Vec<(HandOver, SocketAddr)> {
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && batch_bytes < BATCH_BYTES {
            let Ok((bytes, from)) = self.socket.recv_from(datagram) else {
                break;
            };
            match HandOver::decode(&datagram[..bytes]) {
                Ok(handover) => batch.push((handover, from)),
                Err(error) => {
                    // Without an id there is nobody to answer; understudy-ocsp spills when no answer comes.
                    if let Some(datagrams) = complaint.count(1, Instant::now()) {
                        warn!(socket = %self.path.display(), datagrams, %error, "datagrams that are no hand-over were dropped");
                    }
                }
            }
            // A datagram counts for something even if it is empty, so that a flood of them ends.
            batch_bytes += bytes.max(BATCH_BYTES / 1000);
        }
        batch
    }

    fn answer(
        &self,
        batch: Vec<(HandOver, SocketAddr)>,
        directory: Directory,
        intake: &mut Intake,
        complaint: &mut Throttle,
    ) {
        let clients: Vec<_> = batch.iter().map(|(handover, from)| (handover.id, from.clone())).collect();
        let answers = match directory {
            Directory::Empty => intake.take_all(batch.into_iter().map(|(handover, _)| handover), Instant::now()),
            Directory::Backlog => vec![Answer::Full; clients.len()],
        };
        for (answer, (id, from)) in answers.iter().zip(clients) {
            if let Answer::Refused(reason) = answer
                && let Some(results) = complaint.count(1, Instant::now())
            {
                warn!(results, reason, "results were refused");
            }
            // A client that no longer waits has spilled its result, and the id tells the two copies.
            let _ = self.socket.send_to_addr(&answer.encode(id), &from);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A socket that nobody reads is left over by a daemon that died, and may be replaced.
fn refuse_if_occupied(path: &Path) -> Result<(), StartError> {
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StartError::io(path, "look at the socket")(error)),
    };
    if !file.file_type().is_socket() {
        return Err(StartError::InTheWay { path: path.to_owned(), expected: "socket" });
    }
    let probe = UnixDatagram::unbound().map_err(StartError::io(path, "make a socket"))?;
    match probe.connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Ok(()) => Err(StartError::AlreadyRunning(path.to_owned())),
        Err(error) => Err(StartError::io(path, "try whether another daemon reads the socket")(error)),
    }
}

/// Moves the finished socket to where clients look for it; gives its inode.
fn publish(temporary: &Path, path: &Path, mode: u32, group: Option<u32>) -> Result<u64, StartError> {
    chown(temporary, None, group).map_err(StartError::io(path, "give the socket to socket_group"))?;
    fs::set_permissions(temporary, fs::Permissions::from_mode(mode))
        .map_err(StartError::io(path, "set socket_mode"))?;
    let inode = fs::symlink_metadata(temporary).map_err(StartError::io(path, "look at the socket"))?.ino();
    fs::rename(temporary, path).map_err(StartError::io(path, "put the socket in place"))?;
    Ok(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_socket_is_refused_and_a_stale_one_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ocsp.sock");
        let first = Socket::bind(&path, 0o640, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(matches!(Socket::bind(&path, 0o660, None), Err(StartError::AlreadyRunning(_))));
        drop(first);
        assert!(!path.exists(), "an orderly end removes the socket");
        drop(UnixDatagram::bind(&path).unwrap());
        let second = Socket::bind(&path, 0o660, None).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::remove_file(&path).unwrap();
        let third = Socket::bind(&path, 0o660, None).unwrap();
        drop(second);
        assert!(path.exists(), "the socket of another daemon stays");
        drop(third);
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(matches!(Socket::bind(&file, 0o660, None), Err(StartError::InTheWay { .. })));
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        let absent = directory.path().join("absent/ocsp.sock");
        let Err(error) = Socket::bind(&absent, 0o660, None) else { panic!("bound in no directory") };
        assert!(matches!(error, StartError::NoDirectory { .. }));
        assert!(error.to_string().contains("absent does not exist"), "{error}");
    }
}
