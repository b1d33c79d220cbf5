//! One connection to an NSCA daemon: from the name to the init packet, packets, and the daemon's close.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use config::Address;
use nagios::CheckResult;
use nsca::classic::{ClientSession, SessionError};
use nsca::packet::Truncated;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tracing::debug;

use super::error::LinkError;

/// For the name, and again for each of its addresses.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From the connection to the whole init packet. A stock daemon accepts one connection per second when it is busy.
pub(crate) const INIT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the daemon may not read.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// From the end of our packets to the daemon's close: it may have a batch to write into its core's FIFO.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a daemon that has not proven its password yet gets to refuse a packet. See [`Connection::prove`].
pub(crate) const PROOF_TIME: Duration = Duration::from_millis(500);

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

/// An open connection whose init packet has arrived.
///
/// Nagle's algorithm stays on and the send buffer as large as the system makes it: with either changed, a stock daemon
/// finds parts of packets more often, sleeps for a second each time, and takes a fifth of the results.
pub(crate) struct Connection {
    stream: TcpStream,
    session: ClientSession,
    /// Encrypted packets that are not written yet.
    packets: Vec<u8>,
}

impl Connection {
    /// Resolves the name anew, tries each address, and waits for the init packet.
    pub(crate) async fn open(
        address: &Address,
        resolver: &impl Resolve,
        session: ClientSession,
    ) -> Result<Connection, LinkError> {
        let stream = connect(address, resolver).await?;
        let mut connection = Connection { stream, session, packets: Vec::new() };
        timeout(INIT_TIMEOUT, connection.read_init()).await.map_err(|_| LinkError::NoInit(INIT_TIMEOUT))??;
        Ok(connection)
    }

    /// Encrypts a result for the next [`write`](Connection::write).
    pub(crate) fn encode(&mut self, result: &CheckResult, now: Instant) -> Truncated {
        let host = result.object.host().as_bytes();
        let service = result.object.service().map_or(&b""[..], |service| service.as_bytes());
        // The packet holds the true text: escaping it for the command file is the daemon's work.
        let text = result.output.to_text();
        self.session.encode(result.code.get(), host, service, &text, now, &mut self.packets)
    }

    pub(crate) async fn write(&mut self) -> Result<(), LinkError> {
        let written = timeout(WRITE_TIMEOUT, self.stream.write_all(&self.packets)).await;
        self.packets.clear();
        written.map_err(|_| LinkError::Stalled(WRITE_TIMEOUT))?.map_err(LinkError::Refused)
    }

    /// Gives the daemon a moment to refuse what it has got.
    ///
    /// A stock daemon closes at once when a packet is bad. If that was the last one before our end of file, its close
    /// looks like success: with one result per connection, a wrong password would go unnoticed for ever.
    pub(crate) async fn prove(&mut self) -> Result<(), LinkError> {
        match timeout(PROOF_TIME, self.read_to_end()).await {
            Err(_) => Ok(()),
            Ok(Ok(())) => Err(LinkError::ClosedEarly),
            Ok(Err(error)) => Err(error),
        }
    }

    /// Ends our side and waits until the daemon has read everything.
    pub(crate) async fn finish(mut self) -> Result<(), LinkError> {
        if self.is_closed_early() {
            return Err(LinkError::ClosedEarly);
        }
        self.stream.shutdown().await.map_err(LinkError::Refused)?;
        timeout(CLOSE_TIMEOUT, self.read_to_end()).await.map_err(|_| LinkError::NotClosed(CLOSE_TIMEOUT))?
    }

    async fn read_init(&mut self) -> Result<(), LinkError> {
        let mut buffer = [0; nsca::packet::INIT_BYTES];
        let mut missing = buffer.len();
        while !self.session.is_ready() {
            match self.stream.read(&mut buffer[..missing]).await {
                Ok(bytes) if bytes > 0 => {
                    missing -= self.session.handle_bytes(&buffer[..bytes], Instant::now())?;
                }
                // A reset at this place means what a close means: nothing was refused yet.
                _ => return Ok(self.session.handle_eof()?),
            }
        }
        Ok(())
    }

    /// A daemon reads to our end of file. One that closes sooner has refused a packet.
    fn is_closed_early(&self) -> bool {
        matches!(self.stream.try_read(&mut [0; 1]), Ok(0))
    }

    async fn read_to_end(&mut self) -> Result<(), LinkError> {
        let mut buffer = [0; 64];
        match self.stream.read(&mut buffer).await {
            Ok(0) => Ok(()),
            Ok(bytes) => Err(SessionError::Unexpected { bytes }.into()),
            Err(error) => Err(LinkError::Refused(error)),
        }
    }
}

/// The first of the addresses that answers.
async fn connect(address: &Address, resolver: &impl Resolve) -> Result<TcpStream, LinkError> {
    let host = || address.host.clone();
    let resolved = timeout(CONNECT_TIMEOUT, resolver.resolve(address)).await;
    let addresses = resolved
        .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| LinkError::Resolve { host: host(), source })?;
    let mut failure = LinkError::NoAddress { host: host() };
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        match connected.unwrap_or(Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok(stream),
            Err(source) => {
                debug!(%address, error = %source, "no connection");
                failure = LinkError::Connect { address, source };
            }
        }
    }
    Err(failure)
}
