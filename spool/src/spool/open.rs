//! What a spool finds when it is opened, whatever happened before.
//!
//! | file | means |
//! | --- | --- |
//! | `lock` | who has the directory |
//! | `identity` | id, epoch and ceiling, see `identity.rs` |
//! | `positions` | how far each reader came, see `positions.rs` |
//! | `….segment` | records, see `segment.rs` |
//! | `reserve` | room for compaction; its contents mean nothing |
//! | `suspect` | a sync failed, see `commit.rs` |
//! | `….partial` | was being written: removed |

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Spool, Staged, commit};
use crate::damage::DamageLog;
use crate::disk::{Directory, Disk, DiskFile, PARTIAL_SUFFIX, replace_file};
use crate::identity::{self, Identity};
use crate::options::{MIN_MAX_SIZE, Options, Sizes};
use crate::positions::{self, Positions};
use crate::record::Salt;
use crate::segment::{Fallback, SEGMENT_HEADER_BYTES, Segment, base_of};
use crate::trouble::{OpenError, Trouble};

/// What was found when a spool was opened. To be logged unless [`Recovery::is_unremarkable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The file of id and epoch.
    pub identity: FileState,
    /// The file of positions. Unless it was found, everything is read again.
    pub positions: FileState,
    /// Records that are here.
    pub records: u64,
    /// Stretches of segments that are no records: those are lost.
    pub damage: DamageLog,
    /// Length of the last segment's torn end, cut off: what was being written when the process or the power ended.
    pub torn_bytes: u64,
    /// Segments removed because another contains them: a compaction was interrupted.
    pub leftovers: usize,
    /// Why there is no reserve: a compaction on a full disk may fail.
    pub no_reserve: Option<String>,
}

/// What was found of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It was whole.
    Found,
    /// There was none, nor anything that should have had one.
    New,
    /// It was missing or damaged, and replaced by a new one.
    Replaced,
}

impl Recovery {
    /// Whether this is an ordinary start.
    pub fn is_unremarkable(&self) -> bool {
        self.identity != FileState::Replaced
            && self.positions != FileState::Replaced
            && self.damage.is_empty()
            && self.torn_bytes == 0
            && self.leftovers == 0
            && self.no_reserve.is_none()
    }
}

impl Spool<Directory> {
    /// Opens the spool in a directory, which is made if it is missing. `identity_if_new` are 16 random bytes, the id of
    /// the spool if there is none.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was lost, and it can be tried again.
    pub fn open(directory: &Path, options: Options, identity_if_new: [u8; 16]) -> Result<(Self, Recovery), OpenError> {
        // Before anything is made.
        check(&options)?;
        let disk = Directory::open(directory).map_err(|error| match error {
            crate::disk::LockError::Io(error) => {
                let path = directory.display().to_string();
                OpenError::Trouble(Trouble::from_io("open the directory", path, error))
            }
            in_use => OpenError::Lock(in_use),
        })?;
        Self::open_on(disk, options, identity_if_new)
    }
}

impl<D: Disk> Spool<D> {
    /// [`Spool::open`] on any kind of disk.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_on(disk: D, options: Options, identity_if_new: [u8; 16]) -> Result<(Self, Recovery), OpenError> {
        check(&options)?;
        let disk = Arc::new(disk);
        let trouble = |doing| {
            let path = disk.path();
            move |error| Trouble::from_io(doing, path, error)
        };
        let names = disk.names().map_err(trouble("list"))?;
        remove_partials(&*disk, &names);
        let found_identity = Identity::read(&*disk).map_err(trouble("read the identity"))?;
        let fallback_id = match found_identity {
            identity::Found::Whole(identity) => identity.id,
            _ => identity_if_new,
        };
        let segments = Segments::read(&*disk, &names, fallback_id).map_err(trouble("read the segments"))?;
        let found_positions = Positions::read(&*disk).map_err(trouble("read the positions"))?;
        let empty = segments.by_base.is_empty() && segments.damage.is_empty();
        let (positions, positions_state) = match found_positions {
            positions::Found::Whole(positions) => (positions, FileState::Found),
            positions::Found::Missing if empty => (Positions::default(), FileState::New),
            _ => (Positions::default(), FileState::Replaced),
        };
        let (identity, identity_state) = match found_identity {
            identity::Found::Whole(identity) => (identity, FileState::Found),
            identity::Found::Missing if empty && positions_state == FileState::New => {
                (Identity::new(identity_if_new), FileState::New)
            }
            _ => (Identity::new(identity_if_new), FileState::Replaced),
        };
        let given = segments.last.max(segments.contained_through).max(positions.highest());
        let next = identity.ceiling.max(given.saturating_add(1));
        if identity_state != FileState::Found {
            identity.write(&*disk).map_err(trouble("write the identity"))?;
        }
        if positions_state == FileState::New {
            // So that a missing file means something the next time.
            replace_file(&*disk, positions::POSITIONS, &positions.encode()).map_err(trouble("write the positions"))?;
        }
        segments.sync(&*disk).map_err(trouble("sync"))?;

        let active = segments.accepts_more(&identity);
        let sizes = Sizes::of(options.max_size);
        let mut spool = Self {
            salt: Salt::new(identity.id),
            disk: Arc::clone(&disk),
            options,
            sizes,
            identity,
            next,
            opened_at: next,
            burned: 0,
            active,
            next_generation: segments.generations,
            segments: segments.by_base,
            positions,
            pending: commit::Pending::after_open(next - 1),
            staged: Staged::default(),
            trouble: None,
            last_compaction: None,
            disk_full_since: None,
            compactions: Vec::new(),
            damage: DamageLog::default(),
        };
        if names.iter().any(|name| name == commit::SUSPECT) {
            spool.distrust_all();
        }
        let no_reserve = spool.ensure_reserve().err().map(|trouble| trouble.to_string());
        spool.drop_passed();
        let recovery = Recovery {
            identity: identity_state,
            positions: positions_state,
            records: spool.records(),
            damage: segments.damage,
            torn_bytes: segments.torn_bytes,
            leftovers: segments.leftovers,
            no_reserve,
        };
        Ok((spool, recovery))
    }
}

impl<D: Disk> Spool<D> {
    /// A process before this one saw a sync fail: what memory shows may not be on the disk.
    fn distrust_all(&mut self) {
        for segment in self.segments.values_mut() {
            segment.suspect = true;
        }
        if self.rewrite_suspects().is_err() {
            // The next commit tries again.
            self.pending.committed = 0;
        }
    }
}

fn check(options: &Options) -> Result<(), OpenError> {
    if options.max_size < MIN_MAX_SIZE {
        return Err(OpenError::TooSmall { given: options.max_size, least: MIN_MAX_SIZE });
    }
    Ok(())
}

/// One that cannot be removed is overwritten when it is needed.
fn remove_partials<D: Disk>(disk: &D, names: &[String]) {
    for name in names.iter().filter(|name| name.ends_with(PARTIAL_SUFFIX)) {
        let _ = disk.remove(name);
    }
}

/// All segments of a directory.
struct Segments<F> {
    by_base: BTreeMap<u64, Segment<F>>,
    /// The last sequence.
    last: u64,
    /// Segments with a base up to this are contained in others: a new one with such a base would be taken for a leftover.
    contained_through: u64,
    generations: u64,
    damage: DamageLog,
    torn_bytes: u64,
    leftovers: usize,
}

impl<F: DiskFile> Segments<F> {
    fn read<D: Disk<File = F>>(disk: &D, names: &[String], fallback_id: [u8; 16]) -> std::io::Result<Self> {
        let mut bases: Vec<u64> = names.iter().filter_map(|name| base_of(name)).collect();
        bases.sort_unstable();
        let mut found = Self {
            by_base: BTreeMap::new(),
            last: 0,
            contained_through: 0,
            generations: 0,
            damage: DamageLog::default(),
            torn_bytes: 0,
            leftovers: 0,
        };
        let mut buffer = Vec::new();
        for base in &bases {
            if *base <= found.contained_through && found.contained_through > 0 {
                disk.remove(&crate::segment::file_name(*base))?;
                found.leftovers += 1;
                continue;
            }
            let segment = found.read_one(disk, *base, fallback_id, &mut buffer)?;
            found.contained_through = found.contained_through.max(segment.header.through);
            let is_last = Some(base) == bases.last();
            found.take(disk, segment, is_last)?;
        }
        Ok(found)
    }

    fn read_one<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        base: u64,
        id: [u8; 16],
        buffer: &mut Vec<u8>,
    ) -> std::io::Result<Segment<F>> {
        let fallback = Fallback { id, last_before: self.last };
        self.generations += 1;
        let file = disk.open(&crate::segment::file_name(base))?;
        Segment::open(file, base, fallback, self.generations, buffer, &mut self.damage)
    }

    /// Keeps a segment unless it is empty; cuts the last one's torn end.
    fn take<D: Disk<File = F>>(&mut self, disk: &D, mut segment: Segment<F>, is_last: bool) -> std::io::Result<()> {
        let name = segment.name();
        let length = segment.file.length()?;
        if is_last && length > segment.end {
            self.torn_bytes = length - segment.end;
            self.damage.remove_tail(&name, segment.end);
            // Where that cannot be done now, it is done before the next write.
            segment.tail = segment.file.set_length(segment.end).is_err();
        }
        if segment.records == 0 {
            if is_last && length < SEGMENT_HEADER_BYTES as u64 {
                self.torn_bytes = length;
                self.damage.remove_tail(&name, 0);
            }
            // An empty file in the way is harmless.
            let _ = disk.remove(&name);
            return Ok(());
        }
        self.last = segment.last;
        self.by_base.insert(segment.header.base, segment);
        Ok(())
    }

    /// The process before this one may have died between a write and its sync.
    fn sync<D: Disk<File = F>>(&self, disk: &D) -> std::io::Result<()> {
        self.by_base.values().try_for_each(|segment| segment.file.sync())?;
        disk.sync()
    }

    /// Whether the last segment can take records of this spool.
    fn accepts_more(&self, identity: &Identity) -> bool {
        self.by_base.values().next_back().is_some_and(|last| last.header.id == identity.id && last.header.through == 0)
    }
}
