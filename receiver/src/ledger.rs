//! What becomes of a batch when the journal takes it: which results are new, which are older than what another origin has
//! told or copies that came over another path, and what can be acknowledged when part of it did not fit. Results that are
//! no news, because somebody asked for them, go in again if nothing newer of their objects has.
//!
//! **Invariant:** the order of the journal is the order of injection; what is left out is left out here.
//!
//! **Invariant:** a batch that was appended in part can be appended again: only the rest is taken then.

mod ages;

use std::sync::Arc;
use std::time::Instant;

use nagios::{Attributed, stored};
use spool::disk::Disk;
use spool::{AppendCause, NewRecord, Reader, Spool};

use crate::batch::Batch;
use ages::{Ages, Fingerprint, Undo, Way};

pub use ages::Fingerprints;

/// What decides, beside the spool that it decides for.
#[derive(Debug)]
pub struct Ledger {
    ages: Ages,
}

/// What became of a batch.
#[derive(Debug)]
#[must_use = "what was not appended must come again"]
pub struct Appended {
    /// Results that are in the journal now and were not before.
    pub taken: usize,
    /// Results that were there before. 0 where the batch has to come again.
    pub repeated: usize,
    /// Results that were left out. 0 where the batch has to come again.
    pub older: usize,
    /// The last sequence of the sender's spool that nothing is missing before; 0: none.
    pub through: u64,
    /// Why the rest was not appended.
    pub outcome: Result<(), AppendCause>,
}

impl Ledger {
    /// Knows what the journal in `spool` tells.
    pub fn of<D: Disk>(spool: &Spool<D>) -> Ledger {
        Ledger { ages: remember(spool) }
    }

    /// For [`Records::encode`].
    pub fn fingerprints(&self) -> Fingerprints {
        self.ages.fingerprints()
    }

    /// Appends the results of `batch`, of which `records` was made, but for those up to the sequence `had`, and those that are
    /// older than what another origin has told, or came over another path already. It is `second`, in Unix time.
    pub fn append<D: Disk>(
        &mut self,
        spool: &mut Spool<D>,
        batch: &Batch,
        mut records: Records,
        had: u64,
        now: Instant,
        second: i64,
    ) -> Appended {
        let repeated = batch.count_up_to(had);
        let older = self.leave_out_older(batch, &mut records, repeated, second);
        match spool.append(records.iter(), now) {
            Ok(_) => {
                Appended { taken: records.passed.len(), repeated, older, through: batch.through(), outcome: Ok(()) }
            }
            Err(error) => {
                let taken = usize::try_from(error.appended.end - error.appended.start).unwrap_or(usize::MAX);
                // Those between that were left out are left out again when the rest is appended again.
                let through = records.passed[..taken].last().map_or(0, |last| batch.sequence(last.at));
                self.take_back(&mut records, taken);
                Appended { taken, repeated: 0, older: 0, through, outcome: Err(error.cause) }
            }
        }
    }

    /// Decides which results pass, behind those that the journal has already; how many do not.
    fn leave_out_older(&mut self, batch: &Batch, records: &mut Records, repeated: usize, second: i64) -> usize {
        let path = batch.source().map(|(source, _)| self.ages.node(source.node.as_str()));
        let is_readmitted = batch.is_readmitted();
        let mut origin = None;
        for (at, attributed) in batch.results().iter().enumerate().skip(repeated) {
            let origin = match &origin {
                Some((name, origin)) if Arc::ptr_eq(name, &attributed.origin) => *origin,
                _ => origin.insert((attributed.origin.clone(), self.ages.node(&attributed.origin))).1,
            };
            let (object, checked) = (records.fingerprints[at], attributed.result.check_time.seconds());
            let passed = if is_readmitted {
                self.ages.pass_again(object, origin, checked, second)
            } else {
                // Of classic clients nobody knows more than that.
                let way = Way { origin, path: path.unwrap_or(origin) };
                self.ages.pass(object, way, checked, second)
            };
            if let Some(undo) = passed {
                records.passed.push(Passed { at, undo });
            }
        }
        batch.results().len() - repeated - records.passed.len()
    }

    /// What was not appended has not passed.
    fn take_back(&mut self, records: &mut Records, taken: usize) {
        for passed in records.passed.drain(taken..).rev() {
            self.ages.undo(passed.undo);
        }
    }
}

/// A batch as records, in one buffer.
#[derive(Debug)]
pub struct Records {
    bytes: Vec<u8>,
    /// Where key and payload of each end.
    ends: Vec<(usize, usize)>,
    fingerprints: Vec<Fingerprint>,
    /// Those to append.
    passed: Vec<Passed>,
}

#[derive(Debug)]
struct Passed {
    /// Which result.
    at: usize,
    undo: Undo,
}

impl Records {
    /// To be done before anything is locked.
    pub fn encode(batch: &Batch, fingerprints: &Fingerprints) -> Self {
        let results = batch.results();
        let mut records = Records {
            bytes: Vec::new(),
            ends: Vec::with_capacity(results.len()),
            fingerprints: Vec::with_capacity(results.len()),
            passed: Vec::with_capacity(results.len()),
        };
        for Attributed { result, origin } in results {
            let start = records.bytes.len();
            stored::key(&result.object, &mut records.bytes);
            let key_end = records.bytes.len();
            records.fingerprints.push(fingerprints.of(&records.bytes[start..]));
            stored::encode(result, origin.as_bytes(), &mut records.bytes);
            records.ends.push((key_end, records.bytes.len()));
        }
        records
    }

    fn iter(&self) -> impl Iterator<Item = NewRecord<'_>> {
        self.passed.iter().map(|passed| {
            let start = passed.at.checked_sub(1).map_or(0, |before| self.ends[before].1);
            let (key_end, end) = self.ends[passed.at];
            NewRecord { key: &self.bytes[start..key_end], payload: &self.bytes[key_end..end] }
        })
    }
}

/// The last result of each object, as the journal tells it.
fn remember<D: Disk>(spool: &Spool<D>) -> Ages {
    let mut ages = Ages::default();
    let fingerprints = ages.fingerprints();
    let mut reader = Reader::from(0);
    let mut origin: Arc<str> = Arc::from("");
    loop {
        let batch = match reader.next_batch(spool) {
            Ok(batch) if batch.is_empty() => return ages,
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "the journal cannot be read: results of one node may follow newer ones of another");
                return ages;
            }
        };
        for record in batch.iter() {
            // What cannot be used is told when it is to be injected.
            let Ok((result, of)) = stored::decode(record.payload) else { continue };
            if of != origin.as_bytes() {
                origin = String::from_utf8_lossy(of).into();
            }
            let (object, origin) = (fingerprints.of(record.key), ages.node(&origin));
            ages.remember(object, origin, result.check_time.seconds());
        }
    }
}
