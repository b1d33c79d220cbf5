//! What the ciphers written here have in common: the traits of the `cipher` crate, so that they are used like any
//! cipher from crates.io.

/// Implements the traits for `$name`, which has `with_key(&[u8; K]) -> Self` and `encrypt(&self, &mut [u8; N])`, where
/// `$key_size` is `K` as a type, and `$block_size` is `N`. With `$parallel`, which is `P` as a type, it also has
/// `encrypt_many(&self, &mut [[u8; N]; P])`.
macro_rules! block_cipher {
    ($name:ty, $key_size:ty, $block_size:ty) => {
        block_cipher!(@with $name, $key_size, $block_size, cipher::consts::U1, {});
    };
    ($name:ty, $key_size:ty, $block_size:ty, $parallel:ty) => {
        block_cipher!(@with $name, $key_size, $block_size, $parallel, {
            fn encrypt_par_blocks(&self, mut blocks: cipher::InOut<'_, '_, cipher::ParBlocks<Self>>) {
                let mut many = blocks.get_in().0.map(|block| block.0);
                self.encrypt_many(&mut many);
                blocks.get_out().0 = many.map(cipher::Array);
            }
        });
    };
    (@with $name:ty, $key_size:ty, $block_size:ty, $parallel:ty, { $($many:tt)* }) => {
        impl cipher::KeySizeUser for $name {
            type KeySize = $key_size;
        }

        impl cipher::KeyInit for $name {
            fn new(key: &cipher::Key<Self>) -> Self {
                Self::with_key(&key.0)
            }
        }

        impl cipher::BlockSizeUser for $name {
            type BlockSize = $block_size;
        }

        impl cipher::ParBlocksSizeUser for $name {
            type ParBlocksSize = $parallel;
        }

        impl cipher::BlockCipherEncBackend for $name {
            #[inline(always)]
            fn encrypt_block(&self, mut block: cipher::InOut<'_, '_, cipher::Block<Self>>) {
                let mut bytes = block.clone_in().0;
                self.encrypt(&mut bytes);
                block.get_out().0 = bytes;
            }

            $($many)*
        }

        impl cipher::BlockCipherEncrypt for $name {
            fn encrypt_with_backend(&self, f: impl cipher::BlockCipherEncClosure<BlockSize = Self::BlockSize>) {
                f.call(self);
            }
        }
    };
}

pub(super) use block_cipher;
