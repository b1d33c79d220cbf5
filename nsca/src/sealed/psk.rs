//! The key that both sides share before they meet.

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

/// Length of a key.
pub const KEY_BYTES: usize = 32;

const SALT: &[u8] = b"understudy sealed 1";
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The pre-shared key of sealed sessions.
///
/// Made once, when the configuration is read, and shared by all sessions: no peer can make anybody compute
/// Argon2. Cloning is cheap. The bytes are wiped when the last clone goes; `Debug` hides them.
#[derive(Clone)]
pub struct Psk(Arc<Zeroizing<[u8; KEY_BYTES]>>);

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither 32 bytes nor 64 hexadecimal digits.
    #[error(
        "a key file holds 64 hexadecimal digits, or 32 bytes; this one is {bytes} bytes long and neither: make a \
         new key with `understudy key`, and copy it to both sides"
    )]
    NotAKey {
        /// The file's length.
        bytes: usize,
    },
    /// A password of no bytes.
    #[error(
        "an empty password protects no sealed session: set a password or a key_file on both sides, or \
         sealed = \"off\""
    )]
    EmptyPassword,
}

impl Psk {
    /// The key itself.
    pub fn new(key: [u8; KEY_BYTES]) -> Self {
        Psk(Arc::new(Zeroizing::new(key)))
    }

    /// The key in a key file: 64 hexadecimal digits with white space around them, or 32 bytes.
    ///
    /// # Errors
    ///
    /// When the file holds neither.
    pub fn from_key_file(contents: &[u8]) -> Result<Self, KeyError> {
        let key = match <[u8; KEY_BYTES]>::try_from(contents) {
            Ok(key) => Some(key),
            Err(_) => from_hex(contents.trim_ascii()),
        };
        key.map(Psk::new).ok_or(KeyError::NotAKey { bytes: contents.len() })
    }

    /// A key from a password: Argon2id (19 MiB, 2 passes, 1 lane, salt `understudy sealed 1`).
    ///
    /// Takes tens of milliseconds.
    ///
    /// # Errors
    ///
    /// When the password is empty.
    pub fn from_password(password: &[u8]) -> Result<Self, KeyError> {
        if password.is_empty() {
            return Err(KeyError::EmptyPassword);
        }
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(KEY_BYTES)).expect("these parameters are valid");
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password, SALT, &mut *key)
            .expect("a password in memory is shorter than 4 GiB");
        Ok(Psk(Arc::new(key)))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Psk").finish_non_exhaustive()
    }
}

/// What a key file holds, without its newline: `key` as 64 hexadecimal digits.
pub fn key_file_text(key: &[u8; KEY_BYTES]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [hex_digit(pair[0])?, hex_digit(pair[1])?];
        *byte = high << 4 | low;
    }
    Some(key)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_may_be_text_or_bytes() {
        let key: [u8; KEY_BYTES] = std::array::from_fn(|i| u8::try_from(i * 8).unwrap());
        let text = key_file_text(&key);
        for contents in [text.clone(), format!("{text}\n"), format!(" {}\r\n", text.to_ascii_uppercase())] {
            assert_eq!(Psk::from_key_file(contents.as_bytes()).unwrap().bytes(), &key);
        }
        assert_eq!(Psk::from_key_file(&key).unwrap().bytes(), &key);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for contents in [&b""[..], &[b'0'; 63], &[b'g'; 64], &[0; 31], &[0; 33], &[b'+'; 64]] {
            let error = Psk::from_key_file(contents).unwrap_err();
            assert!(error.to_string().contains("understudy key"), "{error}");
        }
        assert_eq!(Psk::from_password(b"").unwrap_err(), KeyError::EmptyPassword);
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", Psk::new([42; KEY_BYTES])), "Psk { .. }");
    }
}
