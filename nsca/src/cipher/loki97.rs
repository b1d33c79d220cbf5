//! LOKI97 with a 256-bit key, encryption only; standard.
//!
//! Source: Brown, Pieprzyk, "Introducing the new LOKI97 Block Cipher" (1998).
//!
//! ```text
//! subkeys  SK(i) = K1(i) = K4(i-1) ^ f(K1 + K3 + i·Δ, K2)      and K4, K3, K2 move up; i = 1..48
//! round    R(i) = L ^ f(R + SK(3i-2), SK(3i-1));   L(i) = R + SK(3i-2) + SK(3i)
//! f(A, B)  = Sb(P(Sa(E(KP(A, B)))), B)
//! ```

use cipher::consts::{U16, U32};

use super::own::block_cipher;

const ROUNDS: usize = 16;
const SUBKEYS: usize = 3 * ROUNDS;
const DELTA: u64 = 0x9e37_79b9_7f4a_7c15;

/// 13 bits in, 8 bits out.
static S1: [u8; 1 << 13] = cubes::<{ 1 << 13 }>(0x2911);
/// 11 bits in, 8 bits out.
static S2: [u8; 1 << 11] = cubes::<{ 1 << 11 }>(0xaa7);
/// Bit `i` of `x` as the lowest bit of byte `i`: what `P` does to the highest byte of its input.
static SPREAD: [u64; 256] = spread();

/// The cipher with its key.
pub(super) struct Loki97 {
    subkeys: [u64; SUBKEYS],
}

block_cipher!(Loki97, U32, U16);

impl Loki97 {
    fn with_key(key: &[u8; 32]) -> Self {
        let mut words = key.chunks_exact(8).map(word);
        let mut k: [u64; 4] = std::array::from_fn(|_| words.next().expect("a key has four words"));
        let mut subkeys = [0; SUBKEYS];
        let mut multiple = 0u64;
        for subkey in &mut subkeys {
            multiple = multiple.wrapping_add(DELTA);
            let [k4, k3, k2, k1] = k;
            *subkey = k4 ^ f(k1.wrapping_add(k3).wrapping_add(multiple), k2);
            k = [k3, k2, k1, *subkey];
        }
        Loki97 { subkeys }
    }

    fn encrypt(&self, block: &mut [u8; 16]) {
        let (mut left, mut right) = (word(&block[..8]), word(&block[8..]));
        for keys in self.subkeys.chunks_exact(3) {
            let sum = right.wrapping_add(keys[0]);
            right = left ^ f(sum, keys[1]);
            left = sum.wrapping_add(keys[2]);
        }
        block[..8].copy_from_slice(&right.to_be_bytes());
        block[8..].copy_from_slice(&left.to_be_bytes());
    }
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().expect("a word has eight bytes"))
}

fn f(a: u64, b: u64) -> u64 {
    substitute_with_key(permute(substitute(exchange(a, b))), b)
}

/// `KP`: exchanges the bits of the two halves of `a` where the lower half of `b` has a one.
fn exchange(a: u64, b: u64) -> u64 {
    let differing = (a ^ a >> 32) & b & 0xffff_ffff;
    a ^ differing ^ differing << 32
}

/// `E` and `Sa`: eight overlapping groups of 13 or 11 bits, each through its S-box.
fn substitute(a: u64) -> [u8; 8] {
    [s1(a.rotate_left(8)), s2(a >> 48), s1(a >> 40), s2(a >> 32), s2(a >> 24), s1(a >> 16), s2(a >> 8), s1(a)]
}

/// `P`: bit `i` of byte `j` goes to bit `7 - j` of byte `i`. `bytes` begin with byte 7.
fn permute(bytes: [u8; 8]) -> u64 {
    bytes.iter().zip(0..).fold(0, |sum, (byte, j)| sum | SPREAD[usize::from(*byte)] << j)
}

/// `Sb`: each byte with 3 or 5 bits of the upper half of `b` before it through its S-box.
fn substitute_with_key(a: u64, b: u64) -> u64 {
    let [a7, a6, a5, a4, a3, a2, a1, a0] = a.to_be_bytes().map(u64::from);
    let key = b >> 32;
    u64::from_be_bytes([
        s2(a7 | (key >> 29 & 7) << 8),
        s2(a6 | (key >> 26 & 7) << 8),
        s1(a5 | (key >> 21 & 31) << 8),
        s1(a4 | (key >> 16 & 31) << 8),
        s2(a3 | (key >> 13 & 7) << 8),
        s2(a2 | (key >> 10 & 7) << 8),
        s1(a1 | (key >> 5 & 31) << 8),
        s1(a0 | (key & 31) << 8),
    ])
}

fn s1(x: u64) -> u8 {
    S1[low_bits(x, 13)]
}

fn s2(x: u64) -> u8 {
    S2[low_bits(x, 11)]
}

fn low_bits(x: u64, bits: u32) -> usize {
    usize::try_from(x & ((1 << bits) - 1)).expect("an index of a few bits")
}

/// The low byte of the cube of each inverted input, in the field that `polynomial` makes.
const fn cubes<const SIZE: usize>(polynomial: usize) -> [u8; SIZE] {
    let mut table = [0; SIZE];
    let mut x = 0;
    while x < SIZE {
        let inverted = x ^ (SIZE - 1);
        let square = multiply(inverted, inverted, polynomial, SIZE);
        table[x] = multiply(square, inverted, polynomial, SIZE).to_le_bytes()[0];
        x += 1;
    }
    table
}

const fn multiply(mut a: usize, mut b: usize, polynomial: usize, size: usize) -> usize {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a <<= 1;
        if a & size != 0 {
            a ^= polynomial;
        }
        b >>= 1;
    }
    product
}

const fn spread() -> [u64; 256] {
    let mut table = [0; 256];
    let mut x = 0;
    while x < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[x] |= (x as u64 >> bit & 1) << (8 * bit);
            bit += 1;
        }
        x += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The triple that its authors published.
    #[test]
    fn known_answer() {
        let key = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let mut block = std::array::from_fn(|i| u8::try_from(i).unwrap());
        Loki97::with_key(&key).encrypt(&mut block);
        assert_eq!(u128::from_be_bytes(block), 0x7508_0e35_9f10_fe64_0144_b35c_5712_8dad);
    }
}
