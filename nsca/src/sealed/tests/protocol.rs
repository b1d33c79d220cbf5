//! What the two sides agree on.

use proptest::prelude::*;

use super::*;

fn sequences(events: &[Event]) -> Vec<u64> {
    let sequence = |event: &Event| match event {
        Event::Result(said) => Some(said.sequence),
        _ => None,
    };
    events.iter().filter_map(sequence).collect()
}

#[test]
fn a_long_output_arrives_whole() {
    let mut pair = Pair::established(7);
    let outputs: Vec<Vec<u8>> = [64 << 10, 0, 65_519, 1_000_000, 3]
        .map(|bytes: usize| (0..bytes).map(|i| u8::try_from(i % 251).unwrap()).collect())
        .into();
    for (sequence, output) in (8..).zip(&outputs) {
        assert_eq!(pair.client.send(&result(sequence, output)), Sent::Taken);
        let events = pair.there();
        let expected = Event::Result(Said { sequence, output: output.clone() });
        assert_eq!(events.last(), Some(&expected));
    }
    assert_eq!(pair.client.send(&result(99, &vec![0; MAX_FRAME_BYTES])), Sent::TooLong);
}

#[test]
fn many_results_share_a_message() {
    let mut pair = Pair::established(0);
    let _heartbeat = pair.there();
    let taken = (1..).take_while(|n| pair.client.send(&result(*n, &[b'x'; 100])) == Sent::Taken).count();
    assert!(taken > 300, "{taken}");
    let bytes = pair.client_sends();
    assert_eq!(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])), bytes.len() - 2, "one message");
    assert_eq!(sequences(&pair.give_server(&bytes).unwrap()).len(), taken);
}

#[test]
fn heartbeats_go_ahead_of_results() {
    let mut pair = Pair::established(0);
    let _first = pair.there();
    let mut sequence = 0;
    let mut fill = |client: &mut Client| {
        while client.send(&result(sequence + 1, &[b'x'; 100])) == Sent::Taken {
            sequence += 1;
        }
    };
    fill(&mut pair.client);
    let unsent = pair.client.poll_transmit(pair.clock.now()).len();
    fill(&mut pair.client);
    pair.advance(HEARTBEAT_INTERVAL);
    pair.client.set_core(CoreVerdict::DeadCrash);
    assert!(unsent <= 2 + 65_535, "one message is on its way");
    let events = pair.there();
    let heartbeat = events.iter().position(|event| matches!(event, Event::Heartbeat(_))).unwrap();
    assert!(matches!(events[heartbeat], Event::Heartbeat(Heartbeat { core: CoreVerdict::DeadCrash, .. })));
    let before = sequences(&events[..heartbeat]).len();
    assert_eq!(2 * before, sequences(&events).len(), "the message that was on its way, and no other");
}

#[test]
fn a_change_of_the_core_is_told_at_once() {
    let mut pair = Pair::established(0);
    let cores = |events: Vec<Event>| -> Vec<CoreVerdict> {
        let core = |event| {
            if let Event::Heartbeat(heartbeat) = event { heartbeat.core } else { panic!("{event:?}") }
        };
        events.into_iter().map(core).collect()
    };
    assert_eq!(cores(pair.there()), [CoreVerdict::Alive]);
    pair.client.set_core(CoreVerdict::Alive);
    assert_eq!(cores(pair.there()), []);
    pair.client.set_core(CoreVerdict::DeadClean);
    assert_eq!(cores(pair.there()), [CoreVerdict::DeadClean]);
    pair.advance(Duration::from_millis(999));
    assert_eq!(cores(pair.there()), []);
    pair.advance(Duration::from_millis(1));
    assert_eq!(cores(pair.there()), [CoreVerdict::DeadClean]);
}

#[test]
fn what_a_node_does_and_how_warm_it_is_is_told_at_once() {
    let mut pair = Pair::established(0);
    let _first = (pair.there(), pair.back());
    pair.client.set_duty(Duty::Active);
    pair.client.set_warmth(Warmth::Cold);
    let events = pair.there();
    let told = |heartbeat: &Heartbeat| (heartbeat.core, heartbeat.duty, heartbeat.warmth);
    let [Event::Heartbeat(heartbeat)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(told(heartbeat), (CoreVerdict::Alive, Duty::Active, Warmth::Cold));
    pair.client.set_warmth(Warmth::Cold);
    assert_eq!(pair.there(), []);
    pair.server.set_warmth(Warmth::Warm);
    let events = pair.back();
    let [ClientEvent::Heartbeat(heartbeat)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(told(heartbeat), (CoreVerdict::Unknown, Duty::Unknown, Warmth::Warm));
}

#[test]
fn credit_is_never_exceeded() {
    let window = Window { results: 5, bytes: 1000 };
    let mut pair = Pair::new(client_settings(), ServerSettings { window, ..server_settings() });
    pair.establish(0);
    let mut sequence = 0;
    for _ in 0..50 {
        let mut taken = Vec::new();
        while pair.client.send(&result(sequence + 1, &vec![b'x'; 7 * taken.len()])) == Sent::Taken {
            sequence += 1;
            taken.push(sequence);
        }
        assert!(taken.len() <= 5);
        assert_eq!(sequences(&pair.there()), taken);
        assert_eq!(pair.client.send(&result(sequence + 1, b"")), Sent::Later);
        pair.server.acknowledge(sequence);
        assert_eq!(pair.back(), [ClientEvent::Acknowledged(sequence)]);
    }
}

#[test]
fn a_sender_that_ignores_credit_is_stopped() {
    let window = Window { results: 5, bytes: 1000 };
    let mut pair = Pair::new(client_settings(), ServerSettings { window, ..server_settings() });
    pair.establish(0);
    let mut greedy = Pair::established(0);
    std::mem::swap(&mut greedy.client, &mut pair.client);
    (1..=6).for_each(|sequence| assert_eq!(pair.client.send(&result(sequence, b"")), Sent::Taken));
    let bytes = pair.client_sends();
    let error = pair.give_server(&bytes).unwrap_err();
    assert_eq!(error, SealedError::PeerMisbehaved("sends more results than it was allowed to"));
    let parting = pair.server_sends();
    assert_eq!(greedy.give_client(&parting), Ok(vec![ClientEvent::Goodbye(Reason::Misbehaved)]));
}

#[test]
fn frames_of_an_unknown_kind_are_skipped() {
    let mut pair = Pair::established(0);
    let _heartbeat = pair.there();
    for unknown in [0, 10, 99, 255] {
        pair.client.inject_frame(unknown, &vec![7; 100_000]);
        pair.client.inject_frame(unknown, b"");
        let bytes = pair.client_sends();
        assert_eq!(pair.give_server(&bytes), Ok(vec![]));
    }
    assert_eq!(pair.client.send(&result(1, b"after")), Sent::Taken);
    assert_eq!(sequences(&pair.there()), [1]);
}

#[test]
fn frames_that_make_no_sense_end_the_session() {
    let known = [(1, &[0; 40][..]), (2, &[0; 20]), (3, &[0; 24]), (4, &[]), (1, &[])];
    for (kind, content) in known {
        let mut pair = Pair::established(0);
        pair.client.inject_frame(kind, content);
        let bytes = pair.client_sends();
        let error = pair.give_server(&bytes).unwrap_err();
        assert!(matches!(error, SealedError::InvalidMessage(_) | SealedError::PeerMisbehaved(_)), "{error:?}");
        assert_eq!(pair.server.poll_event(), Err(error));
    }
    let mut pair = Pair::established(0);
    pair.client.inject(&[0, 0x10, 0, 1, 1]);
    let bytes = pair.client_sends();
    let error = pair.give_server(&bytes).unwrap_err();
    assert!(matches!(error, SealedError::TooLong { bytes: 1_048_577, .. }), "{error:?}");
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut pair = Pair::established(0);
    for _ in 0..20 {
        pair.advance(HEARTBEAT_INTERVAL);
        let (_there, _back) = (pair.there(), pair.back());
    }
    pair.advance(STALE_AFTER - Duration::from_millis(1));
    pair.clock.advance(Duration::from_millis(1));
    let now = pair.clock.now();
    assert_eq!(pair.client.poll_timeout(), Some(now.instant));
    assert_eq!(pair.client.handle_timeout(now), Err(SealedError::Silent(STALE_AFTER)));
    assert_eq!(pair.client.poll_timeout(), None);
    assert_eq!(pair.server.handle_timeout(now), Err(SealedError::Silent(STALE_AFTER)));
    assert_eq!(pair.client.poll_event(), Err(SealedError::Silent(STALE_AFTER)));
}

#[test]
fn a_handshake_does_not_wait_for_ever() {
    let mut pair = Pair::new(client_settings(), server_settings());
    pair.clock.advance(HANDSHAKE_TIMEOUT);
    let timeout = Err(SealedError::HandshakeTimeout(HANDSHAKE_TIMEOUT));
    assert_eq!(pair.client.handle_timeout(pair.clock.now()), timeout);
    assert_eq!(pair.server.handle_timeout(pair.clock.now()), timeout);
}

#[test]
fn the_clocks_are_compared() {
    let mut pair = Pair::established(0);
    assert_eq!(pair.client.clock_offset(), None);
    let hour = 3_600_000_000;
    let ahead = |clock: Clock| Now { unix_us: clock.now().unix_us + hour, ..clock.now() };
    for _ in 0..3 {
        pair.advance(HEARTBEAT_INTERVAL);
        let bytes = pair.client_sends();
        pair.clock.advance(Duration::from_millis(10));
        server_takes(&mut pair.server, &bytes, ahead(pair.clock)).unwrap();
        pair.clock.advance(Duration::from_millis(200));
        let bytes = pair.server.poll_transmit(ahead(pair.clock)).to_vec();
        pair.server.handle_sent(bytes.len());
        pair.clock.advance(Duration::from_millis(10));
        pair.give_client(&bytes).unwrap();
    }
    let offset = pair.client.clock_offset().unwrap();
    assert_eq!(offset, ClockOffset { ahead_us: hour, round_trip: Duration::from_millis(20) });
    assert_eq!(pair.server.clock_offset().unwrap().ahead_us, -hour);
}

#[test]
fn a_goodbye_comes_after_the_results_and_ends_the_session_in_order() {
    let mut pair = Pair::established(0);
    assert_eq!(pair.client.send(&result(1, b"last")), Sent::Taken);
    pair.client.goodbye(Reason::Stopping);
    assert_eq!(pair.client.send(&result(2, b"too late")), Sent::Later);
    let events = pair.there();
    assert!(matches!(events[..], [Event::Heartbeat(_), Event::Result(_), Event::Goodbye(Reason::Stopping)]));
    pair.advance(HEARTBEAT_INTERVAL);
    assert_eq!(pair.there(), []);
    pair.server.acknowledge(1);
    assert!(pair.back().contains(&ClientEvent::Acknowledged(1)), "acknowledgements still come");
    assert_eq!((pair.server.handle_eof(), pair.client.handle_eof()), (Ok(()), Ok(())));
}

#[test]
fn a_connection_that_breaks_off_is_no_orderly_end() {
    let mut pair = Pair::established(0);
    assert_eq!(pair.server.handle_eof(), Err(SealedError::CutOff));
    assert_eq!(pair.client.handle_eof(), Err(SealedError::CutOff));
    let clock = Clock::new();
    assert_eq!(client(clock).handle_eof(), Err(SealedError::NoAnswer));
    assert_eq!(server(clock).handle_eof(), Err(SealedError::CutOff));
}

#[test]
fn a_refusal_says_why() {
    let mut pair = Pair::new(client_settings(), server_settings());
    let request = pair.client_sends();
    pair.give_server(&request[UPGRADE_BYTES..]).unwrap();
    pair.server.refuse(Reason::NameInUse);
    let answer = pair.server_sends();
    let error = pair.give_client(&answer).unwrap_err();
    assert_eq!(error, SealedError::Refused(Reason::NameInUse));
    assert!(error.to_string().contains("Give it a name of its own"), "{error}");
    assert_eq!(pair.server.handle_eof(), Ok(()));
}

#[test]
fn a_sender_that_leaves_before_its_answer_does_no_harm() {
    let mut pair = Pair::new(client_settings(), server_settings());
    let request = pair.client_sends();
    pair.give_server(&request[UPGRADE_BYTES..]).unwrap();
    assert_eq!(pair.server.handle_eof(), Err(SealedError::CutOff));
    pair.server.welcome(7, pair.clock.now());
    pair.server.refuse(Reason::Unavailable);
    pair.server.acknowledge(7);
    assert_eq!((pair.server_sends(), pair.server.poll_event()), (vec![], Err(SealedError::CutOff)));
}

#[test]
fn a_node_refuses_its_own_name() {
    let mut pair = Pair::new(client_settings(), ServerSettings { node: name("master"), ..server_settings() });
    let request = pair.client_sends();
    let error = pair.give_server(&request[UPGRADE_BYTES..]).unwrap_err();
    assert_eq!(error, SealedError::OwnName(name("master")));
    let answer = pair.server_sends();
    assert_eq!(pair.give_client(&answer), Err(SealedError::Refused(Reason::OwnName)));
}

#[test]
fn a_receiver_that_is_ahead_makes_the_spool_begin_a_new_epoch() {
    let mut pair = Pair::new(client_settings(), server_settings());
    let request = pair.client_sends();
    pair.give_server(&request[UPGRADE_BYTES..]).unwrap();
    pair.server.welcome(10, pair.clock.now());
    let answer = pair.server_sends();
    assert_eq!(pair.give_client(&answer), Err(SealedError::PeerAhead { accepted: 10, newest: 9 }));
    assert_eq!(pair.there(), [Event::Goodbye(Reason::NewEpoch)]);
}

#[test]
fn nothing_is_sent_before_the_welcome() {
    let mut pair = Pair::new(client_settings(), server_settings());
    assert_eq!(pair.client.send(&result(8, b"")), Sent::Later);
    let mut request = pair.client_sends();
    request.push(0);
    let error = pair.give_server(&request[UPGRADE_BYTES..]).unwrap_err();
    assert_eq!(error, SealedError::PeerMisbehaved("speaks before it was welcomed"));
}

#[test]
#[should_panic(expected = "result 7 was sent after result 7")]
fn results_that_were_accepted_before_are_not_sent_again() {
    let mut pair = Pair::established(7);
    let _ = pair.client.send(&result(7, b""));
}

proptest! {
    /// A peer that knows the key and says anything: the session goes on or ends, and credit holds.
    #[test]
    fn no_frames_make_a_side_panic(
        frames in prop::collection::vec((0u8..11, prop::collection::vec(any::<u8>(), 0..100)), 0..20),
        noise: Vec<u8>,
    ) {
        let mut pair = Pair::established(0);
        for (kind, content) in &frames {
            pair.client.inject_frame(*kind, content);
            pair.server.inject_frame(*kind, content);
        }
        pair.client.inject(&noise);
        pair.server.inject(&noise);
        let (there, back) = (pair.client_sends(), pair.server_sends());
        if let Err(error) = pair.give_server(&there) {
            prop_assert_eq!(pair.server.poll_event(), Err(error));
        }
        if let Err(error) = pair.give_client(&back) {
            prop_assert_eq!(pair.client.poll_event(), Err(error));
        }
        let (_parting, _parting_too) = (pair.client_sends(), pair.server_sends());
    }
}
