//! Twofish with a 256-bit key, encryption only; standard.
//!
//! Source: Schneier, Kelsey, Whiting, Wagner, Hall, Ferguson, "Twofish: A 128-Bit Block Cipher" (1998).
//! This is the paper's "full keying": the key-dependent S-boxes are multiplied with the MDS matrix when the key
//! is set, so that the function `g` of a round is four table look-ups.

use cipher::consts::{U16, U32};

use super::own::block_cipher;

const ROUNDS: usize = 16;
/// Four words of input whitening, four of output whitening, two for each round.
const SUBKEYS: usize = 8 + 2 * ROUNDS;

/// The 4-bit permutations that `q0` and `q1` are made of (section 4.3.5).
const Q0_NIBBLES: [[u8; 16]; 4] = [
    [0x8, 0x1, 0x7, 0xd, 0x6, 0xf, 0x3, 0x2, 0x0, 0xb, 0x5, 0x9, 0xe, 0xc, 0xa, 0x4],
    [0xe, 0xc, 0xb, 0x8, 0x1, 0x2, 0x3, 0x5, 0xf, 0x4, 0xa, 0x6, 0x7, 0x0, 0x9, 0xd],
    [0xb, 0xa, 0x5, 0xe, 0x6, 0xd, 0x9, 0x0, 0xc, 0x8, 0xf, 0x3, 0x2, 0x4, 0x7, 0x1],
    [0xd, 0x7, 0xf, 0x4, 0x1, 0x2, 0x6, 0xe, 0x9, 0xb, 0x3, 0x0, 0x8, 0x5, 0xc, 0xa],
];
const Q1_NIBBLES: [[u8; 16]; 4] = [
    [0x2, 0x8, 0xb, 0xd, 0xf, 0x7, 0x6, 0xe, 0x3, 0x1, 0x9, 0x4, 0x0, 0xa, 0xc, 0x5],
    [0x1, 0xe, 0x2, 0xb, 0x4, 0xc, 0x3, 0x7, 0x6, 0xd, 0xa, 0x5, 0xf, 0x9, 0x0, 0x8],
    [0x4, 0xc, 0x7, 0x5, 0x1, 0x6, 0x9, 0xa, 0x0, 0xe, 0xd, 0x8, 0x2, 0xb, 0x3, 0xf],
    [0xb, 0x9, 0x5, 0x1, 0xc, 0x3, 0xd, 0xe, 0x6, 0x4, 0x7, 0xf, 0x2, 0x0, 0x8, 0xa],
];

const Q0: [u8; 256] = permutation(&Q0_NIBBLES);
const Q1: [u8; 256] = permutation(&Q1_NIBBLES);

/// Which permutation each byte of a word goes through: before the first key word is used, after it, and so on
/// up to the fifth, which has no key after it (figure 2).
const STAGES: [[&[u8; 256]; 4]; 5] =
    [[&Q1, &Q0, &Q0, &Q1], [&Q1, &Q1, &Q0, &Q0], [&Q0, &Q1, &Q0, &Q1], [&Q0, &Q0, &Q1, &Q1], [&Q1, &Q0, &Q1, &Q0]];

const MDS: [[u8; 4]; 4] =
    [[0x01, 0xef, 0x5b, 0x5b], [0x5b, 0xef, 0xef, 0x01], [0xef, 0x5b, 0x01, 0xef], [0xef, 0x01, 0xef, 0x5b]];
const MDS_POLYNOMIAL: u16 = 0x169;

const RS: [[u8; 8]; 4] = [
    [0x01, 0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e],
    [0xa4, 0x56, 0x82, 0xf3, 0x1e, 0xc6, 0x68, 0xe5],
    [0x02, 0xa1, 0xfc, 0xc1, 0x47, 0xae, 0x3d, 0x19],
    [0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e, 0x03],
];
const RS_POLYNOMIAL: u16 = 0x14d;

/// The cipher with its key.
pub(super) struct Twofish {
    subkeys: [u32; SUBKEYS],
    /// For each byte of a word: key-dependent S-box, then its column of the MDS matrix.
    g: [[u32; 256]; 4],
}

block_cipher!(Twofish, U32, U16);

impl Twofish {
    fn with_key(key: &[u8; 32]) -> Self {
        let word = |i: usize| -> [u8; 4] { *key[4 * i..].first_chunk().expect("a key has eight words") };
        let even: [[u8; 4]; 4] = std::array::from_fn(|i| word(2 * i));
        let odd: [[u8; 4]; 4] = std::array::from_fn(|i| word(2 * i + 1));
        let mut subkeys = [0; SUBKEYS];
        for (pair, i) in subkeys.chunks_exact_mut(2).zip((0u8..).step_by(2)) {
            let a = h([i; 4], &even);
            let b = h([i + 1; 4], &odd).rotate_left(8);
            pair[0] = a.wrapping_add(b);
            pair[1] = a.wrapping_add(b).wrapping_add(b).rotate_left(9);
        }
        // The paper lists these words in the opposite order of those of the key.
        let s: [[u8; 4]; 4] = std::array::from_fn(|i| reed_solomon(&key[8 * (3 - i)..][..8]));
        let mut g = [[0; 256]; 4];
        for (column, table) in g.iter_mut().enumerate() {
            for (x, entry) in (0..=u8::MAX).zip(table) {
                *entry = mds_column(column, sbox(x, column, &s));
            }
        }
        Twofish { subkeys, g }
    }

    fn encrypt(&self, block: &mut [u8; 16]) {
        let k = &self.subkeys;
        let mut r = [0; 4];
        for (i, bytes) in block.chunks_exact(4).enumerate() {
            r[i] = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) ^ k[i];
        }
        for round in k[8..].chunks_exact(2) {
            let t0 = self.g(r[0]);
            let t1 = self.g(r[1].rotate_left(8));
            let f0 = t0.wrapping_add(t1).wrapping_add(round[0]);
            let f1 = t0.wrapping_add(t1).wrapping_add(t1).wrapping_add(round[1]);
            r = [(r[2] ^ f0).rotate_right(1), r[3].rotate_left(1) ^ f1, r[0], r[1]];
        }
        for (i, bytes) in block.chunks_exact_mut(4).enumerate() {
            bytes.copy_from_slice(&(r[(i + 2) % 4] ^ k[i + 4]).to_le_bytes());
        }
    }

    fn g(&self, x: u32) -> u32 {
        let [x0, x1, x2, x3] = x.to_le_bytes();
        self.g[0][usize::from(x0)]
            ^ self.g[1][usize::from(x1)]
            ^ self.g[2][usize::from(x2)]
            ^ self.g[3][usize::from(x3)]
    }
}

/// The paper's function `h`: the bytes of `x` through the S-boxes that `words` make, then the MDS matrix.
fn h(x: [u8; 4], words: &[[u8; 4]; 4]) -> u32 {
    (0..4).fold(0, |sum, column| sum ^ mds_column(column, sbox(x[column], column, words)))
}

/// Byte `column` of a word through its S-box.
fn sbox(x: u8, column: usize, words: &[[u8; 4]; 4]) -> u8 {
    let keyed = STAGES.iter().zip(words.iter().rev());
    let y = keyed.fold(x, |y, (stage, word)| stage[column][usize::from(y)] ^ word[column]);
    STAGES[4][column][usize::from(y)]
}

/// `y` times one column of the MDS matrix.
fn mds_column(column: usize, y: u8) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|row| multiply(MDS[row][column], y, MDS_POLYNOMIAL)))
}

/// Eight bytes of key times the RS matrix.
fn reed_solomon(key: &[u8]) -> [u8; 4] {
    RS.map(|row| row.iter().zip(key).fold(0, |sum, (&m, &k)| sum ^ multiply(m, k, RS_POLYNOMIAL)))
}

/// The product in the field of 256 elements that `polynomial` makes.
fn multiply(a: u8, b: u8, polynomial: u16) -> u8 {
    let mut a = u16::from(a);
    let mut product = 0;
    for bit in 0..8 {
        if b >> bit & 1 == 1 {
            product ^= a;
        }
        a <<= 1;
        if a & 0x100 != 0 {
            a ^= polynomial;
        }
    }
    product.to_le_bytes()[0]
}

/// The permutation of bytes that four permutations of nibbles make (section 4.3.5).
const fn permutation(t: &[[u8; 16]; 4]) -> [u8; 256] {
    let mut q = [0; 256];
    let mut x = 0usize;
    while x < 256 {
        let (a, b) = mix_nibbles(x.to_le_bytes()[0] >> 4, x.to_le_bytes()[0] & 15);
        let (a, b) = mix_nibbles(t[0][a as usize], t[1][b as usize]);
        q[x] = t[3][b as usize] << 4 | t[2][a as usize];
        x += 1;
    }
    q
}

const fn mix_nibbles(a: u8, b: u8) -> (u8, u8) {
    let rotated = (b >> 1 | b << 3) & 15;
    (a ^ b, a ^ rotated ^ (a << 3 & 15))
}

#[cfg(test)]
mod tests {
    use cipher::{BlockCipherEncrypt, KeyInit};
    use proptest::prelude::*;

    use super::*;

    /// From the paper, appendix B.
    #[test]
    fn known_answer() {
        let mut key = [0; 32];
        let beginning =
            [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10];
        key[..16].copy_from_slice(&beginning);
        for i in 0..16u8 {
            key[16 + usize::from(i)] = i * 0x11;
        }
        let mut block = [0; 16];
        Twofish::with_key(&key).encrypt(&mut block);
        let expected = 0x3752_7be0_0523_34b8_9f0c_fcca_e87c_fa20_u128;
        assert_eq!(u128::from_be_bytes(block), expected);
    }

    proptest! {
        #[test]
        fn agrees_with_the_crate_twofish(key: [u8; 32], block: [u8; 16]) {
            let mut ours = block;
            Twofish::with_key(&key).encrypt(&mut ours);
            let mut theirs = block.into();
            twofish::Twofish::new(&key.into()).encrypt_block(&mut theirs);
            prop_assert_eq!(ours, theirs.0);
        }
    }
}
