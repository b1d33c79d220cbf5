//! The command line's side. It blocks, for a bounded time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Group};

use crate::protocol::{self, Answer, MAX_ANSWER_BYTES, Misunderstood, Request, Verified};
use crate::socket::connect;
use crate::status::Status;

/// How long the daemon may take to take the connection, and then to answer, unless said otherwise. Longer than it may take for
/// another client.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever asks the daemon that listens on one socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    patience: Duration,
}

/// What became of [`Client::forget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgot {
    /// It is forgotten that this peer could seal its sessions.
    Something,
    /// There was nothing to forget.
    Nothing,
}

/// Why there is no answer, or not the one that was wanted; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no daemon answers at {}: is it running (`systemctl status understudy`)? If its socket is elsewhere, name its \
         configuration with --config FILE, or the socket with --socket PATH", .0.display()
    )]
    NotRunning(PathBuf),
    /// The file's mode says no.
    #[error(
        "{} is for its owner and the group {group:?} alone: run this with sudo, or join the group (`adduser USER {group}`, \
         then log in again)", socket.display()
    )]
    NoPermission {
        /// The socket.
        socket: PathBuf,
        /// The group that may.
        group: String,
    },
    /// It took too long.
    #[error("the daemon at {} has not answered for {patience:?}: look into its log (`journalctl -u understudy`)", socket.display())]
    Silent {
        /// The socket.
        socket: PathBuf,
        /// How long it had.
        patience: Duration,
    },
    /// It closed the connection before it had said something.
    #[error("the daemon at {} ended without an answer: look into its log (`journalctl -u understudy`)", .0.display())]
    NoAnswer(PathBuf),
    /// The program was replaced and the daemon not restarted, or the other way round.
    #[error(
        "the daemon at {} is of another version than this program ({error}): restart it (`systemctl restart understudy`), or \
         call the program that it runs", socket.display()
    )]
    OtherVersion {
        /// The socket.
        socket: PathBuf,
        /// What was not understood.
        error: Misunderstood,
    },
    /// Its answer fits another question.
    #[error("the daemon at {} answered something else: is this its control socket?", .0.display())]
    WrongAnswer(PathBuf),
    /// The configuration has no such destination.
    #[error("there is no destination {name:?}: {}", known_destinations(known))]
    NoSuchDestination {
        /// The one that was asked for.
        name: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// The daemon understood, and will not.
    #[error("the daemon refuses: {0}")]
    Refused(String),
    /// Anything else that the system says.
    #[error("cannot talk to the daemon at {}: {error}", socket.display())]
    Io {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl Client {
    /// For the daemon that listens on `socket`. Nothing happens yet.
    pub fn new(socket: impl Into<PathBuf>) -> Client {
        Client { socket: socket.into(), patience: PATIENCE }
    }

    /// Waits no longer than `patience` for the connection, and then for the answer.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Client {
        Client { patience, ..self }
    }

    /// How it goes.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub fn status(&self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status)? {
            Answer::Status(status) => Ok(*status),
            other => Err(self.unexpected(other)),
        }
    }

    /// Makes the sender forget that this destination could seal its sessions.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub fn forget(&self, destination: &str) -> Result<Forgot, ClientError> {
        match self.ask(&Request::Forget { destination: destination.into() })? {
            Answer::Forgotten => Ok(Forgot::Something),
            Answer::NothingToForget => Ok(Forgot::Nothing),
            Answer::NoSuchDestination { known } => {
                Err(ClientError::NoSuchDestination { name: destination.into(), known })
            }
            other => Err(self.unexpected(other)),
        }
    }

    /// Whether this node's core agrees with the one in charge; or why that cannot be told.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub fn verify(&self, at_once: bool) -> Result<Result<Verified, String>, ClientError> {
        match self.ask(&Request::Verify { at_once })? {
            Answer::Verified(verified) => Ok(Ok(verified)),
            Answer::CannotTell { reason } => Ok(Err(reason)),
            other => Err(self.unexpected(other)),
        }
    }

    /// Carries out an order or an event for the failover controller. What the operator should know besides.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub fn order(&self, order: &Request) -> Result<Vec<String>, ClientError> {
        match self.ask(order)? {
            Answer::Done { notes } => Ok(notes),
            other => Err(self.unexpected(other)),
        }
    }

    /// Any request; the answer may be [`Answer::Refused`].
    ///
    /// # Errors
    ///
    /// When there is no answer. See [`ClientError`].
    pub fn ask(&self, request: &Request) -> Result<Answer, ClientError> {
        let line = self.exchange(&protocol::encode(request)).map_err(|error| self.failed(error))?;
        if line.is_empty() {
            return Err(ClientError::NoAnswer(self.socket.clone()));
        }
        protocol::decode(&line).map_err(|error| ClientError::OtherVersion { socket: self.socket.clone(), error })
    }

    /// Sends a line, and gives the line that comes back.
    fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = connect(&self.socket, self.patience)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.write_all(request)?;
        let mut line = Vec::new();
        BufReader::new(stream.take(MAX_ANSWER_BYTES as u64)).read_until(b'\n', &mut line)?;
        Ok(line)
    }

    fn failed(&self, error: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning(socket),
            io::ErrorKind::PermissionDenied => ClientError::NoPermission { group: group_of(&socket), socket },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::Silent { socket, patience: self.patience }
            }
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ClientError::NoAnswer(socket),
            _ => ClientError::Io { socket, error },
        }
    }

    fn unexpected(&self, answer: Answer) -> ClientError {
        match answer {
            Answer::Refused { reason } => ClientError::Refused(reason),
            _ => ClientError::WrongAnswer(self.socket.clone()),
        }
    }
}

fn known_destinations(known: &[String]) -> String {
    if known.is_empty() {
        return "this daemon sends nowhere".to_owned();
    }
    format!("those in the daemon's configuration are {}", known.join(", "))
}

/// The group of the socket or, where that is hidden, of the directory that hides it.
fn group_of(socket: &Path) -> String {
    let visible = socket.ancestors().find_map(|path| path.symlink_metadata().ok());
    let gid = visible.map_or(0, |file| file.gid());
    match Group::from_gid(Gid::from_raw(gid)) {
        Ok(Some(group)) => group.name,
        Ok(None) | Err(_) => gid.to_string(),
    }
}
