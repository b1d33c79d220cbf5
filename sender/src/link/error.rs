//! Why results were not delivered.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nsca::classic::SessionError;
use nsca::sealed::{Reason, SealedError};

/// Why a destination did not take results. The messages are for the operator's log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the name {host} cannot be resolved: {source}; correct the address, or this machine's DNS")]
    Resolve { host: String, source: io::Error },
    #[error("the name {host} has no address")]
    NoAddress { host: String },
    #[error("no connection to {address}: {source}; is the daemon running there, and does a firewall let port {port} pass?", port = .address.port())]
    Connect { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Spool(#[from] spool::Trouble),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("{address}: {error}")]
    Sealed { address: SocketAddr, error: SealedError },
    #[error("{address} ended the session: {reason}")]
    PeerLeft { address: SocketAddr, reason: Reason },
    #[error(
        "{path} cannot be written: {source}; make room or correct its permissions. Nothing is sent until this node remembers \
         that the destination can seal"
    )]
    NotRemembered { path: PathBuf, source: io::Error },
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("the daemon sent no init packet within {} s: it is overloaded, or not an NSCA daemon", .0.as_secs())]
    NoInit(Duration),
    #[error(
        "the daemon broke the connection off while it was sent results ({0}): wrong password or wrong encryption method \
         (they look alike), or this clock and the daemon's are more than its max_packet_age apart"
    )]
    Refused(io::Error),
    #[error(
        "the daemon closed the connection before the results ended: wrong password or wrong encryption method \
         (they look alike), or this clock and the daemon's are more than its max_packet_age apart"
    )]
    ClosedEarly,
    #[error("the daemon did not read for {} s: it is stopped, or its core does not take results", .0.as_secs())]
    Stalled(Duration),
    #[error("the daemon did not close the connection within {} s after it got everything: it is stopped or overloaded", .0.as_secs())]
    NotClosed(Duration),
}

impl LinkError {
    /// What a sealed session, or the decision about one, says.
    pub(crate) fn sealed(address: SocketAddr, error: SealedError) -> LinkError {
        match error {
            SealedError::Classic(error) => LinkError::Session(error),
            error => LinkError::Sealed { address, error },
        }
    }

    /// Whether trying again changes nothing until somebody acts.
    pub(crate) fn needs_somebody(&self) -> bool {
        match self {
            LinkError::Sealed { error, .. } => match error {
                SealedError::Refused(reason) => needs_somebody(*reason),
                SealedError::NotOffered
                | SealedError::MarkStripped
                | SealedError::WrongKey
                | SealedError::OwnName(_) => true,
                _ => false,
            },
            LinkError::PeerLeft { reason, .. } => needs_somebody(*reason),
            LinkError::NotRemembered { .. } => true,
            _ => false,
        }
    }

    /// Whether the other side is being stopped in order.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(
            self,
            LinkError::PeerLeft { reason: Reason::Stopping, .. }
                | LinkError::Sealed { error: SealedError::Refused(Reason::Stopping), .. }
        )
    }
}

fn needs_somebody(reason: Reason) -> bool {
    matches!(reason, Reason::OwnName | Reason::NameInUse | Reason::Superseded)
}
