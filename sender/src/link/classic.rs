//! One classic session with an NSCA daemon: packets, and the daemon's close.

use std::io;
use std::time::{Duration, Instant};

use nagios::CheckResult;
use nsca::classic::{ClientSession, SessionError};
use nsca::packet::Truncated;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::LinkError;

/// How long the daemon may not read.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// From the end of our packets to the daemon's close: it may have a batch to write into its core's FIFO.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a daemon that has not proven its password yet gets to refuse a packet. See [`Connection::prove`].
pub(crate) const PROOF_TIME: Duration = Duration::from_millis(500);

/// An open connection whose init packet has arrived.
///
/// Nagle's algorithm stays on and the send buffer as large as the system makes it: with either changed, a stock daemon
/// finds parts of packets more often, sleeps for a second each time, and takes a fifth of the results.
pub(crate) struct Connection {
    stream: TcpStream,
    session: ClientSession,
    /// Packets that are not written yet; encrypted up to here.
    packets: Vec<u8>,
    encrypted: usize,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, session: ClientSession) -> Connection {
        Connection { stream, session, packets: Vec::new(), encrypted: 0 }
    }

    /// Makes a packet of a result, to be [encrypted](Connection::encrypt_together) and then
    /// [written](Connection::write).
    pub(crate) fn encode(&mut self, result: &CheckResult, now: Instant) -> Truncated {
        encode(&mut self.session, result, now, &mut self.packets)
    }

    /// Encrypts what is not encrypted yet.
    pub(crate) fn encrypt_together<'c>(connections: impl Iterator<Item = &'c mut Connection>) {
        let mut plain: Vec<_> = connections
            .map(|Connection { session, packets, encrypted, .. }| {
                let plain = &mut packets[*encrypted..];
                *encrypted += plain.len();
                (session, plain)
            })
            .collect();
        ClientSession::encrypt_together(&mut plain);
    }

    /// Writes what is encrypted, which has to be everything.
    pub(crate) async fn write(&mut self) -> Result<(), LinkError> {
        debug_assert_eq!(self.encrypted, self.packets.len(), "nothing leaves in plain text");
        let written = timeout(WRITE_TIMEOUT, self.stream.write_all(&self.packets[..self.encrypted])).await;
        self.packets.clear();
        self.encrypted = 0;
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

    /// Ends our side, unless the daemon has ended it already.
    pub(crate) async fn end(&mut self) -> Result<(), LinkError> {
        // A reset is told once, and what comes after it looks like a daemon that has read everything.
        match self.stream.try_read(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(LinkError::Refused(error)),
            // It reads to our end of file. One that closes sooner has refused a packet.
            Ok(0) => return Err(LinkError::ClosedEarly),
            Ok(bytes) => return Err(SessionError::Unexpected { bytes }.into()),
        }
        self.stream.shutdown().await.map_err(LinkError::Refused)
    }

    /// Waits until the daemon has read everything, after [`end`](Connection::end).
    pub(crate) async fn closed(mut self) -> Result<(), LinkError> {
        timeout(CLOSE_TIMEOUT, self.read_to_end()).await.map_err(|_| LinkError::NotClosed(CLOSE_TIMEOUT))?
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

/// Appends a result's packet, which is not encrypted yet.
pub(crate) fn encode(
    session: &mut ClientSession,
    result: &CheckResult,
    now: Instant,
    packets: &mut Vec<u8>,
) -> Truncated {
    let host = result.object.host().as_bytes();
    let service = result.object.service().map_or(&b""[..], |service| service.as_bytes());
    // The packet holds the true text: escaping it for the command file is the daemon's work.
    let text = result.output.text();
    session.encode_plain(result.code.get(), host, service, &text, now, packets)
}

#[cfg(test)]
mod tests {
    use nsca::packet::PacketSize;
    use nsca::{Method, Secret};
    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_reset_that_came_before_our_end_is_no_success() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (daemon, _) = listener.accept().await.unwrap();
        SockRef::from(&daemon).set_linger(Some(Duration::ZERO)).unwrap();
        drop(daemon);
        stream.readable().await.unwrap();
        let session = ClientSession::new(Secret::new(Method::None, b""), PacketSize::Modern, 1);
        let mut connection = Connection::new(stream, session);
        let outcome = match connection.end().await {
            Ok(()) => connection.closed().await,
            Err(error) => Err(error),
        };
        assert!(matches!(outcome, Err(LinkError::Refused(_))), "{outcome:?}");
    }
}
