//! Random numbers that follow from a seed.

use std::num::NonZeroU32;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Decides everything that a run leaves to chance.
pub(crate) struct Random(SmallRng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(SmallRng::seed_from_u64(seed))
    }

    /// At least 0, less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0.random_range(0..limit)
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.random()
    }

    /// As far as a new epoch is from the last one.
    pub(crate) fn step(&mut self) -> NonZeroU32 {
        NonZeroU32::new(self.0.random()).unwrap_or(NonZeroU32::MIN)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.0.random())
    }
}
