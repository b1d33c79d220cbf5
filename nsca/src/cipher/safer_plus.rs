//! SAFER+ with a 256-bit key, encryption only; standard.
//!
//! Source: Massey, Khachatrian, Kuregian, "Nomination of SAFER+ as Candidate Algorithm for the Advanced
//! Encryption Standard" (1998). All sums are modulo 256.
//!
//! A round is a key, sixteen S-boxes, another key, and a linear layer. That layer is a sum over the sixteen bytes,
//! and what a byte adds to it is one look-up, of sixteen sums side by side. Where the second key is added, it commutes
//! with the sums: then the look-up begins before the S-box, and what the key adds is known beforehand.

use cipher::consts::{U16, U32};

use super::own::block_cipher;

const ROUNDS: usize = 16;
/// Two for each round, one for the end.
const SUBKEYS: usize = 2 * ROUNDS + 1;
const KEY_BYTES: usize = 32;

/// Powers of 45 modulo 257, where 256 is written 0.
const EXP: [u8; 256] = exp();
/// The inverse of `EXP`.
const LOG: [u8; 256] = log();

/// The "Armenian shuffle": where each byte comes from.
const SHUFFLE: [usize; 16] = [8, 11, 12, 15, 2, 1, 6, 5, 10, 9, 14, 13, 0, 7, 4, 3];

/// The linear layer as a matrix: what it makes of a single one at each place.
const MATRIX: [[u8; 16]; 16] = matrix();

/// For each place and each byte there, what it adds to the result of the linear layer; the outer bytes as they are before
/// the S-box.
static CONTRIBUTIONS: [[[u8; 16]; 256]; 16] = contributions();

/// The cipher with its key.
pub(super) struct SaferPlus {
    rounds: [Round; ROUNDS],
    last: [u8; 16],
}

struct Round {
    /// Before the S-boxes.
    first: [u8; 16],
    /// Behind the S-boxes; zero for the outer bytes.
    second: [u8; 16],
    /// What the second subkey's outer bytes, which are added, come to behind the linear layer.
    sum: [u8; 16],
}

block_cipher!(SaferPlus, U32, U16);

impl SaferPlus {
    fn with_key(key: &[u8; KEY_BYTES]) -> Self {
        let subkeys = subkeys(key);
        let (pairs, last) = subkeys.as_chunks();
        let rounds = std::array::from_fn(|i| Round::new(&pairs[i]));
        SaferPlus { rounds, last: last[0] }
    }

    #[inline(always)]
    fn encrypt(&self, block: &mut [u8; 16]) {
        for round in &self.rounds {
            add_and_xor(block, &round.first);
            let mut sum = round.sum;
            for (i, byte) in block.iter().enumerate() {
                let index = if is_outer(i) { *byte } else { LOG[usize::from(*byte)] ^ round.second[i] };
                add(&mut sum, &CONTRIBUTIONS[i][usize::from(index)]);
            }
            *block = sum;
        }
        add_and_xor(block, &self.last);
    }
}

impl Round {
    fn new([first, second]: &[[u8; 16]; 2]) -> Self {
        let mut round = Round { first: *first, second: *second, sum: [0; 16] };
        for i in (0..16).filter(|i| is_outer(*i)) {
            let added = std::mem::take(&mut round.second[i]);
            add(&mut round.sum, &MATRIX[i].map(|factor| factor.wrapping_mul(added)));
        }
        round
    }
}

fn subkeys(key: &[u8; KEY_BYTES]) -> [[u8; 16]; SUBKEYS] {
    let mut register = [0; KEY_BYTES + 1];
    register[..KEY_BYTES].copy_from_slice(key);
    register[KEY_BYTES] = key.iter().fold(0, |sum, byte| sum ^ byte);
    let mut subkeys = [[0; 16]; SUBKEYS];
    subkeys[0].copy_from_slice(&key[..16]);
    for (i, subkey) in subkeys.iter_mut().enumerate().skip(1) {
        for byte in &mut register {
            *byte = byte.rotate_left(3);
        }
        for (j, byte) in subkey.iter_mut().enumerate() {
            *byte = register[(i + j) % register.len()].wrapping_add(bias(i + 1, j + 1));
        }
    }
    subkeys
}

/// Whether byte `i` is the first or the last of its group of four; these are treated unlike the inner two.
const fn is_outer(i: usize) -> bool {
    matches!(i % 4, 0 | 3)
}

/// Combines with a key: outer bytes by XOR, inner by addition.
#[inline(always)]
fn add_and_xor(block: &mut [u8; 16], key: &[u8; 16]) {
    for (i, (byte, key)) in block.iter_mut().zip(key).enumerate() {
        *byte = if is_outer(i) { *byte ^ key } else { byte.wrapping_add(*key) };
    }
}

#[inline(always)]
fn add(sum: &mut [u8; 16], bytes: &[u8; 16]) {
    for (sum, byte) in sum.iter_mut().zip(bytes) {
        *sum = sum.wrapping_add(*byte);
    }
}

/// The bias of byte `j` of subkey `i`, both counted from one.
fn bias(i: usize, j: usize) -> u8 {
    let once = EXP[(17 * i + j) % 256];
    if i <= 17 { EXP[usize::from(once)] } else { once }
}

/// Four pseudo-Hadamard transforms of all pairs, with a shuffle in between.
const fn matrix() -> [[u8; 16]; 16] {
    let mut matrix = [[0; 16]; 16];
    let mut i = 0;
    while i < 16 {
        matrix[i][i] = 1;
        matrix[i] = hadamard(&matrix[i]);
        let mut times = 0;
        while times < 3 {
            matrix[i] = hadamard(&shuffle(&matrix[i]));
            times += 1;
        }
        i += 1;
    }
    matrix
}

/// The pseudo-Hadamard transform of all pairs.
const fn hadamard(block: &[u8; 16]) -> [u8; 16] {
    let mut transformed = [0; 16];
    let mut i = 0;
    while i < 16 {
        transformed[i] = 2 * block[i] + block[i + 1];
        transformed[i + 1] = block[i] + block[i + 1];
        i += 2;
    }
    transformed
}

const fn shuffle(block: &[u8; 16]) -> [u8; 16] {
    let mut shuffled = [0; 16];
    let mut i = 0;
    while i < 16 {
        shuffled[i] = block[SHUFFLE[i]];
        i += 1;
    }
    shuffled
}

const fn contributions() -> [[[u8; 16]; 256]; 16] {
    let mut table = [[[0; 16]; 256]; 16];
    let mut i = 0;
    while i < 16 {
        let mut byte = 0usize;
        while byte < 256 {
            let factor = if is_outer(i) { EXP[byte] } else { byte.to_le_bytes()[0] };
            let mut j = 0;
            while j < 16 {
                table[i][byte][j] = MATRIX[i][j].wrapping_mul(factor);
                j += 1;
            }
            byte += 1;
        }
        i += 1;
    }
    table
}

const fn exp() -> [u8; 256] {
    let mut table = [0; 256];
    let mut power = 1u32;
    let mut i = 0usize;
    while i < 256 {
        table[i] = power.to_le_bytes()[0];
        power = power * 45 % 257;
        i += 1;
    }
    table
}

const fn log() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0usize;
    while i < 256 {
        table[EXP[i] as usize] = i.to_le_bytes()[0];
        i += 1;
    }
    table
}
