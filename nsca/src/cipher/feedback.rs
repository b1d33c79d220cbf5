//! CFB with 8-bit feedback, the mode that libmcrypt calls `cfb`.
//!
//! ```text
//! register            b0 b1 … b(n-1)           n = block size; at first the beginning of the IV
//! keystream byte      E(register)[0]
//! register afterwards    b1 … b(n-1) c         c = the ciphertext byte
//! ```
//!
//! So the register before byte `i` is always the `n` bytes of `IV ‖ ciphertext` that begin at `i`.
//!
//! **Encryption** is a chain: each block needs the byte before it. The register is kept as words that are shifted, never
//! in memory, since a processor waits when it loads a block of which it has just stored a byte. Several chains
//! that do not depend on each other are encrypted in lockstep: while one waits for its byte, the processor works on
//! the others.
//!
//! **Decryption** has no chain, as all registers are known beforehand. It runs from the last byte to the first: so each
//! register is still ciphertext in the caller's buffer when it is needed, and nothing is copied but the beginning,
//! which needs the register from before. As many blocks go through the cipher together as it likes to have.

use std::cmp::Reverse;
use std::marker::PhantomData;

use cipher::array::Array;
use cipher::typenum::Unsigned;
use cipher::{Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, ParBlocks};

/// The newest ciphertext: as many bytes as the cipher's block has, from the start of the array.
pub(super) type Register = [u8; MAX_BLOCK_BYTES];

/// The widest block: Rijndael-256.
pub(super) const MAX_BLOCK_BYTES: usize = 32;

/// This part of a batch of blocks is as much work alone as a whole batch, about.
const WORTH_A_BATCH: usize = 4;

/// The register before the first byte of a session.
pub(super) fn first_register(iv: &[u8; crate::packet::IV_BYTES]) -> Register {
    *iv.first_chunk().expect("an IV is longer than a block")
}

/// Bytes to be encrypted in place, and the register of their session.
pub(super) struct Chain<'a> {
    pub(super) register: &'a mut Register,
    pub(super) bytes: &'a mut [u8],
}

/// A block cipher with its key, in this mode. The caller keeps the register, so that many sessions share one
/// key schedule.
pub(super) trait Feedback: Send + Sync {
    /// Encrypts in place and moves `register` on.
    fn encrypt(&self, register: &mut Register, bytes: &mut [u8]);

    /// The same for several sessions at once.
    fn encrypt_together(&self, chains: &mut [Chain<'_>]);

    /// Decrypts in place and moves `register` on.
    fn decrypt(&self, register: &mut Register, bytes: &mut [u8]);
}

impl<C: BlockCipherEncrypt + Send + Sync> Feedback for C {
    fn encrypt(&self, register: &mut Register, bytes: &mut [u8]) {
        self.encrypt_with_backend(Encryption::<C> { chains: &mut [Chain { register, bytes }], cipher: PhantomData });
    }

    fn encrypt_together(&self, chains: &mut [Chain<'_>]) {
        self.encrypt_with_backend(Encryption::<C> { chains, cipher: PhantomData });
    }

    fn decrypt(&self, register: &mut Register, bytes: &mut [u8]) {
        self.encrypt_with_backend(Decryption::<C> { register, bytes, cipher: PhantomData });
    }
}

/// Encryption, to be run inside of the cipher: one that chooses its instructions at run time does so once for all
/// bytes, not once for each.
struct Encryption<'a, 'b, C> {
    chains: &'a mut [Chain<'b>],
    cipher: PhantomData<C>,
}

impl<C: BlockSizeUser> BlockSizeUser for Encryption<'_, '_, C> {
    type BlockSize = C::BlockSize;
}

impl<C: BlockSizeUser> BlockCipherEncClosure for Encryption<'_, '_, C> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = C::BlockSize>>(self, backend: &B) {
        let chains = self.chains;
        loop {
            chains.sort_unstable_by_key(|chain| Reverse(chain.bytes.len()));
            match chains.partition_point(|chain| !chain.bytes.is_empty()) {
                0 => return,
                1 => in_lockstep::<B, 1>(backend, chains),
                2..=3 => in_lockstep::<B, 2>(backend, chains),
                4..=7 => in_lockstep::<B, 4>(backend, chains),
                8.. => in_lockstep::<B, 8>(backend, chains),
            }
        }
    }
}

/// Encrypts as many bytes of the first `LANES` chains as the shortest of them has, and takes these bytes off.
#[inline(always)]
fn in_lockstep<B: BlockCipherEncBackend, const LANES: usize>(backend: &B, chains: &mut [Chain<'_>]) {
    let chains: &mut [Chain<'_>; LANES] = chains.first_chunk_mut().expect("the caller has as many");
    let steps = chains.iter().map(|chain| chain.bytes.len()).min().expect("there is at least one lane");
    let mut registers: [Words; LANES] = std::array::from_fn(|lane| words_of(chains[lane].register));
    let mut lanes = chains.each_mut().map(|chain| {
        let (now, later) = std::mem::take(&mut chain.bytes).split_at_mut(steps);
        chain.bytes = later;
        now
    });
    for step in 0..steps {
        let mut blocks = registers.each_ref().map(block_of::<B>);
        encrypt_all(backend, &mut blocks);
        for ((bytes, block), register) in lanes.iter_mut().zip(&blocks).zip(&mut registers) {
            bytes[step] ^= block[0];
            push::<B>(register, bytes[step]);
        }
    }
    for (chain, register) in chains.iter_mut().zip(registers) {
        *chain.register = register_of(register);
    }
}

/// Together, if the cipher takes as many blocks or fewer at a time.
#[inline(always)]
fn encrypt_all<B: BlockCipherEncBackend>(backend: &B, blocks: &mut [Block<B>]) {
    let (together, rest) = Array::slice_as_chunks_mut(blocks);
    for blocks in together {
        backend.encrypt_par_blocks_inplace(blocks);
    }
    for block in rest {
        backend.encrypt_block_inplace(block);
    }
}

/// A register in words, the oldest byte lowest.
type Words = [u64; MAX_BLOCK_BYTES / 8];

fn words_of(register: &Register) -> Words {
    let (words, _) = register.as_chunks();
    std::array::from_fn(|i| u64::from_le_bytes(words[i]))
}

fn register_of(words: Words) -> Register {
    let mut register = [0; MAX_BLOCK_BYTES];
    for (bytes, word) in register.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    register
}

#[inline(always)]
fn block_of<C: BlockSizeUser>(words: &Words) -> Block<C> {
    let mut block = Block::<C>::default();
    for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    block
}

/// Shifts the oldest byte out and `byte` in.
#[inline(always)]
fn push<C: BlockSizeUser>(register: &mut Words, byte: u8) {
    let mut newest = u64::from(byte);
    for word in register[..block_bytes::<C>() / 8].iter_mut().rev() {
        (*word, newest) = (*word >> 8 | newest << 56, *word & 0xff);
    }
}

/// Decryption, inside of the cipher too.
struct Decryption<'a, C> {
    register: &'a mut Register,
    bytes: &'a mut [u8],
    cipher: PhantomData<C>,
}

impl<C: BlockSizeUser> BlockSizeUser for Decryption<'_, C> {
    type BlockSize = C::BlockSize;
}

impl<C: BlockSizeUser> BlockCipherEncClosure for Decryption<'_, C> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = C::BlockSize>>(self, backend: &B) {
        let Decryption { register, bytes, .. } = self;
        let size = block_bytes::<B>();
        let beginning = bytes.len().min(size);
        let mut text = [0; 2 * MAX_BLOCK_BYTES];
        text[..size].copy_from_slice(&register[..size]);
        text[size..][..beginning].copy_from_slice(&bytes[..beginning]);
        let newest = if beginning < size { &text[beginning..][..size] } else { &bytes[bytes.len() - size..] };
        register[..size].copy_from_slice(newest);

        let parallel = B::ParBlocksSize::USIZE;
        let mut end = bytes.len();
        let mut blocks = ParBlocks::<B>::default();
        while end >= size + parallel {
            end -= parallel;
            for (block, register) in blocks.iter_mut().zip(bytes[end - size..].windows(size)) {
                block.copy_from_slice(register);
            }
            backend.encrypt_par_blocks_inplace(&mut blocks);
            for (byte, block) in bytes[end..].iter_mut().zip(&blocks) {
                *byte ^= block[0];
            }
        }
        if end.saturating_sub(size) > parallel / WORTH_A_BATCH {
            for (block, register) in blocks.iter_mut().zip(bytes[..end].windows(size)) {
                block.copy_from_slice(register);
            }
            backend.encrypt_par_blocks_inplace(&mut blocks);
            for (byte, block) in bytes[size..end].iter_mut().zip(&blocks) {
                *byte ^= block[0];
            }
            end = size;
        }
        while end > size {
            end -= 1;
            bytes[end] ^= keystream_byte(backend, bytes, end - size);
        }
        for (i, byte) in bytes[..end].iter_mut().enumerate() {
            *byte ^= keystream_byte(backend, &text, i);
        }
    }
}

#[inline(always)]
fn keystream_byte<B: BlockCipherEncBackend>(backend: &B, text: &[u8], start: usize) -> u8 {
    let mut block = block_at::<B>(text, start);
    backend.encrypt_block_inplace(&mut block);
    block[0]
}

fn block_bytes<C: BlockSizeUser>() -> usize {
    let size = C::BlockSize::USIZE;
    assert!(size <= MAX_BLOCK_BYTES && size.is_multiple_of(8), "a register holds every block, in words");
    size
}

fn block_at<C: BlockSizeUser>(text: &[u8], start: usize) -> Block<C> {
    Block::<C>::try_from(&text[start..start + C::BlockSize::USIZE]).expect("the slice has the size of a block")
}

#[cfg(test)]
mod tests {
    use cipher::{BlockModeEncrypt, InnerIvInit, KeyInit};
    use proptest::prelude::*;

    use super::super::{
        des::Des, des::TripleDes, loki97::Loki97, rijndael::Rijndael192, rijndael::Rijndael256, twofish::Twofish,
    };
    use super::*;

    fn keyed<C: KeyInit>(key: &[u8; 32]) -> C {
        C::new_from_slice(&key[..C::key_size()]).unwrap()
    }

    fn iv_of<C: BlockSizeUser>(register: &Register) -> Block<C> {
        block_at::<C>(register, 0)
    }

    /// The crate `cfb8` implements the same mode, byte by byte and with a shifted register.
    fn agrees_with_cfb8<C>(key: &[u8; 32], iv: &Register, plain: &[u8], piece: usize)
    where
        C: BlockCipherEncrypt + KeyInit + Send + Sync,
    {
        let mut theirs = plain.to_vec();
        cfb8::Encryptor::<C>::inner_iv_init(keyed(key), &iv_of::<C>(iv)).encrypt(&mut theirs);
        let cipher: C = keyed(key);
        let (mut encrypting, mut decrypting) = (*iv, *iv);
        let mut ours = plain.to_vec();
        ours.chunks_mut(piece).for_each(|piece| cipher.encrypt(&mut encrypting, piece));
        assert_eq!(ours, theirs);
        ours.chunks_mut(piece).for_each(|piece| cipher.decrypt(&mut decrypting, piece));
        assert_eq!(ours, plain);
        assert_eq!(encrypting, decrypting);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_cipher_agrees_with_the_crate_cfb8(
            key: [u8; 32],
            iv: Register,
            plain in prop::collection::vec(any::<u8>(), 0..300),
            piece in 1usize..300,
        ) {
            agrees_with_cfb8::<Des>(&key, &iv, &plain, piece);
            agrees_with_cfb8::<TripleDes>(&key, &iv, &plain, piece);
            agrees_with_cfb8::<aes::Aes256>(&key, &iv, &plain, piece);
            agrees_with_cfb8::<Loki97>(&key, &iv, &plain, piece);
            agrees_with_cfb8::<Rijndael192>(&key, &iv, &plain, piece);
            agrees_with_cfb8::<Rijndael256>(&key, &iv, &plain, piece);
            agrees_with_cfb8::<Twofish>(&key, &iv, &plain, piece);
        }

        /// The crate `cfb-mode` feeds back whole blocks, which is another mode; but the first byte of its first
        /// block is the same. So 8-bit feedback is that mode started anew for each byte, with the register as its
        /// initialization vector and all but one byte of its block thrown away. This proves what is in the
        /// register at each byte, with someone else's code for the rest.
        #[test]
        fn it_is_the_mode_of_the_crate_cfb_mode_begun_anew_for_each_byte(
            key: [u8; 32],
            iv: Register,
            plain in prop::collection::vec(any::<u8>(), 2..100),
        ) {
            let mut ours = plain.clone();
            keyed::<aes::Aes256>(&key).encrypt(&mut iv.clone(), &mut ours);
            let string = [&iv[..16], &ours].concat();
            for (i, byte) in plain.iter().enumerate() {
                let register = block_at::<aes::Aes256>(&string, i);
                let mut block = Block::<aes::Aes256>::default();
                block[0] = *byte;
                cfb_mode::Encryptor::<aes::Aes256>::inner_iv_init(keyed(&key), &register).encrypt_block(&mut block);
                prop_assert_eq!(block[0], ours[i]);
            }
        }
    }

    /// Should this ever fail, the two modes were mixed up.
    #[test]
    fn it_is_not_the_mode_of_the_crate_cfb_mode() {
        let (key, iv) = ([1; 32], [2; MAX_BLOCK_BYTES]);
        let (mut ours, mut theirs) = ([0; 16], Block::<aes::Aes256>::default());
        keyed::<aes::Aes256>(&key).encrypt(&mut iv.clone(), &mut ours);
        let mut whole_blocks =
            cfb_mode::Encryptor::<aes::Aes256>::inner_iv_init(keyed(&key), &iv_of::<aes::Aes256>(&iv));
        whole_blocks.encrypt_block(&mut theirs);
        assert_eq!(ours[0], theirs[0]);
        assert_ne!(ours[1..], theirs[1..]);
    }
}
