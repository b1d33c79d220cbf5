//! One connection to a daemon, from its init packet to its close.

use std::io::{self, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nsca::Secret;
use nsca::classic::ClientSession;
use nsca::packet::{INIT_BYTES, PacketSize};
use nsca::sets::{self, Splitter};

use super::failure::Failure;

/// How much of standard input is read at once.
const READ_BYTES: usize = 16 << 10;

/// How long the daemon may take to close its side after the last packet.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection whose init packet has arrived.
pub(super) struct Delivery {
    stream: TcpStream,
    session: ClientSession,
    sent: u64,
}

/// How the daemon ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It has read everything, or at least does not object within the time it is given.
    Clean,
    /// It closed without reading everything: it refused a packet.
    Reset,
}

impl Delivery {
    /// Waits for the daemon's init packet.
    pub(super) fn begin(mut stream: TcpStream, secret: Secret, size: PacketSize) -> Result<Self, Failure> {
        let seed = getrandom::u64().map_err(Failure::NoRandom)?;
        let mut session = ClientSession::new(secret, size, seed);
        let mut received = 0;
        let mut buffer = [0; INIT_BYTES];
        while !session.is_ready() {
            let missing = &mut buffer[received..];
            match stream.read(missing) {
                Ok(0) if received == 0 => return Err(Failure::ClosedBeforeInit),
                Ok(0) => return Err(Failure::InitCutShort(received)),
                Ok(n) => {
                    let taken = session.handle_bytes(&missing[..n], Instant::now());
                    received += taken.expect("a session takes bytes until its init packet is complete");
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::InitUnreadable(error)),
            }
        }
        Ok(Delivery { stream, session, sent: 0 })
    }

    /// Sends every set of `input`, each as soon as it is complete.
    pub(super) fn send_all(&mut self, input: &mut impl Read, delimiter: u8, set_delimiter: u8) -> Result<(), Failure> {
        let mut splitter = Splitter::new(set_delimiter);
        let mut buffer = vec![0; READ_BYTES];
        let mut packets = Vec::new();
        loop {
            let n = match input.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::InputUnreadable(error)),
            };
            let cut = self.encode(&mut splitter, &buffer[..n], delimiter, &mut packets);
            self.write(&mut packets)?;
            cut?;
            if n == 0 {
                return Ok(());
            }
        }
    }

    /// Encodes the sets that `bytes` completes; no bytes are the end of input. Those before a set that is too long count.
    fn encode(
        &mut self,
        splitter: &mut Splitter,
        mut bytes: &[u8],
        delimiter: u8,
        packets: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if bytes.is_empty() {
            splitter.handle_eof();
            self.encode_set(splitter, delimiter, packets);
        }
        while !bytes.is_empty() {
            let taken = splitter.handle_bytes(bytes)?;
            bytes = &bytes[taken..];
            self.encode_set(splitter, delimiter, packets);
        }
        Ok(())
    }

    fn encode_set(&mut self, splitter: &mut Splitter, delimiter: u8, packets: &mut Vec<u8>) {
        let Some(set) = splitter.poll_set().and_then(|set| sets::parse(set, delimiter)) else {
            return;
        };
        // What does not fit is cut without a word, as the original does.
        let _ = self.session.encode(set.code, set.host, set.service, set.output, Instant::now(), packets);
        self.sent += 1;
    }

    fn write(&mut self, packets: &mut Vec<u8>) -> Result<(), Failure> {
        self.stream.write_all(packets).map_err(Failure::NotSent)?;
        packets.clear();
        Ok(())
    }

    /// How many results were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Says that nothing more comes, and waits a moment for the daemon to say the same.
    pub(super) fn finish(mut self) -> End {
        let waited = self
            .stream
            .shutdown(Shutdown::Write)
            .and_then(|()| self.stream.set_read_timeout(Some(CLOSE_TIMEOUT)))
            .and_then(|()| self.stream.read(&mut [0]));
        match waited {
            Err(error) if is_reset(&error) => End::Reset,
            Ok(_) | Err(_) => End::Clean,
        }
    }
}

/// A reset arrives as either, depending on what was done to the socket since.
fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected)
}
