//! From a name to a session: addresses, the connection, and the init packet that decides of what kind it is.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use config::Address;
use nsca::classic::ClientSession;
use nsca::greeting::{ClientGreeted, ClientGreeting};
use nsca::packet::INIT_BYTES;
use nsca::sealed::{Client, Now};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tracing::debug;

use super::error::LinkError;

/// For the name, and again for each of its addresses.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From the connection to the whole init packet. A stock daemon accepts one connection per second when it is busy.
pub(crate) const INIT_TIMEOUT: Duration = Duration::from_secs(15);

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Where addresses come from.
pub(crate) trait Resolve {
    /// All addresses that a name has at this moment.
    fn resolve(&self, address: &Address) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// The system's own: its hosts file, DNS, or what it is set up for.
pub(crate) struct System;

impl Resolve for System {
    async fn resolve(&self, address: &Address) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((address.host.as_str(), address.port)).await?.collect())
    }
}

/// A connection whose init packet has arrived.
pub(crate) enum Greeted {
    /// Packets can be sent.
    Classic(ClientSession),
    /// The handshake is under way. These bytes came early.
    Sealed(Box<Client>, Vec<u8>),
}

/// The first of the addresses that answers.
pub(crate) async fn connect(address: &Address, resolver: &impl Resolve) -> Result<(TcpStream, SocketAddr), LinkError> {
    let host = || address.host.clone();
    let resolved = timeout(CONNECT_TIMEOUT, resolver.resolve(address)).await;
    let addresses = resolved
        .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| LinkError::Resolve { host: host(), source })?;
    let mut failure = LinkError::NoAddress { host: host() };
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        match connected.unwrap_or(Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok((stream, address)),
            Err(source) => {
                debug!(%address, error = %source, "no connection");
                failure = LinkError::Connect { address, source };
            }
        }
    }
    Err(failure)
}

/// Waits for the init packet.
pub(crate) async fn greet(
    stream: &mut TcpStream,
    address: SocketAddr,
    greeting: Box<ClientGreeting>,
) -> Result<Greeted, LinkError> {
    let greeted = timeout(INIT_TIMEOUT, read_init(stream, address, greeting)).await;
    greeted.map_err(|_| LinkError::NoInit(INIT_TIMEOUT))?
}

/// Another classic session with a daemon that began one already.
pub(crate) async fn begin_classic(
    address: SocketAddr,
    mut session: ClientSession,
) -> Result<(TcpStream, ClientSession), LinkError> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let connected = connected.unwrap_or(Err(io::ErrorKind::TimedOut.into()));
    let mut stream = connected.map_err(|source| LinkError::Connect { address, source })?;
    let init = async {
        let mut init = [0; INIT_BYTES];
        while !session.is_ready() {
            match stream.read(&mut init).await {
                Ok(bytes) if bytes > 0 => session.handle_bytes(&init[..bytes], Instant::now())?,
                // A reset at this place means what a close means: nothing was refused yet.
                _ => return Err(LinkError::from(session.handle_eof().expect_err("the init packet is not complete"))),
            };
        }
        Ok(())
    };
    timeout(INIT_TIMEOUT, init).await.map_err(|_| LinkError::NoInit(INIT_TIMEOUT))??;
    Ok((stream, session))
}

async fn read_init(
    stream: &mut TcpStream,
    address: SocketAddr,
    mut greeting: Box<ClientGreeting>,
) -> Result<Greeted, LinkError> {
    let mut buffer = [0; 2 * INIT_BYTES];
    loop {
        let bytes = match stream.read(&mut buffer).await {
            Ok(bytes) if bytes > 0 => &buffer[..bytes],
            // A reset at this place means what a close means: nothing was refused yet.
            _ => return Err(LinkError::sealed(address, greeting.handle_eof())),
        };
        let greeted = greeting.handle_bytes(bytes, present()).map_err(|error| LinkError::sealed(address, error))?;
        match greeted {
            ClientGreeted::Undecided(undecided) => greeting = undecided,
            ClientGreeted::Classic(mut session, rest) => {
                session.handle_bytes(rest, Instant::now())?;
                return Ok(Greeted::Classic(session));
            }
            ClientGreeted::Sealed(client, rest) => return Ok(Greeted::Sealed(client, rest.to_vec())),
        }
    }
}

/// The present.
pub(crate) fn present() -> Now {
    Now::new(Instant::now(), SystemTime::now())
}
