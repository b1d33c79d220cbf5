//! Why the sender does not start.

use std::io;
use std::path::PathBuf;

/// What stands in the way of a start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A second daemon would take half of the results.
    #[error(
        "{0}: another understudy is running and reads this socket; stop it, or give this one another [sender] socket"
    )]
    AlreadyRunning(PathBuf),
    /// Deleting it could destroy what is not ours.
    #[error(
        "{path}: something that is not a {expected} is in the way; move it aside, or name another path in [sender]"
    )]
    InTheWay {
        /// What lies there.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// A core that started while the FIFO was absent makes a file of it.
    #[error(
        "{0}: a regular file where the perfdata FIFO belongs, made by a core that started before this daemon; \
         delete it, start this daemon, then restart the core"
    )]
    RegularPerfdataFile(PathBuf),
    /// Usually `/run/understudy`, which does not survive a reboot.
    #[error("{path}: the directory {directory} does not exist; create it, writable for this daemon", directory = .path.parent().unwrap_or(.path).display())]
    NoDirectory {
        /// What was to be made in it.
        path: PathBuf,
    },
    /// The queue on disk cannot be used.
    #[error("the spool: {0}")]
    Spool(#[from] spool::OpenError),
    /// A destination's name cannot be that of a position in the spool.
    #[error("the spool: {0}")]
    Name(#[from] spool::NameError),
    /// Starting without what it says would give up what sealed sessions protect.
    #[error(
        "{path} is damaged: {reason}. It says which destinations are Understudies, so that nobody can pretend that they are not; \
         delete it to find that out anew"
    )]
    SealedPeers {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Anything else that the system says.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file, socket or FIFO.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// No thread for an intake.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The system gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl From<spool::Trouble> for StartError {
    fn from(trouble: spool::Trouble) -> StartError {
        StartError::Spool(trouble.into())
    }
}

impl StartError {
    /// For `map_err`: what was tried on `path`.
    pub(crate) fn io(path: &std::path::Path, action: &'static str) -> impl FnOnce(io::Error) -> StartError {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => StartError::NoDirectory { path },
            _ => StartError::Io { path, action, source },
        }
    }
}
