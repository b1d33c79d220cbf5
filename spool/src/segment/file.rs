//! A segment's open file, and what is remembered of it: its end, and a sparse index.

use std::io;
use std::sync::Arc;

use super::{Placed, SEGMENT_HEADER_BYTES, SegmentHeader, file_name, first_possible};
use crate::damage::DamageLog;
use crate::disk::{Disk, DiskFile, read_full, write_full};
use crate::record::{self, Found, MAX_RECORD_BYTES, Salt};

/// How far apart the index's entries are.
const INDEX_BYTES: u64 = 64 * 1024;

/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;

/// A segment in use.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) file: Arc<F>,
    pub(crate) header: SegmentHeader,
    pub(crate) salt: Salt,
    /// Where the next record goes.
    pub(crate) end: u64,
    pub(crate) records: u64,
    /// Sequences of the records are above this.
    pub(crate) floor: u64,
    /// Sequence of the last record; the floor if there is none.
    pub(crate) last: u64,
    /// Tells two files of one name apart.
    pub(crate) generation: u64,
    /// Has bytes that no sync was asked for yet.
    pub(crate) dirty: bool,
    /// A sync failed: the disk may lack what memory shows.
    pub(crate) suspect: bool,
    /// A failed write left bytes after `end`.
    pub(crate) tail: bool,
    index: Vec<IndexEntry>,
}

/// A record in about every [`INDEX_BYTES`].
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    sequence: u64,
    offset: u64,
    /// How many records precede it.
    ordinal: u64,
}

impl<F: DiskFile> Segment<F> {
    /// Makes a new file. Its name is on the disk only after [`Disk::sync`].
    pub(crate) fn create<D: Disk<File = F>>(disk: &D, id: [u8; 16], base: u64, generation: u64) -> io::Result<Self> {
        let header = SegmentHeader { id, base, through: 0 };
        let file = disk.create(&file_name(base))?;
        if let Err(error) = write_full(&file, &header.encode(), 0) {
            // The first error is the one to report; an empty segment is harmless.
            let _ = disk.remove(&file_name(base));
            return Err(error);
        }
        let mut segment = Self::new(file, header, generation);
        segment.dirty = true;
        Ok(segment)
    }

    /// A file that holds no record yet.
    pub(crate) fn new(file: F, header: SegmentHeader, generation: u64) -> Self {
        Self {
            file: Arc::new(file),
            header,
            salt: Salt::new(header.id),
            end: SEGMENT_HEADER_BYTES as u64,
            records: 0,
            floor: first_possible(header.base),
            last: first_possible(header.base),
            generation,
            dirty: false,
            suspect: false,
            tail: false,
            index: Vec::new(),
        }
    }

    /// Reads all of a file. Damage at the end is left to the caller: it is a torn tail if this is the last segment.
    pub(crate) fn open(
        file: F,
        base: u64,
        fallback: Fallback,
        generation: u64,
        buffer: &mut Vec<u8>,
        damage: &mut DamageLog,
    ) -> io::Result<Self> {
        let length = file.length()?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let filled = read_full(&file, &mut bytes, 0)?;
        let found = SegmentHeader::decode(&bytes[..filled]).filter(|header| header.base == base);
        if found.is_none() {
            damage.note(&file_name(base), 0, filled, None);
        }
        let header = found.unwrap_or(SegmentHeader { id: fallback.id, base, through: 0 });
        let mut segment = Self::new(file, header, generation);
        segment.floor = segment.floor.max(fallback.last_before);
        segment.last = segment.floor;
        let file = Arc::clone(&segment.file);
        let salt = segment.salt.clone();
        let from = segment.end;
        let stretch = Stretch { name: &file_name(base), from, end: length, after: segment.last };
        visit_records(&*file, &salt, stretch, buffer, damage, &mut |(offset, record)| {
            segment.note(offset, record.sequence, record.encoded_bytes());
            Ok(())
        })?;
        Ok(segment)
    }

    /// Remembers a record that lies at `offset`.
    pub(crate) fn note(&mut self, offset: u64, sequence: u64, bytes: usize) {
        let due = self.index.last().is_none_or(|entry| offset >= entry.offset + INDEX_BYTES);
        if due {
            self.index.push(IndexEntry { sequence, offset, ordinal: self.records });
        }
        self.records += 1;
        self.last = sequence;
        self.end = offset + bytes as u64;
    }

    /// Writes encoded records at the end; they are noted by the caller. After an error the file is as before.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.tail {
            self.file.set_length(self.end)?;
            self.tail = false;
        }
        self.dirty = true;
        write_full(&*self.file, bytes, self.end).inspect_err(|_| {
            self.tail = self.file.set_length(self.end).is_err();
        })
    }

    pub(crate) fn name(&self) -> String {
        file_name(self.header.base)
    }

    /// Sequence of the first record.
    pub(crate) fn first(&self) -> Option<u64> {
        self.index.first().map(|entry| entry.sequence)
    }

    /// Where to begin to read for records from `sequence` on, and a sequence below all that follow.
    pub(crate) fn seek(&self, sequence: u64) -> (u64, u64) {
        self.entry_before(sequence)
            .map_or((SEGMENT_HEADER_BYTES as u64, self.floor), |(entry, _)| (entry.offset, entry.sequence - 1))
    }

    /// How many records have a sequence above `sequence`.
    pub(crate) fn records_after(&self, sequence: u64) -> io::Result<u64> {
        if sequence >= self.last {
            return Ok(0);
        }
        let Some((entry, next)) = self.entry_before(sequence) else {
            return Ok(self.records);
        };
        let (next_sequence, next_ordinal, next_offset) = match next {
            Some(next) => (next.sequence, next.ordinal, next.offset),
            None => (self.last + 1, self.records, self.end),
        };
        let stretch_is_dense = next_sequence - entry.sequence == next_ordinal - entry.ordinal;
        if stretch_is_dense {
            return Ok(self.records - entry.ordinal - (sequence + 1 - entry.sequence));
        }
        let mut up_to = 0;
        let stretch = Stretch { name: &self.name(), from: entry.offset, end: next_offset, after: entry.sequence - 1 };
        let count = &mut |(_, record): Placed<'_>| {
            up_to += u64::from(record.sequence <= sequence);
            Ok(())
        };
        visit_records(&*self.file, &self.salt, stretch, &mut Vec::new(), &mut DamageLog::default(), count)?;
        Ok(self.records.saturating_sub(entry.ordinal + up_to))
    }

    /// The last entry that is not beyond `sequence`, and the one after it.
    fn entry_before(&self, sequence: u64) -> Option<(IndexEntry, Option<IndexEntry>)> {
        let after = self.index.partition_point(|entry| entry.sequence <= sequence);
        let entry = *self.index.get(after.checked_sub(1)?)?;
        Some((entry, self.index.get(after).copied()))
    }

    /// Visits all records.
    pub(crate) fn visit(
        &self,
        buffer: &mut Vec<u8>,
        damage: &mut DamageLog,
        visit: &mut dyn FnMut(Placed<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let stretch =
            Stretch { name: &self.name(), from: SEGMENT_HEADER_BYTES as u64, end: self.end, after: self.floor };
        visit_records(&*self.file, &self.salt, stretch, buffer, damage, visit)
    }
}

/// What is known of a segment before its file is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fallback {
    /// Stands in for a damaged header's.
    pub(crate) id: [u8; 16],
    /// The last sequence of the segment before.
    pub(crate) last_before: u64,
}

/// A part of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch<'a> {
    /// The file's name, for reports.
    pub(crate) name: &'a str,
    pub(crate) from: u64,
    pub(crate) end: u64,
    /// Records have a sequence above this.
    pub(crate) after: u64,
}

/// Visits the records of a stretch that begins where a record does; what is no record is added to `damage`.
///
/// Holds [`READ_BYTES`], or one record if that is longer, in `buffer`.
pub(crate) fn visit_records<F: DiskFile>(
    file: &F,
    salt: &Salt,
    stretch: Stretch<'_>,
    buffer: &mut Vec<u8>,
    damage: &mut DamageLog,
    visit: &mut dyn FnMut(Placed<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut last = stretch.after;
    let mut at = stretch.from;
    let mut wanted = READ_BYTES;
    while at < stretch.end {
        let left = usize::try_from(stretch.end - at).unwrap_or(usize::MAX);
        buffer.resize(wanted.min(left), 0);
        let filled = read_full(file, buffer, at)?;
        let whole = filled < buffer.len() || filled == left;
        let progress = record::find(&buffer[..filled], whole, salt, &mut last, &mut |found| match found {
            Found::Record(offset, record) => visit((at + offset as u64, record)),
            Found::Damage { offset, bytes, sequence } => {
                damage.note(stretch.name, at + offset as u64, bytes, sequence);
                Ok(())
            }
        })?;
        at += progress.consumed as u64;
        if filled < buffer.len() {
            // The file was cut behind our back.
            damage.note(stretch.name, at, left - filled, None);
        }
        if whole {
            break;
        }
        debug_assert!(progress.wanted <= MAX_RECORD_BYTES, "a header says no more");
        wanted = READ_BYTES.max(progress.wanted);
    }
    Ok(())
}
