//! Listening, and letting peers in.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use config::Listener;
use nsca::greeting::Policy;
use nsca::sealed::SealedError;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Pass;
use crate::backlog::Backlog;
use crate::complaints::Kind;
use crate::connection::Connection;
use crate::counts::Cause;
use crate::{Shared, StartError};

/// Connections that wait to be accepted. The system cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long accepting pauses when the system has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A bound listener that does not accept yet.
pub struct Bound {
    socket: std::net::TcpListener,
    address: SocketAddr,
    listener: Listener,
}

/// What the connections of one listener have in common.
pub(crate) struct Entrance {
    pub(crate) listener: Listener,
    /// Whether sessions are sealed here.
    pub(crate) sealed: Policy,
    pub(crate) shared: Arc<Shared>,
}

/// Somebody who was let in.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) address: SocketAddr,
    pub(crate) entrance: Arc<Entrance>,
}

impl Bound {
    /// Binds the address of `listener`. The IPv6 wildcard takes IPv4 as well.
    pub fn new(listener: &Listener) -> Result<Bound, StartError> {
        let socket = bind(listener.address).or_else(|e| match ipv4_instead(listener.address, &e) {
            Some(address) => bind(address),
            None => Err(e),
        });
        let failed = |error| StartError::Bind { address: listener.address, error };
        let socket = socket.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Bound { socket, address, listener: listener.clone() })
    }

    /// The address, with the port that the system gave in place of port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same socket for other settings of the same address, so that new settings need no second bind and turn nobody
    /// away: who connects in between waits in the socket's queue.
    pub fn again(&self, listener: &Listener) -> io::Result<Bound> {
        Ok(Bound { socket: self.socket.try_clone()?, address: self.address, listener: listener.clone() })
    }

    /// The settings that it was bound with.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    pub(crate) fn open(self, shared: Arc<Shared>) -> (std::net::TcpListener, Entrance) {
        (self.socket, Entrance::new(self.listener, shared))
    }
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// On a machine without IPv6, every address is every IPv4 address.
fn ipv4_instead(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let no_ipv6 = error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT);
    let wildcard = address.is_ipv6() && address.ip().is_unspecified();
    (no_ipv6 && wildcard).then(|| SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, address.port())))
}

/// What to do about an address that cannot be bound.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; is a stock nsca or another understudy still running?",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

/// Accepts until `accepting` is cancelled. The connections last until `stopping`.
pub(crate) async fn accept(
    socket: std::net::TcpListener,
    entrance: Entrance,
    tasks: TaskTracker,
    accepting: CancellationToken,
    stopping: CancellationToken,
) {
    let entrance = Arc::new(entrance);
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(listener = %entrance.listener.address, %error, "cannot accept connections");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = accepting.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(pass) = entrance.admit(peer.ip()) else {
                    continue;
                };
                let connection = Connection::new(stream, peer, entrance.clone(), pass);
                tasks.spawn(connection.run(stopping.clone()));
            }
            Err(error) if is_exhausted(&error) => {
                tracing::error!(%error, "cannot accept: raise LimitNOFILE or lower max_connections");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            // The peer gave up while it waited.
            Err(error) => tracing::debug!(%error, "a connection was gone before it was accepted"),
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

impl Entrance {
    pub(crate) fn new(listener: Listener, shared: Arc<Shared>) -> Self {
        let sealed = match (&listener.sealed, &shared.backlog) {
            // What is only in memory cannot be acknowledged.
            (_, Backlog::Memory(_)) => Policy::Off,
            // In strict mode each host sends for itself; a sealed session is that of a node, which sends for all.
            (Policy::Auto(_), Backlog::Journal(_)) if listener.strict_mode_spoofing => Policy::Off,
            (policy, Backlog::Journal(_)) => policy.clone(),
        };
        Entrance { listener, sealed, shared }
    }

    /// Lets a peer in, or says in the log why not.
    pub(crate) fn admit(&self, peer: IpAddr) -> Option<Pass> {
        let peer = peer.to_canonical();
        let admitted = if self.is_allowed(peer) {
            self.shared.admission.admit(peer).map_err(|full| (Cause::TooMany, full.to_string()))
        } else {
            Err((Cause::NotAllowed, "its address is not in this listener's allow-list".to_owned()))
        };
        match admitted {
            Ok(pass) => {
                self.shared.counters.connections.add(1);
                Some(pass)
            }
            Err((cause, reason)) => {
                self.shared.counters.refuse(cause);
                self.shared.complaints.about(peer, Kind::Connection, |left_out| {
                    tracing::warn!(%peer, listener = %self.listener.address, reason, left_out, "connection refused");
                });
                None
            }
        }
    }

    fn is_allowed(&self, peer: IpAddr) -> bool {
        self.listener.allow.is_empty() || self.listener.allow.iter().any(|network| network.contains(&peer))
    }
}

/// What is said about them.
impl Visitor {
    /// A session did not come about because of what they sent or did not send.
    pub(crate) fn refuse(&self, cause: Cause, reason: &dyn fmt::Display) {
        let Entrance { shared, listener, .. } = &*self.entrance;
        shared.counters.refuse(cause);
        shared.complaints.about(self.address.ip(), Kind::Session, |left_out| {
            let listener = listener.address;
            tracing::warn!(peer = %self.address, %listener, %reason, left_out, "session refused");
        });
    }

    /// A sealed session with `node` was ended because of what it sent or did not send.
    pub(crate) fn give_up(&self, node: &str, acknowledged: u64, error: &SealedError) {
        let shared = &self.entrance.shared;
        shared.counters.refuse(Cause::from(error));
        shared.complaints.about(self.address.ip(), Kind::Session, |left_out| {
            let peer = self.address;
            tracing::warn!(%peer, node, acknowledged, reason = %error, left_out, "sealed session given up");
        });
    }

    /// A result was dropped for what it says.
    pub(crate) fn drop_result(&self, reason: &dyn fmt::Display) {
        let shared = &self.entrance.shared;
        shared.counters.refused.add(1);
        shared.complaints.about(self.address.ip(), Kind::Result, |left_out| {
            tracing::warn!(peer = %self.address, %reason, left_out, "result dropped");
        });
    }
}
