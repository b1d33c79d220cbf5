//! What waits for one destination.
//!
//! Invariants:
//! - results leave in the order in which they came;
//! - a result leaves when its delivery is [confirmed](Queue::confirm), or when the queue is full and it is the oldest;
//!   the latter is counted;
//! - at most [`MAX_RESULTS`] results and about [`MAX_BYTES`] bytes of text wait.
//!
//! Every result has a number, one higher than that of the result before it. A link reads by number and confirms by
//! number, so that it does not matter what was dropped while its batch was on the way.

use std::collections::VecDeque;
use std::sync::Arc;

use nagios::CheckResult;

/// How many results wait for one destination. 100,000 services checked every five minutes fill it in five minutes.
pub const MAX_RESULTS: usize = 100_000;

/// How many bytes of output wait for one destination. Destinations share the texts, so that several queues
/// with the same results take it once.
pub const MAX_BYTES: usize = 128 << 20;

/// The results for one destination, oldest first.
pub(crate) struct Queue {
    waiting: VecDeque<Arc<CheckResult>>,
    /// The number of the front result.
    first: u64,
    bytes: usize,
    dropped: u64,
    max_results: usize,
    max_bytes: usize,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue::with_limits(MAX_RESULTS, MAX_BYTES)
    }

    fn with_limits(max_results: usize, max_bytes: usize) -> Queue {
        Queue { waiting: VecDeque::new(), first: 0, bytes: 0, dropped: 0, max_results, max_bytes }
    }

    /// Whether the next result would push out the oldest.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= self.max_results || self.bytes >= self.max_bytes
    }

    /// Appends a result and gives how many old ones had to go for it.
    pub(crate) fn push(&mut self, result: Arc<CheckResult>) -> u64 {
        let mut dropped = 0;
        while self.is_full() && self.drop_first() {
            dropped += 1;
        }
        self.dropped += dropped;
        self.bytes += size(&result);
        self.waiting.push_back(result);
        dropped
    }

    /// At most `limit` results from number `from` on, or from the oldest one if that is gone, and the first one's number.
    pub(crate) fn read(&self, from: u64, limit: usize) -> (u64, Vec<Arc<CheckResult>>) {
        let from = from.max(self.first);
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        (from, self.waiting.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Lets go of everything below number `end`.
    pub(crate) fn confirm(&mut self, end: u64) {
        while self.first < end && self.drop_first() {}
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The number that the next result will have.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.waiting.len() as u64
    }

    /// How many results were pushed out since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn drop_first(&mut self) -> bool {
        let Some(result) = self.waiting.pop_front() else {
            return false;
        };
        self.bytes -= size(&result);
        self.first += 1;
        true
    }
}

/// The bytes that a result counts for: its text and its names.
fn size(result: &CheckResult) -> usize {
    let service = result.object.service().map_or(0, |service| service.as_bytes().len());
    result.output.escaped().len() + result.object.host().as_bytes().len() + service
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{number, numbered};

    fn numbers(results: &[Arc<CheckResult>]) -> Vec<u64> {
        results.iter().map(|result| number(result)).collect()
    }

    #[test]
    fn the_oldest_goes_first_and_is_counted() {
        let mut queue = Queue::with_limits(3, usize::MAX);
        let dropped: u64 = (0..5).map(|n| queue.push(numbered(n))).sum();
        assert_eq!((dropped, queue.dropped(), queue.len(), queue.end()), (2, 2, 3, 5));
        let (first, results) = queue.read(0, 10);
        assert_eq!((first, numbers(&results)), (2, vec![2, 3, 4]));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let one = size(&numbered(1));
        let mut queue = Queue::with_limits(usize::MAX, 2 * one);
        assert_eq!((0..4).map(|n| queue.push(numbered(n))).sum::<u64>(), 2);
        queue.confirm(u64::MAX);
        assert_eq!((queue.len(), queue.bytes), (0, 0));
    }

    proptest! {
        /// Against a plain list: whatever is pushed, read and confirmed, order and numbers hold.
        #[test]
        fn it_behaves_like_a_list(steps in proptest::collection::vec((0_u8..4, 0_u64..40), 0..200)) {
            let mut queue = Queue::with_limits(8, usize::MAX);
            let (mut list, mut next) = (Vec::new(), 0);
            for (step, argument) in steps {
                match step {
                    0 | 1 => {
                        queue.push(numbered(next));
                        list.push(next);
                        list.drain(..list.len().saturating_sub(8));
                        next += 1;
                    }
                    2 => {
                        queue.confirm(argument);
                        list.retain(|n| *n >= argument);
                    }
                    _ => {
                        let (_, results) = queue.read(argument, 5);
                        let expected: Vec<u64> = list.iter().copied().filter(|n| *n >= argument).take(5).collect();
                        prop_assert_eq!(numbers(&results), expected);
                    }
                }
                prop_assert_eq!(queue.len(), list.len());
                prop_assert_eq!(queue.end(), next);
            }
        }
    }
}
