//! What a running receiver does with the books of its senders, and with results that are no news. The test plays the sender
//! and the core.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant, SystemTime};

use config::{KeySource, Limits, Listener, Node, Route};
use nagios::{CheckResult, Flavour, HostName, Object, PluginOutput, ReturnCode, Timestamp};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nsca::greeting::{ClientGreeted, ClientGreeting, PeerAbility, Policy};
use nsca::packet::PacketSize;
use nsca::sealed::{
    Client, ClientEvent, ClientSettings, CoreVerdict, Ephemeral, Heading, Hello, NodeName, Now, Part, Psk, ResultFrame,
    STALE_AFTER, Sent, ShownFrame, SpoolId, Want, Warmth,
};
use nsca::{Method, Secret};
use receiver::{Amiss, Books, Receiver, Surroundings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// The deadline of a condition that should come true soon.
const SOON: Duration = Duration::from_secs(20);

const PASSWORD: &[u8] = b"password";

/// Outlives the receivers of tests that fail.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// When results are checked, in seconds.
const CHECKED: i64 = 1_700_000_000;

/// Notes what it is told, in words.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note(&self, node: &NodeName, what: String) {
        self.0.lock().unwrap().push(format!("{node}: {what}"));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Books for Notes {
    fn begin(&self, node: &NodeName) {
        self.note(node, "begin".to_owned());
    }

    fn heading(&self, node: &NodeName, heading: Heading) {
        self.note(node, format!("{:?} of {}", heading.part, heading.created));
    }

    fn record(&self, node: &NodeName, record: &[u8]) -> Result<(), Amiss> {
        let record = String::from_utf8_lossy(record);
        self.note(node, record.to_string());
        if record == "amiss" { Err(Amiss::new("it says so")) } else { Ok(()) }
    }

    fn answered(&self, node: &NodeName, shown: u32) {
        self.note(node, format!("answered {shown}"));
    }
}

/// A running receiver and the core's end of its command file.
struct Stage {
    receiver: Receiver,
    notes: Arc<Notes>,
    core: File,
    said: String,
    _directory: TempDir,
}

/// Runs a test with a receiver of its own, and stops that.
fn play(test: impl AsyncFnOnce(&mut Stage)) {
    RUNTIME.block_on(async {
        let mut stage = Stage::start();
        test(&mut stage).await;
        stage.receiver.stop(SOON).await;
    });
}

impl Stage {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let command_file = directory.path().join("commands");
        nix::unistd::mkfifo(&command_file, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let core = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&command_file).unwrap();
        let notes = Arc::new(Notes::default());
        let config = settings(directory.path(), &command_file);
        let node = Node {
            name: name("standby"),
            state_directory: directory.path().to_owned(),
            control_socket: directory.path().join("socket"),
        };
        let bound = Receiver::bind(&config).unwrap();
        let surroundings = Surroundings { books: Some(notes.clone()), ..Surroundings::default() };
        let receiver = Receiver::start(&config, &node, bound, surroundings).unwrap();
        Stage { receiver, notes, core, said: String::new(), _directory: directory }
    }

    /// What the core was told, as host and output.
    fn lines(&mut self) -> Vec<String> {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = self.core.read(&mut buffer) {
            self.said.push_str(str::from_utf8(&buffer[..n]).unwrap());
        }
        let line = |line: &str| {
            let mut fields = line.split(';').skip(1);
            format!("{} {}", fields.next().unwrap(), fields.last().unwrap())
        };
        self.said.lines().map(line).collect()
    }
}

fn settings(directory: &Path, command_file: &Path) -> config::Receiver {
    let listener = Listener {
        address: "127.0.0.1:0".parse().unwrap(),
        secret: Secret::new(Method::Xor, PASSWORD),
        sealed: Policy::Auto(psk()),
        key_source: Some(KeySource::Password),
        max_packet_age: None,
        allow: Vec::new(),
        strict_mode_spoofing: false,
    };
    config::Receiver {
        listeners: vec![listener],
        limits: Limits::default(),
        route: Route::CommandFile(command_file.to_owned()),
        flavour: Flavour::Nagios4,
        max_rate: None,
        journal: Some(config::Journal { directory: directory.join("journal"), max_size: 16 << 20, status_file: None }),
        dump_file: None,
    }
}

/// A node that sends.
struct Peer {
    stream: TcpStream,
    client: Box<Client>,
    events: Vec<ClientEvent>,
}

impl Peer {
    /// Connects, and is welcome.
    async fn connect(stage: &Stage, books: bool, newest: u64) -> Self {
        let mut stream = TcpStream::connect(stage.receiver.addresses()[0]).await.unwrap();
        let mut init = [0; 132];
        stream.read_exact(&mut init).await.unwrap();
        let hello = Hello { node: name("master"), spool: SpoolId([1; 16]), epoch: 1, oldest: 1, newest };
        let settings = ClientSettings { hello, core: CoreVerdict::Alive, books, stale_after: STALE_AFTER };
        let classic = nsca::classic::ClientSession::new(Secret::new(Method::Xor, PASSWORD), PacketSize::Modern, 1);
        let (policy, ephemeral) = (Policy::Require(psk()), Ephemeral::new([3; 32]));
        let greeting = ClientGreeting::new(classic, policy, PeerAbility::Unknown, settings, ephemeral);
        let ClientGreeted::Sealed(client, _) = greeting.handle_bytes(&init, now()).unwrap() else {
            panic!("no sealed session was offered");
        };
        let mut peer = Peer { stream, client, events: Vec::new() };
        peer.wait_for(|event| matches!(event, ClientEvent::Welcome(_))).await;
        assert_eq!(peer.client.has_books(), books);
        peer
    }

    /// Goes on with the session until such an event comes.
    async fn wait_for(&mut self, wanted: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(at) = self.events.iter().position(&wanted) {
                return self.events.remove(at);
            }
            assert!(Instant::now() < deadline, "waited in vain, among {:?}", self.events);
            self.pump().await;
        }
    }

    /// Goes on with the session a little.
    async fn pump(&mut self) {
        loop {
            let bytes = self.client.poll_transmit(now()).to_vec();
            if bytes.is_empty() {
                break;
            }
            self.stream.write_all(&bytes).await.unwrap();
            self.client.handle_sent(bytes.len());
        }
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(Duration::from_millis(5), self.stream.read(&mut buffer));
        if let Ok(read) = read.await {
            let n = read.unwrap();
            assert!(n > 0, "the receiver hung up");
            let mut bytes = &buffer[..n];
            while !bytes.is_empty() {
                bytes = &bytes[self.client.handle_bytes(bytes, now())..];
                while let Some(event) = self.client.poll_event().unwrap() {
                    self.events.push(event);
                }
            }
        }
        self.client.handle_timeout(now()).unwrap();
    }

    /// What the receiver wants next.
    async fn wanted(&mut self) -> Want {
        match self.wait_for(|event| matches!(event, ClientEvent::Want(_))).await {
            ClientEvent::Want(want) => want,
            other => panic!("{other:?}"),
        }
    }
}

/// Goes on with the session until `condition` holds.
async fn until(peer: &mut Peer, stage: &mut Stage, mut condition: impl AsyncFnMut(&mut Stage) -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition(stage).await {
        assert!(Instant::now() < deadline, "waited in vain: {:?} {:?}", stage.lines(), stage.notes.take());
        peer.pump().await;
    }
}

fn name(name: &str) -> NodeName {
    NodeName::try_from(name).unwrap()
}

fn psk() -> Psk {
    Psk::new([5; 32])
}

fn now() -> Now {
    Now::new(Instant::now(), SystemTime::now())
}

fn heading(part: Part) -> Heading {
    Heading { part, program_start: 1, created: 2, notifies: Some(true) }
}

fn result<'a>(sequence: u64, host: &'a str, second: i64, output: &'a str) -> ResultFrame<'a> {
    ResultFrame {
        sequence,
        check_time_us: second * 1_000_000,
        state_type: None,
        check_type: None,
        attempt: 0,
        origin: b"",
        code: 0,
        host: host.as_bytes(),
        service: b"",
        output: output.as_bytes(),
    }
}

fn shown<'a>(host: &'a str, second: i64, output: &'a str) -> ShownFrame<'a> {
    let ResultFrame { check_time_us, state_type, check_type, attempt, code, host, service, output, .. } =
        result(0, host, second, output);
    ShownFrame { check_time_us, state_type, check_type, attempt, code, host, service, output }
}

fn check_result(host: &str, second: i64, output: &str) -> CheckResult {
    let object = Object::Host(HostName::try_from(host).unwrap());
    let output = PluginOutput::from_text(output.as_bytes());
    CheckResult::new(object, ReturnCode::new(0), output, Timestamp::from_seconds(second))
}

fn wanted_results() -> Want {
    Want::Results { objects: vec![(b"a".to_vec(), Vec::new())], is_last: true }
}

#[test]
fn a_book_is_passed_on_and_asked_for_where_it_does_not_fit_but_not_all_the_time() {
    play(async |stage| {
        let mut peer = Peer::connect(stage, true, 0).await;
        for sent in [
            peer.client.send_heading(&heading(Part::Begin)),
            peer.client.send_record(b"a record"),
            peer.client.send_record(b"amiss"),
        ] {
            assert_eq!(sent, Sent::Taken);
        }
        assert_eq!(peer.wanted().await, Want::Book);
        let expected = ["master: begin", "master: Begin of 2", "master: a record", "master: amiss"];
        assert_eq!(stage.notes.take(), expected);
        assert_eq!(peer.client.send_record(b"amiss"), Sent::Taken);
        until(&mut peer, stage, async |stage| stage.notes.take() == ["master: amiss"]).await;
        assert!(stage.receiver.want("master", wanted_results()));
        assert_eq!(peer.wanted().await, wanted_results(), "the whole book is not asked for twice in a minute");
        assert!(stage.receiver.want("master", Want::Book));
        assert_eq!(peer.wanted().await, Want::Book, "unless somebody wants it");
    });
}

#[test]
fn only_who_is_connected_and_has_a_book_can_be_asked() {
    play(async |stage| {
        assert!(!stage.receiver.want("master", Want::Book));
        let peer = Peer::connect(stage, false, 0).await;
        assert!(!stage.receiver.want("master", Want::Book));
        assert_eq!(stage.notes.take(), [""; 0], "it has no book");
        drop(peer);
        let _peer = Peer::connect(stage, true, 0).await;
        assert!(stage.receiver.want("master", Want::Book) && !stage.receiver.want("another", Want::Book));
        let too_many = Want::Results { objects: vec![Default::default(); 4097], is_last: true };
        assert!(!stage.receiver.want("master", too_many));
        let long = Want::Results { objects: vec![(vec![b'h'; 200], Vec::new()); 4096], is_last: true };
        let taken = (0..1000).take_while(|_| stage.receiver.want("master", long.clone())).count();
        assert!(taken < 1000, "what waits for a node that does not read is bounded");
    });
}

#[test]
fn what_a_node_shows_goes_in_unless_something_newer_has_and_then_it_is_settled() {
    play(async |stage| {
        let mut peer = Peer::connect(stage, true, 1).await;
        assert!(!stage.receiver.is_settled("master").await, "its spool has something");
        assert_eq!(peer.client.send(&result(1, "a", CHECKED, "news")), Sent::Taken);
        until(&mut peer, stage, async |stage| stage.receiver.is_settled("master").await).await;
        assert_eq!(stage.lines(), ["a news"]);
        assert!(!stage.receiver.is_settled("another").await);
        for shown in [shown("a", CHECKED - 1, "older"), shown("a", CHECKED, "as new"), shown("b", 1, "never seen")] {
            assert_eq!(peer.client.send_shown(&shown), Sent::Taken);
        }
        assert_eq!(peer.client.send_answered(3), Sent::Taken);
        until(&mut peer, stage, async |stage| stage.notes.take().contains(&"master: answered 3".to_owned())).await;
        let counts = stage.receiver.counts();
        assert_eq!((counts.accepted, counts.readmitted, counts.older), (3, 2, 1), "told when they are in the journal");
        until(&mut peer, stage, async |stage| stage.receiver.is_settled("master").await).await;
        assert_eq!(stage.lines(), ["a news", "a as new", "b never seen"]);
        // What comes next is told as if nothing had been shown.
        assert_eq!(peer.client.send(&result(2, "b", 1, "next")), Sent::Taken);
        until(&mut peer, stage, async |stage| stage.lines().len() == 4).await;
        drop(peer);
        let deadline = Instant::now() + SOON;
        while stage.receiver.is_settled("master").await {
            assert!(Instant::now() < deadline, "it is gone");
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn results_that_are_no_news_go_in_again_unless_newer_ones_have() {
    play(async |stage| {
        let results = [("a", CHECKED), ("b", CHECKED)].map(|(host, second)| check_result(host, second, "first"));
        assert!(stage.receiver.readmit(results.into(), "master").await);
        let results = [("a", CHECKED - 1), ("b", CHECKED), ("b", CHECKED + 1)];
        let results = results.map(|(host, second)| check_result(host, second, &second.to_string()));
        assert!(stage.receiver.readmit(results.into(), "").await);
        let mut peer = Peer::connect(stage, true, 0).await;
        let expected =
            ["a first".to_owned(), "b first".to_owned(), format!("b {CHECKED}"), format!("b {}", CHECKED + 1)];
        until(&mut peer, stage, async |stage| stage.lines() == expected).await;
        assert_eq!((stage.receiver.counts().readmitted, stage.receiver.counts().older), (4, 1));
    });
}

#[test]
fn both_sides_hear_how_warm_the_other_one_is() {
    play(async |stage| {
        let mut peer = Peer::connect(stage, true, 0).await;
        stage.receiver.set_warmth(Warmth::Cold);
        peer.wait_for(|event| matches!(event, ClientEvent::Heartbeat(heartbeat) if heartbeat.warmth == Warmth::Cold))
            .await;
        let heard = stage.receiver.heard("master");
        assert_eq!(heard.borrow().warmth, Warmth::Unknown);
        peer.client.set_warmth(Warmth::Warm);
        until(&mut peer, stage, async |_| heard.borrow().warmth == Warmth::Warm).await;
    });
}
