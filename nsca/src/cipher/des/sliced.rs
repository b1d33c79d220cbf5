//! DES of 128 blocks at once, bit by bit.
//!
//! ```text
//! blocks     128 blocks of 64 bits
//! planes     64 planes of 128 bits: the first bit of all blocks, their second bit, …
//! ```
//!
//! On planes, permutations cost nothing, since they only say which plane is meant, and the S-boxes are logic gates, each of
//! which works for all blocks. Decryption in NSCA's mode knows all its blocks beforehand, so it can use this.
//!
//! Source: FIPS 46-3 (1999). Planes are numbered from 0, the highest bit.

use std::ops::{BitAnd, BitOr, BitXor, Not};

use wide::u64x2;

use super::gates::GATES;
use super::{P, RoundKeys};

/// As many blocks are encrypted at once.
pub(super) const BLOCKS: usize = 128;

/// One bit of each block, in one register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bits(u64x2);

/// Where `P` puts each bit of the S-boxes' output.
const TARGETS: [usize; 32] = targets();

/// Encrypts each block with one key after the other.
pub(super) fn encrypt(keys: &[RoundKeys], blocks: &mut [[u8; 8]; BLOCKS]) {
    let planes = planes_of(blocks);
    let mut left: [Bits; 32] = std::array::from_fn(|i| planes[initial(i)]);
    let mut right: [Bits; 32] = std::array::from_fn(|i| planes[initial(32 + i)]);
    for keys in keys {
        for pair in keys.as_chunks::<2>().0 {
            round(&mut left, &right, pair[0]);
            round(&mut right, &left, pair[1]);
        }
        // The halves change places at the end, and the final permutation meets the next key's initial one.
        std::mem::swap(&mut left, &mut right);
    }
    let mut planes = [Bits::all(false); 64];
    for (i, plane) in left.into_iter().chain(right).enumerate() {
        planes[initial(i)] = plane;
    }
    put(planes, blocks);
}

/// One round. Of its key, six bits in each byte belong to S-boxes 2, 4, 6, 8, and to 1, 3, 5, 7.
#[inline(always)]
fn round(left: &mut [Bits; 32], right: &[Bits; 32], [even, odd]: [u32; 2]) {
    let keys = [odd.to_be_bytes(), even.to_be_bytes()];
    for (sbox, gates) in GATES.iter().enumerate() {
        let key = keys[sbox % 2][sbox / 2];
        // The expansion: the S-box's own four bits and their neighbours.
        let input = |i| right[(4 * sbox + 31 + i) % 32] ^ Bits::all(key >> (5 - i) & 1 == 1);
        for (target, output) in TARGETS[4 * sbox..].iter().zip(gates(std::array::from_fn(input))) {
            left[*target] = left[*target] ^ output;
        }
    }
}

/// Which bit of a block is bit `i` after the initial permutation.
const fn initial(i: usize) -> usize {
    let (row, column) = (i / 8, i % 8);
    8 * (7 - column) + if row < 4 { 2 * row + 1 } else { 2 * (row - 4) }
}

const fn targets() -> [usize; 32] {
    let mut targets = [0; 32];
    let mut i = 0;
    while i < 32 {
        targets[P[i] as usize - 1] = i;
        i += 1;
    }
    targets
}

fn planes_of(blocks: &[[u8; 8]; BLOCKS]) -> [Bits; 64] {
    let mut planes = [Bits::all(false); 64];
    for (half, blocks) in blocks.as_chunks::<64>().0.iter().enumerate() {
        let mut square = blocks.map(u64::from_be_bytes);
        turn_over(&mut square);
        for (plane, bits) in planes.iter_mut().zip(square) {
            plane.0.as_mut_array()[half] = bits;
        }
    }
    planes
}

fn put(planes: [Bits; 64], blocks: &mut [[u8; 8]; BLOCKS]) {
    for (half, blocks) in blocks.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let mut square = planes.map(|plane| plane.0.as_array()[half]);
        turn_over(&mut square);
        *blocks = square.map(u64::to_be_bytes);
    }
}

/// Makes rows of columns, by changing the places of ever smaller squares.
#[inline(always)]
fn turn_over(square: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, u64::MAX >> 32);
    while width > 0 {
        for upper in (0..64).filter(|row| row & width == 0) {
            let lower = upper + width;
            let differing = (square[upper] ^ square[lower] >> width) & mask;
            square[upper] ^= differing;
            square[lower] ^= differing << width;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

impl Bits {
    /// The same bit for all blocks.
    #[inline(always)]
    pub(super) fn all(bit: bool) -> Self {
        Bits(u64x2::splat(0_u64.wrapping_sub(u64::from(bit))))
    }
}

impl BitXor for Bits {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Bits(self.0 ^ other.0)
    }
}

impl BitAnd for Bits {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Bits(self.0 & other.0)
    }
}

impl BitOr for Bits {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Bits(self.0 | other.0)
    }
}

impl Not for Bits {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        Bits(!self.0)
    }
}
