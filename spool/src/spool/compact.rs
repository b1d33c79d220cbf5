//! Compaction: making room by dropping what is least missed.
//!
//! In this order, until three quarters of the limit are enough: records that every reader has, except the newest of each
//! key ([`Keep::NewestOfEachKey`]); all but the newest record of each key; parts of payloads, stage by stage; at last,
//! with [`Keep::NewestOfEachKey`], the oldest records that every reader has.
//!
//! **Invariant:** all records are committed before any is dropped in favour of a newer one.
//!
//! **Invariant:** it works on a full disk. Its output goes into the reserve, whose room was allocated beforehand, and which
//! then takes the place of the first segment that it contains, by renaming; the room of the others makes the next reserve.
//! Interrupted anywhere, what is there is either the old segments, or the new one and leftovers that it names.

mod plan;

use std::sync::Arc;
use std::time::Instant;
use std::{io, iter};

use self::plan::{Estimate, Fate, Plan, SegmentEstimate, Walk, groups};
use super::survivors::{Digest, Survivors};
use super::{COMPACTION_RETRY, Spool};
use crate::damage::DamageLog;
use crate::disk::{Disk, DiskFile, write_full};
use crate::options::Keep;
use crate::record::{self, Record};
use crate::segment::{Segment, SegmentHeader, file_name};
use crate::trouble::Trouble;

const RESERVE: &str = "reserve";

/// Most reports of compactions kept for the caller.
const MAX_REPORTS: usize = 16;

/// How many bytes are gathered before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// A compaction is tried again before [`COMPACTION_RETRY`] when this part of the budget was appended.
const WORTHWHILE: u64 = 16;

/// What may be dropped to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// What every reader has and has a newer one of its key: nobody misses it.
    ReadHistory,
    /// As much as it takes.
    History,
}

/// What a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Size of all segments before, in bytes.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Records dropped before every reader had them, each in favour of a newer one of its key.
    pub lost: u64,
    /// Records whose payload was cut.
    pub cut: u64,
    /// Newest records of their key dropped, read by all.
    pub forgotten: u64,
}

impl<D: Disk> Spool<D> {
    /// Drops all but the newest record of each key.
    ///
    /// # Errors
    /// Some segments are as they were.
    pub fn compact(&mut self) -> Result<(), Trouble> {
        self.compact_to(0, |_| vec![Plan { history: true, stage: 0, forget_through: 0 }])
    }

    /// The sequences of the newest record of each key, in order: 8 bytes of memory for each.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn newest_of_each_key(&mut self) -> Result<Vec<u64>, Trouble> {
        let find = || {
            let survivors = Survivors::find(self.segments.values(), 0)?;
            let mut newest = Vec::new();
            let (mut buffer, mut ordinal) = (Vec::new(), 0);
            for segment in self.segments.values() {
                segment.visit(&mut buffer, &mut DamageLog::default(), &mut |(_, record)| {
                    if survivors.is_newest(ordinal) {
                        newest.push(record.sequence);
                    }
                    ordinal += 1;
                    Ok(())
                })?;
            }
            Ok(newest)
        };
        find().map_err(|error| self.read_trouble(error))
    }

    pub(super) fn compaction_is_due(&self, now: Instant) -> bool {
        self.last_compaction.is_none_or(|(at, bytes)| {
            now >= at + COMPACTION_RETRY || self.bytes() >= bytes + self.sizes.budget / WORTHWHILE
        })
    }

    /// Makes room for more records, as gently as possible.
    pub(super) fn make_room(&mut self, loss: Loss, now: Instant) -> Result<(), Trouble> {
        let outcome = self.compact_to(self.sizes.goal, |spool| spool.plans(loss));
        self.last_compaction = Some((now, self.bytes()));
        outcome
    }

    fn plans(&self, loss: Loss) -> Vec<Plan> {
        let gentle = Plan { history: false, stage: 0, forget_through: 0 };
        let newest = (0..=self.options.shrink.stages()).map(|stage| Plan { history: true, stage, forget_through: 0 });
        match (loss, self.options.keep) {
            (Loss::ReadHistory, _) => vec![gentle],
            (Loss::History, Keep::NewestOfEachKey) => iter::once(gentle).chain(newest).collect(),
            (Loss::History, Keep::Unread) => newest.collect(),
        }
    }

    fn compact_to(&mut self, goal: u64, plans: impl FnOnce(&Self) -> Vec<Plan>) -> Result<(), Trouble> {
        self.sync_records()?;
        self.active = false;
        self.remove_empty()?;
        let bytes_before = self.bytes();
        let survivors = Survivors::find(self.segments.values(), self.passed()).map_err(|e| self.read_trouble(e))?;
        let (plan, estimate) = self.choose(&survivors, goal, plans(self)).map_err(|error| self.read_trouble(error))?;
        let mut walk = Walk::new(plan, &survivors);
        let outcome = self.execute(&mut walk, &estimate).map_err(|error| self.io_trouble("compact", error));
        let report = Compaction { bytes_before, bytes_after: self.bytes(), ..estimate.report };
        self.damage.append(walk.damage);
        if self.compactions.len() == MAX_REPORTS {
            self.compactions.remove(0);
        }
        self.compactions.push(report);
        outcome
    }

    /// The first plan that reaches the goal, or the last.
    fn choose(&self, survivors: &Survivors, goal: u64, plans: Vec<Plan>) -> io::Result<(Plan, Estimate)> {
        let mut chosen = None;
        for plan in plans {
            let estimate = self.estimate(plan, survivors, 0)?.0;
            let enough = estimate.bytes <= goal;
            chosen = Some((plan, estimate));
            if enough {
                break;
            }
        }
        let (mut plan, estimate) = chosen.expect("there is always a plan");
        if estimate.bytes <= goal || goal == 0 || self.options.keep == Keep::Unread {
            return Ok((plan, estimate));
        }
        plan.forget_through = self.estimate(plan, survivors, estimate.bytes - goal)?.1;
        Ok((plan, self.estimate(plan, survivors, 0)?.0))
    }

    /// What a plan leaves, and the sequence up to which read records must go to save `surplus` bytes more.
    fn estimate(&self, plan: Plan, survivors: &Survivors, surplus: u64) -> io::Result<(Estimate, u64)> {
        let mut walk = Walk::new(plan, survivors);
        let mut estimate = Estimate::default();
        let (mut saved, mut forget_through) = (0, 0);
        let passed = self.passed();
        for segment in self.segments.values() {
            let mut one = SegmentEstimate {
                base: segment.header.base,
                before: (walk.segments, walk.ordinal),
                ..SegmentEstimate::default()
            };
            let altered = walk.altered;
            self.walk_segment(&mut walk, segment, &mut |record| {
                let length = record.encoded_bytes() as u64;
                one.bytes += length;
                if saved < surplus && record.sequence <= passed {
                    saved += length;
                    forget_through = record.sequence;
                }
                Ok(())
            })?;
            one.changes = walk.altered != altered;
            estimate.bytes += one.bytes;
            estimate.segments.push(one);
        }
        estimate.report = walk.report;
        Ok((estimate, forget_through))
    }

    fn walk_segment(
        &self,
        walk: &mut Walk<'_>,
        segment: &Segment<D::File>,
        keep: &mut dyn FnMut(Record<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut damage = DamageLog::default();
        walk.digest = Digest::default();
        segment.visit(&mut Vec::new(), &mut damage, &mut |(_, record)| match walk.fate(record, self) {
            Fate::Dropped => Ok(()),
            Fate::Kept(record) => keep(record),
        })?;
        if walk.survivors.digest(walk.segments) != Some(&walk.digest) {
            return Err(io::Error::other("records could not be read a second time"));
        }
        walk.segments += 1;
        walk.damage.append(damage);
        Ok(())
    }

    fn execute(&mut self, walk: &mut Walk<'_>, estimate: &Estimate) -> io::Result<()> {
        // From the newest to the oldest: what lost its history is marked before that is dropped.
        for group in groups(&estimate.segments, self.sizes.segment).into_iter().rev() {
            let bytes: u64 = group.iter().map(|segment| segment.bytes).sum();
            if bytes == 0 {
                self.remove_segments(group)?;
            } else if group.len() > 1 || group[0].changes {
                self.merge(walk, group)?;
            }
        }
        Ok(())
    }

    fn remove_segments(&mut self, group: &[SegmentEstimate]) -> io::Result<()> {
        for one in group {
            self.disk.remove(&file_name(one.base))?;
            self.segments.remove(&one.base);
        }
        Ok(())
    }

    /// An empty segment may have the name that the next one gets: it must not count as contained in another.
    fn remove_empty(&mut self) -> Result<(), Trouble> {
        let empty = self.segments.values().filter(|segment| segment.records == 0);
        for base in empty.map(|segment| segment.header.base).collect::<Vec<_>>() {
            self.disk.remove(&file_name(base)).map_err(|error| self.io_trouble("compact", error))?;
            self.segments.remove(&base);
        }
        Ok(())
    }

    /// Writes what is left of these segments into one.
    fn merge(&mut self, walk: &mut Walk<'_>, group: &[SegmentEstimate]) -> io::Result<()> {
        let base = group[0].base;
        let last = group[group.len() - 1].base;
        let through = self.segments[&last].last;
        debug_assert!(through >= last, "empty segments were removed");
        let header = SegmentHeader { id: self.identity.id, base, through };
        let file = self.open_reserve()?;
        let generation = self.generation();
        let mut output =
            Output { segment: Segment::new(file, header, generation), pending: header.encode().to_vec(), written: 0 };
        output.segment.floor = self.segments[&base].floor;
        output.segment.last = output.segment.floor;
        (walk.segments, walk.ordinal) = group[0].before;
        for one in group {
            self.walk_segment(walk, &self.segments[&one.base], &mut |record| output.put(&record))?;
        }
        let segment = output.finish()?;
        self.disk.rename(RESERVE, &segment.name())?;
        self.segments.insert(base, segment);
        for one in &group[1..] {
            self.segments.remove(&one.base);
        }
        // Until the new name is on the disk, the old files are needed; those that stay are removed at the next start.
        self.disk.sync()?;
        for one in &group[1..] {
            self.disk.remove(&file_name(one.base))?;
        }
        // The next merge makes do with what room there is.
        let _ = self.ensure_reserve();
        Ok(())
    }

    fn open_reserve(&self) -> io::Result<D::File> {
        match self.disk.open(RESERVE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.create(RESERVE),
            other => other,
        }
    }

    /// Sees to it that there is a reserve of full size.
    pub(super) fn ensure_reserve(&self) -> Result<(), Trouble> {
        let ensure = || {
            let file = self.open_reserve()?;
            if file.length()? == self.sizes.segment {
                return Ok(());
            }
            file.set_length(0)?;
            file.allocate(self.sizes.segment)?;
            file.sync()?;
            self.disk.sync()
        };
        ensure().map_err(|error| self.io_trouble("allocate the reserve", error))
    }
}

/// A segment being written.
struct Output<F> {
    segment: Segment<F>,
    pending: Vec<u8>,
    /// How many bytes of the file are written.
    written: u64,
}

impl<F: DiskFile> Output<F> {
    fn put(&mut self, record: &Record<'_>) -> io::Result<()> {
        record::encode(record, &self.segment.salt, &mut self.pending);
        let offset = self.segment.end;
        self.segment.note(offset, record.sequence, record.encoded_bytes());
        if self.pending.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        write_full(&*self.segment.file, &self.pending, self.written)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// What was put, on the disk.
    fn finish(mut self) -> io::Result<Segment<F>> {
        self.flush()?;
        self.segment.file.set_length(self.written)?;
        self.segment.file.sync()?;
        debug_assert_eq!(self.written, self.segment.end);
        debug_assert_eq!(Arc::strong_count(&self.segment.file), 1, "nobody reads it yet");
        Ok(self.segment)
    }
}
