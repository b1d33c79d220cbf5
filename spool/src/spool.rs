//! The queue itself: what is in memory of it, and appending.

mod commit;
mod compact;
mod open;
mod survivors;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::damage::DamageLog;
use crate::disk::{Directory, Disk, replace_file};
use crate::identity::{GRANT, Identity};
use crate::options::{Keep, Options, Sizes};
use crate::positions::{self, NameError, Positions};
use crate::record::{self, Flags, MAX_KEY_BYTES, MAX_PAYLOAD_BYTES, Record, Salt};
use crate::segment::{SEGMENT_HEADER_BYTES, Segment};
use crate::trouble::{AppendCause, AppendError, Trouble};

pub use commit::{Commit, Committed};
pub use compact::Compaction;
pub use open::{FileState, Recovery};

use compact::Loss;

/// How long an appended record may wait for the sync that makes it survive a power cut, if the caller keeps to
/// [`Spool::next_commit_due`].
pub const COMMIT_WITHIN: Duration = Duration::from_millis(50);
/// How long an advanced position may wait for its sync; after a crash, records read within this time are read again.
pub const POSITIONS_WITHIN: Duration = Duration::from_millis(250);
/// The pause after a sync that failed.
pub const COMMIT_RETRY: Duration = Duration::from_secs(1);
/// The pause after a compaction that made no room, unless much was appended since.
pub const COMPACTION_RETRY: Duration = Duration::from_secs(10);

/// How long a full disk is waited for before records that somebody still waits for make room, older ones of each key first.
/// Until then new records are refused, and whoever brings them keeps them: nothing is lost by a disk that is full for a
/// while.
pub const DISK_FULL_PATIENCE: Duration = Duration::from_secs(60);

/// How many bytes are encoded before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// A queue on disk. See the crate's documentation.
pub struct Spool<D: Disk = Directory> {
    disk: Arc<D>,
    options: Options,
    sizes: Sizes,
    identity: Identity,
    salt: Salt,
    /// The next sequence to give.
    next: u64,
    opened_at: u64,
    /// Sequences of records whose write failed: they may be on the disk, so no others get them.
    burned: u64,
    /// By base.
    segments: BTreeMap<u64, Segment<D::File>>,
    /// Whether the last segment takes records.
    active: bool,
    next_generation: u64,
    positions: Positions,
    exposed: Positions,
    pending: commit::Pending,
    staged: Staged,
    trouble: Option<Trouble>,
    last_compaction: Option<(Instant, u64)>,
    disk_full_since: Option<Instant>,
    compactions: Vec<Compaction>,
    damage: DamageLog,
}

/// A record to append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// What compaction keeps the newest of, at most [`MAX_KEY_BYTES`].
    pub key: &'a [u8],
    /// What is to be delivered, at most [`MAX_PAYLOAD_BYTES`].
    pub payload: &'a [u8],
}

/// Records that are encoded but not written.
#[derive(Debug, Default)]
struct Staged {
    bytes: Vec<u8>,
    lengths: Vec<usize>,
}

impl<D: Disk> Spool<D> {
    /// Who this spool is: random, and kept for ever.
    pub fn id(&self) -> [u8; 16] {
        self.identity.id
    }

    /// From 1; grows each time that the spool turns out to have fallen back behind what a peer knew.
    pub fn epoch(&self) -> u64 {
        self.identity.epoch
    }

    /// Begins a new epoch, for a peer that has accepted sequences which were never [exposed](Spool::exposed) to it: the spool
    /// was restored from an old copy, or cloned. The new epoch is on the disk when this returns. Records and positions stay
    /// as they are, and nothing is exposed in it.
    ///
    /// It is later than the last one by `step`, which has to be random: copies that both begin a new epoch must not begin
    /// the same one, since a peer would take the results of one for those of the other.
    ///
    /// # Errors
    /// The epoch is the old one.
    pub fn new_epoch(&mut self, step: NonZeroU32) -> Result<u64, Trouble> {
        // In this order: exposed too little costs another epoch, exposed too much costs results.
        let mut none = self.exposed.clone();
        none.reset();
        self.write_exposed(none)?;
        let identity = Identity { epoch: self.identity.epoch + u64::from(step.get()), ..self.identity };
        self.write_identity(identity)?;
        Ok(self.identity.epoch)
    }

    /// The lowest sequence that is here; the next one to be given if none is.
    pub fn oldest(&self) -> u64 {
        self.segments.values().find_map(Segment::first).unwrap_or(self.next)
    }

    /// The last sequence that may ever have been given, by this process or one before it. 0: none.
    pub fn newest(&self) -> u64 {
        self.next - 1
    }

    /// The first sequence that this process gives: those below are from before it opened the spool.
    pub fn opened_at(&self) -> u64 {
        self.opened_at
    }

    /// How many bytes the segments take.
    pub fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.end).sum()
    }

    /// How many records are here.
    pub fn records(&self) -> u64 {
        self.segments.values().map(|segment| segment.records).sum()
    }

    /// What kept the last write from working; `None` if it worked.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// What compactions did since the last call, to be logged; only the last ones if there were many.
    pub fn take_compactions(&mut self) -> Vec<Compaction> {
        std::mem::take(&mut self.compactions)
    }

    /// What compactions found damaged since the last call, to be logged.
    pub fn take_damage(&mut self) -> DamageLog {
        std::mem::take(&mut self.damage)
    }

    /// Appends records; gives their sequences. They survive the death of the process at once, a power cut when they are
    /// [committed](Spool::committed).
    ///
    /// When the size limit is reached or the disk is full, the spool is compacted first, which may take seconds.
    ///
    /// # Errors
    /// The first ones may be appended nevertheless: see [`AppendError::appended`]. If the process or the power ends before the
    /// next append, some of the others may be found afterwards, too.
    pub fn append<'r>(
        &mut self,
        records: impl IntoIterator<Item = NewRecord<'r>>,
        now: Instant,
    ) -> Result<Range<u64>, AppendError> {
        let first = self.next;
        let outcome =
            records.into_iter().try_for_each(|record| self.stage(record, now)).and_then(|()| Ok(self.flush(now)?));
        let appended = first..self.next;
        self.next += std::mem::take(&mut self.burned);
        match outcome {
            Ok(()) => Ok(appended),
            Err(cause) => Err(AppendError { appended, cause }),
        }
    }

    /// Encodes a record, and writes what was encoded before if it is enough.
    fn stage(&mut self, record: NewRecord<'_>, now: Instant) -> Result<(), AppendCause> {
        let NewRecord { key, payload } = record;
        let limit = self.sizes.key_and_payload;
        if key.len() > MAX_KEY_BYTES || payload.len() > MAX_PAYLOAD_BYTES || key.len() + payload.len() > limit {
            self.flush(now)?;
            return Err(AppendCause::TooLong { key: key.len(), payload: payload.len(), limit });
        }
        let length = record::RECORD_HEADER_BYTES + key.len() + payload.len();
        let full = self.staged.bytes.len() + length > WRITE_BYTES || !self.has_room(self.staged.bytes.len() + length);
        if full {
            self.flush(now)?;
        }
        let record =
            Record { sequence: self.next + self.staged.lengths.len() as u64, flags: Flags::NONE, key, payload };
        record::encode(&record, &self.salt, &mut self.staged.bytes);
        self.staged.lengths.push(length);
        Ok(())
    }

    /// Whether the segment that takes records, or else a new one, has room for so many bytes.
    fn has_room(&self, bytes: usize) -> bool {
        let end = match self.segments.values().next_back() {
            Some(last) if self.active => last.end,
            _ => SEGMENT_HEADER_BYTES as u64,
        };
        end + bytes as u64 <= self.sizes.segment
    }

    /// Writes what was encoded, all or nothing. What cannot be written is forgotten.
    fn flush(&mut self, now: Instant) -> Result<(), Trouble> {
        if self.staged.lengths.is_empty() {
            return Ok(());
        }
        let mut outcome = self.write_staged(now);
        if let Err(trouble) = &outcome
            && let Some(loss) = self.loss_for_room(&trouble.clone(), now)
            && self.compaction_is_due(now)
        {
            outcome = self.make_room(loss, now).and_then(|()| self.write_staged(now));
        }
        // Room that a compaction made does not mean that the disk has some.
        let made_room = self.last_compaction.is_some_and(|(at, _)| now < at + DISK_FULL_PATIENCE);
        if outcome.is_ok() && !made_room {
            self.disk_full_since = None;
        }
        self.staged.bytes.clear();
        self.staged.lengths.clear();
        self.trouble = outcome.as_ref().err().cloned();
        outcome
    }

    /// What may be dropped at this moment so that there is room.
    fn loss_for_room(&mut self, trouble: &Trouble, now: Instant) -> Option<Loss> {
        match trouble {
            Trouble::SizeLimit { .. } => Some(Loss::History),
            Trouble::DiskFull { .. } | Trouble::QuotaExceeded { .. } => {
                let since = *self.disk_full_since.get_or_insert(now);
                let is_over = now >= since + DISK_FULL_PATIENCE;
                Some(if is_over { Loss::History } else { Loss::ReadHistory })
            }
            _ => None,
        }
    }

    fn write_staged(&mut self, now: Instant) -> Result<(), Trouble> {
        let length = self.staged.bytes.len();
        if self.bytes() + (SEGMENT_HEADER_BYTES + length) as u64 > self.sizes.budget {
            return Err(Trouble::SizeLimit { path: self.disk.path(), max_size: self.options.max_size });
        }
        self.grant(self.staged.lengths.len() as u64)?;
        if !self.active || !self.has_room(length) {
            self.begin_segment()?;
        }
        let disk = &self.disk;
        let (_, segment) = self.segments.iter_mut().next_back().expect("just begun, if there was none");
        self.burned = self.staged.lengths.len() as u64;
        segment.write(&self.staged.bytes).map_err(|error| Trouble::from_io("write", disk.path(), error))?;
        self.burned = 0;
        for length in &self.staged.lengths {
            segment.note(segment.end, self.next, *length);
            self.next += 1;
        }
        self.pending.note_records(now);
        Ok(())
    }

    /// Sees to it that the next `count` sequences may be given.
    fn grant(&mut self, count: u64) -> Result<(), Trouble> {
        if self.next + count <= self.identity.ceiling {
            return Ok(());
        }
        let identity = Identity { ceiling: self.next + count.max(GRANT), ..self.identity };
        self.write_identity(identity)
    }

    fn write_identity(&mut self, identity: Identity) -> Result<(), Trouble> {
        identity.write(&*self.disk).map_err(|error| self.io_trouble("write the identity", error))?;
        self.identity = identity;
        Ok(())
    }

    /// Ends the last segment and begins another.
    fn begin_segment(&mut self) -> Result<(), Trouble> {
        let generation = self.generation();
        let segment = Segment::create(&*self.disk, self.identity.id, self.next, generation)
            .map_err(|error| self.io_trouble("begin a segment", error))?;
        self.pending.directory = true;
        self.segments.insert(self.next, segment);
        self.active = true;
        self.drop_passed();
        Ok(())
    }

    fn generation(&mut self) -> u64 {
        self.next_generation += 1;
        self.next_generation
    }

    fn io_trouble(&self, doing: &'static str, error: std::io::Error) -> Trouble {
        Trouble::from_io(doing, self.disk.path(), error)
    }
}

/// Readers.
impl<D: Disk> Spool<D> {
    /// From now on there are exactly these readers: positions of others are dropped, new ones begin with what is here.
    ///
    /// # Errors
    /// Nothing was changed.
    pub fn keep_positions(&mut self, names: &[&str], now: Instant) -> Result<(), NameError> {
        self.exposed.keep(names)?;
        if self.positions.keep(names)? {
            self.pending.note_positions(now);
            self.drop_passed();
        }
        Ok(())
    }

    /// The last sequence that a reader is done with, 0 if none; `None` if there is no such reader.
    pub fn position(&self, name: &str) -> Option<u64> {
        self.positions.of(name)
    }

    /// A reader is done with all records up to this sequence. Going back, going beyond what is here, and names that are
    /// not kept are ignored.
    pub fn advance(&mut self, name: &str, up_to: u64, now: Instant) {
        if self.positions.advance(name, up_to.min(self.newest())) {
            self.pending.note_positions(now);
            self.drop_passed();
        }
    }

    /// Up to which sequence a reader may have shown the records of this epoch to its peer, in this process or one before it. A
    /// peer that knows more knows another history of this spool: see [`Spool::new_epoch`].
    pub fn exposed(&self, name: &str) -> u64 {
        self.exposed.of(name).unwrap_or(0)
    }

    /// Notes on the disk that a reader may show its peer everything that is here, and what comes until more sequences are
    /// granted: once in a million records there is something to write.
    ///
    /// Without this, a spool that was restored from an old copy, and opened twice before its peer was heard of, could not tell
    /// whether that peer knows the sequences given since from this history or from the one that was lost.
    ///
    /// # Errors
    /// It is not noted. Records may be shown all the same: the worst that follows is a new epoch, and that they are shown again.
    pub fn expose(&mut self, name: &str) -> Result<(), Trouble> {
        if self.newest() <= self.exposed(name) {
            return Ok(());
        }
        let mut exposed = self.exposed.clone();
        exposed.advance(name, self.identity.ceiling - 1);
        self.write_exposed(exposed)
    }

    fn write_exposed(&mut self, exposed: Positions) -> Result<(), Trouble> {
        replace_file(&*self.disk, positions::EXPOSED, &exposed.encode())
            .map_err(|error| self.io_trouble("write what is exposed", error))?;
        self.exposed = exposed;
        Ok(())
    }

    /// How many records wait for a reader; `None` if there is no such reader.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn depth(&self, name: &str) -> Result<Option<u64>, Trouble> {
        let Some(position) = self.positions.of(name) else {
            return Ok(None);
        };
        self.records_after(position).map(Some)
    }

    /// How many records have a sequence above this.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn records_after(&self, sequence: u64) -> Result<u64, Trouble> {
        self.segments
            .values()
            .map(|segment| segment.records_after(sequence))
            .sum::<Result<u64, _>>()
            .map_err(|error| self.io_trouble("read", error))
    }

    /// The segment to read next for records from `sequence` on.
    pub(crate) fn segment_from(&self, sequence: u64) -> Option<&Segment<D::File>> {
        let before = self.segments.range(..=sequence).next_back();
        let after = self.segments.range(sequence.saturating_add(1)..);
        before
            .into_iter()
            .chain(after)
            .map(|(_, segment)| segment)
            .find(|segment| segment.last >= sequence && segment.records > 0)
    }

    pub(crate) fn read_trouble(&self, error: std::io::Error) -> Trouble {
        self.io_trouble("read", error)
    }

    /// What every reader is done with: 0 if there is none.
    fn passed(&self) -> u64 {
        self.positions.lowest().unwrap_or(0)
    }

    /// Deletes whole segments that every reader is done with, except the one that takes records.
    fn drop_passed(&mut self) {
        if self.options.keep == Keep::NewestOfEachKey {
            return;
        }
        let passed = self.passed();
        while let Some((&base, segment)) = self.segments.first_key_value() {
            let in_use = self.active && self.segments.len() == 1;
            if in_use || segment.last > passed || self.disk.remove(&segment.name()).is_err() {
                // What cannot be removed now can be later.
                break;
            }
            self.segments.remove(&base);
            self.pending.directory = true;
        }
    }
}
