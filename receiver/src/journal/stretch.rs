//! A stretch of what waits, and which of its results are the newest of their objects.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use spool::{Reader, Trouble};

use super::Journal;

/// How many objects one stretch has at most, of some 40 bytes each. What waits beyond that is another stretch.
const MAX_OBJECTS: usize = 1 << 17;

/// What is known of the results up to a sequence.
pub(super) struct Stretch {
    /// The last sequence that was looked at.
    through: u64,
    /// The newest of each object, in order.
    newest: Vec<u64>,
}

impl Stretch {
    /// Looks at what waits from `from` on, not beyond `until`. None if there is nothing.
    pub(super) async fn look(journal: &Journal, from: u64, until: u64) -> Result<Option<Self>, Trouble> {
        // 128 bits of each key, so that two keys are never the same by chance.
        let (hasher, second) = (RandomState::new(), RandomState::new());
        let mut newest = HashMap::new();
        let mut through = None;
        let mut reader = Reader::from(from);
        'reading: while newest.len() < MAX_OBJECTS {
            let batch = reader.next_batch(&*journal.spool.lock().await)?;
            if batch.is_empty() {
                break;
            }
            for record in batch.iter() {
                if record.sequence > until {
                    break 'reading;
                }
                through = Some(record.sequence);
                newest.insert((hasher.hash_one(record.key), second.hash_one(record.key)), record.sequence);
            }
        }
        let Some(through) = through else { return Ok(None) };
        let mut newest: Vec<u64> = newest.into_values().collect();
        newest.sort_unstable();
        Ok(Some(Stretch { through, newest }))
    }

    /// The last sequence of which it knows something.
    pub(super) fn through(&self) -> u64 {
        self.through
    }

    /// Whether this is the newest result of its object, as far as the stretch goes.
    pub(super) fn is_newest(&self, sequence: u64) -> bool {
        self.newest.binary_search(&sequence).is_ok()
    }
}
