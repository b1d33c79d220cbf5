//! Somebody between the two sides, or in the place of one.

use super::*;

/// A whole recorded session: what the client sent, message by message, and what the server sent.
struct Recording {
    client: Vec<Vec<u8>>,
    server: Vec<Vec<u8>>,
}

impl Recording {
    fn make() -> Self {
        let mut pair = Pair::new(client_settings(), server_settings());
        let mut recording = Recording { client: Vec::new(), server: Vec::new() };
        recording.client.push(pair.client_sends()[UPGRADE_BYTES..].to_vec());
        pair.give_server(&recording.client[0]).unwrap();
        pair.server.welcome(7, pair.clock.now());
        recording.server.push(pair.server_sends());
        pair.give_client(&recording.server[0]).unwrap();
        for sequence in 8..12 {
            assert_eq!(pair.client.send(&result(sequence, b"recorded")), Sent::Taken);
            let bytes = pair.client_sends();
            pair.give_server(&bytes).unwrap();
            recording.client.push(bytes);
            pair.server.acknowledge(sequence);
            let bytes = pair.server_sends();
            pair.give_client(&bytes).unwrap();
            recording.server.push(bytes);
        }
        recording
    }
}

fn welcomed(server: &mut Server, hello: &[u8], clock: Clock) -> Result<(), SealedError> {
    server_takes(server, hello, clock.now())?;
    server.welcome(7, clock.now());
    Ok(())
}

/// How many results come through, and how it ends.
fn replay_to_server(server: &mut Server, client: &[Vec<u8>], clock: Clock) -> (usize, Result<(), SealedError>) {
    let mut results = 0;
    let mut replay = || {
        welcomed(server, &client[0], clock)?;
        for bytes in &client[1..] {
            let events = server_takes(server, bytes, clock.now())?;
            results += events.iter().filter(|event| matches!(event, Event::Result(_))).count();
        }
        Ok(())
    };
    let end = replay();
    (results, end)
}

#[test]
fn a_recording_repeats_only_where_all_randomness_repeats() {
    let clock = Clock::new();
    let recording = Recording::make();
    assert_eq!(replay_to_server(&mut server(clock), &recording.client, clock), (4, Ok(())));
}

#[test]
fn a_recorded_session_is_refused_by_the_receiver() {
    let clock = Clock::new();
    let recording = Recording::make();
    for other in [
        Init { iv: marked_iv(&[3; MARKED_RANDOM_BYTES]), timestamp: TIMESTAMP },
        Init { timestamp: TIMESTAMP + 1, ..init() },
    ] {
        let mut server = Server::new(&psk(), &other, server_settings(), Ephemeral::new([0x22; 32]), clock.now());
        assert_eq!(replay_to_server(&mut server, &recording.client, clock), (0, Err(SealedError::WrongKey)));
    }
    // Even if an init packet came twice: the receiver's part of the keys does not.
    let mut server = Server::new(&psk(), &init(), server_settings(), Ephemeral::new([0x23; 32]), clock.now());
    assert_eq!(replay_to_server(&mut server, &recording.client, clock), (0, Err(SealedError::Forged)));
}

#[test]
fn a_recorded_session_is_refused_by_the_sender() {
    let clock = Clock::new();
    let recording = Recording::make();
    let mut client = Client::new(&psk(), &init(), client_settings(), Ephemeral::new([0x12; 32]), clock.now());
    let error = client_takes(&mut client, &recording.server[0], clock.now()).unwrap_err();
    assert_eq!(error, SealedError::WrongKey);
    assert_eq!(client.send(&result(8, b"secret")), Sent::Later);
}

#[test]
fn a_peer_without_the_key_gets_nowhere() {
    let clock = Clock::new();
    for key in [Psk::new([0; 32]), Psk::from_password(b"wrong horse").unwrap()] {
        let mut stranger = Client::new(&key, &init(), client_settings(), Ephemeral::new([9; 32]), clock.now());
        let hello = stranger.poll_transmit(clock.now())[UPGRADE_BYTES..].to_vec();
        let mut server = server(clock);
        let error = server_takes(&mut server, &hello, clock.now()).unwrap_err();
        assert_eq!(error, SealedError::WrongKey);
        assert!(error.to_string().contains("look alike"), "{error}");
        assert_eq!(server.poll_transmit(clock.now()), b"");
        assert!(!contains(&hello, b"master"), "a hello shows nothing");
    }
}

#[test]
fn a_flipped_bit_in_the_handshake_is_refused() {
    let clock = Clock::new();
    let recording = Recording::make();
    for bit in 16..8 * recording.client[0].len() {
        let mut hello = recording.client[0].clone();
        hello[bit / 8] ^= 1 << (bit % 8);
        let mut server = server(clock);
        assert_eq!(welcomed(&mut server, &hello, clock), Err(SealedError::WrongKey), "bit {bit}");
    }
    let mut client = client(clock);
    let welcome_bytes = 2 + usize::from(u16::from_be_bytes([recording.server[0][0], recording.server[0][1]]));
    for bit in 16..8 * welcome_bytes {
        let mut welcome = recording.server[0][..welcome_bytes].to_vec();
        welcome[bit / 8] ^= 1 << (bit % 8);
        client = super::client(clock);
        let refused = client_takes(&mut client, &welcome, clock.now());
        assert_eq!(refused, Err(SealedError::WrongKey), "bit {bit}");
    }
    assert_eq!(client.send(&result(8, b"secret")), Sent::Later);
}

#[test]
fn a_flipped_bit_in_a_message_ends_the_session() {
    let clock = Clock::new();
    let recording = Recording::make();
    let sent = recording.client[1..].concat();
    for bit in 0..8 * sent.len() {
        let mut sent = sent.clone();
        sent[bit / 8] ^= 1 << (bit % 8);
        let mut server = server(clock);
        welcomed(&mut server, &recording.client[0], clock).unwrap();
        let end = server_takes(&mut server, &sent, clock.now()).and_then(|_| server.handle_eof());
        // A length that grew makes the receiver wait for more.
        assert!(matches!(end, Err(SealedError::Forged | SealedError::CutOff)), "bit {bit}: {end:?}");
    }
}

#[test]
fn a_flipped_bit_in_an_acknowledgement_ends_the_session() {
    let clock = Clock::new();
    let recording = Recording::make();
    let sent = recording.server[1..].concat();
    let take = |sent: &[u8]| {
        let mut client = client(clock);
        client_takes(&mut client, &recording.server[0], clock.now()).unwrap();
        (8..12).for_each(|sequence| assert_eq!(client.send(&result(sequence, b"recorded")), Sent::Taken));
        client_takes(&mut client, sent, clock.now())?;
        client.handle_eof()
    };
    assert_eq!(take(&sent), Err(SealedError::CutOff), "the recording has no goodbye");
    for bit in 0..8 * sent.len() {
        let mut sent = sent.clone();
        sent[bit / 8] ^= 1 << (bit % 8);
        // A length that grew makes the sender wait for more.
        let grew = bit / 8 % (2 + 45) < 2;
        let end = take(&sent);
        assert!(end == Err(SealedError::Forged) || grew && end == Err(SealedError::CutOff), "bit {bit}: {end:?}");
    }
}

#[test]
fn a_session_that_is_cut_anywhere_is_no_orderly_end() {
    let clock = Clock::new();
    let recording = Recording::make();
    let sent = recording.client.concat();
    for end in 0..sent.len() {
        let mut server = server(clock);
        let (hello, rest) = sent[..end].split_at(end.min(recording.client[0].len()));
        let events = server_takes(&mut server, hello, clock.now()).unwrap();
        if !events.is_empty() {
            server.welcome(7, clock.now());
            server_takes(&mut server, rest, clock.now()).unwrap();
        }
        assert_eq!(server.handle_eof(), Err(SealedError::CutOff), "{end}");
    }
}

#[test]
fn messages_that_are_left_out_repeated_or_swapped_end_the_session() {
    let clock = Clock::new();
    let Recording { client, .. } = Recording::make();
    let reordered = [
        vec![&client[0], &client[2]],
        vec![&client[0], &client[1], &client[1]],
        vec![&client[0], &client[1], &client[3], &client[2]],
    ];
    for messages in reordered {
        let messages: Vec<Vec<u8>> = messages.into_iter().cloned().collect();
        let (_, end) = replay_to_server(&mut server(clock), &messages, clock);
        assert_eq!(end, Err(SealedError::Forged));
    }
}

#[test]
fn what_one_side_sent_is_not_taken_from_the_other() {
    let mut pair = Pair::established(7);
    let sent = pair.client_sends();
    assert_eq!(pair.give_client(&sent), Err(SealedError::Forged));
    let hello = client(pair.clock).poll_transmit(pair.clock.now())[UPGRADE_BYTES..].to_vec();
    assert_eq!(client_takes(&mut client(pair.clock), &hello, pair.clock.now()), Err(SealedError::WrongKey));
}

#[test]
fn a_stranger_costs_a_kilobyte() {
    let clock = Clock::new();
    let mut server = server(clock);
    let error = server_takes(&mut server, &[0xff; 100_000], clock.now()).unwrap_err();
    assert!(matches!(error, SealedError::TooLong { bytes: 65_535, max: 1024, .. }), "{error:?}");
    assert_eq!(server.handle_bytes(&[0; 100_000], clock.now()), 100_000, "taken and forgotten");
}

#[test]
fn ten_thousand_strangers_cost_little() {
    let clock = Clock::new();
    let stranger = [&[0, 128][..], &[9; 128]].concat();
    let key = psk();
    let start = Instant::now();
    for _ in 0..10_000 {
        let mut server = Server::new(&key, &init(), server_settings(), Ephemeral::new([0x22; 32]), clock.now());
        assert_eq!(server_takes(&mut server, &stranger, clock.now()), Err(SealedError::WrongKey));
    }
    // One Argon2 would take as long as hundreds of these.
    let each = start.elapsed() / 10_000;
    assert!(each < Duration::from_millis(3), "{each:?} for each");
}

#[test]
fn nothing_secret_is_readable_on_the_way() {
    let recording = Recording::make();
    for bytes in recording.client.iter().chain(&recording.server) {
        for secret in [&b"recorded"[..], b"master", b"standby", b"host", b"service"] {
            assert!(!contains(bytes, secret));
        }
    }
    let shown = format!("{:?}", (client(Clock::new()), server(Clock::new()), psk()));
    assert!(!shown.contains("17, 17, 17") && !shown.contains("0, 1, 2, 3"), "{shown}");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
