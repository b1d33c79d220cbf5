//! How two sides that know of sealed sessions find each other, unseen by everybody else.

use sha2::{Digest, Sha256};

use crate::packet::IV_BYTES;

/// How much of a marked initialization vector is random.
pub const MARKED_RANDOM_BYTES: usize = IV_BYTES - MARK_BYTES;

/// Length of an upgrade request.
pub const UPGRADE_BYTES: usize = 32;

const MARK_BYTES: usize = 16;
const MARK_LABEL: &[u8] = b"understudy sealed 1";
const UPGRADE_LABEL: &[u8] = b"understudy upgrade 1";

const _: () = assert!(MARKED_RANDOM_BYTES == 112);

/// An initialization vector that offers a sealed session, from 112 random bytes.
///
/// For a classic session it is as good as any other: its first 112 bytes are random, and no cipher uses more
/// than the first 32. XOR uses all 128, and hides nothing in either case.
pub fn marked_iv(random: &[u8; MARKED_RANDOM_BYTES]) -> [u8; IV_BYTES] {
    let mut iv = [0; IV_BYTES];
    iv[..MARKED_RANDOM_BYTES].copy_from_slice(random);
    iv[MARKED_RANDOM_BYTES..].copy_from_slice(&mark(random));
    iv
}

/// Whether the daemon that sent `iv` offers a sealed session. A stock daemon's looks so once in 2¹²⁸ times.
pub fn is_marked(iv: &[u8; IV_BYTES]) -> bool {
    let (random, last) = iv.split_at(MARKED_RANDOM_BYTES);
    last == mark(random)
}

/// What a sender answers that accepts the offer in `iv`.
pub fn upgrade_request(iv: &[u8; IV_BYTES]) -> [u8; UPGRADE_BYTES] {
    Sha256::new().chain_update(UPGRADE_LABEL).chain_update(iv).finalize().into()
}

fn mark(random: &[u8]) -> [u8; MARK_BYTES] {
    let hash: [u8; 32] = Sha256::new().chain_update(MARK_LABEL).chain_update(random).finalize().into();
    *hash.first_chunk().expect("a SHA-256 is longer than a mark")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_in_the_last_sixteen_bytes() {
        let iv = marked_iv(&[7; MARKED_RANDOM_BYTES]);
        assert!(is_marked(&iv));
        assert_eq!(iv[..112], [7; 112]);
        for bit in 0..8 * IV_BYTES {
            let mut other = iv;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_marked(&other), "bit {bit}");
            assert_ne!(upgrade_request(&other), upgrade_request(&iv));
        }
    }
}
