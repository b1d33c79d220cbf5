//! Which record is the newest of its key, for any number of keys in bounded memory.
//!
//! The keys are dealt into as many parts as it takes for one part to fit into memory, and the records are read once per
//! part. What remains is two bits per record.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;

use crate::damage::DamageLog;
use crate::disk::DiskFile;
use crate::record::Record;
use crate::segment::Segment;

/// How many keys are looked at in one pass.
const MAX_KEYS_PER_PASS: usize = 250_000;

/// The newest of each key, by ordinal: how many records come before it in all segments together.
#[derive(Debug, Default)]
pub(super) struct Survivors {
    newest: Bits,
    lost: Bits,
    /// Of each segment's records: whoever reads them again must find the same.
    digests: Vec<Digest>,
}

impl Survivors {
    /// Reads all segments. Records above `passed` are not yet read by someone.
    pub(super) fn find<'s, F: DiskFile>(
        segments: impl Iterator<Item = &'s Segment<F>> + Clone,
        passed: u64,
    ) -> io::Result<Self> {
        Self::find_with(segments, passed, MAX_KEYS_PER_PASS)
    }

    fn find_with<'s, F: DiskFile>(
        segments: impl Iterator<Item = &'s Segment<F>> + Clone,
        passed: u64,
        keys_per_pass: usize,
    ) -> io::Result<Self> {
        let mut parts = 1;
        loop {
            if let Some(found) = Self::in_parts(segments.clone(), passed, keys_per_pass, parts)? {
                return Ok(found);
            }
            parts *= 2;
        }
    }

    /// `None` if a part has too many keys.
    fn in_parts<'s, F: DiskFile>(
        segments: impl Iterator<Item = &'s Segment<F>> + Clone,
        passed: u64,
        keys_per_pass: usize,
        parts: u64,
    ) -> io::Result<Option<Self>> {
        let hashers = Hashers::default();
        let mut survivors = Self::default();
        for part in 0..parts {
            let Some(pass) = Pass::run(segments.clone(), passed, &hashers, part, parts, keys_per_pass)? else {
                return Ok(None);
            };
            survivors.digests = pass.digests;
            for candidate in pass.newest.values() {
                survivors.newest.set(candidate.ordinal);
                if candidate.lost {
                    survivors.lost.set(candidate.ordinal);
                }
            }
        }
        Ok(Some(survivors))
    }

    pub(super) fn is_newest(&self, ordinal: usize) -> bool {
        self.newest.has(ordinal)
    }

    /// Whether older records of the same key, not yet read by everyone, are dropped.
    pub(super) fn loses_history(&self, ordinal: usize) -> bool {
        self.lost.has(ordinal)
    }

    /// What the segment of this index holds.
    pub(super) fn digest(&self, index: usize) -> Option<&Digest> {
        self.digests.get(index)
    }
}

/// What was read of a segment, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    records: usize,
    sum: u64,
}

impl Digest {
    pub(super) fn note(&mut self, record: &Record<'_>) {
        self.records += 1;
        self.sum = self.sum.wrapping_mul(31).wrapping_add(record.sequence);
    }
}

/// 128 bits of a key, so that two keys are never the same by chance, and a different choice at each compaction, so
/// that they are not by design.
#[derive(Default)]
struct Hashers(RandomState, RandomState);

type KeyHash = (u64, u64);

/// The newest record of a key so far.
#[derive(Clone, Copy)]
struct Candidate {
    ordinal: usize,
    sequence: u64,
    lost: bool,
}

struct Pass {
    newest: HashMap<KeyHash, Candidate>,
    ordinal: usize,
    digests: Vec<Digest>,
}

impl Pass {
    /// `None` if there are more keys in this part than allowed.
    fn run<'s, F: DiskFile>(
        segments: impl Iterator<Item = &'s Segment<F>>,
        passed: u64,
        hashers: &Hashers,
        part: u64,
        parts: u64,
        max_keys: usize,
    ) -> io::Result<Option<Self>> {
        let mut pass = Self { newest: HashMap::new(), ordinal: 0, digests: Vec::new() };
        let mut too_many = false;
        let mut buffer = Vec::new();
        for segment in segments {
            let mut digest = Digest::default();
            segment.visit(&mut buffer, &mut DamageLog::default(), &mut |(_, record)| {
                let hash = (hashers.0.hash_one(record.key), hashers.1.hash_one(record.key));
                if hash.0 % parts == part && !too_many {
                    pass.note(hash, &record, passed);
                    too_many = pass.newest.len() > max_keys;
                }
                pass.ordinal += 1;
                digest.note(&record);
                Ok(())
            })?;
            pass.digests.push(digest);
            if too_many {
                return Ok(None);
            }
        }
        Ok(Some(pass))
    }

    fn note(&mut self, hash: KeyHash, record: &Record<'_>, passed: u64) {
        let older = self.newest.get(&hash);
        let lost = older.is_some_and(|older| older.lost || older.sequence > passed);
        let candidate = Candidate { ordinal: self.ordinal, sequence: record.sequence, lost };
        self.newest.insert(hash, candidate);
    }
}

#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, index: usize) {
        let word = index / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (index % 64);
    }

    fn has(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::SimulatedDisk;
    use crate::record::{self, Flags};

    #[test]
    fn many_keys_take_several_passes_and_come_out_the_same() {
        let disk = SimulatedDisk::new();
        let mut segment = Segment::create(&disk, [1; 16], 1, 1).unwrap();
        for sequence in 1..=1000_u64 {
            let record = Record { sequence, flags: Flags::NONE, key: &(sequence % 300).to_le_bytes(), payload: b"" };
            let mut bytes = Vec::new();
            record::encode(&record, &segment.salt, &mut bytes);
            segment.write(&bytes).unwrap();
            segment.note(segment.end, sequence, bytes.len());
        }
        for keys_per_pass in [10, 299, 300] {
            let survivors = Survivors::find_with(std::iter::once(&segment), 650, keys_per_pass).unwrap();
            for ordinal in 0..1000 {
                assert_eq!(survivors.is_newest(ordinal), ordinal >= 700, "{ordinal}");
                // The one before, 300 earlier, was unread.
                assert_eq!(survivors.loses_history(ordinal), ordinal >= 950, "{ordinal}");
            }
        }
    }
}
