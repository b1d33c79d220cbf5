//! CFB with 8-bit feedback, the mode that libmcrypt calls `cfb`.
//!
//! ```text
//! register            b0 b1 … b(n-1)           n = block size; at first the beginning of the IV
//! keystream byte      E(register)[0]
//! register afterwards    b1 … b(n-1) c         c = the ciphertext byte
//! ```
//!
//! So the register before byte `i` is always the `n` bytes of `IV ‖ ciphertext` that begin at `i`. Instead of
//! shifting a register, a window of that string is kept and the blocks are cut out of it. When decrypting, the
//! whole string is known beforehand, and a window's blocks go through the cipher together; ciphers with a
//! parallel implementation are several times faster that way. Encryption is a chain, block by block.

use std::marker::PhantomData;

use cipher::typenum::Unsigned;
use cipher::{Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser};

/// The newest ciphertext: as many bytes as the cipher's block has, from the start of the array.
pub(super) type Register = [u8; MAX_BLOCK_BYTES];

/// The widest block: Rijndael-256.
pub(super) const MAX_BLOCK_BYTES: usize = 32;

/// How many bytes are processed at a time; as many blocks are encrypted together.
const WINDOW: usize = 64;

/// The register before the first byte of a session.
pub(super) fn first_register(iv: &[u8; crate::packet::IV_BYTES]) -> Register {
    *iv.first_chunk().expect("an IV is longer than a block")
}

/// A block cipher with its key, in this mode. The caller keeps the register, so that many sessions share one
/// key schedule.
pub(super) trait Feedback: Send + Sync {
    /// Encrypts in place and moves `register` on.
    fn encrypt(&self, register: &mut Register, bytes: &mut [u8]);

    /// Decrypts in place and moves `register` on.
    fn decrypt(&self, register: &mut Register, bytes: &mut [u8]);
}

impl<C: BlockCipherEncrypt + Send + Sync> Feedback for C {
    fn encrypt(&self, register: &mut Register, bytes: &mut [u8]) {
        self.encrypt_with_backend(EncryptChain::<C> { register, bytes, cipher: PhantomData });
    }

    fn decrypt(&self, register: &mut Register, bytes: &mut [u8]) {
        let size = block_bytes::<C>();
        let mut text = [0; MAX_BLOCK_BYTES + WINDOW];
        let mut blocks: [Block<C>; WINDOW] = std::array::from_fn(|_| Block::<C>::default());
        for window in bytes.chunks_mut(WINDOW) {
            text[..size].copy_from_slice(&register[..size]);
            text[size..][..window.len()].copy_from_slice(window);
            let blocks = &mut blocks[..window.len()];
            for (i, block) in blocks.iter_mut().enumerate() {
                *block = block_at::<C>(&text, i);
            }
            self.encrypt_blocks(blocks);
            for (byte, block) in window.iter_mut().zip(blocks) {
                *byte ^= block[0];
            }
            register[..size].copy_from_slice(&text[window.len()..][..size]);
        }
    }
}

/// The chain of an encryption, to be run inside of the cipher: one that chooses its instructions at run time does
/// so once for all bytes, not once for each.
struct EncryptChain<'a, C> {
    register: &'a mut Register,
    bytes: &'a mut [u8],
    cipher: PhantomData<C>,
}

impl<C: BlockSizeUser> BlockSizeUser for EncryptChain<'_, C> {
    type BlockSize = C::BlockSize;
}

impl<C: BlockSizeUser> BlockCipherEncClosure for EncryptChain<'_, C> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = C::BlockSize>>(self, backend: &B) {
        let size = block_bytes::<C>();
        let mut text = [0; MAX_BLOCK_BYTES + WINDOW];
        for window in self.bytes.chunks_mut(WINDOW) {
            text[..size].copy_from_slice(&self.register[..size]);
            for (i, byte) in window.iter_mut().enumerate() {
                let mut block = block_at::<C>(&text, i);
                backend.encrypt_block_inplace(&mut block);
                *byte ^= block[0];
                text[size + i] = *byte;
            }
            self.register[..size].copy_from_slice(&text[window.len()..][..size]);
        }
    }
}

fn block_bytes<C: BlockSizeUser>() -> usize {
    let size = C::BlockSize::USIZE;
    assert!(size <= MAX_BLOCK_BYTES, "a register holds every block");
    size
}

fn block_at<C: BlockSizeUser>(text: &[u8], start: usize) -> Block<C> {
    Block::<C>::try_from(&text[start..start + C::BlockSize::USIZE]).expect("the slice has the size of a block")
}

#[cfg(test)]
mod tests {
    use cipher::{BlockModeEncrypt, InnerIvInit, KeyInit};
    use proptest::prelude::*;

    use super::super::{loki97::Loki97, rijndael::Rijndael192, rijndael::Rijndael256, twofish::Twofish};
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
            agrees_with_cfb8::<des::Des>(&key, &iv, &plain, piece);
            agrees_with_cfb8::<des::TdesEde3>(&key, &iv, &plain, piece);
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
