//! Both sides of a session against each other.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::packet::{IV_BYTES, PacketSize};
use crate::{Method, Secret};

const NOW: u32 = 1_800_000_000;
const PASSWORD: &[u8] = b"correct horse";

/// Code, host, service, output.
type Said = (i16, Vec<u8>, Vec<u8>, Vec<u8>);

fn iv(seed: u8) -> [u8; IV_BYTES] {
    std::array::from_fn(|i| u8::try_from(i).unwrap().wrapping_mul(31) ^ seed)
}

fn server(secret: &Secret) -> ServerSession {
    ServerSession::new(secret.clone(), iv(7), NOW, Some(Duration::from_secs(30)))
}

/// A client that has read the server's init packet.
fn client(secret: &Secret, size: PacketSize) -> ClientSession {
    let mut client = ClientSession::new(secret.clone(), size, 42);
    let init = server(secret).init_packet();
    assert_eq!(client.handle_bytes(&init, Instant::now()), Ok(init.len()));
    client
}

/// One encrypted packet.
fn one_packet(secret: &Secret, size: PacketSize) -> Vec<u8> {
    let mut sent = Vec::new();
    let truncated = client(secret, size).encode(1, b"host", b"service", b"output", Instant::now(), &mut sent);
    assert!(!truncated.any());
    sent
}

/// Feeds `sent` in pieces of `piece` bytes, then end of file.
fn receive(session: &mut ServerSession, sent: &[u8], piece: usize) -> (Vec<Said>, Result<(), SessionError>) {
    let mut said = Vec::new();
    for mut bytes in sent.chunks(piece) {
        while !bytes.is_empty() {
            let taken = session.handle_bytes(bytes);
            assert!(taken > 0, "after poll_report returned None there is room");
            bytes = &bytes[taken..];
            loop {
                match session.poll_report(NOW) {
                    Ok(Some(report)) => {
                        said.push((report.code, report.host.into(), report.service.into(), report.output.into()));
                    }
                    Ok(None) => break,
                    Err(error) => return (said, Err(error)),
                }
            }
        }
    }
    (said, session.handle_eof())
}

#[test]
fn every_method_carries_packets_of_both_sizes() {
    for method in Method::all() {
        for password in [PASSWORD, b""] {
            let secret = Secret::new(method, password);
            for size in [PacketSize::Modern, PacketSize::Legacy] {
                let mut client = client(&secret, size);
                let mut sent = Vec::new();
                for code in 0..5 {
                    let _ = client.encode(code, b"host", b"", b"text\nmore", Instant::now(), &mut sent);
                }
                assert_eq!(sent.len(), 5 * size.bytes());
                let (said, end) = receive(&mut server(&secret), &sent, sent.len());
                assert_eq!(end, Ok(()), "{method}");
                let expected = (0..5).map(|code| (code, b"host".to_vec(), vec![], b"text\nmore".to_vec()));
                assert_eq!(said, expected.collect::<Vec<_>>(), "{method}");
            }
        }
    }
}

#[test]
fn a_wrong_password_and_a_wrong_method_look_alike() {
    let right = Secret::new(Method::Rijndael128, PASSWORD);
    let others = Method::all().map(|method| (method, PASSWORD)).chain([(Method::Rijndael128, &b"other"[..])]);
    for (method, password) in others.filter(|other| *other != (Method::Rijndael128, PASSWORD)) {
        for size in [PacketSize::Modern, PacketSize::Legacy] {
            let sent = one_packet(&Secret::new(method, password), size);
            let (said, end) = receive(&mut server(&right), &sent, sent.len());
            assert_eq!(said, []);
            let message = end.unwrap_err().to_string();
            assert!(message.contains("password or the encryption method differ"), "{method} {size:?}: {message}");
        }
    }
}

#[test]
fn a_session_is_over_after_an_error() {
    let secret = Secret::new(Method::Xor, PASSWORD);
    let mut sent = one_packet(&secret, PacketSize::Modern);
    sent[300] ^= 1;
    let good = one_packet(&secret, PacketSize::Modern);
    let mut session = server(&secret);
    assert_eq!(receive(&mut session, &sent, sent.len()), (vec![], Err(SessionError::BadChecksum)));
    assert_eq!(session.handle_bytes(&good), good.len());
    assert_eq!(session.poll_report(NOW), Err(SessionError::BadChecksum));
    assert_eq!(session.handle_eof(), Err(SessionError::BadChecksum));
}

#[test]
fn a_packet_that_ends_too_early_is_refused_at_every_length() {
    let secret = Secret::new(Method::Rijndael128, PASSWORD);
    for size in [PacketSize::Modern, PacketSize::Legacy] {
        let sent = one_packet(&secret, size);
        for bytes in 1..sent.len() {
            let (said, end) = receive(&mut server(&secret), &sent[..bytes], bytes);
            assert_eq!(said, []);
            match end.unwrap_err() {
                SessionError::Truncated { bytes: reported } => assert_eq!(reported, bytes),
                error => assert_eq!((error, bytes), (SessionError::BadChecksum, 720)),
            }
        }
        assert_eq!(receive(&mut server(&secret), &[], 1), (vec![], Ok(())));
    }
}

#[test]
fn the_time_is_checked_in_both_directions() {
    let secret = Secret::new(Method::None, b"");
    let sent = one_packet(&secret, PacketSize::Legacy);
    let at = |now: u32, limit: Option<u64>| {
        let mut session = ServerSession::new(secret.clone(), iv(7), NOW, limit.map(Duration::from_secs));
        assert_eq!(session.handle_bytes(&sent), sent.len());
        session.poll_report(now).map(|report| report.is_some())
    };
    assert_eq!(at(NOW, Some(0)), Ok(true));
    assert_eq!(at(NOW + 30, Some(30)), Ok(true));
    assert_eq!(at(NOW - 30, Some(30)), Ok(true));
    assert_eq!(at(NOW + 31, Some(30)), Err(SessionError::TooOld { age: Duration::from_secs(31) }));
    assert_eq!(at(NOW - 31, Some(30)), Err(SessionError::FromTheFuture { ahead: Duration::from_secs(31) }));
    assert_eq!(at(0, None), Ok(true));
    assert_eq!(at(u32::MAX, None), Ok(true));
}

#[test]
fn a_client_that_stays_connected_sends_the_time_that_has_passed() {
    let secret = Secret::new(Method::None, b"");
    let start = Instant::now();
    let mut client = ClientSession::new(secret.clone(), PacketSize::Modern, 0);
    let mut server = server(&secret);
    client.handle_bytes(&server.init_packet(), start).unwrap();
    for (elapsed, stamp) in [(0, NOW), (1_999, NOW + 1), (600_000, NOW + 600)] {
        let mut sent = Vec::new();
        let _ = client.encode(0, b"h", b"s", b"o", start + Duration::from_millis(elapsed), &mut sent);
        assert_eq!(server.handle_bytes(&sent), sent.len());
        assert_eq!(server.poll_report(stamp).unwrap().unwrap().timestamp, stamp);
    }
}

#[test]
fn the_client_waits_for_the_whole_init_packet() {
    let secret = Secret::new(Method::Xor, PASSWORD);
    let init = server(&secret).init_packet();
    let mut client = ClientSession::new(secret, PacketSize::Modern, 0);
    for byte in &init[..131] {
        assert_eq!(client.handle_bytes(&[*byte], Instant::now()), Ok(1));
        assert!(!client.is_ready() && client.init().is_none());
    }
    assert_eq!(client.handle_eof(), Err(SessionError::NoInit { bytes: 131 }));
    assert_eq!(client.handle_bytes(&[init[131], 9, 9], Instant::now()), Ok(1));
    assert_eq!(client.init().unwrap().encode(), init);
    assert_eq!(client.handle_eof(), Ok(()));
    assert_eq!(client.handle_bytes(&[], Instant::now()), Ok(0));
    assert_eq!(client.handle_bytes(&[9, 9], Instant::now()), Err(SessionError::Unexpected { bytes: 2 }));
}

#[test]
fn the_receive_buffer_is_bounded() {
    let secret = Secret::new(Method::None, b"");
    let mut session = server(&secret);
    let flood: Vec<u8> = one_packet(&secret, PacketSize::Modern).repeat(10);
    let taken = session.handle_bytes(&flood);
    assert!(taken < flood.len());
    assert_eq!(session.handle_bytes(&flood[taken..]), 0);
    assert!(session.poll_report(NOW).unwrap().is_some());
    assert!(session.handle_bytes(&flood[taken..]) > 0);
}

#[test]
fn debug_output_shows_no_password() {
    let secret = Secret::new(Method::Xor, b"hunter2");
    assert_eq!(format!("{secret:?}"), "Secret { method: Xor, .. }");
    for shown in [format!("{:?}", server(&secret)), format!("{:?}", client(&secret, PacketSize::Modern))] {
        assert!(!shown.contains("104, 117, 110"), "{shown}");
    }
}

fn any_method() -> impl Strategy<Value = Method> {
    prop::sample::select(Method::all().collect::<Vec<_>>())
}

fn any_size() -> impl Strategy<Value = PacketSize> {
    prop::sample::select(vec![PacketSize::Modern, PacketSize::Legacy])
}

/// Texts as they leave a session: without NUL.
fn text(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, 0..max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Both sizes on one connection, in any order, arriving in pieces of any size.
    #[test]
    fn where_the_bytes_are_cut_makes_no_difference(
        method in any_method(),
        packets in prop::collection::vec((any_size(), (any::<i16>(), text(63), text(127), text(511))), 1..8),
        piece in prop_oneof![Just(1usize), 2..800usize, Just(720), Just(4304), 5000..40_000usize],
    ) {
        let secret = Secret::new(method, PASSWORD);
        let sent = encode_mixed(&secret, &packets);
        let expected: Vec<Said> = packets.into_iter().map(|(_, said)| said).collect();
        let (said, end) = receive(&mut server(&secret), &sent, piece);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(said, expected);
    }

    /// Whatever is damaged: what was said before it is kept, and nothing is invented after it.
    #[test]
    fn a_flipped_bit_ends_the_session(method in any_method(), size in any_size(), at in 0usize..3, bit in 0usize..8 * 720) {
        let secret = Secret::new(method, PASSWORD);
        let packet = |code| (size, (code, b"host".to_vec(), b"service".to_vec(), b"output".to_vec()));
        let mut sent = encode_mixed(&secret, &[packet(0), packet(1), packet(2)]);
        sent[at * size.bytes() + bit / 8] ^= 1 << (bit % 8);
        let (said, end) = receive(&mut server(&secret), &sent, 1000);
        prop_assert_eq!(said.len(), at);
        prop_assert!(end.is_err());
    }

    #[test]
    fn no_input_makes_a_session_panic(method in any_method(), bytes: Vec<u8>, piece in 1usize..5000) {
        let (said, _) = receive(&mut server(&Secret::new(method, PASSWORD)), &bytes.repeat(50), piece);
        prop_assert!(said.is_empty());
    }
}

/// Packets of both sizes on one connection, which no client sends, but a server must understand.
fn encode_mixed(secret: &Secret, packets: &[(PacketSize, Said)]) -> Vec<u8> {
    let now = Instant::now();
    let mut client = client(secret, PacketSize::Modern);
    let mut sent = Vec::new();
    for (size, (code, host, service, output)) in packets {
        client.size = *size;
        let truncated = client.encode(*code, host, service, output, now, &mut sent);
        assert!(!truncated.any());
    }
    sent
}

/// Sessions with numbers of packets of their own, with every method.
#[test]
fn packets_that_are_encrypted_together_are_those_that_are_encrypted_alone() {
    let began = Instant::now();
    for method in Method::all() {
        let secret = Secret::new(method, PASSWORD);
        let begin = |seed: u8| {
            let mut client = ClientSession::new(secret.clone(), PacketSize::Legacy, u64::from(seed));
            client.handle_bytes(&ServerSession::new(secret.clone(), iv(seed), NOW, None).init_packet(), began).unwrap();
            client
        };
        let mut sessions: Vec<_> = [3u8, 0, 1, 2].map(|packets| (begin(packets), Vec::new(), packets)).into();
        let mut alone = Vec::new();
        for (together, plain, packets) in &mut sessions {
            let (mut session, mut expected) = (begin(*packets), Vec::new());
            for number in 0..*packets {
                let output = [number; 100];
                assert!(!session.encode(0, b"host", b"service", &output, began, &mut expected).any());
                assert!(!together.encode_plain(0, b"host", b"service", &output, began, plain).any());
            }
            alone.push(expected);
        }
        let mut pairs: Vec<_> = sessions.iter_mut().map(|(session, plain, _)| (session, &mut plain[..])).collect();
        ClientSession::encrypt_together(&mut pairs);
        let together: Vec<_> = sessions.into_iter().map(|(_, packets, _)| packets).collect();
        assert_eq!(together, alone, "{method}");
    }
}
