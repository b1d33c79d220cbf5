//! Rijndael with blocks of 192 and 256 bits and a 256-bit key, encryption only; standard, though not in AES.
//!
//! Source: Daemen, Rijmen, "AES Proposal: Rijndael" (1999), with its table look-up implementation
//! (section 5.2.1): substitution, row shift and column mixing of a round are four look-ups for each column.

use cipher::consts::{U24, U32};

use super::own::block_cipher;

/// For every block width, because the key has eight words.
const ROUNDS: usize = 14;
const KEY_WORDS: usize = 8;
const POLYNOMIAL: u8 = 0x1b;

const SBOX: [u8; 256] = sbox();
/// For each row, a byte through the S-box, times its column of the mixing matrix.
static MIXED: [[u32; 256]; 4] = mixed();

/// Rijndael with blocks of 192 bits.
pub(super) struct Rijndael192(Rijndael<6>);

/// Rijndael with blocks of 256 bits.
pub(super) struct Rijndael256(Rijndael<8>);

block_cipher!(Rijndael192, U32, U24);
block_cipher!(Rijndael256, U32, U32);

impl Rijndael192 {
    fn with_key(key: &[u8; 32]) -> Self {
        Rijndael192(Rijndael::new(key))
    }

    fn encrypt(&self, block: &mut [u8; 24]) {
        self.0.encrypt(block);
    }
}

impl Rijndael256 {
    fn with_key(key: &[u8; 32]) -> Self {
        Rijndael256(Rijndael::new(key))
    }

    fn encrypt(&self, block: &mut [u8; 32]) {
        self.0.encrypt(block);
    }
}

/// The cipher on `COLUMNS` words, with its key.
struct Rijndael<const COLUMNS: usize> {
    /// One word for each column, before the first round and after each.
    round_keys: [[u32; COLUMNS]; ROUNDS + 1],
}

impl<const COLUMNS: usize> Rijndael<COLUMNS> {
    /// By how many columns each row is shifted.
    const SHIFTS: [usize; 4] = if COLUMNS == 8 { [0, 1, 3, 4] } else { [0, 1, 2, 3] };

    fn new(key: &[u8; 32]) -> Self {
        let mut words: Vec<u32> = words_of(key).collect();
        let mut round_constant = 1;
        for i in KEY_WORDS..COLUMNS * (ROUNDS + 1) {
            let mut word = words[i - 1];
            match i % KEY_WORDS {
                0 => {
                    word = substitute(word.rotate_left(8)) ^ u32::from(round_constant) << 24;
                    round_constant = double(round_constant);
                }
                4 => word = substitute(word),
                _ => {}
            }
            words.push(words[i - KEY_WORDS] ^ word);
        }
        let round_keys = std::array::from_fn(|round| std::array::from_fn(|i| words[round * COLUMNS + i]));
        Rijndael { round_keys }
    }

    fn encrypt(&self, block: &mut [u8]) {
        let mut state = self.round_keys[0];
        for (column, word) in state.iter_mut().zip(words_of(block)) {
            *column ^= word;
        }
        for key in &self.round_keys[1..ROUNDS] {
            let previous = state;
            for (i, column) in state.iter_mut().enumerate() {
                let [a, b, c, d] = Self::shifted_rows(&previous, i).map(usize::from);
                *column = MIXED[0][a] ^ MIXED[1][b] ^ MIXED[2][c] ^ MIXED[3][d] ^ key[i];
            }
        }
        for (i, (bytes, key)) in block.chunks_exact_mut(4).zip(&self.round_keys[ROUNDS]).enumerate() {
            let column = Self::shifted_rows(&state, i).map(|byte| SBOX[usize::from(byte)]);
            bytes.copy_from_slice(&(u32::from_be_bytes(column) ^ key).to_be_bytes());
        }
    }

    /// Column `i` after the rows were shifted.
    #[inline(always)]
    fn shifted_rows(state: &[u32; COLUMNS], i: usize) -> [u8; 4] {
        std::array::from_fn(|row| state[(i + Self::SHIFTS[row]) % COLUMNS].to_be_bytes()[row])
    }
}

fn words_of(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

fn substitute(word: u32) -> u32 {
    u32::from_be_bytes(word.to_be_bytes().map(|byte| SBOX[usize::from(byte)]))
}

/// Twice `x` in the field of 256 elements.
const fn double(x: u8) -> u8 {
    x << 1 ^ if x & 0x80 == 0 { 0 } else { POLYNOMIAL }
}

/// The inverse in the field, then the affine transformation (section 4.2.1).
const fn sbox() -> [u8; 256] {
    let mut sbox = [0; 256];
    // p runs through the powers of 3, q through their inverses.
    let (mut p, mut q) = (1u8, 1u8);
    loop {
        p ^= double(p);
        // A division by 3.
        q ^= q << 1;
        q ^= q << 2;
        q ^= q << 4;
        if q & 0x80 != 0 {
            q ^= 0x09;
        }
        sbox[p as usize] = 0x63 ^ q ^ q.rotate_left(1) ^ q.rotate_left(2) ^ q.rotate_left(3) ^ q.rotate_left(4);
        if p == 1 {
            break;
        }
    }
    sbox[0] = 0x63;
    sbox
}

const fn mixed() -> [[u32; 256]; 4] {
    let mut mixed = [[0; 256]; 4];
    let mut x = 0;
    while x < 256 {
        let s = SBOX[x];
        // The columns of the matrix are the first one, turned.
        let mut column = u32::from_be_bytes([double(s), s, s, double(s) ^ s]);
        let mut row = 0;
        while row < 4 {
            mixed[row][x] = column;
            column = column.rotate_right(8);
            row += 1;
        }
        x += 1;
    }
    mixed
}

#[cfg(test)]
mod tests {
    use cipher::{BlockCipherEncrypt, KeyInit};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The widths differ in their number of columns and in the row shifts only. What the wider ones must
        /// give stands in the recordings of libmcrypt.
        #[test]
        fn four_columns_are_aes(key: [u8; 32], block: [u8; 16]) {
            let mut ours = block;
            Rijndael::<4>::new(&key).encrypt(&mut ours);
            let mut theirs = block.into();
            aes::Aes256::new(&key.into()).encrypt_block(&mut theirs);
            prop_assert_eq!(ours, theirs.0);
        }
    }
}
