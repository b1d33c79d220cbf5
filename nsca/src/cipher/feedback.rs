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

use cipher::{Block, BlockCipherEncrypt, BlockSizeUser, typenum::Unsigned};

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
        let size = block_bytes::<C>();
        let mut text = [0; MAX_BLOCK_BYTES + WINDOW];
        for window in bytes.chunks_mut(WINDOW) {
            text[..size].copy_from_slice(&register[..size]);
            for (i, byte) in window.iter_mut().enumerate() {
                let mut block = block_at::<C>(&text, i);
                self.encrypt_block(&mut block);
                *byte ^= block[0];
                text[size + i] = *byte;
            }
            register[..size].copy_from_slice(&text[window.len()..][..size]);
        }
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

fn block_bytes<C: BlockSizeUser>() -> usize {
    let size = C::BlockSize::USIZE;
    assert!(size <= MAX_BLOCK_BYTES, "a register holds every block");
    size
}

fn block_at<C: BlockSizeUser>(text: &[u8], start: usize) -> Block<C> {
    Block::<C>::try_from(&text[start..start + C::BlockSize::USIZE])
        .expect("the slice has the size of a block")
}
