//! GOST 28147-89 as libmcrypt has it, encryption only.
//!
//! The standard leaves the S-boxes open; libmcrypt has those that Schneier's "Applied Cryptography" prints from
//! the Central Bank of the Russian Federation, with a deviation in one value. The words of the key are little-endian,
//! those of the block big-endian.
//!
//! A round adds a word of the key to one half, sends the sum through eight S-boxes of four bits, turns it left by
//! eleven, and combines it with the other half. Two S-boxes and the turn are one look-up here.

use cipher::consts::{U8, U32};

use super::own::block_cipher;

/// The S-boxes, that of the lowest four bits first.
const S: [[u8; 16]; 8] = [
    [1, 15, 13, 0, 5, 7, 10, 4, 9, 2, 3, 14, 6, 11, 8, 2],
    [13, 11, 4, 1, 3, 15, 5, 9, 0, 10, 14, 7, 6, 8, 2, 12],
    [4, 11, 10, 0, 7, 2, 1, 13, 3, 6, 8, 5, 9, 12, 15, 14],
    [6, 12, 7, 1, 5, 15, 13, 8, 4, 10, 9, 14, 0, 3, 11, 2],
    [7, 13, 10, 1, 0, 8, 9, 15, 14, 4, 6, 12, 11, 2, 5, 3],
    [5, 8, 1, 13, 10, 3, 4, 2, 14, 15, 12, 7, 6, 0, 9, 11],
    [14, 11, 4, 12, 6, 13, 15, 10, 2, 3, 8, 1, 0, 7, 5, 9],
    [4, 10, 9, 2, 13, 8, 0, 14, 6, 11, 1, 12, 7, 15, 5, 3],
];

/// For each byte of a word, the lowest first: both of its S-boxes, and the turn.
static TURNED: [[u32; 256]; 4] = turned();

/// The cipher with its key.
pub(super) struct Gost {
    key: [u32; 8],
}

block_cipher!(Gost, U32, U8);

impl Gost {
    fn with_key(key: &[u8; 32]) -> Self {
        let (words, _) = key.as_chunks();
        Gost { key: std::array::from_fn(|i| u32::from_le_bytes(words[i])) }
    }

    /// The key three times forwards, then once backwards.
    #[inline(always)]
    fn encrypt(&self, block: &mut [u8; 8]) {
        let [a, b, c, d, e, f, g, h] = *block;
        let mut near = u32::from_be_bytes([a, b, c, d]);
        let mut far = u32::from_be_bytes([e, f, g, h]);
        let pairs = self.key.as_chunks::<2>().0;
        for _ in 0..3 {
            for pair in pairs {
                far ^= substitute(near.wrapping_add(pair[0]));
                near ^= substitute(far.wrapping_add(pair[1]));
            }
        }
        for pair in pairs.iter().rev() {
            far ^= substitute(near.wrapping_add(pair[1]));
            near ^= substitute(far.wrapping_add(pair[0]));
        }
        let ([a, b, c, d], [e, f, g, h]) = (far.to_be_bytes(), near.to_be_bytes());
        *block = [a, b, c, d, e, f, g, h];
    }
}

#[inline(always)]
fn substitute(word: u32) -> u32 {
    let [a, b, c, d] = word.to_le_bytes().map(usize::from);
    TURNED[0][a] ^ TURNED[1][b] ^ TURNED[2][c] ^ TURNED[3][d]
}

const fn turned() -> [[u32; 256]; 4] {
    let mut table = [[0; 256]; 4];
    let mut i = 0;
    while i < 4 {
        let mut byte = 0;
        while byte < 256 {
            let both = (S[2 * i + 1][byte >> 4] << 4 | S[2 * i][byte & 15]) as u32;
            table[i][byte] = (both << (8 * i)).rotate_left(11);
            byte += 1;
        }
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use cipher::{BlockCipherEncrypt, KeyInit};
    use magma::Gost89;
    use proptest::prelude::*;

    use super::super::reorder::{Order, ReverseWords, SwapBytesInWords};
    use super::*;

    struct Libmcrypt;

    impl magma::Sbox for Libmcrypt {
        const NAME: &'static str = "libmcrypt";
        const SBOX: [[u8; 16]; 8] = S;
    }

    proptest! {
        #[test]
        fn agrees_with_the_crate_magma(key: [u8; 32], block: [u8; 8]) {
            let mut ours = block;
            Gost::with_key(&key).encrypt(&mut ours);
            let (mut their_key, mut theirs) = (key, block);
            SwapBytesInWords::apply(&mut their_key);
            ReverseWords::apply(&mut theirs);
            Gost89::<Libmcrypt>::new(&their_key.into()).encrypt_block((&mut theirs).into());
            ReverseWords::apply(&mut theirs);
            prop_assert_eq!(ours, theirs);
        }
    }
}
