//! Reading the spool for a classic session.

use std::sync::MutexGuard;
use std::time::Instant;

use nagios::{CheckResult, stored};
use spool::{Reader, Trouble};
use tracing::warn;

use crate::outbox::State;
use crate::throttle::Throttle;

/// Where one destination's results come out.
pub(crate) struct Tap {
    reader: Reader,
    /// Records and stretches that could not be used.
    skipped: u64,
    /// Those of them up to this sequence, and up to this file and offset, are counted: a batch may be read twice.
    counted_through: u64,
    counted_damage: (String, u64),
    complaint: Throttle,
}

/// Results in order.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) results: Vec<CheckResult>,
    /// Of each result.
    pub(crate) sequences: Vec<u64>,
    /// Where to read on: above the last result.
    pub(crate) end: u64,
}

impl Tap {
    pub(crate) fn new() -> Tap {
        Tap {
            reader: Reader::from(0),
            skipped: 0,
            counted_through: 0,
            counted_damage: (String::new(), 0),
            complaint: Throttle::default(),
        }
    }

    /// Records and stretches that could not be used, each counted once.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// At most `limit` results from sequence `from` on. Unlocks the spool as soon as it has been read.
    pub(crate) fn read(
        &mut self,
        state: MutexGuard<'_, State>,
        from: u64,
        limit: usize,
        destination: &str,
    ) -> Result<Waiting, Trouble> {
        if self.reader.next_sequence() != from {
            self.reader.seek(from);
        }
        let batch = self.reader.next_batch(&state.spool)?;
        drop(state);
        let (mut results, mut sequences) = (Vec::new(), Vec::new());
        let (mut skipped, mut reason, mut end) = (0, None, None);
        for damage in batch.damage().entries() {
            let place = (damage.file.clone(), damage.offset);
            if place > self.counted_damage {
                skipped += 1;
                reason = Some(damage.to_string());
                self.counted_damage = place;
            }
        }
        for record in batch.iter() {
            if results.len() == limit {
                end = Some(record.sequence);
                break;
            }
            match stored::decode(record.payload) {
                Ok((result, _origin)) => {
                    results.push(result);
                    sequences.push(record.sequence);
                }
                Err(error) if record.sequence > self.counted_through => {
                    skipped += 1;
                    reason = Some(error.to_string());
                    self.counted_through = record.sequence;
                }
                Err(_) => {}
            }
        }
        self.skipped += skipped;
        if let Some(skipped) = self.complaint.count(skipped, Instant::now()) {
            warn!(destination, skipped, reason, "results in the spool cannot be read and were skipped");
        }
        Ok(Waiting { results, sequences, end: end.unwrap_or(self.reader.next_sequence()) })
    }
}
