//! What the controller keeps in the state directory.
//!
//! ```text
//! failover.state    the machine, as one line of JSON
//! failover.history  transitions, one line of JSON each, oldest first
//! ```
//!
//! **Invariant:** `failover.state` holds the old snapshot or the new one, whatever happens: it is written beside, synced,
//! renamed, and the directory synced.
//!
//! **Invariant:** the history is bounded: beyond [`HISTORY_LINES`] twice, the older half goes. A line that cannot be read costs
//! itself.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use spool::disk::replace;

use crate::machine::{Snapshot, Transition};

/// How many transitions are remembered.
pub const HISTORY_LINES: usize = 500;

/// The largest file that is read, in bytes. Reasons are an operator's words, and bounded where they come in.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Where the snapshot is.
pub(crate) fn snapshot_path(directory: &Path) -> PathBuf {
    directory.join("failover.state")
}

/// The last snapshot; none if there was never one.
pub(crate) fn read_snapshot(directory: &Path) -> io::Result<Option<Snapshot>> {
    let text = match File::open(snapshot_path(directory)) {
        Ok(file) => io::read_to_string(file.take(MAX_FILE_BYTES))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(serde_json::from_str(&text)?))
}

/// Replaces the snapshot.
pub(crate) fn write_snapshot(directory: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let mut text = serde_json::to_string(snapshot)?;
    text.push('\n');
    replace(&snapshot_path(directory), text.as_bytes())
}

/// The transitions of this node, also those of earlier runs.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    last: VecDeque<Transition>,
    lines: usize,
}

impl History {
    /// Reads what there is.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let mut history = History { path: directory.join("failover.history"), last: VecDeque::new(), lines: 0 };
        let file = match File::open(&history.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(history),
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file.take(MAX_FILE_BYTES)).split(b'\n') {
            if let Ok(transition) = serde_json::from_slice(&line?) {
                history.remember(transition);
            }
            history.lines += 1;
        }
        Ok(history)
    }

    /// The last transitions, oldest first.
    pub(crate) fn last(&self) -> impl DoubleEndedIterator<Item = &Transition> {
        self.last.iter()
    }

    /// Adds one. It is remembered in any case; an error says that it will not outlive the daemon.
    pub(crate) fn append(&mut self, transition: &Transition) -> io::Result<()> {
        self.remember(transition.clone());
        self.lines += 1;
        if self.lines > 2 * HISTORY_LINES {
            let mut text = Vec::new();
            for transition in &self.last {
                put(transition, &mut text)?;
            }
            replace(&self.path, &text)?;
            self.lines = self.last.len();
            return Ok(());
        }
        // A line that a crash cut off is ended first.
        let mut text = if ends_with_a_line(&self.path) { Vec::new() } else { b"\n".to_vec() };
        put(transition, &mut text)?;
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(&text)
    }

    fn remember(&mut self, transition: Transition) {
        if self.last.len() == HISTORY_LINES {
            self.last.pop_front();
        }
        self.last.push_back(transition);
    }
}

fn put(transition: &Transition, out: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, transition)?;
    out.push(b'\n');
    Ok(())
}

fn ends_with_a_line(path: &Path) -> bool {
    use std::os::unix::fs::FileExt as _;
    let last = || {
        let file = File::open(path).ok()?;
        let end = file.metadata().ok()?.len().checked_sub(1)?;
        let mut last = [0];
        file.read_exact_at(&mut last, end).ok()?;
        Some(last[0])
    };
    last().is_none_or(|last| last == b'\n')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::machine::State;

    fn transition(at: i64) -> Transition {
        Transition { from: State::Suspect, to: State::Active, why: "x".repeat(20), at }
    }

    #[test]
    fn the_history_outlives_the_daemon_and_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let mut history = History::open(directory.path()).unwrap();
        for at in 0..2500 {
            history.append(&transition(at)).unwrap();
        }
        let path = directory.path().join("failover.history");
        assert!(fs::read_to_string(&path).unwrap().lines().count() <= 2 * HISTORY_LINES);
        let read = History::open(directory.path()).unwrap();
        assert_eq!(read.last().map(|t| t.at).collect::<Vec<_>>(), (2000..2500).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_cut_anywhere_costs_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("failover.history");
        let mut history = History::open(directory.path()).unwrap();
        history.append(&transition(1)).unwrap();
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            History::open(directory.path()).unwrap().append(&transition(2)).unwrap();
            let read = History::open(directory.path()).unwrap();
            let at: Vec<i64> = read.last().map(|t| t.at).collect();
            // Without its newline alone it is whole.
            assert_eq!(at, if end == whole.len() - 1 { vec![1, 2] } else { vec![2] }, "cut at {end}");
        }
    }

    #[test]
    fn a_snapshot_that_is_damaged_is_an_error_and_a_missing_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read_snapshot(directory.path()).unwrap().is_none());
        fs::write(snapshot_path(directory.path()), "{\"state\":").unwrap();
        assert!(read_snapshot(directory.path()).is_err());
    }
}
