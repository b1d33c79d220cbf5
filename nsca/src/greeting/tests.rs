//! Classic and sealed, old and new, side by side.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::classic::{ClientSession, ServerSession, SessionError};
use crate::packet::{INIT_BYTES, Init, PacketSize};
use crate::sealed::tests::{Clock, TIMESTAMP, client_settings, psk, server_settings};
use crate::sealed::{Client, Ephemeral, MARKED_RANDOM_BYTES, SealedError, Server, is_marked, upgrade_request};
use crate::{Method, Secret};

const PASSWORD: &[u8] = b"correct horse";

fn secret(method: Method) -> Secret {
    Secret::new(method, PASSWORD)
}

fn server(policy: Policy, method: Method) -> Box<ServerGreeting> {
    let random = std::array::from_fn(|i| u8::try_from((7 * i + 1) % 256).unwrap());
    let age = Some(Duration::from_secs(30));
    ServerGreeting::new(secret(method), age, policy, server_settings(), &random, TIMESTAMP)
}

fn client(policy: Policy, ability: PeerAbility) -> Box<ClientGreeting> {
    let classic = ClientSession::new(secret(Method::Xor), PacketSize::Modern, 42);
    ClientGreeting::new(classic, policy, ability, client_settings(), Ephemeral::new([0x11; 32]))
}

/// One packet of a client that knows nothing of marks.
fn packet(init: &[u8; INIT_BYTES], method: Method, size: PacketSize) -> Vec<u8> {
    let mut client = ClientSession::new(secret(method), size, 42);
    let now = Clock::new().now().instant;
    client.handle_bytes(init, now).unwrap();
    let mut packet = Vec::new();
    let truncated = client.encode(1, b"host", b"service", b"output", now, &mut packet);
    assert!(!truncated.any());
    packet
}

enum Became<'a> {
    Undecided(Box<ServerGreeting>),
    Classic(Box<ServerSession>, &'a [u8]),
    Sealed(Box<Server>, &'a [u8]),
}

/// Gives bytes in pieces until the greeting has decided.
fn greet(mut greeting: Box<ServerGreeting>, mut bytes: &[u8], piece: usize) -> Result<Became<'_>, SealedError> {
    while !bytes.is_empty() {
        let (now, later) = bytes.split_at(piece.min(bytes.len()));
        let unused = |rest: &[u8]| &bytes[now.len() - rest.len()..];
        match greeting.handle_bytes(now, Clock::new().now())? {
            ServerGreeted::Undecided(undecided) => greeting = undecided,
            ServerGreeted::Classic(session, rest) => return Ok(Became::Classic(session, unused(rest))),
            ServerGreeted::Sealed(server, rest) => return Ok(Became::Sealed(server, unused(rest))),
        }
        bytes = later;
    }
    Ok(Became::Undecided(greeting))
}

fn feed(session: &mut ServerSession, bytes: &[u8]) {
    assert_eq!(session.handle_bytes(bytes), bytes.len());
    let report = session.poll_report(TIMESTAMP).unwrap().unwrap();
    assert_eq!((report.code, report.host, report.output), (1, &b"host"[..], &b"output"[..]));
    assert_eq!(session.handle_eof(), Ok(()));
}

#[test]
fn classic_clients_notice_nothing() {
    for method in Method::all() {
        for size in [PacketSize::Modern, PacketSize::Legacy] {
            for policy in [Policy::Off, Policy::Auto(psk())] {
                for piece in [1, 31, 33, 10_000] {
                    let greeting = server(policy.clone(), method);
                    let packet = packet(&greeting.init_packet(), method, size);
                    let Ok(Became::Classic(mut session, rest)) = greet(greeting, &packet, piece) else {
                        panic!("{method} was not taken for a classic session");
                    };
                    feed(&mut session, rest);
                }
            }
        }
    }
}

#[test]
fn a_packet_that_begins_like_the_upgrade_request_loses_nothing() {
    let greeting = server(Policy::Auto(psk()), Method::None);
    let init = greeting.init_packet();
    let request = upgrade_request(&Init::decode(&init).iv);
    for common in 1..request.len() {
        for piece in [1, 7, 10_000] {
            let mut bytes = request[..common].to_vec();
            bytes.push(!request[common]);
            bytes.resize(720, 0);
            let Ok(Became::Classic(mut session, rest)) =
                greet(server(Policy::Auto(psk()), Method::None), &bytes, piece)
            else {
                panic!("not taken for a classic session after {common} bytes");
            };
            assert_eq!(session.handle_bytes(rest), rest.len());
            let expected = i16::from_be_bytes([bytes[0], bytes[1]]);
            assert_eq!(session.poll_report(TIMESTAMP), Err(SessionError::WrongVersion { version: expected }));
        }
    }
}

#[test]
fn only_receivers_that_offer_it_mark_their_packet() {
    let iv = |policy| Init::decode(&server(policy, Method::Xor).init_packet()).iv;
    assert!(!is_marked(&iv(Policy::Off)));
    assert!(is_marked(&iv(Policy::Auto(psk()))) && is_marked(&iv(Policy::Require(psk()))));
    assert_eq!(iv(Policy::Off)[..MARKED_RANDOM_BYTES], iv(Policy::Auto(psk()))[..MARKED_RANDOM_BYTES]);
}

#[test]
fn two_that_can_seal_do() {
    for (there, here) in [
        (Policy::Auto(psk()), Policy::Auto(psk())),
        (Policy::Require(psk()), Policy::Auto(psk())),
        (Policy::Auto(psk()), Policy::Require(psk())),
    ] {
        for piece in [1, 31, 33, 10_000] {
            let greeting = server(there.clone(), Method::Xor);
            let mut sealed = begin(here.clone(), PeerAbility::Unknown, &greeting.init_packet()).unwrap();
            let now = Clock::new().now();
            let request = sealed.poll_transmit(now).to_vec();
            let Ok(Became::Sealed(mut server, rest)) = greet(greeting, &request, piece) else {
                panic!("no sealed session");
            };
            assert_eq!(server.handle_bytes(rest, now), rest.len());
            assert!(server.poll_event().unwrap().is_some());
        }
    }
}

/// The sealed session that a client begins, or why it begins none; a panic for a classic one.
fn begin(policy: Policy, ability: PeerAbility, init: &[u8]) -> Result<Box<Client>, SealedError> {
    match client(policy, ability).handle_bytes(init, Clock::new().now())? {
        ClientGreeted::Sealed(client, rest) => {
            assert_eq!(rest, b"");
            Ok(client)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_an_offer_the_policy_and_the_memory_decide() {
    let plain = server(Policy::Off, Method::Xor).init_packet();
    let marked = server(Policy::Auto(psk()), Method::Xor).init_packet();
    let mut stripped = marked;
    stripped[120] ^= 1;
    for init in [plain, stripped] {
        for ability in [PeerAbility::Unknown, PeerAbility::CanSeal] {
            let refused = begin(Policy::Require(psk()), ability, &init).unwrap_err();
            assert_eq!(refused, SealedError::NotOffered);
        }
        let refused = begin(Policy::Auto(psk()), PeerAbility::CanSeal, &init).unwrap_err();
        assert_eq!(refused, SealedError::MarkStripped);
        assert!(refused.to_string().contains("understudy forget"), "{refused}");
    }
    for (policy, ability, init) in [
        (Policy::Auto(psk()), PeerAbility::Unknown, plain),
        (Policy::Off, PeerAbility::CanSeal, plain),
        (Policy::Off, PeerAbility::CanSeal, marked),
    ] {
        let greeted = client(policy, ability).handle_bytes(&init, Clock::new().now());
        let Ok(ClientGreeted::Classic(session, [])) = greeted else { panic!("{greeted:?}") };
        assert_eq!(session.init().unwrap().encode(), init);
    }
}

#[test]
fn the_init_packet_may_come_in_pieces() {
    let marked = server(Policy::Auto(psk()), Method::Xor).init_packet();
    let mut greeting = client(Policy::Auto(psk()), PeerAbility::Unknown);
    for byte in &marked[..131] {
        match greeting.handle_bytes(&[*byte], Clock::new().now()) {
            Ok(ClientGreeted::Undecided(undecided)) => greeting = undecided,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(greeting.handle_eof(), SealedError::Classic(SessionError::NoInit { bytes: 131 }));
    match greeting.handle_bytes(&[marked[131], 8, 9], Clock::new().now()) {
        Ok(ClientGreeted::Sealed(_, rest)) => assert_eq!(rest, [8, 9]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_listener_that_requires_sealed_sessions_refuses_classic_ones() {
    let greeting = server(Policy::Require(psk()), Method::None);
    let packet = packet(&greeting.init_packet(), Method::None, PacketSize::Modern);
    let Err(error) = greet(greeting, &packet, 10_000) else { panic!("it was taken") };
    assert_eq!(error, SealedError::ClassicRefused);
}

#[test]
fn an_end_before_the_decision_means_what_it_does_in_a_classic_session() {
    let greeting = server(Policy::Auto(psk()), Method::Xor);
    assert_eq!(greeting.handle_eof(), Ok(()));
    let greeting = server(Policy::Auto(psk()), Method::Xor);
    let request = upgrade_request(&Init::decode(&greeting.init_packet()).iv);
    let Ok(Became::Undecided(greeting)) = greet(greeting, &request[..31], 10) else { panic!("it was decided") };
    assert_eq!(greeting.buffered(), 31);
    assert_eq!(greeting.handle_eof(), Err(SessionError::Truncated { bytes: 31 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever a classic client sends first, it is no upgrade request.
    #[test]
    fn a_classic_packet_is_never_taken_for_an_upgrade(
        method in prop::sample::select(Method::all().collect::<Vec<_>>()),
        size in prop::sample::select(vec![PacketSize::Modern, PacketSize::Legacy]),
        random in prop::collection::vec(any::<u8>(), RANDOM_BYTES),
        timestamp: u32,
        password: Vec<u8>,
        (code, filler) in any::<(i16, u64)>(),
        (host, output) in any::<(Vec<u8>, Vec<u8>)>(),
    ) {
        let secret = Secret::new(method, &password);
        let random = random.try_into().unwrap();
        let greeting =
            ServerGreeting::new(secret.clone(), None, Policy::Auto(psk()), server_settings(), &random, timestamp);
        let mut client = ClientSession::new(secret, size, filler);
        let now = Clock::new().now().instant;
        client.handle_bytes(&greeting.init_packet(), now).unwrap();
        let mut packet = Vec::new();
        let _ = client.encode(code, &host, b"", &output, now, &mut packet);
        let Ok(Became::Classic(mut session, rest)) = greet(greeting, &packet, 5) else {
            panic!("taken for an upgrade");
        };
        prop_assert_eq!(session.handle_bytes(rest), rest.len());
        prop_assert_eq!(session.poll_report(timestamp).unwrap().map(|report| report.code), Some(code));
    }
}
