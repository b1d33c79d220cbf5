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
use feedback::{Feedback, Register};
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
            Method::TripleDes => block::<des::TdesEde3>(password, 24),
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
            Method::Gost => {
                block::<Reordered<magma::Gost89<gost::Libmcrypt>, SwapBytesInWords, ReverseWords>>(password, 32)
            }
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
pub(crate) struct Keystream {
    secret: Secret,
    iv: [u8; IV_BYTES],
    /// For [`Method::Xor`]: how much of the current packet was processed.
    position: usize,
    /// For block ciphers: the newest ciphertext.
    register: Register,
}

impl Keystream {
    pub(crate) fn new(secret: Secret, iv: [u8; IV_BYTES]) -> Self {
        Keystream { secret, register: feedback::first_register(&iv), iv, position: 0 }
    }

    /// Says that the next byte is the first of a packet.
    pub(crate) fn begin_packet(&mut self) {
        self.position = 0;
    }

    pub(crate) fn encrypt(&mut self, bytes: &mut [u8]) {
        match &*self.secret.key {
            Key::None => {}
            Key::Xor(password) => xor(bytes, &self.iv, password, &mut self.position),
            Key::Block(cipher) => cipher.encrypt(&mut self.register, bytes),
        }
    }

    pub(crate) fn decrypt(&mut self, bytes: &mut [u8]) {
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
}
