//! A sender of sealed sessions that a test leads step by step.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use nsca::greeting::{ClientGreeted, ClientGreeting, PeerAbility, Policy};
use nsca::packet::PacketSize;
use nsca::sealed::{
    Client, ClientEvent, ClientSettings, CoreVerdict, Ephemeral, Hello, NodeName, Now, Psk, Reason, ResultFrame,
    STALE_AFTER, SealedError, Sent, SpoolId,
};

use super::client::secret;
use super::standby::PASSWORD;
use super::wait::SOON;

/// How long one read waits.
const READ_TIMEOUT: Duration = Duration::from_millis(10);

/// A sealed session, from the sender's end.
pub struct SealedSender {
    pub stream: TcpStream,
    client: Box<Client>,
    /// What happened and was not looked at yet.
    events: Vec<ClientEvent>,
    /// The last acknowledgement; first what the welcome said.
    pub acknowledged: u64,
    pub heartbeats: usize,
    ended: Option<Result<(), SealedError>>,
}

/// The key that a receiver with [`PASSWORD`] has.
pub fn psk() -> Psk {
    Psk::from_password(PASSWORD.as_bytes()).unwrap()
}

/// What a sender says first.
pub fn hello(node: &str, spool: u8, newest: u64) -> Hello {
    let node = NodeName::try_from(node).unwrap();
    Hello { node, spool: SpoolId([spool; 16]), epoch: 1, oldest: 1, newest }
}

/// A result of `host`, checked now.
pub fn result<'a>(sequence: u64, host: &'a str, output: &'a str) -> ResultFrame<'a> {
    ResultFrame {
        sequence,
        check_time_us: now().unix_us,
        state_type: None,
        check_type: None,
        attempt: 0,
        origin: b"",
        code: 0,
        host: host.as_bytes(),
        service: b"service",
        output: output.as_bytes(),
    }
}

impl SealedSender {
    /// Connects and is welcome.
    #[track_caller]
    pub fn connect(address: SocketAddr, psk: &Psk, hello: Hello) -> Self {
        let mut sender = Self::begin(address, psk, hello);
        sender.until("the welcome", |sender| sender.take(|event| matches!(event, ClientEvent::Welcome(_))));
        sender
    }

    /// Connects and asks.
    #[track_caller]
    pub fn begin(address: SocketAddr, psk: &Psk, hello: Hello) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut init = [0; 132];
        stream.read_exact(&mut init).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        let settings = ClientSettings { hello, core: CoreVerdict::Alive, books: false, stale_after: STALE_AFTER };
        let classic = nsca::classic::ClientSession::new(secret(), PacketSize::Modern, 1);
        let (policy, ephemeral) = (Policy::Require(psk.clone()), Ephemeral::new([3; 32]));
        let greeting = ClientGreeting::new(classic, policy, PeerAbility::Unknown, settings, ephemeral);
        let ClientGreeted::Sealed(client, rest) = greeting.handle_bytes(&init, now()).unwrap() else {
            panic!("no sealed session was offered");
        };
        assert!(rest.is_empty());
        SealedSender { stream, client, events: Vec::new(), acknowledged: 0, heartbeats: 0, ended: None }
    }

    /// Sends a result as soon as there is credit.
    #[track_caller]
    pub fn send(&mut self, frame: &ResultFrame<'_>) {
        self.until("credit", |sender| match sender.client.send(frame) {
            Sent::Taken => Some(()),
            Sent::Later => None,
            Sent::TooLong => panic!("too long"),
        });
    }

    /// Whether a result can be sent now.
    pub fn try_send(&mut self, frame: &ResultFrame<'_>) -> bool {
        self.client.send(frame) == Sent::Taken
    }

    pub fn goodbye(&mut self) {
        self.client.goodbye(Reason::Stopping);
    }

    /// Waits until everything up to `sequence` is acknowledged.
    #[track_caller]
    pub fn wait_for_ack(&mut self, sequence: u64) {
        self.until(&format!("the acknowledgement of {sequence}"), |sender| {
            (sender.acknowledged >= sequence).then_some(())
        });
    }

    /// Waits for the receiver's goodbye.
    #[track_caller]
    pub fn wait_for_goodbye(&mut self) -> Reason {
        self.until("a goodbye", |sender| {
            sender.events.iter().find_map(|event| match event {
                ClientEvent::Goodbye(reason) => Some(*reason),
                _ => None,
            })
        })
    }

    /// Waits for the session's end.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> Result<(), SealedError> {
        let deadline = Instant::now() + SOON;
        while self.ended.is_none() {
            assert!(Instant::now() < deadline, "the session does not end");
            self.pump();
        }
        self.ended.clone().unwrap()
    }

    /// Goes on with the session until `condition` gives something.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(value) = condition(self) {
                return value;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            assert!(self.ended.is_none(), "waited for {what}, but the session ended: {:?}", self.ended);
            self.pump();
        }
    }

    /// Goes on with the session a little.
    pub fn pump(&mut self) {
        if let Err(error) = self.exchange() {
            self.ended.get_or_insert(Err(error));
        }
    }

    fn exchange(&mut self) -> Result<(), SealedError> {
        loop {
            let bytes = self.client.poll_transmit(now());
            if bytes.is_empty() {
                break;
            }
            match self.stream.write(bytes) {
                Ok(n) => self.client.handle_sent(n),
                // What the receiver said last is still to be read.
                Err(_) => break,
            }
        }
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = Some(self.client.handle_eof()),
            Ok(n) => {
                let mut bytes = &buffer[..n];
                while !bytes.is_empty() {
                    bytes = &bytes[self.client.handle_bytes(bytes, now())..];
                    while let Some(event) = self.client.poll_event()? {
                        self.note(event);
                    }
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => self.ended = Some(self.client.handle_eof()),
        }
        self.client.handle_timeout(now())
    }

    fn note(&mut self, event: ClientEvent) {
        match &event {
            ClientEvent::Welcome(welcome) => self.acknowledged = welcome.accepted,
            ClientEvent::Acknowledged(sequence) => self.acknowledged = *sequence,
            ClientEvent::Heartbeat(_) => return self.heartbeats += 1,
            ClientEvent::Goodbye(_) | ClientEvent::Want(_) => {}
        }
        self.events.push(event);
    }

    fn take(&mut self, wanted: impl Fn(&ClientEvent) -> bool) -> Option<()> {
        let at = self.events.iter().position(wanted)?;
        self.events.remove(at);
        Some(())
    }
}

fn now() -> Now {
    Now::new(Instant::now(), SystemTime::now())
}
