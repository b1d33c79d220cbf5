//! A client that can do what no honest one does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use nsca::classic::ClientSession;
use nsca::packet::{INIT_BYTES, IV_BYTES, PacketSize};
use nsca::{Method, Secret};

use super::standby::PASSWORD;
use super::wait::{SOON, uninterrupted};

/// The secret of all tests that do not want another.
pub fn secret() -> Secret {
    Secret::new(Method::Rijndael128, PASSWORD.as_bytes())
}

/// A connection whose init packet has arrived.
pub struct Client {
    pub stream: TcpStream,
    pub session: ClientSession,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// As after a session in which everything was taken.
    Clean,
    /// The daemon refused something.
    Reset,
}

impl Client {
    /// Connects with the password of all tests.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Client::connect_with(address, secret())
    }

    /// Connects with a password and method of the test's own.
    #[track_caller]
    pub fn connect_with(address: SocketAddr, secret: Secret) -> Self {
        Client::connect_at(address, secret, 0)
    }

    /// Connects with a clock that is `ahead` seconds ahead.
    #[track_caller]
    pub fn connect_at(address: SocketAddr, secret: Secret, ahead: i32) -> Self {
        Client::greet(TcpStream::connect(address).unwrap(), secret, ahead)
    }

    /// Waits for the init packet on a connection that is made already.
    #[track_caller]
    pub fn greet(mut stream: TcpStream, secret: Secret, ahead: i32) -> Self {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut session = ClientSession::new(secret, PacketSize::Modern, 1);
        let mut init = [0; INIT_BYTES];
        stream.read_exact(&mut init).unwrap();
        let timestamp = u32::from_be_bytes(init[IV_BYTES..].try_into().unwrap());
        init[IV_BYTES..].copy_from_slice(&timestamp.saturating_add_signed(ahead).to_be_bytes());
        session.handle_bytes(&init, Instant::now()).unwrap();
        assert!(session.is_ready());
        Client { stream, session }
    }

    /// As [`Client::greet`] with the secret of all tests; none if the daemon dies meanwhile.
    pub fn try_greet(mut stream: TcpStream) -> Option<Self> {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut session = ClientSession::new(secret(), PacketSize::Modern, 1);
        let mut init = [0; INIT_BYTES];
        stream.read_exact(&mut init).ok()?;
        session.handle_bytes(&init, Instant::now()).unwrap();
        Some(Client { stream, session })
    }

    /// A packet as it goes over the wire; it must be sent.
    pub fn packet(&mut self, host: &[u8], service: &[u8], output: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.session.encode(0, host, service, output, Instant::now(), &mut bytes);
        bytes
    }

    /// Sends a good packet.
    #[track_caller]
    pub fn send(&mut self, host: &str, service: &str, output: &str) {
        let packet = self.packet(host.as_bytes(), service.as_bytes(), output.as_bytes());
        self.stream.write_all(&packet).unwrap();
    }

    /// Ends the sending and waits for the daemon's close.
    #[track_caller]
    pub fn end(self) -> End {
        // After a reset there is nothing to shut down.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        self.wait_for_close()
    }

    /// As [`Client::end`]; none if the daemon died meanwhile, so that the end means nothing.
    pub fn try_end(mut self) -> Option<End> {
        self.stream.shutdown(std::net::Shutdown::Write).ok()?;
        (uninterrupted(|| self.stream.read(&mut [0; 1])).ok()? == 0).then_some(End::Clean)
    }

    /// Waits for the daemon's close.
    #[track_caller]
    pub fn wait_for_close(mut self) -> End {
        match uninterrupted(|| self.stream.read(&mut [0; 1])) {
            Ok(0) => End::Clean,
            Ok(_) => panic!("a daemon says nothing after its init packet"),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => End::Reset,
            Err(e) => panic!("the daemon neither closed nor reset: {e}"),
        }
    }
}
