//! Group commit: many records, one sync.
//!
//! **Invariant:** a record counts as committed after a sync that began when it was written, of its file and of its file's
//! name. A file whose sync failed is written anew before its records count: the system may have forgotten what it could
//! not write, and say nothing at the next sync. A file named `suspect` tells that to the next process.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::{COMMIT_RETRY, COMMIT_WITHIN, POSITIONS_WITHIN, Spool};
use crate::disk::{Disk, DiskFile, PARTIAL_SUFFIX, read_full, replace_file, write_full};
use crate::positions::POSITIONS;
use crate::segment::Segment;
use crate::trouble::Trouble;

/// Its presence says that a sync failed, and that segments must be written anew.
pub(super) const SUSPECT: &str = "suspect";

/// What waits for a sync.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// All up to this sequence are committed.
    pub(super) committed: u64,
    records_since: Option<Instant>,
    positions_since: Option<Instant>,
    /// Names of files changed.
    pub(super) directory: bool,
    not_before: Option<Instant>,
    /// Base and generation of the segments being synced.
    in_flight: Option<Vec<(u64, u64)>>,
}

impl Pending {
    pub(super) fn after_open(committed: u64) -> Self {
        Self { committed, ..Self::default() }
    }

    pub(super) fn note_records(&mut self, now: Instant) {
        self.records_since.get_or_insert(now);
    }

    pub(super) fn note_positions(&mut self, now: Instant) {
        self.positions_since.get_or_insert(now);
    }
}

/// A commit under way. [`Commit::run`] blocks and may be called on another thread, while the spool goes on.
#[must_use = "nothing is synced before it runs and Spool::finish_commit has its result"]
pub struct Commit<D: Disk> {
    disk: Arc<D>,
    files: Vec<Arc<D::File>>,
    directory: bool,
    positions: Option<Vec<u8>>,
    through: u64,
}

/// What came of a [`Commit`].
#[derive(Debug)]
#[must_use = "Spool::finish_commit needs it"]
pub struct Committed {
    through: u64,
    records: io::Result<()>,
    positions: io::Result<()>,
}

impl<D: Disk> Commit<D> {
    /// Waits for the disk.
    pub fn run(self) -> Committed {
        let files = self.files.iter().try_for_each(|file| file.sync());
        let records = files.and_then(|()| if self.directory { self.disk.sync() } else { Ok(()) });
        let positions = match &self.positions {
            Some(bytes) => replace_file(&*self.disk, POSITIONS, bytes),
            None => Ok(()),
        };
        Committed { through: self.through, records, positions }
    }
}

impl<D: Disk> Spool<D> {
    /// All records up to this sequence survive a power cut.
    pub fn committed(&self) -> u64 {
        self.pending.committed
    }

    /// When to call [`Spool::commit`], or [`Spool::begin_commit`]; `None` while nothing waits or a commit is under way.
    pub fn next_commit_due(&self) -> Option<Instant> {
        let pending = &self.pending;
        if pending.in_flight.is_some() {
            return None;
        }
        let records = pending.records_since.map(|since| since + COMMIT_WITHIN);
        let positions = pending.positions_since.map(|since| since + POSITIONS_WITHIN);
        let due = records.into_iter().chain(positions).min()?;
        Some(pending.not_before.map_or(due, |at| due.max(at)))
    }

    /// Makes everything appended and advanced so far survive a power cut; gives [`Spool::committed`].
    ///
    /// # Errors
    /// Some of it may not survive; it is tried again at [`Spool::next_commit_due`].
    pub fn commit(&mut self, now: Instant) -> Result<u64, Trouble> {
        match self.begin_commit(now)? {
            Some(commit) => self.finish_commit(commit.run(), now),
            None => Ok(self.committed()),
        }
    }

    /// The first half of [`Spool::commit`]: `None` if nothing waits or another is under way.
    ///
    /// # Errors
    /// A file whose sync had failed could not be written anew.
    pub fn begin_commit(&mut self, now: Instant) -> Result<Option<Commit<D>>, Trouble> {
        if self.pending.in_flight.is_some() {
            return Ok(None);
        }
        if let Err(trouble) = self.rewrite_suspects() {
            self.pending.not_before = Some(now + COMMIT_RETRY);
            self.trouble = Some(trouble.clone());
            return Err(trouble);
        }
        let dirty: Vec<_> = self.segments.values_mut().filter(|segment| segment.dirty).collect();
        let pending = &mut self.pending;
        if dirty.is_empty() && pending.positions_since.is_none() && pending.committed == self.next - 1 {
            return Ok(None);
        }
        let mut files = Vec::new();
        let mut in_flight = Vec::new();
        for segment in dirty {
            segment.dirty = false;
            files.push(Arc::clone(&segment.file));
            in_flight.push((segment.header.base, segment.generation));
        }
        pending.in_flight = Some(in_flight);
        pending.records_since = None;
        Ok(Some(Commit {
            disk: Arc::clone(&self.disk),
            files,
            directory: std::mem::take(&mut pending.directory),
            positions: pending.positions_since.take().map(|_| self.positions.encode()),
            through: self.next - 1,
        }))
    }

    /// The second half of [`Spool::commit`].
    ///
    /// # Errors
    /// Some of it may not survive; it is tried again at [`Spool::next_commit_due`].
    pub fn finish_commit(&mut self, done: Committed, now: Instant) -> Result<u64, Trouble> {
        let in_flight = self.pending.in_flight.take().unwrap_or_default();
        self.pending.not_before = None;
        let mut outcome = Ok(());
        if let Err(error) = done.positions {
            self.pending.note_positions(now);
            outcome = Err(self.io_trouble("write the positions", error));
        }
        match done.records {
            Ok(()) => self.pending.committed = self.pending.committed.max(done.through),
            Err(error) => {
                self.suspect(&in_flight);
                self.pending.note_records(now);
                outcome = Err(self.io_trouble("sync", error));
            }
        }
        if outcome.is_err() {
            self.pending.not_before = Some(now + COMMIT_RETRY);
        }
        self.trouble = outcome.as_ref().err().cloned();
        outcome.map(|()| self.committed())
    }

    /// Makes all records survive a power cut now, also those of a commit that is under way.
    pub(super) fn sync_records(&mut self) -> Result<(), Trouble> {
        self.rewrite_suspects()?;
        let in_flight = self.pending.in_flight.clone().unwrap_or_default();
        let (mut files, mut synced) = (Vec::new(), Vec::new());
        for segment in self.segments.values_mut() {
            let place = (segment.header.base, segment.generation);
            if segment.dirty || in_flight.contains(&place) {
                files.push(Arc::clone(&segment.file));
                synced.push(place);
                segment.dirty = false;
            }
        }
        let outcome = files.iter().try_for_each(|file| file.sync()).and_then(|()| self.disk.sync());
        if let Err(error) = outcome {
            self.suspect(&synced);
            return Err(self.io_trouble("sync", error));
        }
        self.pending.committed = self.next - 1;
        self.pending.directory = false;
        self.pending.records_since = None;
        Ok(())
    }

    /// What the disk has of these segments is unknown, and of their names.
    fn suspect(&mut self, places: &[(u64, u64)]) {
        self.pending.directory = true;
        // For a process that opens the spool after this one. Where it cannot be made, nothing can be.
        let _ = self.disk.create(SUSPECT);
        for (base, generation) in places {
            if let Some(segment) = self.segments.get_mut(base).filter(|s| s.generation == *generation) {
                segment.suspect = true;
            }
        }
    }

    pub(super) fn rewrite_suspects(&mut self) -> Result<(), Trouble> {
        let disk = Arc::clone(&self.disk);
        if self.segments.values().all(|segment| !segment.suspect) {
            return Ok(());
        }
        for segment in self.segments.values_mut().filter(|segment| segment.suspect) {
            rewrite(&*disk, segment).map_err(|error| Trouble::from_io("write a segment anew", disk.path(), error))?;
        }
        // One that stays costs the next process some time.
        let _ = disk.remove(SUSPECT);
        Ok(())
    }
}

/// Replaces a segment's file by a copy, which is on the disk when this returns. Offsets stay as they are.
fn rewrite<D: Disk>(disk: &D, segment: &mut Segment<D::File>) -> io::Result<()> {
    const COPY_BYTES: usize = 256 * 1024;
    let partial = segment.name() + PARTIAL_SUFFIX;
    let file = disk.create(&partial)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < segment.end {
        let length = usize::try_from(segment.end - at).unwrap_or(usize::MAX).min(COPY_BYTES);
        let filled = read_full(&*segment.file, &mut buffer[..length], at)?;
        if filled == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_full(&file, &buffer[..filled], at)?;
        at += filled as u64;
    }
    file.sync()?;
    disk.rename(&partial, &segment.name())?;
    // From here on the old file has no name: what is written to it would be lost.
    segment.file = Arc::new(file);
    segment.tail = false;
    disk.sync()?;
    segment.suspect = false;
    segment.dirty = false;
    Ok(())
}
