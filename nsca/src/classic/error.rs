//! Why a session ended.

use std::time::Duration;

use crate::packet::Malformed;

/// Why a session is over. The messages are for the operator's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The decrypted bytes do not begin as a packet does.
    #[error(
        "not an NSCA packet (version {version} instead of 3): the password or the encryption method differ \
         between the two sides, or the peer does not speak NSCA"
    )]
    WrongVersion {
        /// What stood where the version is.
        version: i16,
    },
    /// The CRC does not fit.
    #[error(
        "packet with a wrong checksum: the password or the encryption method differ between the two sides, or \
         the packet was damaged on its way"
    )]
    BadChecksum,
    /// The packet's time is too long ago.
    #[error(
        "packet is {} s old, older than max_packet_age: the client kept it too long, its clock jumped, or \
         it is a replay of an earlier session",
        age.as_secs()
    )]
    TooOld {
        /// Seconds between the packet's time and now.
        age: Duration,
    },
    /// The packet's time is too far ahead.
    #[error(
        "packet is {} s in the future, further than max_packet_age allows: did this machine's clock jump back?",
        ahead.as_secs()
    )]
    FromTheFuture {
        /// Seconds between now and the packet's time.
        ahead: Duration,
    },
    /// The connection ended inside of a packet.
    #[error(
        "connection ended inside of a packet, after {bytes} bytes of it: the client gave up, or it uses another \
         packet size"
    )]
    Truncated {
        /// How much of the packet had arrived.
        bytes: usize,
    },
    /// The daemon closed the connection before its init packet was complete.
    #[error(
        "the daemon closed the connection after {bytes} of the 132 bytes of its init packet: does it allow \
         this client's address, and is it an NSCA daemon?"
    )]
    NoInit {
        /// How much of the init packet had arrived.
        bytes: usize,
    },
    /// The daemon sent something after its init packet.
    #[error("the daemon sent {bytes} bytes after its init packet: it is not an NSCA daemon")]
    Unexpected {
        /// How much it sent at once.
        bytes: usize,
    },
}

impl From<Malformed> for SessionError {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Version(version) => SessionError::WrongVersion { version },
            Malformed::Checksum => SessionError::BadChecksum,
        }
    }
}
