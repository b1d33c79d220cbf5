//! Reading records in order, in batches of bounded size.

use crate::damage::DamageLog;
use crate::disk::{Disk, read_full};
use crate::record::{self, Flags, Found, MAX_RECORD_BYTES, Record};
use crate::segment::Segment;
use crate::spool::Spool;
use crate::trouble::Trouble;

/// How many bytes a batch is read from, unless one record takes more.
pub const BATCH_BYTES: usize = 64 * 1024;

/// A place in a spool and a buffer. Any number may read the same spool, each at its pace.
///
/// It is no position: what was read is kept until [`Spool::advance`] says that it may go.
#[derive(Debug)]
pub struct Reader {
    next: u64,
    place: Option<Place>,
    buffer: Vec<u8>,
    records: Vec<Located>,
    damage: DamageLog,
}

/// Where the next record lies, as long as its segment's file is the same.
#[derive(Clone, Copy, Debug)]
struct Place {
    generation: u64,
    offset: u64,
}

/// A record in the buffer.
#[derive(Clone, Copy, Debug)]
struct Located {
    sequence: u64,
    flags: Flags,
    key: usize,
    payload: usize,
    end: usize,
}

/// Records in order.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'r> {
    bytes: &'r [u8],
    records: &'r [Located],
    damage: &'r DamageLog,
}

impl Reader {
    /// A reader of all records with this sequence or a higher one.
    pub fn from(sequence: u64) -> Self {
        Self { next: sequence, place: None, buffer: Vec::new(), records: Vec::new(), damage: DamageLog::default() }
    }

    /// No record below this is read any more.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Goes to another place, forward or back.
    pub fn seek(&mut self, sequence: u64) {
        self.next = sequence;
        self.place = None;
    }

    /// The next records; an empty batch when there are no more for now.
    ///
    /// # Errors
    /// The disk cannot be read; the reader stays where it is.
    pub fn next_batch<D: Disk>(&mut self, spool: &Spool<D>) -> Result<Batch<'_>, Trouble> {
        self.records.clear();
        self.damage = DamageLog::default();
        while self.records.is_empty() {
            let Some(segment) = spool.segment_from(self.next) else {
                break;
            };
            self.read(segment).map_err(|error| spool.read_trouble(error))?;
        }
        Ok(Batch { bytes: &self.buffer, records: &self.records, damage: &self.damage })
    }

    /// Reads a stretch of the segment that has the next record, and goes on behind it.
    fn read<F: crate::disk::DiskFile>(&mut self, segment: &Segment<F>) -> std::io::Result<()> {
        let (offset, mut last) = match self.place {
            Some(place) if place.generation == segment.generation => (place.offset, self.next - 1),
            _ => segment.seek(self.next),
        };
        let left = usize::try_from(segment.end - offset).unwrap_or(usize::MAX);
        let mut wanted = BATCH_BYTES;
        loop {
            self.buffer.resize(wanted.min(left), 0);
            let filled = read_full(&*segment.file, &mut self.buffer, offset)?;
            let whole = filled < self.buffer.len() || filled == left;
            let (next, records, damage) = (self.next, &mut self.records, &mut self.damage);
            let name = segment.name();
            let progress = record::find::<std::io::Error>(
                &self.buffer[..filled],
                whole,
                &segment.salt,
                &mut last,
                &mut |found| {
                    match found {
                        Found::Record(at, record) if record.sequence >= next => {
                            records.push(locate(at, &record));
                        }
                        Found::Record(..) => {}
                        Found::Damage { offset: at, bytes, sequence } => {
                            damage.note(&name, offset + at as u64, bytes, sequence);
                        }
                    }
                    Ok(())
                },
            )?;
            if filled < self.buffer.len() {
                // The file was cut behind our back.
                self.damage.note(&name, offset + filled as u64, left - filled, None);
            }
            if progress.consumed > 0 || whole {
                self.next = self.next.max(if whole { segment.last } else { last } + 1);
                self.place = Some(Place { generation: segment.generation, offset: offset + progress.consumed as u64 });
                return Ok(());
            }
            debug_assert!(progress.wanted <= MAX_RECORD_BYTES, "a header says no more");
            wanted = progress.wanted;
        }
    }
}

fn locate(at: usize, record: &Record<'_>) -> Located {
    let key = at + record::RECORD_HEADER_BYTES;
    let payload = key + record.key.len();
    Located { sequence: record.sequence, flags: record.flags, key, payload, end: payload + record.payload.len() }
}

impl<'r> Batch<'r> {
    /// The records.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'r>> + use<'r> {
        let bytes = self.bytes;
        self.records.iter().map(move |record| Record {
            sequence: record.sequence,
            flags: record.flags,
            key: &bytes[record.key..record.payload],
            payload: &bytes[record.payload..record.end],
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What was skipped on the way because it is damaged, to be logged.
    pub fn damage(&self) -> &'r DamageLog {
        self.damage
    }
}
