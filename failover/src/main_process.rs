//! Whether a core's main process lives, told by the process itself: no file that it left behind is needed.
//!
//! Nagios 4 and Naemon listen on a query socket, daemon or not, and the system tells whoever connects which process began to
//! listen there. That process is asked for once, and held as a pidfd: the core notices one connection for each of its runs
//! and reloads, says nothing about it in its log, and a process that has the same number later is not mistaken for it.
//!
//! Tried with Nagios 4.4.6: a main process that was killed, and whose parent does not collect it, stays as a zombie, and then
//! its command worker goes on reading the command file for ever, since it looks whether that number still exists. Command
//! file, query socket and lock file look as before. The pidfd tells.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt::PeerCredentials,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The process that listens on a core's query socket.
#[derive(Debug)]
pub(crate) struct Listener {
    path: PathBuf,
    seen: Option<Seen>,
}

/// A socket, and who listened there first.
#[derive(Debug)]
struct Seen {
    /// Inode and time of the last change: no two runs of a core have the same.
    socket: (u64, i64, i64),
    /// None if it had ended already, or lives where this process cannot see it.
    process: Option<OwnedFd>,
}

impl Listener {
    pub(crate) fn new(path: PathBuf) -> Self {
        Listener { path, seen: None }
    }

    /// Whether it lives; none if nobody can be asked. A core that was stopped in order has removed its socket.
    pub(crate) fn lives(&mut self) -> Option<bool> {
        let Ok(found) = fs::metadata(&self.path) else {
            self.seen = None;
            return None;
        };
        let socket = (found.ino(), found.ctime(), found.ctime_nsec());
        if self.seen.as_ref().is_none_or(|seen| seen.socket != socket) {
            // What nobody accepts stays in a short queue, so there is one attempt where one succeeds.
            let pid = listener(&self.path).ok()?;
            let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
            self.seen = Some(Seen { socket, process });
        }
        self.seen.as_ref().and_then(Seen::lives)
    }
}

impl Seen {
    fn lives(&self) -> Option<bool> {
        self.process.as_ref().map(|process| !has_ended(process))
    }
}

/// Whether the process `pid` lives. A zombie does not. Only the system's word counts: a process of another user may not be
/// looked at.
pub(crate) fn lives(pid: nix::unistd::Pid) -> bool {
    match Pid::from_raw(pid.as_raw()).map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
        Some(Ok(process)) => !has_ended(&process),
        // Linux before 5.3.
        Some(Err(_)) | None => nix::sys::signal::kill(pid, None) != Err(Errno::ESRCH),
    }
}

fn has_ended(process: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1)
}

/// Who began to listen at `path`; none if that process is outside of this one's namespace.
fn listener(path: &Path) -> io::Result<Option<Pid>> {
    // A core that hangs accepts nothing, and its queue may be full: never wait for it.
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(Pid::from_raw(getsockopt(&stream, PeerCredentials)?.pid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    /// A process that has ended, and that nobody has collected.
    fn zombie() -> Child {
        let child = Command::new("true").spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while lives(number(&child)) {
            assert!(Instant::now() < deadline, "a zombie counts as alive");
            std::thread::sleep(Duration::from_millis(1));
        }
        child
    }

    fn number(child: &Child) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(child.id().try_into().unwrap())
    }

    #[test]
    fn a_zombie_has_ended() {
        assert!(lives(nix::unistd::Pid::this()));
        let mut zombie = zombie();
        assert_eq!(nix::sys::signal::kill(number(&zombie), None), Ok(()), "its number is still there");
        zombie.wait().unwrap();
        assert!(!lives(number(&zombie)));
    }

    #[test]
    fn whoever_listens_lives_and_nobody_else_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nagios.qh");
        let mut core = Listener::new(path.clone());
        assert_eq!(core.lives(), None, "no socket");
        let listening = UnixListener::bind(&path).unwrap();
        assert_eq!(core.lives(), Some(true));
        listening.set_nonblocking(true).unwrap();
        listening.accept().unwrap();
        assert_eq!(core.lives(), Some(true));
        assert!(listening.accept().is_err(), "one connection is enough");
        drop(listening);
        assert_eq!(Listener::new(path.clone()).lives(), None, "a socket that was left behind names nobody");
        fs::remove_file(&path).unwrap();
        assert_eq!(core.lives(), None, "stopped in order");
    }

    #[test]
    fn a_process_that_was_seen_and_has_ended_is_remembered_until_another_one_listens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nagios.qh");
        drop(UnixListener::bind(&path).unwrap());
        let found = fs::metadata(&path).unwrap();
        let mut zombie = zombie();
        let pid = Pid::from_child(&zombie);
        let process = Some(pidfd_open(pid, PidfdFlags::empty()).unwrap());
        let seen = Seen { socket: (found.ino(), found.ctime(), found.ctime_nsec()), process };
        let mut core = Listener { path: path.clone(), seen: Some(seen) };
        assert_eq!(core.lives(), Some(false));
        zombie.wait().unwrap();
        assert_eq!(core.lives(), Some(false));
        let next = directory.path().join("next");
        let _listening = UnixListener::bind(&next).unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(core.lives(), Some(true));
    }
}
