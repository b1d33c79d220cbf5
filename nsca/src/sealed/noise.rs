//! Noise `NNpsk0` over a byte stream: messages behind their length, keys that are renewed.
//!
//! ```text
//! 0  length   u16, of what follows: 16 to 65,535
//! 2  message  a Noise message; its last 16 bytes authenticate it
//! ```
//!
//! **Invariants:** the ephemeral secret is used once; both sides renew the key of a direction after the same
//! number of messages in it, [`MESSAGES_PER_KEY`].

use std::fmt;

use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

use super::Psk;

/// The Noise protocol, as its specification names it.
const PROTOCOL: &str = "Noise_NNpsk0_25519_AESGCM_SHA256";

/// The longest Noise message.
pub(super) const MAX_MESSAGE_BYTES: usize = u16::MAX as usize;

/// What a message is longer than its payload.
pub(super) const TAG_BYTES: usize = 16;

/// The longest payload of a message after the handshake.
pub(super) const MAX_PAYLOAD_BYTES: usize = MAX_MESSAGE_BYTES - TAG_BYTES;

/// The longest message of the handshake: nobody can make us keep more before he has shown the key.
pub(super) const MAX_HANDSHAKE_MESSAGE_BYTES: usize = 1024;

/// How many messages one key encrypts: at most 4 GiB, far from where AES-GCM gets weak.
pub(super) const MESSAGES_PER_KEY: u64 = 1 << 16;

const PUBLIC_KEY_BYTES: usize = 32;

/// The secret of one side in one session: 32 bytes from the operating system's random source, used for nothing
/// else. It is moved into the session and wiped after the handshake; `Debug` hides it.
pub struct Ephemeral(Zeroizing<[u8; 32]>);

/// A message that was not made with our key, for us, at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAuthentic;

/// The two messages from which both sides get the session's keys.
#[derive(Debug)]
pub(super) struct Handshake(Box<HandshakeState>);

/// The session's keys.
#[derive(Debug)]
pub(super) struct Transport {
    noise: TransportState,
    sealed: u64,
    opened: u64,
}

/// Collects one message.
#[derive(Debug)]
pub(super) struct Arriving {
    /// The length and as much of the message as has arrived.
    buffer: Vec<u8>,
    max_bytes: usize,
}

impl Ephemeral {
    /// From the random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Ephemeral(Zeroizing::new(random))
    }
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ephemeral").finish_non_exhaustive()
    }
}

impl Handshake {
    /// The side that speaks first.
    pub(super) fn initiator(psk: &Psk, prologue: &[u8], ephemeral: Ephemeral) -> Self {
        let handshake = builder(psk, prologue, ephemeral).build_initiator();
        Handshake(Box::new(handshake.expect("the pattern needs nothing that is not set")))
    }

    /// The side that answers.
    pub(super) fn responder(psk: &Psk, prologue: &[u8], ephemeral: Ephemeral) -> Self {
        let handshake = builder(psk, prologue, ephemeral).build_responder();
        Handshake(Box::new(handshake.expect("the pattern needs nothing that is not set")))
    }

    /// Appends the next message.
    pub(super) fn write(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let bytes = PUBLIC_KEY_BYTES + payload.len() + TAG_BYTES;
        assert!(bytes <= MAX_HANDSHAKE_MESSAGE_BYTES, "node names are bounded");
        let message = put_length(bytes, out);
        let written = self.0.write_message(payload, message).expect("it is this side's turn, and there is room");
        assert_eq!(written, bytes);
    }

    /// The payload of the other side's message.
    pub(super) fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, NotAuthentic> {
        let mut payload = vec![0; message.len()];
        let bytes = self.0.read_message(message, &mut payload).map_err(|_| NotAuthentic)?;
        payload.truncate(bytes);
        Ok(payload)
    }

    /// The keys, after both messages.
    pub(super) fn into_transport(self) -> Transport {
        let noise = self.0.into_transport_mode().expect("both messages have been exchanged");
        Transport { noise, sealed: 0, opened: 0 }
    }
}

impl Transport {
    /// Appends a message with `payload`, of at most [`MAX_PAYLOAD_BYTES`].
    pub(super) fn seal(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let message = put_length(payload.len() + TAG_BYTES, out);
        self.noise.write_message(payload, message).expect("the payload fits, and 2⁶⁴ messages are never sent");
        self.sealed += 1;
        if self.sealed.is_multiple_of(MESSAGES_PER_KEY) {
            self.noise.rekey_outgoing();
        }
    }

    /// Appends the payload of `message`.
    pub(super) fn open(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), NotAuthentic> {
        let start = out.len();
        let bytes = message.len().checked_sub(TAG_BYTES).ok_or(NotAuthentic)?;
        out.resize(start + bytes, 0);
        if self.noise.read_message(message, &mut out[start..]).is_err() {
            out.truncate(start);
            return Err(NotAuthentic);
        }
        self.opened += 1;
        if self.opened.is_multiple_of(MESSAGES_PER_KEY) {
            self.noise.rekey_incoming();
        }
        Ok(())
    }
}

impl Arriving {
    /// For messages of at most `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Arriving { buffer: Vec::new(), max_bytes }
    }

    /// Takes bytes up to the end of the message and returns how many.
    ///
    /// A message that claims to be too long is not collected: then nothing is taken any more, and
    /// [`too_long`](Self::too_long) says so.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(missing) = self.missing().filter(|_| taken < bytes.len()) {
            let piece = &bytes[taken..][..missing.min(bytes.len() - taken)];
            self.buffer.extend_from_slice(piece);
            taken += piece.len();
        }
        taken
    }

    /// How long a message claims to be that is too long.
    pub(super) fn too_long(&self) -> Option<usize> {
        self.length().filter(|length| *length > self.max_bytes)
    }

    /// The message, once it is complete.
    pub(super) fn message(&self) -> Option<&[u8]> {
        let (_, message) = self.buffer.split_first_chunk::<2>()?;
        (Some(message.len()) == self.length()).then_some(message)
    }

    /// Begins with the next message.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
    }

    /// How many bytes to wait for now: for the length, then for the message.
    fn missing(&self) -> Option<usize> {
        match self.length() {
            None => Some(2 - self.buffer.len()),
            Some(_) if self.too_long().is_some() => None,
            Some(length) => Some(2 + length - self.buffer.len()).filter(|missing| *missing > 0),
        }
    }

    fn length(&self) -> Option<usize> {
        self.buffer.first_chunk().map(|length| u16::from_be_bytes(*length).into())
    }
}

/// Appends the length and room for the message, which is returned.
fn put_length(bytes: usize, out: &mut Vec<u8>) -> &mut [u8] {
    let length = u16::try_from(bytes).expect("the caller keeps to MAX_PAYLOAD_BYTES");
    out.extend_from_slice(&length.to_be_bytes());
    let start = out.len();
    out.resize(start + bytes, 0);
    &mut out[start..]
}

fn builder<'a>(psk: &'a Psk, prologue: &'a [u8], ephemeral: Ephemeral) -> Builder<'a> {
    let protocol: NoiseParams = PROTOCOL.parse().expect("snow knows this protocol");
    Builder::with_resolver(protocol, Box::new(Resolver(ephemeral)))
        .psk(0, psk.bytes())
        .and_then(|builder| builder.prologue(prologue))
        .expect("key and prologue are set once")
}

/// snow's own cryptography, but for the random source.
struct Resolver(Ephemeral);

/// 32 bytes that were given, once.
struct Once(Option<Zeroizing<[u8; 32]>>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.0.0.clone()))))
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

impl Random for Once {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        let random = self.0.take().ok_or(snow::Error::Rng)?;
        out.copy_from_slice(random.get(..out.len()).ok_or(snow::Error::Rng)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Transport, Transport) {
        let psk = Psk::new([1; 32]);
        let mut client = Handshake::initiator(&psk, b"prologue", Ephemeral::new([2; 32]));
        let mut server = Handshake::responder(&psk, b"prologue", Ephemeral::new([3; 32]));
        let (mut there, mut back) = (Vec::new(), Vec::new());
        client.write(b"hello", &mut there);
        assert_eq!(server.read(&there[2..]).unwrap(), b"hello");
        server.write(b"welcome", &mut back);
        assert_eq!(client.read(&back[2..]).unwrap(), b"welcome");
        (client.into_transport(), server.into_transport())
    }

    #[test]
    fn the_key_is_renewed_on_both_sides_at_once() {
        let (mut client, mut server) = pair();
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        for n in 0..2 * MESSAGES_PER_KEY + 2 {
            sealed.clear();
            opened.clear();
            client.seal(&n.to_be_bytes(), &mut sealed);
            assert_eq!(server.open(&sealed[2..], &mut opened), Ok(()), "message {n}");
            assert_eq!(opened, n.to_be_bytes());
        }
        sealed.clear();
        server.seal(b"back", &mut sealed);
        assert_eq!(client.open(&sealed[2..], &mut opened), Ok(()));
    }

    #[test]
    fn a_message_passes_once_and_in_order_only() {
        let (mut client, mut server) = pair();
        let (mut first, mut second, mut opened) = (Vec::new(), Vec::new(), b"before".to_vec());
        client.seal(b"first", &mut first);
        client.seal(b"second", &mut second);
        assert_eq!(server.open(&second[2..], &mut opened), Err(NotAuthentic));
        assert_eq!(server.open(&first[2..], &mut opened), Ok(()));
        assert_eq!(server.open(&first[2..], &mut opened), Err(NotAuthentic));
        assert_eq!(server.open(&[], &mut opened), Err(NotAuthentic));
        assert_eq!(opened, b"beforefirst");
    }

    #[test]
    fn a_message_is_collected_whatever_its_pieces() {
        let bytes = [0, 3, 1, 2, 3, 0, 1];
        for piece in 1..=bytes.len() {
            let mut arriving = Arriving::new(3);
            let mut taken = 0;
            while arriving.message().is_none() {
                let end = bytes.len().min(taken + piece);
                taken += arriving.handle_bytes(&bytes[taken..end]);
            }
            assert_eq!((arriving.message(), taken), (Some(&[1, 2, 3][..]), 5));
            assert_eq!(arriving.handle_bytes(&bytes[5..]), 0);
        }
        let mut arriving = Arriving::new(2);
        assert_eq!(arriving.handle_bytes(&bytes), 2);
        assert_eq!((arriving.too_long(), arriving.message()), (Some(3), None));
        let mut arriving = Arriving::new(2);
        assert_eq!(arriving.handle_bytes(&[0, 0, 9]), 2);
        assert_eq!(arriving.message(), Some(&[][..]));
    }
}
