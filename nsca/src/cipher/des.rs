//! DES, and Triple DES with three keys, encryption only; standard.
//!
//! Source: FIPS 46-3 (1999), whose tables are below. Bits are numbered from 1, the highest, as there.
//!
//! Three things make it fast. Each S-box comes with the permutation `P` behind it, so that a round is eight
//! look-ups. The halves are kept turned left by one bit: then the six bits that the expansion `E` selects for every
//! second S-box are the lower ones of a byte, and for the other S-boxes they are so after a turn by four; the round
//! keys lie in the same places. The permutations before and after the rounds turn a square of eight by eight bits
//! over, which is eight look-ups too; in the middle of Triple DES they cancel each other and are left out.
//!
//! Many blocks at once, which decryption has, are encrypted in another way: see [`sliced`].

mod gates;
mod sliced;

use cipher::consts::{U8, U24, U128};

use super::own::block_cipher;

const ROUNDS: usize = 16;

/// S-boxes (appendix 1), each as four rows of sixteen.
const S: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, //
        0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8, //
        4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, //
        15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, //
        3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5, //
        0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, //
        13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, //
        13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1, //
        13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, //
        1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, //
        13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9, //
        10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, //
        3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, //
        14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6, //
        4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, //
        11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, //
        10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8, //
        9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, //
        4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, //
        13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6, //
        1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, //
        6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, //
        1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2, //
        7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, //
        2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11,
    ],
];

/// Which bit of the S-boxes' output each bit of a round's result is.
const P: [u32; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4,
    25,
];

/// Permuted choice 1: which bit of the key each of the 56 bits of `C` and `D` is.
const PC1: [u32; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, //
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];

/// Permuted choice 2: which bit of `C` and `D` each of the 48 bits of a round key is, six for each S-box.
const PC2: [[u32; 6]; 8] = [
    [14, 17, 11, 24, 1, 5],
    [3, 28, 15, 6, 21, 10],
    [23, 19, 12, 4, 26, 8],
    [16, 7, 27, 20, 13, 2],
    [41, 52, 31, 37, 47, 55],
    [30, 40, 51, 45, 33, 48],
    [44, 49, 39, 56, 34, 53],
    [46, 42, 50, 36, 29, 32],
];

/// By how much `C` and `D` are turned before each round.
const TURNS: [u32; ROUNDS] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

/// Each S-box with `P` behind it, turned left by one. The index is the whole byte, of which the upper two bits belong
/// to other S-boxes and make no difference.
static SP: [[u32; 256]; 8] = combined();

/// The initial permutation of a block's last byte; what belongs to the bytes before it is shifted right.
static INITIAL: [u64; 256] = initial();

/// The final permutation of the byte that holds the first bits of all bytes; what belongs to the other bits is shifted right.
static FINAL: [u64; 256] = last();

/// For each bit of a byte, the highest first, into which byte the initial permutation puts it.
const ROWS: [u32; 8] = [4, 0, 5, 1, 6, 2, 7, 3];

/// DES with its key.
pub(super) struct Des {
    keys: RoundKeys,
}

/// Triple DES with its three keys.
pub(super) struct TripleDes {
    keys: [RoundKeys; 3],
}

/// For each round the key of S-boxes 2, 4, 6, 8, then that of 1, 3, 5, 7: six bits in each byte.
type RoundKeys = [[u32; 2]; ROUNDS];

block_cipher!(Des, U8, U8, U128);
block_cipher!(TripleDes, U24, U8, U128);

impl Des {
    fn with_key(key: &[u8; 8]) -> Self {
        Des { keys: round_keys(*key) }
    }

    #[inline(always)]
    fn encrypt(&self, block: &mut [u8; 8]) {
        *block = finish(rounds(&self.keys, begin(*block)));
    }

    fn encrypt_many(&self, blocks: &mut [[u8; 8]; sliced::BLOCKS]) {
        sliced::encrypt(std::slice::from_ref(&self.keys), blocks);
    }
}

impl TripleDes {
    fn with_key(key: &[u8; 24]) -> Self {
        let (keys, _) = key.as_chunks();
        let mut keys = [round_keys(keys[0]), round_keys(keys[1]), round_keys(keys[2])];
        // The second one decrypts.
        keys[1].reverse();
        TripleDes { keys }
    }

    #[inline(always)]
    fn encrypt(&self, block: &mut [u8; 8]) {
        let halves = self.keys.iter().fold(begin(*block), |halves, keys| rounds(keys, halves));
        *block = finish(halves);
    }

    fn encrypt_many(&self, blocks: &mut [[u8; 8]; sliced::BLOCKS]) {
        sliced::encrypt(&self.keys, blocks);
    }
}

/// The initial permutation, into halves that are turned left by one.
#[inline(always)]
fn begin(block: [u8; 8]) -> [u32; 2] {
    let permuted =
        block.iter().zip((0..8).rev()).fold(0, |sum, (byte, shift)| sum | INITIAL[usize::from(*byte)] >> shift);
    halves_of(permuted).map(|half| half.rotate_left(1))
}

/// The final permutation.
#[inline(always)]
fn finish(halves: [u32; 2]) -> [u8; 8] {
    let [left, right] = halves.map(|half| u64::from(half.rotate_right(1)));
    let rows = (left << 32 | right).to_be_bytes();
    let block = (0..8).fold(0, |sum, bit| sum | FINAL[usize::from(rows[ROWS[bit] as usize])] >> bit);
    block.to_be_bytes()
}

/// Sixteen rounds; the halves change places at the end.
#[inline(always)]
fn rounds(keys: &RoundKeys, [mut left, mut right]: [u32; 2]) -> [u32; 2] {
    for pair in keys.as_chunks::<2>().0 {
        left ^= f(right, pair[0]);
        right ^= f(left, pair[1]);
    }
    [right, left]
}

#[inline(always)]
fn f(half: u32, key: [u32; 2]) -> u32 {
    let [s2, s4, s6, s8] = (half ^ key[0]).to_be_bytes().map(usize::from);
    let [s1, s3, s5, s7] = (half.rotate_right(4) ^ key[1]).to_be_bytes().map(usize::from);
    SP[0][s1] ^ SP[1][s2] ^ SP[2][s3] ^ SP[3][s4] ^ SP[4][s5] ^ SP[5][s6] ^ SP[6][s7] ^ SP[7][s8]
}

fn round_keys(key: [u8; 8]) -> RoundKeys {
    let key = u64::from_be_bytes(key);
    let chosen = PC1.iter().fold(0, |sum, bit| sum << 1 | key >> (64 - bit) & 1);
    let (mut c, mut d) = (chosen >> 28, chosen & HALF_KEY);
    TURNS.map(|turn| {
        (c, d) = (turned(c, turn), turned(d, turn));
        let both = c << 28 | d;
        let six_bits =
            PC2.map(|bits| bits.iter().fold(0u8, |sum, bit| sum << 1 | u8::from(both >> (56 - bit) & 1 == 1)));
        let [s1, s2, s3, s4, s5, s6, s7, s8] = six_bits;
        [u32::from_be_bytes([s2, s4, s6, s8]), u32::from_be_bytes([s1, s3, s5, s7])]
    })
}

/// The 28 bits of `C` or `D`.
const HALF_KEY: u64 = (1 << 28) - 1;

/// Turns 28 bits left.
fn turned(half: u64, by: u32) -> u64 {
    (half << by | half >> (28 - by)) & HALF_KEY
}

fn halves_of(block: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = block.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

const fn combined() -> [[u32; 256]; 8] {
    let mut table = [[0; 256]; 8];
    let mut sbox = 0;
    while sbox < 8 {
        let mut byte = 0;
        while byte < 256 {
            // The outer two of the six bits choose the row.
            let row = byte >> 4 & 2 | byte & 1;
            let column = byte >> 1 & 15;
            let output = (S[sbox][16 * row + column] as u32) << (28 - 4 * sbox);
            table[sbox][byte] = permuted(output).rotate_left(1);
            byte += 1;
        }
        sbox += 1;
    }
    table
}

/// `P`.
const fn permuted(output: u32) -> u32 {
    let mut result = 0;
    let mut i = 0;
    while i < 32 {
        result = result << 1 | output >> (32 - P[i]) & 1;
        i += 1;
    }
    result
}

const fn initial() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= (byte as u64 >> (7 - bit) & 1) << (63 - 8 * ROWS[bit]);
            bit += 1;
        }
        byte += 1;
    }
    table
}

const fn last() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            // The lowest bit belongs to the first byte.
            table[byte] |= (byte as u64 >> bit & 1) << (63 - 8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use cipher::{BlockCipherEncrypt, KeyInit};
    use proptest::prelude::*;

    use super::*;

    /// Often printed: "Now is t" with the key 0123456789abcdef.
    #[test]
    fn known_answer() {
        let mut block = *b"Now is t";
        Des::with_key(&0x0123_4567_89ab_cdef_u64.to_be_bytes()).encrypt(&mut block);
        assert_eq!(u64::from_be_bytes(block), 0x3fa4_0e8a_984d_4815);
    }

    #[test]
    fn three_equal_keys_are_one() {
        let (mut once, mut three_times) = (*b"whatever", *b"whatever");
        Des::with_key(b"password").encrypt(&mut once);
        TripleDes::with_key(b"passwordpasswordpassword").encrypt(&mut three_times);
        assert_eq!(once, three_times);
    }

    proptest! {
        #[test]
        fn agrees_with_the_crate_des(key: [u8; 24], block: [u8; 8]) {
            let (mut single, mut triple) = (block, block);
            let first = *key.first_chunk().unwrap();
            Des::with_key(&first).encrypt(&mut single);
            TripleDes::with_key(&key).encrypt(&mut triple);
            let (mut their_single, mut their_triple) = (block.into(), block.into());
            des::Des::new(&first.into()).encrypt_block(&mut their_single);
            des::TdesEde3::new(&key.into()).encrypt_block(&mut their_triple);
            prop_assert_eq!((single, triple), (their_single.0, their_triple.0));
        }

        #[test]
        fn many_blocks_at_once_are_each_as_one(key: [u8; 24], seed: u64) {
            let block = |i: u64| (seed.wrapping_add(i)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            let blocks: [[u8; 8]; sliced::BLOCKS] = std::array::from_fn(|i| block(i as u64));
            let (single, triple) = (Des::with_key(key.first_chunk().unwrap()), TripleDes::with_key(&key));
            let (mut once, mut three_times) = (blocks, blocks);
            single.encrypt_many(&mut once);
            triple.encrypt_many(&mut three_times);
            for (i, mut block) in blocks.into_iter().enumerate() {
                let mut by_one = block;
                single.encrypt(&mut by_one);
                triple.encrypt(&mut block);
                prop_assert_eq!((once[i], three_times[i]), (by_one, block));
            }
        }
    }
}
