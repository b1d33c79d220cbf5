//! The books of other nodes, in memory and on disk.
//!
//! ```text
//! sessions ─▶ Shelves ─▶ read: mirroring, resynchronisation, take-over, verify
//!                └─ what changed ─▶ writer, at most once a second ─▶ state_directory/books/NODE.book
//! ```
//!
//! **Invariant:** a session never waits for the disk. What is on the disk is [`WRITE_WITHIN`] old, and as much more as the disk
//! takes. Whoever comes back after both nodes died at once finds it there.
//!
//! **Invariant:** bounded by [`MAX_NODES`], each of them by [`book::shelf::MAX_OBJECTS`] and [`book::shelf::MAX_BYTES`], and on
//! the disk by twice what a whole book takes and [`MIN_REWRITE`].

mod books;
mod disk;
mod keeping;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use book::record::RecordError;
use book::shelf::{Heading, TakeError};
use book::{Record, Shelf};
use nsca::sealed::NodeName;
use tokio::sync::watch;

pub(crate) use disk::file_name;
use disk::{Disk, Signal};
use keeping::Kept;

/// How many nodes have a shelf. The one that was not heard of for longest goes first.
pub const MAX_NODES: usize = 16;

/// How long news may wait before they are written.
pub const WRITE_WITHIN: Duration = Duration::from_secs(1);

/// A file is written anew when what was appended is longer than the rest, and than this, in bytes.
pub const MIN_REWRITE: u64 = 1 << 20;

/// The shelves cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot keep the books of other nodes in {}: {error}; the daemon's user must be able to write there", directory.display()
)]
pub struct OpenError {
    directory: PathBuf,
    error: io::Error,
}

/// A record that was not taken. The whole book is needed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Amiss {
    /// It cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It does not fit to what came before, or there is no room for it.
    #[error(transparent)]
    Take(#[from] TakeError),
}

/// What nodes have answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// How many answers there were.
    pub number: u64,
    /// With how many results the last of them came.
    pub shown: u32,
}

/// The books of other nodes. Dropping it writes what is not written yet.
pub struct Shelves {
    shared: Arc<Shared>,
    changes: watch::Sender<u64>,
    answers: watch::Sender<Answers>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What sessions and the writer share.
struct Shared {
    nodes: Mutex<BTreeMap<NodeName, Node>>,
    /// Whether one was forgotten whose file is still there.
    has_forgotten: AtomicBool,
    /// Wakes the writer.
    signal: Signal,
}

#[derive(Clone)]
struct Node {
    kept: Arc<Mutex<Kept>>,
    /// Counts what was heard of any node: which was heard of last.
    heard: u64,
}

impl Shelves {
    /// Reads what earlier runs have kept in `state_directory`. Blocks on the disk.
    ///
    /// # Errors
    /// The directory cannot be made or read. A file that cannot be read is forgotten, and logged.
    pub fn open(state_directory: &Path) -> Result<Arc<Self>, OpenError> {
        let directory = directory(state_directory);
        let failed = |error| OpenError { directory: directory.clone(), error };
        let disk = Disk::open(directory.clone()).map_err(failed)?;
        let nodes = disk.read().map_err(failed)?;
        let nodes = nodes.into_iter().map(|(name, kept)| {
            let heard = 0;
            (name, Node { kept: Arc::new(Mutex::new(kept)), heard })
        });
        let shared = Arc::new(Shared {
            nodes: Mutex::new(nodes.collect()),
            has_forgotten: AtomicBool::new(false),
            signal: Signal::default(),
        });
        let writer = disk.start(shared.clone()).map_err(failed)?;
        Ok(Arc::new(Shelves {
            shared,
            changes: watch::Sender::new(0),
            answers: watch::Sender::default(),
            writer: Mutex::new(Some(writer)),
        }))
    }

    /// Gives the shelf of `node` to `read`, which is to be short: a session may wait for it. None if there is none.
    pub fn read<T>(&self, node: &NodeName, read: impl FnOnce(&Shelf) -> T) -> Option<T> {
        let kept = self.shared.nodes().get(node).map(|node| node.kept.clone())?;
        let kept = lock(&kept);
        Some(read(kept.shelf()))
    }

    /// Those that have a shelf.
    pub fn nodes(&self) -> Vec<NodeName> {
        self.shared.nodes().keys().cloned().collect()
    }

    /// Changes whenever something has arrived from anyone.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Changes whenever a node has answered what was wanted of it.
    pub fn answers(&self) -> watch::Receiver<Answers> {
        self.answers.subscribe()
    }

    /// A node begins its whole book.
    pub fn begin(&self, node: &NodeName) {
        self.with(node, Kept::begin);
    }

    /// A node has told its whole book.
    pub fn end(&self, node: &NodeName) {
        self.with(node, Kept::end);
    }

    /// A node says how its core is, and how new what follows is.
    pub fn head(&self, node: &NodeName, heading: Heading) {
        self.with(node, |kept| kept.head(heading));
    }

    /// A node tells something.
    ///
    /// # Errors
    /// It is not taken: the node is to be asked for the whole book.
    pub fn take(&self, node: &NodeName, record: &[u8]) -> Result<(), Amiss> {
        let record = Record::decode(record)?;
        self.with(node, |kept| kept.take(record))?;
        Ok(())
    }

    /// Writes what is not written yet, and nothing more afterwards. Blocks on the disk.
    pub fn stop(&self) {
        self.shared.signal.stop();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // It does not panic, and if it did there would be nothing to be done.
            let _ = writer.join();
        }
    }

    fn with<T>(&self, node: &NodeName, change: impl FnOnce(&mut Kept) -> T) -> T {
        let kept = self.shared.of(node);
        let changed = change(&mut lock(&kept));
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
        self.shared.signal.wake();
        changed
    }
}

impl Drop for Shelves {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// The shelf of `node`, a new one if need be.
    fn of(&self, name: &NodeName) -> Arc<Mutex<Kept>> {
        let mut nodes = self.nodes();
        let heard = nodes.values().map(|node| node.heard).max().unwrap_or(0) + 1;
        if !nodes.contains_key(name) && nodes.len() >= MAX_NODES {
            let oldest = nodes.iter().min_by_key(|(_, node)| node.heard).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                tracing::warn!(node = %oldest, "more than {MAX_NODES} nodes send their book: this one's is forgotten");
                nodes.remove(&oldest);
                self.has_forgotten.store(true, Ordering::Relaxed);
            }
        }
        let node = nodes.entry(name.clone()).or_insert_with(|| Node { kept: Arc::default(), heard });
        node.heard = heard;
        node.kept.clone()
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeName, Node>> {
        lock(&self.nodes)
    }
}

/// Where files about other nodes are.
pub(crate) fn directory(state_directory: &Path) -> PathBuf {
    state_directory.join("books")
}

/// Nothing that is done under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
