//! SAFER+ with a 256-bit key, encryption only; standard.
//!
//! Source: Massey, Khachatrian, Kuregian, "Nomination of SAFER+ as Candidate Algorithm for the Advanced
//! Encryption Standard" (1998). All sums are modulo 256.

use cipher::consts::U16;

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

/// The linear layer of a round: four pseudo-Hadamard transforms of all pairs, with a shuffle in between.
const MATRIX: [[u16; 16]; 16] = matrix();

/// The cipher with its key.
pub(super) struct SaferPlus {
    subkeys: [[u8; 16]; SUBKEYS],
}

block_cipher!(SaferPlus, U16);

impl SaferPlus {
    fn with_key(key: &[u8; KEY_BYTES]) -> Self {
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
        SaferPlus { subkeys }
    }

    fn encrypt(&self, block: &mut [u8; 16]) {
        let (rounds, last) = self.subkeys.split_at(2 * ROUNDS);
        for keys in rounds.chunks_exact(2) {
            add_and_xor(block, &keys[0]);
            for (i, byte) in block.iter_mut().enumerate() {
                *byte = if is_outer(i) { EXP[usize::from(*byte)] } else { LOG[usize::from(*byte)] };
            }
            xor_and_add(block, &keys[1]);
            diffuse(block);
        }
        add_and_xor(block, &last[0]);
    }
}

/// Whether byte `i` is the first or the last of its group of four; these are treated unlike the inner two.
const fn is_outer(i: usize) -> bool {
    matches!(i % 4, 0 | 3)
}

/// Combines with a key: outer bytes by XOR, inner by addition.
fn add_and_xor(block: &mut [u8; 16], key: &[u8; 16]) {
    for (i, (byte, key)) in block.iter_mut().zip(key).enumerate() {
        *byte = if is_outer(i) { *byte ^ key } else { byte.wrapping_add(*key) };
    }
}

/// Combines with a key: outer bytes by addition, inner by XOR.
fn xor_and_add(block: &mut [u8; 16], key: &[u8; 16]) {
    for (i, (byte, key)) in block.iter_mut().zip(key).enumerate() {
        *byte = if is_outer(i) { byte.wrapping_add(*key) } else { *byte ^ key };
    }
}

/// The linear layer, as a product with its matrix.
fn diffuse(block: &mut [u8; 16]) {
    let mut sums = [0u16; 16];
    for (byte, row) in block.iter().zip(&MATRIX) {
        for (sum, factor) in sums.iter_mut().zip(row) {
            *sum = sum.wrapping_add(u16::from(*byte) * factor);
        }
    }
    *block = sums.map(|sum| sum.to_le_bytes()[0]);
}

/// The matrix of the linear layer: what it makes of a single one at each place. Its elements are bytes, but
/// sums of 16 bits are what processors add side by side.
const fn matrix() -> [[u16; 16]; 16] {
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
const fn hadamard(block: &[u16; 16]) -> [u16; 16] {
    let mut transformed = [0; 16];
    let mut i = 0;
    while i < 16 {
        transformed[i] = 2 * block[i] + block[i + 1];
        transformed[i + 1] = block[i] + block[i + 1];
        i += 2;
    }
    transformed
}

const fn shuffle(block: &[u16; 16]) -> [u16; 16] {
    let mut shuffled = [0; 16];
    let mut i = 0;
    while i < 16 {
        shuffled[i] = block[SHUFFLE[i]];
        i += 1;
    }
    shuffled
}

/// The bias of byte `j` of subkey `i`, both counted from one.
fn bias(i: usize, j: usize) -> u8 {
    let once = EXP[(17 * i + j) % 256];
    if i <= 17 { EXP[usize::from(once)] } else { once }
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
