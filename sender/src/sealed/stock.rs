//! What was read from the spool and is not sent yet.

use std::ops::Range;

use spool::disk::Disk;
use spool::{Reader, Spool, Trouble};

use super::History;

/// A buffer that had to grow for a long result is given back beyond this.
const KEPT_CAPACITY_BYTES: usize = 2 * spool::BATCH_BYTES;

/// One batch of the spool, copied so that the spool can be unlocked while it is sent.
#[derive(Debug)]
pub(super) struct Stock {
    reader: Reader,
    bytes: Vec<u8>,
    /// Sequences, and where their payloads lie.
    results: Vec<(u64, Range<usize>)>,
    /// The first of `results` that is left.
    first: usize,
    /// Everything up to here was taken out, or cannot be read.
    passed: u64,
    /// The spool had no more.
    is_dry: bool,
}

impl Stock {
    /// Of results after this sequence.
    pub(super) fn after(sequence: u64) -> Stock {
        let reader = Reader::from(sequence.saturating_add(1));
        Stock { reader, bytes: Vec::new(), results: Vec::new(), first: 0, passed: sequence, is_dry: false }
    }

    /// Reads the next batch, if nothing is left of the last one.
    pub(super) fn refill<D: Disk>(&mut self, spool: &Spool<D>, history: &mut History) -> Result<(), Trouble> {
        if !self.wants_more() {
            return Ok(());
        }
        self.results.clear();
        self.first = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY_BYTES);
        let batch = self.reader.next_batch(spool)?;
        for record in batch.iter() {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(record.payload);
            self.results.push((record.sequence, start..self.bytes.len()));
        }
        history.note_damage(batch.damage());
        self.is_dry = self.results.is_empty();
        self.note_emptiness();
        Ok(())
    }

    /// The next result's sequence and payload.
    pub(super) fn first(&self) -> Option<(u64, &[u8])> {
        let (sequence, place) = self.results.get(self.first)?;
        Some((*sequence, &self.bytes[place.clone()]))
    }

    /// The next result was sent, or never will be.
    pub(super) fn remove_first(&mut self) {
        self.passed = self.results[self.first].0;
        self.first += 1;
        self.note_emptiness();
    }

    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    pub(super) fn handle_arrival(&mut self) {
        self.is_dry = false;
    }

    pub(super) fn wants_more(&self) -> bool {
        self.first == self.results.len() && !self.is_dry
    }

    pub(super) fn is_dry(&self) -> bool {
        self.first == self.results.len() && self.is_dry
    }

    /// What lies between the last result and where the reader is cannot be read.
    fn note_emptiness(&mut self) {
        if self.first == self.results.len() {
            self.passed = self.passed.max(self.reader.next_sequence() - 1);
        }
    }
}
