//! A client that is never what is waited for: it encrypts everything before it sends the first byte.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Instant;

use anyhow::{Context as _, Result};
use nsca::classic::ClientSession;
use nsca::packet::{INIT_BYTES, PacketSize};
use nsca::{Method, Secret};

use super::results::{Results, Service};
use super::{PASSWORD, PATIENCE};

/// A connection whose packets are ready.
pub(crate) struct Feeder {
    stream: TcpStream,
    packets: Vec<u8>,
}

impl Feeder {
    /// Connects to the daemon at `port`, and encrypts all results for it.
    pub(crate) fn new(port: u16, method: Method, results: Results) -> Result<Feeder> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("cannot connect to the daemon")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut init = [0; INIT_BYTES];
        stream.read_exact(&mut init).context("the daemon sent no init packet")?;
        let mut session = ClientSession::new(Secret::new(method, PASSWORD.as_bytes()), PacketSize::Modern, 1);
        session.handle_bytes(&init, Instant::now())?;
        let mut packets = Vec::new();
        for result in results.iter() {
            encode(&mut session, &result, &mut packets);
        }
        Ok(Feeder { stream, packets })
    }

    /// Sends everything, and waits until the daemon has read it. When the first byte was sent.
    pub(crate) fn send(mut self) -> Result<Instant> {
        let begin = Instant::now();
        self.stream.write_all(&self.packets).context("the daemon does not read")?;
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.read(&mut [0]).context("the daemon refused a packet")?;
        Ok(begin)
    }
}

/// Appends a packet to `out`.
pub(crate) fn encode(session: &mut ClientSession, result: &Service, out: &mut Vec<u8>) {
    let Service { host, description, output } = result;
    let bytes = (host.as_bytes(), description.as_bytes(), output.as_bytes());
    let truncated = session.encode(0, bytes.0, bytes.1, bytes.2, Instant::now(), out);
    assert!(!truncated.any(), "the texts fit into a packet");
}
