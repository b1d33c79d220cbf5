//! Ciphers that libmcrypt computes as standardised, but on bytes in another order.
//!
//! libmcrypt loads some ciphers' words with the byte order of the other kind of machine, or from the other
//! end. As long as that holds for key, input and output alike, it is the standard cipher between two
//! permutations of bytes, and that is how it is expressed here: the ciphers stay standard, and their
//! deviation is one type parameter.

use std::marker::PhantomData;

use cipher::consts::U1;
use cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut, Key, KeyInit,
    KeySizeUser, ParBlocksSizeUser,
};

/// A permutation of bytes that is its own inverse.
pub(super) trait Order: Send + Sync {
    fn apply(bytes: &mut [u8]);
}

/// Turns each 32-bit word round: `0123 4567` becomes `3210 7654`.
pub(super) struct SwapBytesInWords;

impl Order for SwapBytesInWords {
    fn apply(bytes: &mut [u8]) {
        for word in bytes.chunks_exact_mut(4) {
            word.reverse();
        }
    }
}

/// Turns the order of the 32-bit words round: `0123 4567` becomes `4567 0123`.
pub(super) struct ReverseWords;

impl Order for ReverseWords {
    fn apply(bytes: &mut [u8]) {
        bytes.reverse();
        SwapBytesInWords::apply(bytes);
    }
}

/// The cipher `C` with its key in the order `K` and its blocks in the order `B`.
pub(super) struct Reordered<C, K, B = K> {
    cipher: C,
    orders: PhantomData<(K, B)>,
}

impl<C: KeySizeUser, K, B> KeySizeUser for Reordered<C, K, B> {
    type KeySize = C::KeySize;
}

impl<C: KeyInit, K: Order, B> KeyInit for Reordered<C, K, B> {
    fn new(key: &Key<Self>) -> Self {
        let mut key = key.clone();
        K::apply(&mut key);
        Reordered { cipher: C::new(&key), orders: PhantomData }
    }
}

impl<C: BlockSizeUser, K, B> BlockSizeUser for Reordered<C, K, B> {
    type BlockSize = C::BlockSize;
}

impl<C: BlockSizeUser, K, B> ParBlocksSizeUser for Reordered<C, K, B> {
    type ParBlocksSize = U1;
}

impl<C: BlockCipherEncrypt, K, B: Order> BlockCipherEncBackend for Reordered<C, K, B> {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut ordered = block.clone_in();
        B::apply(&mut ordered);
        self.cipher.encrypt_block(&mut ordered);
        B::apply(&mut ordered);
        *block.get_out() = ordered;
    }
}

impl<C: BlockCipherEncrypt, K, B: Order> BlockCipherEncrypt for Reordered<C, K, B> {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = Self::BlockSize>) {
        f.call(self);
    }
}
