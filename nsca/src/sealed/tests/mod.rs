//! Both sides of a session against each other.

mod attacks;
mod books;
mod known_answers;
mod link;
mod protocol;

use std::time::{Duration, Instant};

use super::*;
use crate::packet::Init;

pub(crate) const TIMESTAMP: u32 = 1_800_000_000;
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(5);

/// A result that owns its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) sequence: u64,
    pub(super) output: Vec<u8>,
}

/// A clock that goes when it is told to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Now);

impl Clock {
    pub(crate) fn new() -> Self {
        Clock(Now { instant: Instant::now(), unix_us: i64::from(TIMESTAMP) * 1_000_000 })
    }

    pub(crate) fn now(self) -> Now {
        self.0
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.0.instant += by;
        self.0.unix_us += i64::try_from(by.as_micros()).unwrap();
    }
}

pub(crate) fn name(name: &str) -> NodeName {
    NodeName::try_from(name).unwrap()
}

pub(crate) fn init() -> Init {
    let random = std::array::from_fn(|i| u8::try_from((7 * i + 1) % 256).unwrap());
    Init { iv: marked_iv(&random), timestamp: TIMESTAMP }
}

pub(crate) fn client_settings() -> ClientSettings {
    let spool = SpoolId(std::array::from_fn(|i| u8::try_from(100 + i).unwrap()));
    let hello = Hello { node: name("master"), spool, epoch: 2, oldest: 5, newest: 9 };
    ClientSettings { hello, core: CoreVerdict::Alive, books: true, stale_after: STALE_AFTER }
}

pub(crate) fn server_settings() -> ServerSettings {
    // As recorded.
    let window = Window { results: 4096, bytes: 4 << 20 };
    ServerSettings { node: name("standby"), window, core: CoreVerdict::Unknown, books: true, stale_after: STALE_AFTER }
}

pub(crate) fn psk() -> Psk {
    Psk::new(std::array::from_fn(|i| u8::try_from(i).unwrap()))
}

pub(super) fn client(clock: Clock) -> Client {
    Client::new(&psk(), &init(), client_settings(), Ephemeral::new([0x11; 32]), clock.now())
}

pub(super) fn server(clock: Clock) -> Server {
    Server::new(&psk(), &init(), server_settings(), Ephemeral::new([0x22; 32]), clock.now())
}

/// Both sides, with what a perfect network would do between them.
pub(super) struct Pair {
    pub(super) clock: Clock,
    pub(super) client: Client,
    pub(super) server: Server,
}

impl Pair {
    pub(super) fn new(client: ClientSettings, server: ServerSettings) -> Self {
        let clock = Clock::new();
        let now = clock.now();
        let client = Client::new(&psk(), &init(), client, Ephemeral::new([0x11; 32]), now);
        let server = Server::new(&psk(), &init(), server, Ephemeral::new([0x22; 32]), now);
        Pair { clock, client, server }
    }

    /// A pair whose server accepted everything up to `accepted` before.
    pub(super) fn established(accepted: u64) -> Self {
        let mut pair = Pair::new(client_settings(), server_settings());
        pair.establish(accepted);
        pair
    }

    pub(super) fn establish(&mut self, accepted: u64) {
        let request = self.client_sends();
        assert_eq!(request[..UPGRADE_BYTES], upgrade_request(&init().iv));
        let events = self.give_server(&request[UPGRADE_BYTES..]).unwrap();
        assert!(matches!(events[..], [Event::Hello(_)]), "{events:?}");
        self.server.welcome(accepted, self.clock.now());
        let answer = self.server_sends();
        let events = self.give_client(&answer).unwrap();
        assert!(matches!(events[..], [ClientEvent::Welcome(_), ClientEvent::Heartbeat(_)]), "{events:?}");
    }

    /// Everything that the client wants to send.
    pub(super) fn client_sends(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        loop {
            let bytes = self.client.poll_transmit(self.clock.now());
            if bytes.is_empty() {
                return sent;
            }
            sent.extend_from_slice(bytes);
            let bytes = bytes.len();
            self.client.handle_sent(bytes);
        }
    }

    /// Everything that the server wants to send, but for its upgrade.
    pub(super) fn server_sends(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        loop {
            let bytes = self.server.poll_transmit(self.clock.now());
            if bytes.is_empty() {
                return sent;
            }
            sent.extend_from_slice(bytes);
            let bytes = bytes.len();
            self.server.handle_sent(bytes);
        }
    }

    pub(super) fn give_server(&mut self, bytes: &[u8]) -> Result<Vec<Event>, SealedError> {
        server_takes(&mut self.server, bytes, self.clock.now())
    }

    pub(super) fn give_client(&mut self, bytes: &[u8]) -> Result<Vec<ClientEvent>, SealedError> {
        client_takes(&mut self.client, bytes, self.clock.now())
    }

    /// What the client has to say, and what the server makes of it.
    pub(super) fn there(&mut self) -> Vec<Event> {
        let bytes = self.client_sends();
        self.give_server(&bytes).unwrap()
    }

    pub(super) fn back(&mut self) -> Vec<ClientEvent> {
        let bytes = self.server_sends();
        self.give_client(&bytes).unwrap()
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.client.handle_timeout(self.clock.now()).unwrap();
        self.server.handle_timeout(self.clock.now()).unwrap();
    }
}

/// A [`ServerEvent`] that owns its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Hello(Hello),
    Result(Said),
    Heartbeat(Heartbeat),
    Goodbye(Reason),
    Heading(Heading),
    Record(Vec<u8>),
    /// Its output.
    Shown(Vec<u8>),
    Answered(u32),
}

impl From<ServerEvent<'_>> for Event {
    fn from(event: ServerEvent<'_>) -> Self {
        match event {
            ServerEvent::Hello(hello) => Event::Hello(hello),
            ServerEvent::Result(result) => {
                Event::Result(Said { sequence: result.sequence, output: result.output.to_vec() })
            }
            ServerEvent::Heartbeat(heartbeat) => Event::Heartbeat(heartbeat),
            ServerEvent::Goodbye(reason) => Event::Goodbye(reason),
            ServerEvent::Heading(heading) => Event::Heading(heading),
            ServerEvent::Record(record) => Event::Record(record.to_vec()),
            ServerEvent::Shown(shown) => Event::Shown(shown.output.to_vec()),
            ServerEvent::Answered(shown) => Event::Answered(shown),
        }
    }
}

pub(super) fn server_takes(server: &mut Server, mut bytes: &[u8], now: Now) -> Result<Vec<Event>, SealedError> {
    let mut events = Vec::new();
    loop {
        while let Some(event) = server.poll_event()? {
            events.push(event.into());
        }
        if bytes.is_empty() {
            return Ok(events);
        }
        let taken = server.handle_bytes(bytes, now);
        assert!(taken > 0, "after poll_event returned None there is room");
        bytes = &bytes[taken..];
    }
}

pub(super) fn client_takes(client: &mut Client, mut bytes: &[u8], now: Now) -> Result<Vec<ClientEvent>, SealedError> {
    let mut events = Vec::new();
    loop {
        while let Some(event) = client.poll_event()? {
            events.push(event);
        }
        if bytes.is_empty() {
            return Ok(events);
        }
        let taken = client.handle_bytes(bytes, now);
        assert!(taken > 0, "after poll_event returned None there is room");
        bytes = &bytes[taken..];
    }
}

pub(super) fn result(sequence: u64, output: &[u8]) -> ResultFrame<'_> {
    ResultFrame {
        sequence,
        check_time_us: 0,
        state_type: None,
        check_type: None,
        attempt: 0,
        origin: b"",
        code: 0,
        host: b"host",
        service: b"service",
        output,
    }
}
