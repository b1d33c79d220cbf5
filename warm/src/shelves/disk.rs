//! The directory with a file for each node, and the thread that writes there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nsca::sealed::NodeName;

use super::keeping::{Kept, Work};
use super::{MAX_NODES, Shared, WRITE_WITHIN, lock};
use crate::stored::{self, ReadError};

/// The pause after a write that failed.
const RETRY: Duration = Duration::from_secs(10);

/// What the names of the files end with.
const EXTENSION: &str = "book";

/// The longest part of a file's name that stands for the node's, in bytes.
const MAX_STEM_BYTES: usize = 200;

/// Where the files are.
pub(super) struct Disk {
    directory: PathBuf,
}

/// What the writer waits for.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct State {
    has_work: bool,
    is_ending: bool,
}

impl Disk {
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Disk { directory })
    }

    /// The shelves of earlier runs.
    pub(super) fn read(&self) -> io::Result<BTreeMap<NodeName, Kept>> {
        let mut shelves = BTreeMap::new();
        for file in fs::read_dir(&self.directory)? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                continue;
            }
            match read_file(&path) {
                Ok((node, kept)) if path == self.path(&node) && shelves.len() < MAX_NODES => {
                    shelves.insert(node, kept);
                }
                Ok(_) => {
                    tracing::warn!(file = %path.display(), "the book of another node is under a wrong name: not used");
                }
                Err(error) => tracing::warn!(
                    file = %path.display(), %error,
                    "the book of another node cannot be read: forgotten until that node tells it again"
                ),
            }
        }
        Ok(shelves)
    }

    /// Writes what changes in `shared`, until told to end.
    pub(super) fn start(self, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("books".to_owned()).spawn(move || self.run(&shared))
    }

    fn run(&self, shared: &Shared) {
        let mut is_in_trouble = false;
        loop {
            let is_ending = shared.signal.wait(WRITE_WITHIN);
            let worked = self.write_all(shared);
            match &worked {
                Ok(()) if is_in_trouble => tracing::info!("the books of other nodes are written again"),
                Err((path, error)) if !is_in_trouble => tracing::error!(
                    file = %path.display(), %error,
                    "the book of another node is not written: after a restart of this daemon it is as it was; is the disk full?"
                ),
                Ok(()) | Err(_) => {}
            }
            is_in_trouble = worked.is_err();
            if is_ending {
                return;
            }
            if is_in_trouble {
                shared.signal.pause(RETRY);
                shared.signal.wake();
            }
        }
    }

    /// Goes on after a failure: the first is the one to report.
    fn write_all(&self, shared: &Shared) -> Result<(), (PathBuf, io::Error)> {
        let nodes = shared.nodes().clone();
        let mut failed = Ok(());
        for (name, node) in &nodes {
            let Some(work) = lock(&node.kept).work(name) else { continue };
            let path = self.path(name);
            if let Err(error) = write(&path, &work) {
                lock(&node.kept).failed();
                failed = failed.and(Err((path, error)));
            }
        }
        self.remove_forgotten(shared);
        failed
    }

    /// A node that has no shelf any more has no file either.
    fn remove_forgotten(&self, shared: &Shared) {
        if !shared.has_forgotten.swap(false, Ordering::Relaxed) {
            return;
        }
        let known: Vec<PathBuf> = shared.nodes().keys().map(|name| self.path(name)).collect();
        for file in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let path = file.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) && !known.contains(&path) {
                // It is tried again when the next one is forgotten.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn path(&self, node: &NodeName) -> PathBuf {
        self.directory.join(file_name(node, EXTENSION))
    }
}

/// The name in letters that every file system takes, and for a long one its beginning and a checksum.
pub(crate) fn file_name(node: &NodeName, extension: &str) -> String {
    let mut name = String::new();
    for (at, byte) in node.as_bytes().iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(*byte)),
            b'.' if at > 0 => name.push('.'),
            _ => write!(name, "%{byte:02x}").expect("a String takes every write"),
        }
    }
    if name.len() > MAX_STEM_BYTES {
        name.truncate(MAX_STEM_BYTES);
        write!(name, "~{:08x}", crc32fast::hash(node.as_bytes())).expect("a String takes every write");
    }
    format!("{name}.{extension}")
}

fn read_file(path: &Path) -> Result<(NodeName, Kept), ReadError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let stored = stored::read(file)?;
    if stored.is_cut {
        tracing::warn!(file = %path.display(), "the end of another node's book cannot be read: what came before counts");
    }
    Ok((stored.node, Kept::restored(stored.shelf, (!stored.is_cut).then_some(length))))
}

fn write(path: &Path, work: &Work) -> io::Result<()> {
    match work {
        Work::Replace(bytes) => spool::disk::replace(path, bytes),
        Work::Append(bytes) => {
            let mut file = OpenOptions::new().append(true).open(path)?;
            file.write_all(bytes)?;
            file.sync_data()
        }
    }
}

impl Signal {
    /// There is something to write.
    pub(super) fn wake(&self) {
        let mut state = lock(&self.state);
        if !state.has_work {
            state.has_work = true;
            self.changed.notify_all();
        }
    }

    /// What there is is to be written, and then nothing more.
    pub(super) fn stop(&self) {
        lock(&self.state).is_ending = true;
        self.changed.notify_all();
    }

    /// Waits for work, and then for `patience`, so that more comes together. Whether this is the end.
    fn wait(&self, patience: Duration) -> bool {
        let state = lock(&self.state);
        let state = self.changed.wait_while(state, |state| !state.has_work && !state.is_ending);
        drop(state.unwrap_or_else(PoisonError::into_inner));
        let is_ending = self.pause(patience);
        lock(&self.state).has_work = false;
        is_ending
    }

    /// Waits for `time`, or the end. Whether it is the end.
    fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = lock(&self.state);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.is_ending || left.is_zero() {
                return state.is_ending;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_a_file_of_its_own() {
        let name = |node: &str| file_name(&NodeName::try_from(node).unwrap(), EXTENSION);
        assert_eq!(name("web-1.example.org"), "web-1.example.org.book");
        assert_eq!(name("../x y%"), "%2e.%2fx%20y%25.book");
        let long = ["ä".repeat(127), "ö".repeat(127)].map(|long| name(&long));
        assert!(long.iter().all(|name| name.len() < 255) && long[0] != long[1]);
    }
}
