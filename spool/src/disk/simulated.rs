//! A disk in memory that fails on request, for tests and simulations.
//!
//! What it models: a process that dies keeps what it wrote; a power cut keeps what was synced, and of the rest, decided
//! by a seed, each sector of 512 bytes that was written since, each change of a file's length, and each change of a name,
//! or not: lost, torn, or out of order. A sync that fails may drop what it should have written, as Linux does. A full
//! disk takes a part of a write.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use nix::errno::Errno;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{Disk, DiskFile};

const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`SimulatedDisk`].
#[derive(Debug)]
pub struct SimulatedFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    /// The power cut before which it was opened ended it.
    boot: u64,
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: BTreeMap<usize, Inode>,
    next_inode: usize,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Each is lost or kept as a whole by a power cut.
    name_changes: Vec<NameChange>,
    boot: u64,
    faults: Faults,
    /// Changes made so far, for [`Faults::stop_after`].
    changes: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    writes: Vec<Write>,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

/// What goes wrong on a [`SimulatedDisk`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The disk's size in bytes; `None`: endless.
    pub capacity: Option<usize>,
    /// Every change is refused.
    pub read_only: bool,
    /// Every sync fails, and drops what it should have written.
    pub failing_syncs: bool,
    /// After so many changes since the disk was made every further one fails, as if the process had died there.
    pub stop_after: Option<u64>,
}

impl SimulatedDisk {
    /// An empty, endless, faultless disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another disk with the same contents, as a backup has them: all of it is durable.
    pub fn copy(&self) -> Self {
        let mut state = self.lock().clone();
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        for inode in state.inodes.values_mut() {
            inode.durable = inode.cached.clone();
            inode.writes.clear();
        }
        SimulatedDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// How many changes were made so far.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// How many bytes all files take.
    pub fn used_bytes(&self) -> usize {
        self.lock().used_bytes()
    }

    /// The power fails and returns: open files are gone, and `seed` decides what is kept of what was not synced.
    pub fn cut_power(&self, seed: u64) {
        let state = &mut *self.lock();
        let rng = &mut SmallRng::seed_from_u64(seed);
        state.boot += 1;
        // Some cuts lose everything, some nothing, most a part.
        let kept = [0.0, 0.1, 0.5, 0.9, 1.0][rng.random_range(0..5)];
        for inode in state.inodes.values_mut() {
            inode.cut_power(kept, rng);
        }
        for change in std::mem::take(&mut state.name_changes) {
            if rng.random_bool(kept) {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        let linked: Vec<usize> = state.names.values().copied().collect();
        state.inodes.retain(|inode, _| linked.contains(inode));
    }

    /// Changes a file's bytes behind everyone's back, durably.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let state = &mut *self.lock();
        let inode = state.names[name];
        let inode = state.inodes.get_mut(&inode).expect("a name has an inode");
        change(&mut inode.cached);
        inode.durable = inode.cached.clone();
        inode.writes.clear();
    }

    /// A file's bytes.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.lock();
        state.inodes[&state.names[name]].cached.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn file(&self, inode: usize, boot: u64) -> SimulatedFile {
        SimulatedFile { state: Arc::clone(&self.state), inode, boot }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no test goes on after a panic in here")
}

impl State {
    fn used_bytes(&self) -> usize {
        self.names.values().map(|inode| self.inodes[inode].cached.len()).sum()
    }

    /// Counts a change, or refuses it.
    fn change(&mut self) -> io::Result<()> {
        if self.faults.read_only {
            return Err(Errno::EROFS.into());
        }
        if self.faults.stop_after.is_some_and(|limit| self.changes >= limit) {
            return Err(io::Error::other("the process has died"));
        }
        self.changes += 1;
        Ok(())
    }

    fn room(&self) -> usize {
        match self.faults.capacity {
            Some(capacity) => capacity.saturating_sub(self.used_bytes()),
            None => usize::MAX,
        }
    }

    fn rename_all(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn sync_fails(&mut self) -> io::Result<bool> {
        self.change()?;
        Ok(self.faults.failing_syncs)
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.cached, offset, bytes);
        // Sectors reach the disk one by one.
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let sector = (SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len());
            self.writes.push(Write::Bytes(at, rest[..sector].to_vec()));
            rest = &rest[sector..];
            at += sector;
        }
    }

    fn set_length(&mut self, length: usize) {
        self.cached.resize(length, 0);
        self.writes.push(Write::Length(length));
    }

    fn cut_power(&mut self, kept: f64, rng: &mut SmallRng) {
        for write in std::mem::take(&mut self.writes) {
            if rng.random_bool(kept) {
                match write {
                    Write::Bytes(offset, bytes) => put(&mut self.durable, offset, &bytes),
                    Write::Length(length) => self.durable.resize(length, 0),
                }
            }
        }
        self.cached = self.durable.clone();
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn path(&self) -> String {
        "/simulated".to_owned()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let state = &mut *self.lock();
        state.change()?;
        if let Some(&inode) = state.names.get(name) {
            let file = state.inodes.get_mut(&inode).expect("a name has an inode");
            file.set_length(0);
            return Ok(self.file(inode, state.boot));
        }
        if state.room() == 0 {
            return Err(Errno::ENOSPC.into());
        }
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        state.rename_all(NameChange::Set(name.to_owned(), inode));
        Ok(self.file(inode, state.boot))
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let state = self.lock();
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(inode, state.boot))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let state = &mut *self.lock();
        state.change()?;
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.rename_all(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let state = &mut *self.lock();
        state.change()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename_all(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.lock();
        if state.sync_fails()? {
            return Err(Errno::EIO.into());
        }
        for change in std::mem::take(&mut state.name_changes) {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }
}

impl SimulatedFile {
    fn with<T>(&self, act: impl FnOnce(&mut State, usize) -> io::Result<T>) -> io::Result<T> {
        let state = &mut *lock(&self.state);
        if state.boot != self.boot {
            return Err(io::Error::other("the file was opened before the power cut"));
        }
        act(state, self.inode)
    }

    fn with_inode<T>(&self, act: impl FnOnce(&mut Inode) -> T) -> io::Result<T> {
        self.with(|state, inode| Ok(act(state.inodes.get_mut(&inode).expect("open files keep theirs"))))
    }
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        self.with_inode(|inode| inode.cached.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with_inode(|inode| {
            let rest = inode.cached.get(index(offset)..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            length
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.with(|state, inode| {
            state.change()?;
            let room = state.room();
            let file = state.inodes.get_mut(&inode).expect("open files keep theirs");
            let free = file.cached.len().saturating_sub(index(offset));
            let length = bytes.len().min(free.saturating_add(room));
            if length == 0 && !bytes.is_empty() {
                return Err(Errno::ENOSPC.into());
            }
            file.write(index(offset), &bytes[..length]);
            Ok(length)
        })
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.with(|state, _| state.change())?;
        self.with_inode(|inode| inode.set_length(index(length)))
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.with(|state, inode| {
            state.change()?;
            let room = state.room();
            let file = state.inodes.get_mut(&inode).expect("open files keep theirs");
            if index(length).saturating_sub(file.cached.len()) > room {
                return Err(Errno::ENOSPC.into());
            }
            file.set_length(index(length).max(file.cached.len()));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, inode| {
            let fails = state.sync_fails()?;
            let inode = state.inodes.get_mut(&inode).expect("open files keep theirs");
            inode.writes.clear();
            if fails {
                return Err(Errno::EIO.into());
            }
            inode.durable = inode.cached.clone();
            Ok(())
        })
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a simulated file fits into memory")
}
