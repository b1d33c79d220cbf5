//! Why nothing was written, and what the operator can do about it.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CommandFileError {
    /// There is nothing at the path.
    #[error("the command file {} does not exist: is the core running, with check_external_commands=1 and this command_file?", path.display())]
    Missing {
        /// The command file.
        path: PathBuf,
    },
    /// There is a FIFO, but no core reads it.
    #[error("nobody reads the command file {}: the core is not running, or uses another command_file", path.display())]
    NoReader {
        /// The command file.
        path: PathBuf,
    },
    /// There is something else at the path.
    #[error("the command file {} is not a FIFO: remove it, so that the core can create its own, and restart the core", path.display())]
    NotAFifo {
        /// The command file.
        path: PathBuf,
    },
    /// The core does not read as fast as others write.
    #[error("the command file {} is full: the core is busy or hangs", path.display())]
    Full {
        /// The command file.
        path: PathBuf,
    },
    /// The file or a directory on the way to it is closed to us.
    #[error("no permission to write the command file {}: run as a member of its group, and see its directory's mode", path.display())]
    Denied {
        /// The command file.
        path: PathBuf,
    },
    /// The core went away in the middle of a long line.
    #[error("the core restarted in the middle of a line for the command file {}: that line must be written again", path.display())]
    Torn {
        /// The command file.
        path: PathBuf,
    },
    /// Anything else that the system says.
    #[error("cannot write the command file {}: {source}", path.display())]
    Io {
        /// The command file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl CommandFileError {
    pub(super) fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ENOTDIR) => Self::Missing { path },
            Some(Errno::ENXIO | Errno::EPIPE) => Self::NoReader { path },
            Some(Errno::EAGAIN) => Self::Full { path },
            Some(Errno::EACCES | Errno::EPERM) => Self::Denied { path },
            _ => Self::Io { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_the_system_are_told_apart() {
        let error = |errno: Errno| CommandFileError::new(Path::new("/x/nagios.cmd"), errno.into());
        assert!(matches!(error(Errno::EACCES), CommandFileError::Denied { .. }));
        assert!(matches!(error(Errno::ENOTDIR), CommandFileError::Missing { .. }));
        assert!(matches!(error(Errno::EIO), CommandFileError::Io { .. }));
        assert!(error(Errno::EACCES).to_string().contains("/x/nagios.cmd"));
    }
}
