//! Random numbers that follow from a seed, so that a run can be repeated.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A small generator (Knuth's MMIX).
pub struct Random(u64);

impl Random {
    /// From the environment's `SEED`, or else from the clock. The seed is printed.
    pub fn seeded() -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed = std::env::var("SEED").map_or_else(|_| clock(), |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        Random(seed)
    }

    /// At least 0, less than `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        u64::from(self.next()) % limit
    }

    /// At least `from`, at most twice as long.
    pub fn duration(&mut self, from: Duration) -> Duration {
        from + from.mul_f64(f64::from(self.next()) / f64::from(u32::MAX))
    }

    /// The better half of the bits.
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 32).unwrap()
    }
}
