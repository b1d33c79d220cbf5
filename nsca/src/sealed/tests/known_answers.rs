//! Byte for byte what another implementation computed: tests/data/sealed/session.py.

use std::collections::BTreeMap;

use super::*;

struct Session(BTreeMap<String, String>);

impl Session {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sealed/session.json");
        Session(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let digits = self.0[name].as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }
}

fn the_book_is_the_same(session: &Session, pair: &mut Pair) {
    let objects = vec![(b"web".to_vec(), b"http".to_vec()), (b"web".to_vec(), Vec::new())];
    let wants = [Want::Book, Want::Results { objects, is_last: true }];
    wants.iter().for_each(|want| assert!(pair.server.want(want)));
    let bytes = pair.server_sends();
    assert_eq!(bytes, session.bytes("wants"));
    assert_eq!(pair.give_client(&bytes), Ok(wants.map(ClientEvent::Want).into()));

    let start = i64::from(TIMESTAMP);
    let shown = ShownFrame {
        check_time_us: start * 1_000_000 - 2,
        state_type: Some(StateType::Hard),
        check_type: Some(CheckType::Passive),
        attempt: 3,
        code: 1,
        host: b"web",
        service: b"http",
        output: "WARNING – slow | time=2s".as_bytes(),
    };
    let taken = [pair.client.send_shown(&shown), pair.client.send_answered(1)];
    assert_eq!(taken, [Sent::Taken; 2]);
    let bytes = pair.client_sends();
    assert_eq!(bytes, session.bytes("shown_and_answered"));
    assert_eq!(pair.give_server(&bytes), Ok(vec![Event::Shown(shown.output.into()), Event::Answered(1)]));

    let (program_start, created) = (start - 10_000, start - 10);
    let heading = Heading { part: Part::Begin, program_start, created, notifies: Some(true) };
    let taken = [pair.client.send_heading(&heading), pair.client.send_record(b"a record")];
    assert_eq!(taken, [Sent::Taken; 2]);
    let bytes = pair.client_sends();
    assert_eq!(bytes, session.bytes("heading_and_record"));
    assert_eq!(pair.give_server(&bytes), Ok(vec![Event::Heading(heading), Event::Record(b"a record".into())]));
}

#[test]
fn a_password_becomes_a_key() {
    let session = Session::read();
    let psk = Psk::from_password(session.0["password"].as_bytes()).unwrap();
    assert_eq!(psk.bytes()[..], session.bytes("password_psk"));
}

#[test]
fn a_session_is_the_same_byte_for_byte() {
    let session = Session::read();
    assert_eq!(psk().bytes()[..], session.bytes("psk"));
    assert_eq!(init().encode()[..], session.bytes("init"));

    let mut pair = Pair::new(client_settings(), server_settings());
    pair.server.set_warmth(Warmth::Cold);
    pair.client.set_warmth(Warmth::Warm);
    let request = pair.client_sends();
    assert_eq!(request, session.bytes("upgrade_and_hello"));
    let events = pair.give_server(&request[UPGRADE_BYTES..]).unwrap();
    assert_eq!(events, [Event::Hello(client_settings().hello)]);

    pair.server.welcome(7, pair.clock.now());
    let answer = pair.server_sends();
    assert_eq!(answer, [session.bytes("welcome"), session.bytes("server_heartbeat")].concat());
    pair.clock.advance(Duration::from_millis(150));
    let events = pair.give_client(&answer).unwrap();
    let credit = Credit { results: 4096, bytes: 4 << 20 };
    assert_eq!(events[0], ClientEvent::Welcome(Welcome { node: name("standby"), accepted: 7, credit }));

    pair.clock.advance(Duration::from_millis(100));
    let sent = ResultFrame {
        sequence: 8,
        check_time_us: i64::from(TIMESTAMP) * 1_000_000 - 1,
        state_type: Some(StateType::Hard),
        check_type: Some(CheckType::Active),
        attempt: 3,
        origin: b"far",
        code: 2,
        host: b"web",
        service: b"http",
        output: "CRITICAL – 503 | time=3s\nlong;output\\".as_bytes(),
    };
    assert_eq!(pair.client.send(&sent), Sent::Taken);
    let bytes = pair.client_sends();
    assert_eq!(bytes, session.bytes("client_heartbeat_and_result"));
    let events = pair.give_server(&bytes).unwrap();
    assert!(matches!(events[..], [Event::Heartbeat(_), Event::Result(_)]), "{events:?}");

    pair.server.acknowledge(8);
    let ack = pair.server_sends();
    assert_eq!(ack, session.bytes("ack"));
    assert_eq!(pair.give_client(&ack), Ok(vec![ClientEvent::Acknowledged(8)]));

    the_book_is_the_same(&session, &mut pair);
    // The key is renewed after the last of these.
    for _ in 4..1 << 16 {
        pair.client.inject_frame(99, b"skipped");
        assert_eq!(pair.there(), []);
    }
    pair.client.goodbye(Reason::Stopping);
    let goodbye = pair.client_sends();
    assert_eq!(goodbye, session.bytes("goodbye_under_the_second_key"));
    assert_eq!(pair.give_server(&goodbye), Ok(vec![Event::Goodbye(Reason::Stopping)]));
}
