//! Why a batch was not delivered.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nsca::classic::SessionError;

/// Why a destination did not take a batch. The messages are for the operator's log.
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
