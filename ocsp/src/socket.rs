//! The hand-over on the sender's socket: one datagram there, one datagram back.
//!
//! The client binds an address of its own in the abstract namespace, so that the sender can answer and nothing has
//! to be removed afterwards. It is connected, so that nobody but the sender can answer.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::handover::{Answer, HandOver, Id, MAX_ANSWER_BYTES};

/// Why the sender did not take the result.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// It never will.
    Refused(String),
    /// It may later; the text says why it did not now.
    Unavailable(Unavailable),
}

/// What keeps the sender from taking a result at this moment.
#[derive(Debug)]
pub(crate) enum Unavailable {
    Full,
    NotReading,
    NoAnswer,
    Io(io::Error),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(f, "the sender's queue is full"),
            Self::NotReading => write!(f, "the sender does not read its socket, it is stopped or overloaded"),
            Self::NoAnswer => write!(f, "the sender did not answer in time, it is stopped or overloaded"),
            Self::Io(error) => match error.kind() {
                io::ErrorKind::NotFound => {
                    write!(f, "the sender's socket does not exist: start understudy, or correct --socket")
                }
                io::ErrorKind::ConnectionRefused => {
                    write!(f, "the sender is not running: start understudy")
                }
                io::ErrorKind::PermissionDenied => {
                    write!(f, "no permission to write to the sender's socket: put this user into its socket_group")
                }
                _ => write!(f, "{error}"),
            },
        }
    }
}

/// Returns when the sender has said that it took the result, or why not, at the deadline at the latest.
pub(crate) fn hand_over(path: &Path, handover: &HandOver, deadline: Instant) -> Result<(), NotTaken> {
    match exchange(path, handover, deadline) {
        Ok(Answer::Taken) => Ok(()),
        Ok(Answer::Full) => Err(NotTaken::Unavailable(Unavailable::Full)),
        Ok(Answer::Refused(reason)) => Err(NotTaken::Refused(reason)),
        Err(unavailable) => Err(NotTaken::Unavailable(unavailable)),
    }
}

fn exchange(path: &Path, handover: &HandOver, deadline: Instant) -> Result<Answer, Unavailable> {
    let socket = UnixDatagram::bind_addr(&own_address(handover.id)?)?;
    socket.connect(path)?;
    let message = handover.encode();
    within(deadline, Unavailable::NotReading, |remaining| {
        socket.set_write_timeout(Some(remaining))?;
        socket.send(&message)
    })?;
    // One byte more than the longest answer, so that a longer datagram does not look like one.
    let mut buffer = [0; MAX_ANSWER_BYTES + 1];
    loop {
        let length = within(deadline, Unavailable::NoAnswer, |remaining| {
            socket.set_read_timeout(Some(remaining))?;
            socket.recv(&mut buffer)
        })?;
        match Answer::decode(&buffer[..length]) {
            Ok((id, answer)) if id == handover.id => return Ok(answer),
            _ => {} // No answer to this hand-over; the deadline bounds how many are read.
        }
    }
}

/// Repeats an operation that a signal interrupted, in what is left of the time.
fn within<T>(
    deadline: Instant,
    too_late: Unavailable,
    mut operation: impl FnMut(Duration) -> io::Result<T>,
) -> Result<T, Unavailable> {
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(too_late);
        }
        match operation(remaining) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(too_late),
            outcome => return outcome.map_err(Unavailable::Io),
        }
    }
}

fn own_address(id: Id) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("understudy-ocsp-{:032x}", u128::from_be_bytes(id)))
}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
