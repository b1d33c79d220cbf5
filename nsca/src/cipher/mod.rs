//! From a password to the running cipher of a session.
//!
//! A [`Secret`] is made once per password and holds the key schedule. Each direction of each session has its
//! own [`Keystream`] on top of it, which holds what changes from byte to byte:
//!
//! | method | the state that runs on |
//! | --- | --- |
//! | none | nothing |
//! | xor | the position in the packet; it starts again with each packet |
//! | all others | the feedback register, over all packets of a connection |
//!
//! The key of a block cipher is the password, cut or padded with zeros to the **longest** key that the cipher
//! takes; its first register is the beginning of the session's initialization vector.

mod des;
mod feedback;
mod gost;
mod loki97;
mod own;
mod reorder;
mod rijndael;
mod safer_plus;
mod twofish;

use std::fmt;
use std::sync::Arc;

use cipher::{BlockCipherEncrypt, KeyInit};

use crate::Method;
use crate::packet::{IV_BYTES, PACKET_BYTES};
use feedback::{Chain, Feedback, Register};
use reorder::{Reordered, ReverseWords, SwapBytesInWords};

/// An encryption method together with its password: everything that both sides must agree on.
///
/// Cloning is cheap, all clones share one key schedule. `Debug` shows the method only.
#[derive(Clone)]
pub struct Secret {
    method: Method,
    key: Arc<Key>,
}

enum Key {
    None,
    /// The password, repeated over a whole packet; empty when the password is.
    Xor(Vec<u8>),
    Block(Box<dyn Feedback>),
}

impl Secret {
    /// Computes the key schedule.
    ///
    /// An empty password is valid: it is a key of zeros for the block ciphers, and leaves [`Method::Xor`] with
    /// the public initialization vector only.
    pub fn new(method: Method, password: &[u8]) -> Self {
        let key = match method {
            Method::None => Key::None,
            Method::Xor => Key::Xor(password.iter().copied().cycle().take(PACKET_BYTES).collect()),
            Method::Des => block::<des::Des>(password, 8),
            Method::TripleDes => block::<des::TripleDes>(password, 24),
            Method::Cast128 => block::<cast5::Cast5>(password, 16),
            Method::Cast256 => block::<Reordered<cast6::Cast6, SwapBytesInWords>>(password, 32),
            Method::Xtea => block::<Reordered<xtea::Xtea, SwapBytesInWords>>(password, 16),
            Method::Blowfish => block::<blowfish::Blowfish>(password, 56),
            Method::Twofish => block::<twofish::Twofish>(password, 32),
            Method::Loki97 => block::<Reordered<loki97::Loki97, SwapBytesInWords>>(password, 32),
            Method::Rc2 => block::<rc2::Rc2>(password, 128),
            Method::Rijndael128 => block::<aes::Aes256>(password, 32),
            Method::Rijndael192 => block::<rijndael::Rijndael192>(password, 32),
            Method::Rijndael256 => block::<rijndael::Rijndael256>(password, 32),
            Method::Serpent => block::<serpent::Serpent>(password, 32),
            Method::Gost => block::<gost::Gost>(password, 32),
            Method::SaferPlus => block::<Reordered<safer_plus::SaferPlus, ReverseWords>>(password, 32),
        };
        Secret { method, key: Arc::new(key) }
    }

    /// The method that this secret belongs to.
    pub fn method(&self) -> Method {
        self.method
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The password as a key of exactly `key_bytes`, libmcrypt's maximum for the cipher.
fn block<C>(password: &[u8], key_bytes: usize) -> Key
where
    C: BlockCipherEncrypt + KeyInit + Send + Sync + 'static,
{
    let mut key = vec![0; key_bytes];
    let used = password.len().min(key_bytes);
    key[..used].copy_from_slice(&password[..used]);
    let cipher = C::new_from_slice(&key).expect("key_bytes is a length that the cipher takes");
    Key::Block(Box::new(cipher))
}

/// One direction of one session: encrypts or decrypts bytes in the order in which they travel.
///
/// It may be called with pieces of any size; where the pieces are cut makes no difference.
#[derive(Clone)]
pub struct Keystream {
    secret: Secret,
    iv: [u8; IV_BYTES],
    /// For [`Method::Xor`]: how much of the current packet was processed.
    position: usize,
    /// For block ciphers: the newest ciphertext.
    register: Register,
}

impl Keystream {
    /// The beginning of a session with this initialization vector, for one of its directions.
    pub fn new(secret: Secret, iv: [u8; IV_BYTES]) -> Self {
        Keystream { secret, register: feedback::first_register(&iv), iv, position: 0 }
    }

    /// Says that the next byte is the first of a packet.
    pub fn begin_packet(&mut self) {
        self.position = 0;
    }

    /// Encrypts in place.
    ///
    /// # Panics
    ///
    /// With [`Method::Xor`], when a packet is longer than [`PACKET_BYTES`]: see [`begin_packet`](Self::begin_packet).
    pub fn encrypt(&mut self, bytes: &mut [u8]) {
        match &*self.secret.key {
            Key::None => {}
            Key::Xor(password) => xor(bytes, &self.iv, password, &mut self.position),
            Key::Block(cipher) => cipher.encrypt(&mut self.register, bytes),
        }
    }

    /// Encrypts in place, as [`encrypt`](Self::encrypt) does, for several sessions at once; for instance the next packet
    /// of each connection to a destination.
    ///
    /// Encryption is a chain in which each byte waits for the one before it, and a processor can work on several chains
    /// meanwhile. Sessions that follow each other here and have clones of one [`Secret`] are encrypted in lockstep, up to
    /// eight at a time; with AES eight take little longer than one. The bytes of a session may be of any
    /// length, but what is longer than all others is encrypted alone in the end.
    ///
    /// # Panics
    ///
    /// As [`encrypt`](Self::encrypt).
    pub fn encrypt_together(sessions: &mut [(&mut Keystream, &mut [u8])]) {
        for alike in sessions.chunk_by_mut(|(a, _), (b, _)| Arc::ptr_eq(&a.secret.key, &b.secret.key)) {
            let key = Arc::clone(&alike[0].0.secret.key);
            if let Key::Block(cipher) = &*key {
                let chains =
                    alike.iter_mut().map(|(keystream, bytes)| Chain { register: &mut keystream.register, bytes });
                cipher.encrypt_together(&mut chains.collect::<Vec<_>>());
            } else {
                alike.iter_mut().for_each(|(keystream, bytes)| keystream.encrypt(bytes));
            }
        }
    }

    /// Decrypts in place.
    ///
    /// # Panics
    ///
    /// As [`encrypt`](Self::encrypt).
    pub fn decrypt(&mut self, bytes: &mut [u8]) {
        match &*self.secret.key {
            Key::None => {}
            Key::Xor(password) => xor(bytes, &self.iv, password, &mut self.position),
            Key::Block(cipher) => cipher.decrypt(&mut self.register, bytes),
        }
    }
}

/// XORs `bytes`, which begin at `position` of their packet, with the repeated `iv` and with `password`,
/// which is already repeated over a packet.
fn xor(bytes: &mut [u8], iv: &[u8; IV_BYTES], password: &[u8], position: &mut usize) {
    assert!(*position + bytes.len() <= PACKET_BYTES, "begin_packet is called for every packet");
    if let Some(password) = password.get(*position..) {
        xor_with(bytes, password);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let key = &iv[*position % IV_BYTES..];
        let (now, later) = rest.split_at_mut(rest.len().min(key.len()));
        xor_with(now, key);
        *position += now.len();
        rest = later;
    }
}

fn xor_with(bytes: &mut [u8], key: &[u8]) {
    for (byte, key) in bytes.iter_mut().zip(key) {
        *byte ^= key;
    }
}

impl fmt::Debug for Keystream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystream").field("secret", &self.secret).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn xor_starts_again_with_each_packet() {
        let mut keystream = Keystream::new(Secret::new(Method::Xor, b"ab"), [1; IV_BYTES]);
        let (mut first, mut second) = ([0; 5], [0; 5]);
        keystream.encrypt(&mut first[..3]);
        keystream.encrypt(&mut first[3..]);
        keystream.begin_packet();
        keystream.encrypt(&mut second);
        assert_eq!(first, [1 ^ b'a', 1 ^ b'b', 1 ^ b'a', 1 ^ b'b', 1 ^ b'a']);
        assert_eq!(second, first);
    }

    #[test]
    fn xor_without_password_is_xor_with_the_initialization_vector() {
        let mut keystream = Keystream::new(Secret::new(Method::Xor, b""), [9; IV_BYTES]);
        let mut bytes = [0; 300];
        keystream.encrypt(&mut bytes);
        assert_eq!(bytes, [9; 300]);
    }

    #[test]
    fn only_as_much_of_a_password_counts_as_the_key_is_long() {
        let encrypt = |method, password: &[u8]| {
            let mut bytes = [0; 16];
            Keystream::new(Secret::new(method, password), [9; IV_BYTES]).encrypt(&mut bytes);
            bytes
        };
        for (method, key_bytes) in [(Method::Des, 8), (Method::Rijndael128, 32), (Method::Rc2, 128)] {
            let password = vec![b'p'; key_bytes + 1];
            assert_eq!(encrypt(method, &password), encrypt(method, &password[..key_bytes]));
            assert_ne!(encrypt(method, &password), encrypt(method, &password[..key_bytes - 1]));
        }
    }

    #[test]
    fn clones_of_a_secret_share_one_key_schedule() {
        let secret = Secret::new(Method::Blowfish, b"password");
        let (first, second) = (Keystream::new(secret.clone(), [1; IV_BYTES]), Keystream::new(secret, [2; IV_BYTES]));
        assert!(Arc::ptr_eq(&first.secret.key, &second.secret.key));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Any number of sessions of any lengths, with two passwords in any order, each twice in a row.
        #[test]
        fn each_session_is_encrypted_together_as_it_is_alone(
            method in prop::sample::select(Method::all().collect::<Vec<_>>()),
            sessions in prop::collection::vec((any::<bool>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..150)), 0..20),
        ) {
            let secrets = [Secret::new(method, b"password"), Secret::new(method, b"another")];
            let begin = |(other, iv, plain): &(bool, u8, Vec<u8>)| {
                (Keystream::new(secrets[usize::from(*other)].clone(), [*iv; IV_BYTES]), plain.clone())
            };
            let mut together: Vec<_> = sessions.iter().map(begin).collect();
            let mut alone = together.clone();
            for _ in 0..2 {
                Keystream::encrypt_together(&mut together.iter_mut().map(|(session, bytes)| (session, &mut bytes[..])).collect::<Vec<_>>());
                alone.iter_mut().for_each(|(session, bytes)| session.encrypt(bytes));
                for ((_, together), (_, alone)) in together.iter().zip(&alone) {
                    prop_assert_eq!(together, alone);
                }
            }
        }
    }
}
