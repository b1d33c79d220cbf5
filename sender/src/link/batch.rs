//! How many results one connection carries.
//!
//! A batch that is refused is sent again whole. Should a daemon take some results but never so many at once, batches
//! become smaller until they pass.

use std::time::Duration;

/// The most results of one connection; what is sent again at most. Connections are precious: between two of them a
/// stock daemon may sleep for a second.
pub(crate) const MAX_RESULTS: usize = 10_000;

/// How long one connection is kept open while results keep coming. They are confirmed when it is closed.
pub(crate) const MAX_TIME: Duration = Duration::from_secs(5);

/// How long a connection with nothing to send waits for the next result.
pub(crate) const LINGER: Duration = Duration::from_millis(20);

/// The size of the next batch.
pub(crate) struct BatchSize(usize);

impl BatchSize {
    pub(crate) fn new() -> BatchSize {
        BatchSize(MAX_RESULTS)
    }

    pub(crate) fn results(&self) -> usize {
        self.0
    }

    pub(crate) fn refused(&mut self) {
        self.0 = (self.0 / 2).max(1);
    }

    pub(crate) fn taken(&mut self) {
        self.0 = (self.0 * 2).min(MAX_RESULTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_shrink_to_one_and_grow_back() {
        let mut size = BatchSize::new();
        (0..20).for_each(|_| size.refused());
        assert_eq!(size.results(), 1);
        (0..20).for_each(|_| size.taken());
        assert_eq!(size.results(), MAX_RESULTS);
    }
}
