//! Both sides of a sealed session, whatever a peer says: one that has no key, and one that has.
//!
//! The peer is made here, of the Noise library alone.

use nsca::packet::Init;
use nsca::sealed::{
    Client, ClientSettings, CoreVerdict, Ephemeral, Hello, MARKED_RANDOM_BYTES, NodeName, Now, Psk, STALE_AFTER,
    SealedError, Server, ServerEvent, ServerSettings, SpoolId, UPGRADE_BYTES, Window, marked_iv, upgrade_request,
};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};

use super::pieces::{SIZES_BYTES, pieces};

const PROTOCOL: &str = "Noise_NNpsk0_25519_AESGCM_SHA256";
const KEY: [u8; 32] = [7; 32];
const TIMESTAMP: u32 = 1_795_354_950;
/// Room for a Noise message.
const MESSAGE_BYTES: usize = 65_535;
/// What a Noise message can carry, and no more than pieces of a stream have at most.
const PAYLOAD_BYTES: usize = 60_000;
/// What the payload of a handshake message can be.
const GREETING_BYTES: usize = 900;
/// The frames that end with a packet: a result, whose packet comes behind its origin, and one that is shown on request.
const RESULT: u8 = 1;
const ORIGIN_LENGTH: usize = 22;
const SHOWN: u8 = 8;
const SHOWN_PACKET: usize = 14;
/// Where the parts of a packet are.
const CRC: std::ops::Range<usize> = 2..6;

/// How the events begin that are about books.
const BOOK_EVENTS: [&str; 5] = ["Heading(", "Record(", "Shown(", "Answered(", "Want("];

/// What a session said, and how it ended.
type Outcome = (Vec<String>, Result<(), SealedError>);

/// One side of a session, which is tried.
trait Side {
    /// What it is called with.
    fn handle_bytes(&mut self, bytes: &[u8]) -> usize;
    /// The next event in words; of a result, its number.
    fn poll_event(&mut self) -> Result<Option<(String, Option<u64>)>, SealedError>;
    fn handle_eof(&mut self) -> Result<(), SealedError>;
}

/// `data`: options, the sizes of pieces, and what the peer says to the receiver (option 1) or to the sender.
///
/// Without the key (option 2 is not set) nothing comes out. With it, the stream goes through sealed messages of these
/// sizes, or (option 4) is what the peer says in the handshake. Then nothing depends on how it is cut. Option 8 makes
/// frames of the stream, and mends their checksums. Only with a peer that knows of books (option 16) anything of them comes
/// out.
pub fn sealed_frames(data: &[u8]) {
    let Some(([options, sizes @ ..], stream)) = data.split_first_chunk::<{ 1 + SIZES_BYTES }>() else { return };
    let is_set = |option: u8| options & option != 0;
    if !is_set(2) {
        let mut side: Box<dyn Side> = if is_set(1) { Box::new(server()) } else { Box::new(client()) };
        let (said, end) = receive(&mut *side, pieces(stream, *sizes));
        assert!(said.is_empty() && end.is_err(), "without the key: {said:?} {end:?}");
        return;
    }
    if is_set(4) {
        let greeting = &stream[..stream.len().min(GREETING_BYTES)];
        let _ = if is_set(1) { greet_server(greeting) } else { greet_client(greeting) };
        return;
    }
    let frames = if is_set(8) { mended(stream) } else { stream.to_vec() };
    let outcome = |plain: &mut dyn Iterator<Item = &[u8]>| {
        let books = u8::from(is_set(16));
        let greeted = if is_set(1) { greet_server(&hello(books)) } else { greet_client(&welcome(books)) };
        let (mut side, mut noise) = greeted.expect("this peer does as it should");
        let messages: Vec<Vec<u8>> = plain.map(|plain| seal(&mut noise, plain)).collect();
        receive(&mut *side, messages.iter().map(Vec::as_slice))
    };
    let whole = outcome(&mut frames.chunks(PAYLOAD_BYTES));
    let cut = outcome(&mut pieces(&frames, *sizes).flat_map(|piece| piece.chunks(PAYLOAD_BYTES)));
    assert_eq!(whole, cut, "pieces make a difference");
    let is_of_book = |said: &String| BOOK_EVENTS.iter().any(|event| said.starts_with(event));
    assert!(is_set(16) || !whole.0.iter().any(is_of_book), "a book of a peer without books: {whole:?}");
}

/// Feeds the pieces, as a connection does, then end of file.
fn receive<'a>(side: &mut dyn Side, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let (mut said, mut newest) = (Vec::new(), 0);
    for mut bytes in pieces {
        loop {
            match side.poll_event() {
                Ok(Some((event, sequence))) => {
                    assert!(sequence.is_none_or(|sequence| sequence > newest), "{event} after {newest}");
                    newest = sequence.unwrap_or(newest);
                    said.push(event);
                }
                Ok(None) if bytes.is_empty() => break,
                Ok(None) => {
                    let taken = side.handle_bytes(bytes);
                    assert!(taken > 0, "there is room after a poll");
                    bytes = &bytes[taken..];
                }
                Err(error) => {
                    assert_eq!(side.poll_event().err().as_ref(), Some(&error), "an error does not last");
                    assert_eq!(side.handle_eof().as_ref(), Err(&error), "an error does not last");
                    return (said, Err(error));
                }
            }
        }
    }
    let end = side.handle_eof();
    (said, end)
}

/// A receiver whose peer has said this hello, and the peer's keys; nothing when the receiver takes no such hello.
fn greet_server(hello: &[u8]) -> Option<(Box<dyn Side>, TransportState)> {
    let mut server = server();
    let mut noise = noise(true);
    let first = write(&mut noise, hello);
    assert_eq!(server.0.handle_bytes(&first, server.1), first.len());
    if !matches!(server.0.poll_event(), Ok(Some(ServerEvent::Hello(_)))) {
        return None;
    }
    server.0.welcome(0, server.1);
    let answer = server.0.poll_transmit(server.1).to_vec();
    server.0.handle_sent(answer.len());
    read(&mut noise, &answer);
    Some((Box::new(server), noise.into_transport_mode().expect("both messages have been exchanged")))
}

/// A sender whose peer has said this welcome, and the peer's keys; nothing when the sender takes no such welcome.
fn greet_client(welcome: &[u8]) -> Option<(Box<dyn Side>, TransportState)> {
    let mut client = client();
    let mut noise = noise(false);
    let request = client.0.poll_transmit(client.1).to_vec();
    client.0.handle_sent(request.len());
    let (upgrade, first) = request.split_at(UPGRADE_BYTES);
    assert_eq!(upgrade, upgrade_request(&init().iv));
    read(&mut noise, first);
    let answer = write(&mut noise, welcome);
    assert_eq!(client.0.handle_bytes(&answer, client.1), answer.len());
    client.0.poll_event().ok()?;
    Some((Box::new(client), noise.into_transport_mode().expect("both messages have been exchanged")))
}

/// The peer's keys before the handshake.
fn noise(is_initiator: bool) -> HandshakeState {
    let init = init();
    let prologue = [&init.encode()[..], &upgrade_request(&init.iv)].concat();
    let builder = Builder::with_resolver(PROTOCOL.parse().expect("snow knows it"), Box::new(Resolver));
    let builder = builder.psk(0, &KEY).and_then(|builder| builder.prologue(&prologue)).expect("they are set once");
    let built = if is_initiator { builder.build_initiator() } else { builder.build_responder() };
    built.expect("the pattern needs nothing else")
}

fn write(noise: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; MESSAGE_BYTES];
    let bytes = noise.write_message(payload, &mut message).expect("it is this side's turn");
    behind_length(&message[..bytes])
}

/// The first message of what the other side sent, which may go on.
fn read(noise: &mut HandshakeState, bytes: &[u8]) {
    let (length, message) = bytes.split_first_chunk().expect("a length");
    let length = usize::from(u16::from_be_bytes(*length));
    noise.read_message(&message[..length], &mut vec![0; MESSAGE_BYTES]).expect("the other side has the key");
}

fn seal(noise: &mut TransportState, plain: &[u8]) -> Vec<u8> {
    let mut message = vec![0; MESSAGE_BYTES];
    let bytes = noise.write_message(plain, &mut message).expect("it fits");
    behind_length(&message[..bytes])
}

fn behind_length(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a message's length");
    [&length.to_be_bytes(), message].concat()
}

/// `stream` as frames: kind (u8), length of the content (u16, big-endian), content. Packets get their version,
/// timestamp and checksum.
fn mended(mut stream: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    while let Some(([kind, high, low], tail)) = stream.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (content, tail) = tail.split_at(length);
        stream = tail;
        let mut content = content.to_vec();
        match *kind {
            RESULT => {
                let packet = content.get(ORIGIN_LENGTH).map(|origin| ORIGIN_LENGTH + 1 + usize::from(*origin));
                mend(packet.and_then(|packet| content.get_mut(packet..)));
            }
            SHOWN => mend(content.get_mut(SHOWN_PACKET..)),
            _ => {}
        }
        frames.extend(u32::try_from(content.len()).expect("a u16 it was").to_be_bytes());
        frames.push(*kind);
        frames.extend(content);
    }
    frames
}

fn mend(packet: Option<&mut [u8]>) {
    let Some(packet) = packet.filter(|packet| packet.len() >= 10) else { return };
    packet[..2].copy_from_slice(&4_u16.to_be_bytes());
    packet[CRC].fill(0);
    packet[6..10].copy_from_slice(&TIMESTAMP.to_be_bytes());
    let crc = crc32fast::hash(packet);
    packet[CRC].copy_from_slice(&crc.to_be_bytes());
}

/// snow's own cryptography, with a random source that gives the same every time.
struct Resolver;

struct NotRandom;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(NotRandom))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

impl Random for NotRandom {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        out.fill(0x33);
        Ok(())
    }
}

fn init() -> Init {
    let random = [0x29; MARKED_RANDOM_BYTES];
    Init { iv: marked_iv(&random), timestamp: TIMESTAMP }
}

fn now() -> Now {
    Now { instant: std::time::Instant::now(), unix_us: i64::from(TIMESTAMP) * 1_000_000 }
}

fn name(name: &str) -> NodeName {
    NodeName::try_from(name).expect("a good name")
}

/// A receiver, and the time that it always is.
fn server() -> (Server, Now) {
    let settings = ServerSettings {
        node: name("standby"),
        window: Window::default(),
        core: CoreVerdict::Unknown,
        books: true,
        stale_after: STALE_AFTER,
    };
    let now = now();
    (Server::new(&Psk::new(KEY), &init(), settings, Ephemeral::new([0x22; 32]), now), now)
}

/// A sender, and the time that it always is.
fn client() -> (Client, Now) {
    let hello = Hello { node: name("master"), spool: SpoolId([1; 16]), epoch: 1, oldest: 1, newest: 1000 };
    let settings = ClientSettings { hello, core: CoreVerdict::Unknown, books: true, stale_after: STALE_AFTER };
    let now = now();
    (Client::new(&Psk::new(KEY), &init(), settings, Ephemeral::new([0x11; 32]), now), now)
}

/// A hello as a sender sends it that has these features.
fn hello(features: u8) -> Vec<u8> {
    let numbers = [1_u64, 1, 1000].map(u64::to_be_bytes).concat();
    [&[1, 0, 0, 0, features][..], &[1; 16], &numbers, b"\x06master"].concat()
}

/// A welcome as a receiver sends it that has these features.
fn welcome(features: u8) -> Vec<u8> {
    let numbers = [10_u64, 1000, 1 << 20].map(u64::to_be_bytes).concat();
    [&[1, 1, 0, 0, 0, features][..], &numbers, b"\x07standby"].concat()
}

impl Side for (Server, Now) {
    fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        self.0.handle_bytes(bytes, self.1)
    }

    fn poll_event(&mut self) -> Result<Option<(String, Option<u64>)>, SealedError> {
        let event = self.0.poll_event()?;
        Ok(event.map(|event| {
            let sequence = match &event {
                ServerEvent::Result(result) => Some(result.sequence),
                _ => None,
            };
            (format!("{event:?}"), sequence)
        }))
    }

    fn handle_eof(&mut self) -> Result<(), SealedError> {
        self.0.handle_eof()
    }
}

impl Side for (Client, Now) {
    fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        self.0.handle_bytes(bytes, self.1)
    }

    fn poll_event(&mut self) -> Result<Option<(String, Option<u64>)>, SealedError> {
        Ok(self.0.poll_event()?.map(|event| (format!("{event:?}"), None)))
    }

    fn handle_eof(&mut self) -> Result<(), SealedError> {
        self.0.handle_eof()
    }
}
