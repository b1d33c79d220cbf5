//! Against a receiving side that remembers what it committed, on a disk and a network that do what the test says.

use std::collections::BTreeMap;
use std::time::Duration;

use nagios::{CheckResult, PluginOutput};
use nsca::packet::Init;
use nsca::sealed::{
    ClientSettings, Ephemeral, Psk, STALE_AFTER, Server, ServerEvent, ServerSettings, UPGRADE_BYTES, Window, marked_iv,
};
use spool::disk::simulated::{Faults, SimulatedDisk};
use spool::{Keep, NewRecord, NoShrink, Options};

use super::*;
use crate::testing::numbered;

const TIMESTAMP: u32 = 1_800_000_000;
const STANDBY: &str = "standby";
const ID: [u8; 16] = *b"0123456789abcdef";

fn name(name: &str) -> NodeName {
    NodeName::try_from(name).unwrap()
}

fn psk() -> Psk {
    Psk::new([7; 32])
}

/// A spool on a simulated disk, and what its process knows.
struct Node {
    disk: SimulatedDisk,
    spool: Spool<SimulatedDisk>,
    history: History,
    ability: PeerAbility,
    step: NonZeroU32,
}

/// A result as the receiver has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    epoch: u64,
    origin: Vec<u8>,
    output: Vec<u8>,
    /// All others.
    fields: String,
}

/// What outlives the receiver's sessions.
struct Peer {
    window: Window,
    /// By spool and epoch.
    accepted: BTreeMap<(SpoolId, u64), u64>,
    results: Vec<Got>,
}

/// One connection.
struct Session {
    exchange: Exchange,
    server: Server,
    now: Now,
    /// What the sender has sent so far.
    upgrade_left: usize,
    hello: Option<Hello>,
    /// Received and not committed.
    newest: u64,
    events: Vec<Event>,
    error: Option<SealedError>,
}

fn open(disk: &SimulatedDisk) -> Spool<SimulatedDisk> {
    let options = Options { max_size: 64 << 20, keep: Keep::Unread, shrink: Box::new(NoShrink) };
    let mut spool = Spool::open_on(disk.clone(), options, ID).unwrap().0;
    spool.keep_positions(&[STANDBY], Instant::now()).unwrap();
    spool
}

impl Node {
    fn new() -> Node {
        Node::on(SimulatedDisk::new())
    }

    fn on(disk: SimulatedDisk) -> Node {
        let spool = open(&disk);
        let history = History::new(&spool, STANDBY);
        Node { disk, spool, history, ability: PeerAbility::CanSeal, step: NonZeroU32::MIN }
    }

    /// Ends in order, and starts again.
    fn restart(mut self) -> Node {
        self.spool.commit(Instant::now()).unwrap();
        drop(self.spool);
        Node::on(self.disk)
    }

    fn append(&mut self, numbers: std::ops::Range<u64>) {
        numbers.for_each(|number| self.append_from(b"", &numbered(number)));
    }

    fn append_from(&mut self, origin: &[u8], result: &CheckResult) {
        let mut payload = Vec::new();
        stored::encode(result, origin, &mut payload);
        self.spool.append([NewRecord { key: b"key", payload: &payload }], Instant::now()).unwrap();
    }

    fn waiting(&self) -> u64 {
        self.spool.depth(STANDBY).unwrap().unwrap()
    }

    /// Begins a session.
    fn connect(&self, peer: &Peer) -> Session {
        let now = Now { instant: Instant::now(), unix_us: i64::from(TIMESTAMP) * 1_000_000 };
        let init = Init { iv: marked_iv(&[9; 112]), timestamp: TIMESTAMP };
        let hello = hello(&name("master"), &self.spool);
        let epoch = hello.epoch;
        let settings = ClientSettings { hello, core: CoreVerdict::Alive, books: false, stale_after: STALE_AFTER };
        let client = Client::new(&psk(), &init, settings, Ephemeral::new([1; 32]), now);
        let settings = ServerSettings {
            node: name(STANDBY),
            window: peer.window,
            core: CoreVerdict::Unknown,
            books: false,
            stale_after: STALE_AFTER,
        };
        let server = Server::new(&psk(), &init, settings, Ephemeral::new([2; 32]), now);
        Session {
            exchange: Exchange::new(client, STANDBY, epoch, self.ability, self.history.clone(), self.step),
            server,
            now,
            upgrade_left: UPGRADE_BYTES,
            hello: None,
            newest: 0,
            events: Vec::new(),
            error: None,
        }
    }

    /// A session until nothing moves any more.
    fn session(&mut self, peer: &mut Peer) -> Session {
        let mut session = self.connect(peer);
        session.run(self, peer);
        self.history = session.exchange.history().clone();
        session
    }
}

impl Peer {
    fn new() -> Peer {
        Peer { window: Window::default(), accepted: BTreeMap::new(), results: Vec::new() }
    }

    fn numbers(&self) -> Vec<u64> {
        let text = |got: &Got| String::from_utf8_lossy(&got.output).parse().unwrap();
        self.results.iter().map(text).collect()
    }
}

impl Session {
    /// Lets both sides talk, and the receiver commit, until they are silent.
    fn run(&mut self, node: &mut Node, peer: &mut Peer) {
        while self.step(node, peer) {
            self.commit(peer);
        }
    }

    /// Both sides say what they have to say. `false` when that is nothing.
    fn step(&mut self, node: &mut Node, peer: &mut Peer) -> bool {
        while self.exchange.wants_spool() {
            self.exchange.visit(&mut node.spool, self.now.instant).unwrap();
        }
        let there = self.exchange.poll_transmit(self.now).to_vec();
        self.exchange.handle_sent(there.len());
        let (upgrade, mut rest) = there.split_at(self.upgrade_left.min(there.len()));
        self.upgrade_left -= upgrade.len();
        loop {
            self.server_events(peer);
            if rest.is_empty() {
                break;
            }
            rest = &rest[self.server.handle_bytes(rest, self.now)..];
        }
        let back = self.server.poll_transmit(self.now).to_vec();
        self.server.handle_sent(back.len());
        let mut rest = &back[..];
        loop {
            self.client_events();
            if rest.is_empty() {
                break;
            }
            rest = &rest[self.exchange.handle_bytes(rest, self.now)..];
        }
        !there.is_empty() || !back.is_empty() || self.exchange.wants_spool()
    }

    fn commit(&mut self, peer: &mut Peer) {
        if let Some(hello) = &self.hello {
            let accepted = peer.accepted.entry((hello.spool, hello.epoch)).or_default();
            *accepted = (*accepted).max(self.newest);
            self.server.acknowledge(*accepted);
        }
    }

    fn server_events(&mut self, peer: &mut Peer) {
        // A failed session has told why.
        while let Ok(Some(event)) = self.server.poll_event() {
            match event {
                ServerEvent::Hello(hello) => {
                    let accepted = *peer.accepted.entry((hello.spool, hello.epoch)).or_default();
                    (self.newest, self.hello) = (accepted, Some(hello));
                    self.server.welcome(accepted, self.now);
                }
                ServerEvent::Result(result) => {
                    self.newest = result.sequence;
                    let [host, service] = [result.host, result.service].map(String::from_utf8_lossy);
                    peer.results.push(Got {
                        epoch: self.hello.as_ref().unwrap().epoch,
                        fields: format!(
                            "host={host} service={service} code={} time={} {:?} {:?} attempt={}",
                            result.code, result.check_time_us, result.state_type, result.check_type, result.attempt
                        ),
                        origin: result.origin.to_vec(),
                        output: result.output.to_vec(),
                    });
                }
                ServerEvent::Heartbeat(_)
                | ServerEvent::Goodbye(_)
                | ServerEvent::Heading(_)
                | ServerEvent::Record(_)
                | ServerEvent::Shown(_)
                | ServerEvent::Answered(_) => {}
            }
        }
    }

    fn client_events(&mut self) {
        loop {
            match self.exchange.poll_event() {
                Ok(None) => return,
                Ok(Some(event)) => self.events.push(event),
                Err(error) => {
                    self.error = Some(error);
                    return;
                }
            }
        }
    }
}

#[test]
fn everything_arrives_once_and_the_position_follows() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    node.append(0..5000);
    let session = node.session(&mut peer);
    assert_eq!(peer.numbers(), (0..5000).collect::<Vec<_>>());
    assert_eq!((node.waiting(), node.history.counts().acknowledged), (0, 5000));
    assert!(session.exchange.is_drained());
    assert_eq!(session.events[0], Event::Welcome(name(STANDBY)));
}

#[test]
fn a_session_goes_on_exactly_where_acknowledgements_ended() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    peer.window = Window { results: 10, bytes: 1 << 20 };
    node.append(0..100);
    let mut session = node.connect(&peer);
    while peer.results.len() < 30 {
        session.step(&mut node, &mut peer);
        session.commit(&mut peer);
    }
    // The connection is cut with the last acknowledgement on its way.
    let got = peer.results.len() as u64;
    node.history = session.exchange.history().clone();
    assert!(node.waiting() > 100 - got, "the sender knows less than was committed");
    node.session(&mut peer);
    assert_eq!(peer.numbers(), (0..100).collect::<Vec<_>>(), "nothing twice, nothing left out");
    assert_eq!(node.waiting(), 0);
}

#[test]
fn what_was_received_and_not_committed_is_sent_again() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    node.append(0..10);
    let mut session = node.connect(&peer);
    while session.step(&mut node, &mut peer) {}
    assert_eq!((peer.results.len(), node.waiting()), (10, 10));
    assert!(!session.exchange.is_drained());
    peer.results.clear();
    let mut node = node.restart();
    node.session(&mut peer);
    assert_eq!(peer.numbers(), (0..10).collect::<Vec<_>>());
}

#[test]
fn what_arrives_during_a_session_goes_out_in_it() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    let mut session = node.connect(&peer);
    session.run(&mut node, &mut peer);
    assert!(session.exchange.is_drained() && !session.exchange.wants_spool());
    node.append(0..3);
    session.exchange.handle_arrival();
    assert!(!session.exchange.is_drained());
    session.run(&mut node, &mut peer);
    assert_eq!((peer.numbers(), node.waiting()), (vec![0, 1, 2], 0));
}

#[test]
fn without_credit_nothing_is_sent_and_heartbeats_go_on() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    peer.window = Window { results: 3, bytes: 1 << 20 };
    node.append(0..10);
    let mut session = node.connect(&peer);
    while session.step(&mut node, &mut peer) {}
    assert_eq!(peer.numbers(), [0, 1, 2]);
    session.now.instant += Duration::from_secs(1);
    session.exchange.handle_timeout(session.now).unwrap();
    assert!(!session.exchange.poll_transmit(session.now).is_empty(), "a heartbeat");
    session.run(&mut node, &mut peer);
    assert_eq!((peer.numbers(), node.waiting()), ((0..10).collect::<Vec<_>>(), 0));
}

#[test]
fn results_of_the_peer_are_not_sent_back_and_hold_nothing_up() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    node.append_from(STANDBY.as_bytes(), &numbered(0));
    node.append(1..2);
    node.append_from(b"third", &numbered(2));
    node.append_from(STANDBY.as_bytes(), &numbered(3));
    node.session(&mut peer);
    assert_eq!(peer.numbers(), [1, 2]);
    assert_eq!(peer.results[1].origin, b"third");
    assert_eq!((node.waiting(), node.history.counts().own), (0, 2));
    // Nothing but the peer's own: there is no acknowledgement to wait for.
    (4..9).for_each(|number| node.append_from(STANDBY.as_bytes(), &numbered(number)));
    node.session(&mut peer);
    assert_eq!((node.waiting(), node.history.counts().own, peer.results.len()), (0, 7, 2));
}

#[test]
fn what_cannot_be_read_is_skipped_and_counted_once() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    peer.window = Window { results: 1, bytes: 1 << 20 };
    node.append(0..1);
    node.spool.append([NewRecord { key: b"k", payload: b"\x09 of another version" }], Instant::now()).unwrap();
    node.append(1..2);
    for _ in 0..2 {
        let mut session = node.connect(&peer);
        while session.step(&mut node, &mut peer) {}
        // Cut before anything is committed.
        node.history = session.exchange.history().clone();
    }
    peer.results.clear();
    node.session(&mut peer);
    assert_eq!((peer.numbers(), node.waiting()), (vec![0, 1], 0));
    assert_eq!(node.history.counts().unreadable, 1);
}

#[test]
fn the_disk_knows_the_peer_before_the_first_result_is_sent() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    node.ability = PeerAbility::Unknown;
    node.append(0..3);
    let mut session = node.connect(&peer);
    session.run(&mut node, &mut peer);
    // If the process ends here, nothing was sent and nothing is remembered.
    let asked: Vec<_> = session.events.iter().filter(|event| **event == Event::Remember).collect();
    assert_eq!((asked.len(), peer.results.len(), node.waiting()), (1, 0, 3));
    session.exchange.handle_remembered();
    session.run(&mut node, &mut peer);
    assert_eq!((peer.numbers(), node.waiting()), (vec![0, 1, 2], 0));
}

#[test]
fn a_restored_copy_begins_a_new_epoch_and_loses_nothing() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    node.append(0..10);
    let mut node = node.restart();
    let older = node.disk.copy();
    node.append(10..20);
    node.session(&mut peer);
    drop(node);

    let mut restored = Node::on(older);
    restored.append(100..105);
    let session = restored.session(&mut peer);
    assert!(matches!(session.error, Some(SealedError::PeerAhead { .. })), "{:?}", session.error);
    assert_eq!((restored.spool.epoch(), peer.results.len()), (2, 20), "nothing is sent in the old epoch");
    restored.session(&mut peer);
    let again: Vec<u64> = (0..10).chain(100..105).collect();
    assert_eq!(peer.numbers()[20..], again, "what the copy did not know to be delivered comes twice");
    assert!(peer.results[20..].iter().all(|got| got.epoch == 2));
    assert_eq!(restored.waiting(), 0);
}

#[test]
fn two_copies_that_find_out_together_begin_epochs_of_their_own() {
    let (node, mut peer) = (Node::new(), Peer::new());
    let mut node = node.restart();
    let mut copies =
        [3, 70_000].map(|step| Node { step: NonZeroU32::new(step).unwrap(), ..Node::on(node.disk.copy()) });
    node.append(0..20);
    node.session(&mut peer);
    for (copy, first) in copies.iter_mut().zip([100, 200]) {
        copy.append(first..first + 5);
        assert!(matches!(copy.session(&mut peer).error, Some(SealedError::PeerAhead { .. })));
    }
    for copy in &mut copies {
        assert!(copy.session(&mut peer).error.is_none());
        assert_eq!(copy.waiting(), 0);
    }
    assert_eq!(copies.map(|copy| copy.spool.epoch()), [4, 70_001]);
    assert_eq!(peer.numbers()[20..], (100..105).chain(200..205).collect::<Vec<_>>());
}

#[test]
fn a_restored_copy_that_restarts_before_it_is_connected_loses_nothing() {
    let (node, mut peer) = (Node::new(), Peer::new());
    let mut node = node.restart();
    let older = node.disk.copy();
    node.append(0..20);
    node.session(&mut peer);
    drop(node);

    let mut restored = Node::on(older);
    restored.append(100..105);
    let mut restored = restored.restart();
    restored.append(105..107);
    let session = restored.session(&mut peer);
    assert!(matches!(session.error, Some(SealedError::PeerAhead { .. })), "{:?}", session.error);
    restored.session(&mut peer);
    assert_eq!(peer.numbers()[20..], [100, 101, 102, 103, 104, 105, 106]);
}

#[test]
fn of_two_copies_that_take_turns_none_loses_results() {
    let (mut first, mut peer) = (Node::new(), Peer::new());
    first.append(0..1);
    first.session(&mut peer);
    let mut first = first.restart();
    let mut second = Node::on(first.disk.copy());
    peer.results.clear();
    for round in 0..5 {
        for (copy, node) in [(0, &mut first), (1, &mut second)] {
            let start = 1000 * copy + 10 * round;
            node.append(start..start + 10);
            while node.waiting() > 0 {
                node.session(&mut peer);
            }
        }
    }
    let mut numbers = peer.numbers();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..50).chain(1000..1050).collect::<Vec<_>>());
    assert_eq!((first.spool.epoch(), second.spool.epoch()), (1, 2), "the one that came later gave way");
}

#[test]
fn an_epoch_that_two_copies_began_belongs_to_one_of_them() {
    let (node, mut peer) = (Node::new(), Peer::new());
    let node = node.restart();
    // The original went on for long.
    peer.accepted.insert((SpoolId(ID), 1), 1 << 40);
    let mut first = Node::on(node.disk.copy());
    let mut second = node;
    first.append(0..5);
    second.append(100..105);
    // What it has given now lies before what it gives.
    let mut second = second.restart();
    for node in [&mut first, &mut second] {
        while node.waiting() > 0 {
            node.session(&mut peer);
        }
    }
    assert_eq!(peer.numbers(), (0..5).chain(100..105).collect::<Vec<_>>());
    assert_eq!((first.spool.epoch(), second.spool.epoch()), (2, 3));
}

#[test]
fn a_power_cut_after_the_acknowledgement_does_not_make_the_peer_a_stranger() {
    for seed in 0..20 {
        let (mut node, mut peer) = (Node::new(), Peer::new());
        node.append(0..10);
        node.spool.commit(Instant::now()).unwrap();
        node.append(10..20);
        node.session(&mut peer);
        drop(node.spool);
        node.disk.cut_power(seed);
        let mut node = Node::on(node.disk);
        node.append(20..25);
        node.session(&mut peer);
        assert_eq!(peer.numbers(), (0..25).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!((node.spool.epoch(), node.waiting()), (1, 0));
    }
}

#[test]
fn a_new_epoch_that_cannot_be_written_is_tried_again() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    node.append(0..3);
    let accepted = node.spool.newest() + 1;
    peer.accepted.insert((SpoolId(ID), 1), accepted);
    node.disk.set_faults(Faults { read_only: true, ..Faults::default() });
    let mut session = node.connect(&peer);
    while session.error.is_none() {
        assert!(session.step(&mut node, &mut peer));
    }
    assert!(session.exchange.wants_spool());
    assert!(matches!(session.exchange.visit(&mut node.spool, session.now.instant), Err(Trouble::ReadOnly { .. })));
    assert_eq!(node.spool.epoch(), 1);
    node.disk.set_faults(Faults::default());
    (0..2).for_each(|_| drop(node.session(&mut peer)));
    assert_eq!((peer.numbers(), node.spool.epoch(), node.waiting()), (vec![0, 1, 2], 2, 0));
}

#[test]
fn two_links_that_find_out_together_begin_one_epoch() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    node.append(0..3);
    let accepted = node.spool.newest() + 1;
    peer.accepted.insert((SpoolId(ID), 1), accepted);
    let mut sessions = [node.connect(&peer), node.connect(&peer)];
    sessions.iter_mut().for_each(|session| session.run(&mut node, &mut peer));
    assert!(sessions.iter().all(|session| session.error.is_some()));
    assert_eq!(node.spool.epoch(), 2);
}

#[test]
fn a_result_that_no_frame_can_hold_loses_text_and_never_its_state() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    let long = |lines: &str| {
        let mut result = CheckResult { code: nagios::ReturnCode::new(2), ..numbered(0) };
        let fill = |bytes| PluginOutput::from_text(format!("{lines}{}", "x".repeat(bytes)).as_bytes());
        // The most that the spool takes; a frame has a few bytes more around its texts.
        let mut payload = Vec::new();
        result.output = fill(0);
        stored::encode(&result, b"", &mut payload);
        result.output = fill(spool::MAX_PAYLOAD_BYTES - payload.len());
        result
    };
    node.append_from(b"", &long("short|p=1\nlong"));
    node.append_from(b"", &long("short|p="));
    node.append_from(b"", &long("short"));
    node.append(7..8);
    node.session(&mut peer);
    let outputs: Vec<_> = peer.results.iter().map(|got| &got.output[..]).collect();
    assert_eq!(outputs[..3], [&b"short|p=1"[..], b"short", b""]);
    assert_eq!((peer.results.len(), node.waiting(), node.history.counts().cut), (4, 0, 3));
}

#[test]
fn every_field_arrives() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    let result = CheckResult {
        output: PluginOutput::from_text(b"one\ntwo \\n"),
        check_time: nagios::Timestamp::from_micros(1_700_000_000_000_001),
        state_type: Some(nagios::StateType::Soft),
        attempt: Some(2),
        check_type: Some(nagios::CheckType::Passive),
        ..numbered(0)
    };
    node.append_from(b"origin", &result);
    node.session(&mut peer);
    let [got] = &peer.results[..] else { panic!("{:?}", peer.results) };
    assert_eq!((&got.origin[..], &got.output[..]), (&b"origin"[..], &b"one\ntwo \\n"[..]));
    let expected = "host=web service=http code=0 time=1700000000000001 Some(Soft) Some(Passive) attempt=2";
    assert_eq!(got.fields, expected);
}

#[test]
fn a_goodbye_comes_after_what_was_given() {
    let (mut node, mut peer) = (Node::new(), Peer::new());
    node.append(0..1);
    let mut session = node.connect(&peer);
    session.run(&mut node, &mut peer);
    session.exchange.goodbye(Reason::Stopping);
    assert!(session.step(&mut node, &mut peer));
    assert_eq!(session.exchange.handle_eof(), Ok(()));
    assert_eq!(session.server.handle_eof(), Ok(()));
}
