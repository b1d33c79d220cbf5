//! What a compaction drops and cuts, decided record by record.

use crate::damage::DamageLog;
use crate::disk::Disk;
use crate::options::Keep;
use crate::record::{Flags, Record};
use crate::segment::SEGMENT_HEADER_BYTES;
use crate::spool::survivors::{Digest, Survivors};
use crate::spool::{Compaction, Spool};

/// What is dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Unread records that have a newer one of their key.
    pub(super) history: bool,
    /// How far payloads are cut.
    pub(super) stage: u8,
    /// Read records up to this sequence.
    pub(super) forget_through: u64,
}

/// What a plan comes to.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    pub(super) report: Compaction,
    pub(super) segments: Vec<SegmentEstimate>,
    pub(super) bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SegmentEstimate {
    pub(super) base: u64,
    /// How many segments and records come before it.
    pub(super) before: (usize, usize),
    /// What is left of its records.
    pub(super) bytes: u64,
    pub(super) changes: bool,
}

/// A record's fate.
pub(super) enum Fate<'a> {
    Dropped,
    Kept(Record<'a>),
}

/// One walk over all records with a plan.
pub(super) struct Walk<'s> {
    pub(super) plan: Plan,
    pub(super) survivors: &'s Survivors,
    pub(super) ordinal: usize,
    /// Segments walked so far.
    pub(super) segments: usize,
    pub(super) digest: Digest,
    /// Records dropped or changed so far.
    pub(super) altered: u64,
    pub(super) damage: DamageLog,
    pub(super) scratch: Vec<u8>,
    pub(super) report: Compaction,
}

/// Neighbours whose remains fit into one segment.
pub(super) fn groups(segments: &[SegmentEstimate], limit: u64) -> Vec<&[SegmentEstimate]> {
    let mut groups = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (index, segment) in segments.iter().enumerate() {
        let joined = bytes + segment.bytes;
        if index > start && joined + SEGMENT_HEADER_BYTES as u64 > limit {
            groups.push(&segments[start..index]);
            start = index;
            bytes = segment.bytes;
        } else {
            bytes = joined;
        }
    }
    if start < segments.len() {
        groups.push(&segments[start..]);
    }
    groups
}

impl<'s> Walk<'s> {
    pub(super) fn new(plan: Plan, survivors: &'s Survivors) -> Self {
        Self {
            plan,
            survivors,
            ordinal: 0,
            segments: 0,
            digest: Digest::default(),
            altered: 0,
            damage: DamageLog::default(),
            scratch: Vec::new(),
            report: Compaction::default(),
        }
    }

    /// What the plan does to the next record.
    pub(super) fn fate<'a, D: Disk>(&'a mut self, record: Record<'a>, spool: &Spool<D>) -> Fate<'a> {
        self.digest.note(&record);
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let newest = self.survivors.is_newest(ordinal);
        let read = record.sequence <= spool.passed();
        let keeps_read = spool.options.keep == Keep::NewestOfEachKey;
        self.altered += 1;
        if read && (!keeps_read || !newest) {
            return Fate::Dropped;
        }
        if read && record.sequence <= self.plan.forget_through {
            self.report.forgotten += 1;
            return Fate::Dropped;
        }
        if !newest && self.plan.history {
            self.report.lost += 1;
            return Fate::Dropped;
        }
        let mut kept = record;
        if self.plan.history && self.survivors.loses_history(ordinal) {
            kept.flags = kept.flags.with(Flags::LOST_HISTORY);
        }
        if kept.flags == record.flags {
            self.altered -= 1;
        }
        self.cut(kept, spool)
    }

    fn cut<'a, D: Disk>(&'a mut self, record: Record<'a>, spool: &Spool<D>) -> Fate<'a> {
        let shrink = &spool.options.shrink;
        let mut cut = false;
        let mut shortest = Vec::new();
        for stage in 1..=self.plan.stage {
            let payload = if cut { &shortest } else { record.payload };
            self.scratch.clear();
            if shrink.shrink(stage, record.key, payload, &mut self.scratch) && self.scratch.len() < payload.len() {
                cut = true;
                std::mem::swap(&mut shortest, &mut self.scratch);
            }
        }
        if !cut {
            return Fate::Kept(record);
        }
        self.report.cut += 1;
        self.altered += 1;
        self.scratch = shortest;
        Fate::Kept(Record { flags: record.flags.with(Flags::CUT), payload: &self.scratch, ..record })
    }
}
