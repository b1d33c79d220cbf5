//! What a result costs in a sealed session: its frame, and its share of an encrypted message.

use std::time::Instant;

use divan::{Bencher, black_box, counter::ItemsCount};
use nsca::packet::Init;
use nsca::sealed::{
    Client, ClientSettings, CoreVerdict, Ephemeral, Hello, MARKED_RANDOM_BYTES, NodeName, Now, Psk, ResultFrame,
    STALE_AFTER, Sent, Server, ServerEvent, ServerSettings, SpoolId, UPGRADE_BYTES, Window, marked_iv,
};

const NOW: u32 = 1_780_000_000;

/// As many results as a batch has.
const RESULTS: usize = 64;

fn main() {
    divan::main();
}

/// Both sides of a session in which the client is welcome.
struct Pair {
    client: Client,
    server: Server,
    now: Now,
    sequence: u64,
}

impl Pair {
    fn new() -> Pair {
        let now = Now { instant: Instant::now(), unix_us: i64::from(NOW) * 1_000_000 };
        let (psk, init) = (Psk::new([7; 32]), Init { iv: marked_iv(&[9; MARKED_RANDOM_BYTES]), timestamp: NOW });
        let [master, standby] = ["master", "standby"].map(|name| NodeName::try_from(name).expect("a name"));
        let hello = Hello { node: master, spool: SpoolId([1; 16]), epoch: 1, oldest: 1, newest: 0 };
        let settings = ClientSettings { hello, core: CoreVerdict::Alive, stale_after: STALE_AFTER, books: false };
        let client = Client::new(&psk, &init, settings, Ephemeral::new([1; 32]), now);
        let settings = ServerSettings {
            node: standby,
            window: Window::default(),
            core: CoreVerdict::Alive,
            stale_after: STALE_AFTER,
            books: false,
        };
        let server = Server::new(&psk, &init, settings, Ephemeral::new([2; 32]), now);
        let mut pair = Pair { client, server, now, sequence: 0 };
        let there = pair.client_says();
        pair.server_takes(&there[UPGRADE_BYTES..]);
        pair.server.welcome(0, now);
        pair.answer();
        pair
    }

    /// Gives a batch to the client, and what is to be written then.
    fn send(&mut self) -> Vec<u8> {
        for _ in 0..RESULTS {
            self.sequence += 1;
            let sent = self.client.send(&ResultFrame {
                sequence: self.sequence,
                check_time_us: self.now.unix_us,
                state_type: None,
                check_type: None,
                attempt: 1,
                origin: b"",
                code: 0,
                host: black_box(b"web1.example.org"),
                service: b"HTTP",
                output: b"HTTP OK: HTTP/1.1 200 OK - 10918 bytes in 0.043 second response time |time=0.043s;;;0.0;10.0",
            });
            assert_eq!(sent, Sent::Taken);
        }
        self.client_says()
    }

    fn client_says(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        loop {
            let bytes = self.client.poll_transmit(self.now);
            let count = bytes.len();
            said.extend_from_slice(bytes);
            if count == 0 {
                return said;
            }
            self.client.handle_sent(count);
        }
    }

    /// Counts the results.
    fn server_takes(&mut self, mut bytes: &[u8]) -> usize {
        let mut results = 0;
        while !bytes.is_empty() {
            bytes = &bytes[self.server.handle_bytes(bytes, self.now)..];
            while let Some(event) = self.server.poll_event().expect("an honest client") {
                results += usize::from(matches!(event, ServerEvent::Result(_)));
            }
        }
        results
    }

    /// Everything that the server has to say.
    fn answer(&mut self) {
        let back = self.server.poll_transmit(self.now).to_vec();
        self.server.handle_sent(back.len());
        let mut rest = &back[..];
        while !rest.is_empty() {
            rest = &rest[self.client.handle_bytes(rest, self.now)..];
            while self.client.poll_event().expect("an honest server").is_some() {}
        }
    }
}

/// From results to what is written, and from what is read to results; acknowledged, so that there is credit again.
#[divan::bench]
fn there_and_back(bencher: Bencher) {
    let mut pair = Pair::new();
    bencher.counter(ItemsCount::new(RESULTS)).bench_local(|| {
        let sent = pair.send();
        assert_eq!(pair.server_takes(&sent), RESULTS);
        pair.server.acknowledge(pair.sequence);
        pair.answer();
    });
}
