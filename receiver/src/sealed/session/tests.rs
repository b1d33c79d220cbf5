use std::time::Duration;

use nagios::PluginOutput;
use nsca::packet::Init;
use nsca::sealed::{
    Client, ClientEvent, ClientSettings, CoreVerdict, Ephemeral, MAX_FRAME_BYTES, Psk, STALE_AFTER, Sent,
    ServerSettings, SpoolId, Window, marked_iv,
};

use super::super::MAX_SHOWN_BYTES;
use super::*;

const NOW_US: i64 = 1_700_000_000_000_000;

/// A sender and a session, and what one says to the other.
struct Pair {
    client: Client,
    session: Session,
    now: Now,
}

/// What a sender says first.
fn hello(node: &str, spool: u8, newest: u64) -> Hello {
    Hello { node: name(node), spool: SpoolId([spool; 16]), epoch: 1, oldest: 1, newest }
}

fn name(name: &str) -> NodeName {
    NodeName::try_from(name).unwrap()
}

fn frame(sequence: u64) -> ResultFrame<'static> {
    ResultFrame {
        sequence,
        check_time_us: NOW_US - 5_000_000,
        state_type: Some(sealed::StateType::Soft),
        check_type: Some(sealed::CheckType::Active),
        attempt: 2,
        origin: b"",
        code: 1,
        host: b"host",
        service: b"service",
        output: b"output\nlong",
    }
}

/// The event with texts of its own, unless it only says that a result came.
fn remarkable(event: Event<'_>) -> Option<Event<'static>> {
    Some(match event {
        Event::Taken => return None,
        Event::Record(record) => Event::Record(record.to_vec().leak()),
        Event::Hello(hello) => Event::Hello(hello),
        Event::Heartbeat(condition) => Event::Heartbeat(condition),
        Event::Dropped(dropped) => Event::Dropped(dropped),
        Event::Heading(heading) => Event::Heading(heading),
        Event::Answered(shown) => Event::Answered(shown),
        Event::Goodbye(reason) => Event::Goodbye(reason),
    })
}

impl Pair {
    fn new(hello: Hello) -> Self {
        Pair::with_books(hello, false)
    }

    fn with_books(hello: Hello, books: bool) -> Self {
        let now = Now { instant: Instant::now(), unix_us: NOW_US };
        let (psk, init) = (Psk::new([7; 32]), Init { iv: marked_iv(&[9; 112]), timestamp: 1_700_000_000 });
        let core = CoreVerdict::Unknown;
        let settings = ClientSettings { hello, core, books, stale_after: STALE_AFTER };
        let mut client = Client::new(&psk, &init, settings, Ephemeral::new([1; 32]), now);
        let window = Window { results: 4, bytes: 1 << 20 };
        let settings = ServerSettings { node: name("standby"), window, core, books, stale_after: STALE_AFTER };
        let server = Server::new(&psk, &init, settings, Ephemeral::new([2; 32]), now);
        // The upgrade request was read by the greeting.
        assert!(client.poll_transmit(now).len() > 32);
        client.handle_sent(32);
        Pair { client, session: Session::new(Box::new(server), name("standby")), now }
    }

    /// A pair whose sender was welcomed.
    fn welcomed(hello: Hello, peers: &mut Peers) -> Self {
        let mut pair = Pair::new(hello);
        assert!(pair.introduce(peers).is_ok());
        assert!(matches!(pair.reach_client().unwrap()[..], [ClientEvent::Welcome(_), ClientEvent::Heartbeat(_)]));
        pair
    }

    fn introduce(&mut self, peers: &mut Peers) -> Result<Begun, Reason> {
        let events = self.reach_session().unwrap();
        let [Event::Hello(hello)] = &events[..] else { panic!("{events:?}") };
        self.session.introduce(hello, peers, self.now)
    }

    fn reach_session(&mut self) -> Result<Vec<Event<'static>>, SealedError> {
        let mut events = Vec::new();
        loop {
            let bytes = self.client.poll_transmit(self.now).to_vec();
            if bytes.is_empty() {
                return Ok(events);
            }
            self.client.handle_sent(bytes.len());
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                rest = &rest[self.session.handle_bytes(rest, self.now)..];
                while let Some(event) = self.session.poll_event(self.now)? {
                    events.extend(remarkable(event));
                }
            }
        }
    }

    fn reach_client(&mut self) -> Result<Vec<ClientEvent>, SealedError> {
        let mut events = Vec::new();
        loop {
            let bytes = self.session.poll_transmit(self.now).to_vec();
            if bytes.is_empty() {
                return Ok(events);
            }
            self.session.handle_sent(bytes.len());
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                rest = &rest[self.client.handle_bytes(rest, self.now)..];
                while let Some(event) = self.client.poll_event()? {
                    events.push(event);
                }
            }
        }
    }

    /// What comes with the next message of the sender.
    fn batch_of_next_part(&mut self) -> Option<Batch> {
        let bytes = self.client.poll_transmit(self.now).to_vec();
        assert!(!bytes.is_empty(), "nothing more comes");
        self.client.handle_sent(bytes.len());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[self.session.handle_bytes(rest, self.now)..];
            while self.session.poll_event(self.now).unwrap().is_some() {}
        }
        self.session.take_batch()
    }

    #[track_caller]
    fn send(&mut self, frame: &ResultFrame<'_>) {
        assert_eq!(self.client.send(frame), Sent::Taken);
    }

    fn batch(&mut self) -> Batch {
        self.session.take_batch().expect("results came")
    }
}

/// What the journal does with a batch.
fn append(peers: &mut Peers, batch: &Batch) {
    let (source, session) = batch.source().unwrap();
    peers.take(source, session, batch.through());
}

fn commit(peers: &mut Peers) {
    let commit = peers.begin_commit();
    peers.committed(commit);
}

fn acknowledged(events: &[ClientEvent]) -> Vec<u64> {
    let acks = events.iter().filter_map(|event| match event {
        ClientEvent::Acknowledged(sequence) => Some(*sequence),
        _ => None,
    });
    acks.collect()
}

#[test]
fn a_result_arrives_with_everything_that_is_known_of_it() {
    let mut pair = Pair::welcomed(hello("master", 1, 9), &mut Peers::default());
    let long = [b'x'; 64 << 10];
    pair.send(&frame(7));
    pair.send(&ResultFrame {
        service: b"",
        attempt: 0,
        state_type: None,
        check_type: None,
        origin: b"far",
        ..frame(8)
    });
    let mut events = pair.reach_session().unwrap();
    pair.send(&ResultFrame { output: &long, check_time_us: NOW_US + 3_600_000_000, ..frame(9) });
    events.extend(pair.reach_session().unwrap());
    assert!(events.iter().all(|event| matches!(event, Event::Heartbeat(..))), "{events:?}");
    let batch = pair.batch();
    assert_eq!(batch.through(), 9);
    let [first, second, third] = batch.results() else { panic!("{batch:?}") };
    assert_eq!((&*first.origin, &*second.origin), ("master", "far"));
    let object = Object::Service("host".try_into().unwrap(), "service".try_into().unwrap());
    let expected = CheckResult {
        object,
        code: ReturnCode::new(1),
        output: PluginOutput::from_text(b"output\nlong"),
        check_time: Timestamp::from_micros(NOW_US - 5_000_000),
        state_type: Some(StateType::Soft),
        attempt: Some(2),
        check_type: Some(CheckType::Active),
    };
    assert_eq!(first.result, expected);
    assert_eq!(second.result.object, Object::Host("host".try_into().unwrap()));
    assert_eq!((second.result.attempt, second.result.state_type, second.result.check_type), (None, None, None));
    assert_eq!(third.result.output.escaped().len(), long.len());
    assert_eq!(third.result.check_time, Timestamp::from_micros(NOW_US), "nothing is checked in the future");
}

#[test]
fn nothing_is_acknowledged_before_it_is_committed() {
    let mut peers = Peers::default();
    let mut pair = Pair::welcomed(hello("master", 1, 9), &mut peers);
    pair.send(&frame(1));
    pair.send(&frame(2));
    pair.reach_session().unwrap();
    let batch = pair.batch();
    append(&mut peers, &batch);
    pair.session.acknowledge(&peers);
    assert_eq!(acknowledged(&pair.reach_client().unwrap()), [0u64; 0]);
    assert!(!pair.session.is_settled());
    commit(&mut peers);
    pair.session.acknowledge(&peers);
    assert_eq!(acknowledged(&pair.reach_client().unwrap()), [2]);
    assert!(pair.session.is_settled());
}

#[test]
fn while_nothing_is_committed_credit_ends_and_heartbeats_go_on() {
    let mut peers = Peers::default();
    let mut pair = Pair::welcomed(hello("master", 1, 9), &mut peers);
    (1..=4).for_each(|sequence| pair.send(&frame(sequence)));
    assert_eq!(pair.client.send(&frame(5)), Sent::Later);
    pair.reach_session().unwrap();
    pair.reach_client().unwrap();
    for _ in 0..60 {
        pair.now.instant += Duration::from_secs(1);
        pair.now.unix_us += 1_000_000;
        pair.client.handle_timeout(pair.now).unwrap();
        pair.session.handle_timeout(pair.now).unwrap();
        assert!(matches!(pair.reach_session().unwrap()[..], [Event::Heartbeat(..)]));
        assert!(matches!(pair.reach_client().unwrap()[..], [ClientEvent::Heartbeat(_)]));
    }
    assert_eq!(pair.session.heard(), Some(pair.now.instant));
    assert_eq!(pair.batch().results().len(), 4);
}

#[test]
fn each_part_of_a_result_that_takes_long_is_a_sign_of_life() {
    let mut pair = Pair::welcomed(hello("master", 1, 9), &mut Peers::default());
    let output = vec![b'x'; 500 << 10];
    pair.send(&ResultFrame { output: &output, ..frame(1) });
    let (began, mut parts) = (pair.now.instant, 0);
    while pair.batch_of_next_part().is_none() {
        parts += 1;
        assert_eq!(pair.session.heard(), Some(pair.now.instant));
        pair.now.instant += STALE_AFTER - Duration::from_millis(1);
        pair.session.handle_timeout(pair.now).unwrap();
    }
    assert!(parts >= 7 && pair.now.instant > began + 5 * STALE_AFTER, "{parts} parts");
}

#[test]
fn what_is_dropped_is_told_and_its_sequence_is_accepted() {
    let mut peers = Peers::default();
    let mut pair = Pair::welcomed(hello("master", 1, 9), &mut peers);
    pair.send(&ResultFrame { origin: b"standby", ..frame(1) });
    pair.send(&ResultFrame { host: b"two\nlines", ..frame(2) });
    pair.send(&ResultFrame { origin: b"\xff", ..frame(3) });
    let events = pair.reach_session().unwrap();
    let drops: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Dropped(why) => Some(*why),
            _ => None,
        })
        .collect();
    assert_eq!(drops, [Dropped::Own, Dropped::Name(NameError::Forbidden { byte: b'\n' }), Dropped::Origin]);
    let batch = pair.batch();
    assert_eq!((batch.results().len(), batch.through()), (0, 3));
    append(&mut peers, &batch);
    commit(&mut peers);
    pair.session.acknowledge(&peers);
    assert_eq!(acknowledged(&pair.reach_client().unwrap()), [3]);
}

#[test]
fn a_newer_session_goes_on_where_the_older_one_was_committed() {
    let mut peers = Peers::default();
    let mut older = Pair::welcomed(hello("master", 1, 9), &mut peers);
    older.send(&frame(1));
    older.reach_session().unwrap();
    append(&mut peers, &older.batch());
    commit(&mut peers);
    let mut newer = Pair::new(hello("master", 1, 9));
    let begun = newer.introduce(&mut peers).unwrap();
    newer.reach_client().unwrap();
    assert_eq!((begun.accepted, begun.supersedes), (1, older.session.begun().map(|begun| begun.number)));
    older.session.leave(Reason::Superseded);
    assert_eq!(older.reach_client().unwrap().pop(), Some(ClientEvent::Goodbye(Reason::Superseded)));
    newer.send(&frame(2));
    newer.reach_session().unwrap();
    append(&mut peers, &newer.batch());
    commit(&mut peers);
    newer.session.acknowledge(&peers);
    assert_eq!(acknowledged(&newer.reach_client().unwrap()), [2]);
}

/// Two machines with copies of one state directory: both have a result 1, and they are not the same.
#[test]
fn a_clones_results_are_not_taken_for_those_of_the_original() {
    let mut peers = Peers::default();
    let mut original = Pair::welcomed(hello("master", 1, 9), &mut peers);
    original.send(&frame(1));
    original.send(&frame(2));
    original.reach_session().unwrap();
    append(&mut peers, &original.batch());
    let mut clone = Pair::welcomed(hello("master", 1, 9), &mut peers);
    clone.send(&frame(1));
    clone.reach_session().unwrap();
    commit(&mut peers);
    clone.session.acknowledge(&peers);
    assert!(!clone.session.is_settled(), "what is committed is the original's");
    let batch = clone.batch();
    let (source, session) = batch.source().unwrap();
    assert_eq!(batch.count_up_to(peers.taken(source, session).unwrap()), 0, "it is new");
    append(&mut peers, &batch);
    commit(&mut peers);
    clone.session.acknowledge(&peers);
    original.session.acknowledge(&peers);
    assert_eq!(acknowledged(&clone.reach_client().unwrap()), [1]);
    assert_eq!(acknowledged(&original.reach_client().unwrap()), [0u64; 0], "it sends its own again");
}

#[test]
fn one_name_with_two_spools_is_refused_until_the_first_is_gone() {
    let mut peers = Peers::default();
    let first = Pair::welcomed(hello("master", 1, 9), &mut peers);
    let mut second = Pair::new(hello("master", 2, 9));
    assert_eq!(second.introduce(&mut peers), Err(Reason::NameInUse));
    assert_eq!(second.reach_client(), Err(SealedError::Refused(Reason::NameInUse)));
    peers.end(&name("master"), first.session.begun().unwrap().number);
    Pair::welcomed(hello("master", 2, 9), &mut peers);
}

#[test]
fn a_node_refuses_its_own_name() {
    let mut pair = Pair::new(hello("standby", 1, 9));
    assert_eq!(pair.reach_session().unwrap_err(), SealedError::OwnName(name("standby")));
    assert_eq!(pair.reach_client(), Err(SealedError::Refused(Reason::OwnName)));
}

#[test]
fn a_spool_that_went_back_is_told_so() {
    let mut peers = Peers::default();
    let mut pair = Pair::welcomed(hello("master", 1, 9), &mut peers);
    pair.send(&frame(9));
    pair.reach_session().unwrap();
    append(&mut peers, &pair.batch());
    commit(&mut peers);
    let mut restored = Pair::new(hello("master", 1, 5));
    assert_eq!(restored.introduce(&mut peers).unwrap().accepted, 9);
    assert_eq!(restored.reach_client(), Err(SealedError::PeerAhead { accepted: 9, newest: 5 }));
    let mut hello = hello("master", 1, 5);
    hello.epoch = 2;
    assert_eq!(Pair::new(hello).introduce(&mut peers).unwrap().accepted, 0);
}

fn shown(host: &[u8]) -> ShownFrame<'_> {
    let ResultFrame { check_time_us, state_type, check_type, attempt, code, service, output, .. } = frame(0);
    ShownFrame { check_time_us, state_type, check_type, attempt, code, host, service, output }
}

#[test]
fn what_is_shown_is_kept_apart_from_news_and_carries_the_senders_name() {
    let mut pair = Pair::with_books(hello("master", 1, 9), true);
    pair.introduce(&mut Peers::default()).unwrap();
    pair.reach_client().unwrap();
    assert!(pair.session.has_books() && pair.session.want(&Want::Book));
    assert!(pair.reach_client().unwrap().contains(&ClientEvent::Want(Want::Book)));
    let hour = 3_600_000_000;
    for shown in [ShownFrame { check_time_us: NOW_US + hour, ..shown(b"host") }, shown(b"two\nlines")] {
        assert_eq!(pair.client.send_shown(&shown), Sent::Taken);
    }
    assert_eq!(pair.client.send_answered(2), Sent::Taken);
    assert_eq!(pair.client.send_record(b"a record"), Sent::Taken);
    let events = pair.reach_session().unwrap();
    assert!(
        matches!(
            events[..],
            [Event::Heartbeat(_), Event::Dropped(Dropped::Name(_)), Event::Answered(2), Event::Record(b"a record")]
        ),
        "{events:?}"
    );
    assert!(pair.session.take_batch().is_none() && pair.session.has_shown());
    let batch = pair.session.take_shown().unwrap();
    assert!(batch.is_readmitted() && batch.source().is_none() && !pair.session.has_shown());
    let [Attributed { result, origin }] = batch.results() else { panic!("{batch:?}") };
    assert_eq!((&**origin, result.check_time), ("master", Timestamp::from_micros(NOW_US)));
    assert_eq!((result.attempt, result.state_type), (Some(2), Some(StateType::Soft)));
    assert!(pair.session.is_settled(), "none of it is acknowledged");
}

#[test]
fn what_is_shown_faster_than_the_journal_takes_it_is_dropped_beyond_a_limit() {
    let mut pair = Pair::with_books(hello("master", 1, 9), true);
    pair.introduce(&mut Peers::default()).unwrap();
    pair.reach_client().unwrap();
    let output = vec![b'x'; MAX_FRAME_BYTES / 2];
    let mut dropped = 0;
    for _ in 0..2 * MAX_SHOWN_BYTES / output.len() {
        assert_eq!(pair.client.send_shown(&ShownFrame { output: &output, ..shown(b"host") }), Sent::Taken);
        let events = pair.reach_session().unwrap();
        dropped += events.iter().filter(|event| matches!(event, Event::Dropped(Dropped::NoRoom))).count();
    }
    let kept = pair.session.take_shown().unwrap().results().len();
    assert!((MAX_SHOWN_BYTES / output.len() - 1..=MAX_SHOWN_BYTES / output.len()).contains(&kept), "{kept}");
    assert_eq!(kept + dropped, 2 * MAX_SHOWN_BYTES / output.len());
    assert_eq!(pair.client.send_shown(&shown(b"host")), Sent::Taken);
    pair.reach_session().unwrap();
    assert!(pair.session.has_shown(), "there is room again");
}
