//! What keeps a spool from working, and what the operator should do about it.

use std::io;
use std::sync::Arc;

use nix::errno::Errno;

use crate::disk::LockError;
use crate::record::{MAX_KEY_BYTES, MAX_PAYLOAD_BYTES};

/// A state of the disk in which the spool cannot write. It passes by itself when the cause is gone: the next call that
/// works ends it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The file system is full.
    #[error(
        "the disk that holds {path} is full: make room there. What is in the spool is kept and delivered; new records \
         are refused until there is room"
    )]
    DiskFull {
        /// The spool's directory.
        path: String,
    },
    /// The user's quota is used up.
    #[error(
        "the disk quota for {path} is used up: raise it or remove other files of this user. What is in the spool is \
         kept and delivered; new records are refused until there is room"
    )]
    QuotaExceeded {
        /// The spool's directory.
        path: String,
    },
    /// The file system is read-only.
    #[error(
        "the disk that holds {path} is read-only, perhaps after an error: look into the system's log, then mount it \
         read-write. New records are refused until then"
    )]
    ReadOnly {
        /// The spool's directory.
        path: String,
    },
    /// The user may not write there.
    #[error("no permission to write in {path}: give the directory and its files to the user that runs this program")]
    Denied {
        /// The spool's directory.
        path: String,
    },
    /// The spool's own limit is reached, and nothing can be dropped.
    #[error(
        "the spool in {path} has reached its limit of {max_size} bytes with the newest record of each object alone: \
         raise max_size. New records are refused until then, or until some are delivered"
    )]
    SizeLimit {
        /// The spool's directory.
        path: String,
        /// The limit.
        max_size: u64,
    },
    /// Anything else that the system says.
    #[error("cannot {doing} in {path}: {error}. Check the disk and the system's log")]
    Failing {
        /// The spool's directory.
        path: String,
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        error: Arc<io::Error>,
    },
}

impl Trouble {
    /// What an error of the system means.
    pub(crate) fn from_io(doing: &'static str, path: String, error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC) => Self::DiskFull { path },
            Some(Errno::EDQUOT) => Self::QuotaExceeded { path },
            Some(Errno::EROFS) => Self::ReadOnly { path },
            Some(Errno::EACCES | Errno::EPERM) => Self::Denied { path },
            _ => Self::Failing { path, doing, error: Arc::new(error) },
        }
    }
}

/// Why a spool could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory is in use, or cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The disk does not do what is needed.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The size limit leaves no room to work in.
    #[error("max_size is {given} bytes, at least {least} are needed")]
    TooSmall {
        /// What was asked for.
        given: u64,
        /// The least.
        least: u64,
    },
}

/// Why not all records were appended.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct AppendError {
    /// These were appended nevertheless: the first ones of what was given.
    pub appended: std::ops::Range<u64>,
    /// Why the next one was not.
    #[source]
    pub cause: AppendCause,
}

/// Why a record was not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendCause {
    /// The record itself is too long; try the others.
    #[error(
        "a record with a key of {key} and a payload of {payload} bytes is too long: at most {MAX_KEY_BYTES} and \
         {MAX_PAYLOAD_BYTES}, and {limit} in all with this max_size"
    )]
    TooLong {
        /// Length of the key.
        key: usize,
        /// Length of the payload.
        payload: usize,
        /// Most bytes of both together.
        limit: usize,
    },
    /// Try again later.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}
