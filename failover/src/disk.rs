//! What the controller keeps in the state directory.
//!
//! ```text
//! failover.state    the machine, as one line of JSON
//! failover.events   what event handlers told while no daemon took it, as one line of JSON; counts where it is newer
//! failover.history  transitions, one line of JSON each, oldest first
//! ```
//!
//! **Invariant:** `failover.state` and `failover.events` hold the old content or the new one, whatever happens: they are written
//! beside, synced, renamed, and the directory synced. The daemon writes the one, event handlers write the other, in turns.
//!
//! **Invariant:** the history is bounded: beyond [`HISTORY_LINES`] twice, the older half goes. A line that cannot be read costs
//! itself.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use spool::disk::replace;

use crate::machine::{Events, Now, Snapshot, Transition};

/// How many transitions are remembered.
pub const HISTORY_LINES: usize = 500;

/// The largest file that is read, in bytes. Reasons are an operator's words, and bounded where they come in.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Where the snapshot is.
pub(crate) fn snapshot_path(directory: &Path) -> PathBuf {
    directory.join("failover.state")
}

/// Where event handlers note what they told nobody.
pub(crate) fn events_path(directory: &Path) -> PathBuf {
    directory.join("failover.events")
}

/// The last snapshot, with what event handlers told later; none if there was never either. What is damaged is as if it were
/// not there, since it is worth less than a node that goes on.
pub(crate) fn read_state(directory: &Path) -> io::Result<Option<Snapshot>> {
    let snapshot: Option<Snapshot> = read(&snapshot_path(directory))?;
    let Some(events) = read::<Events>(&events_path(directory))? else { return Ok(snapshot) };
    let snapshot = snapshot.unwrap_or_else(|| Snapshot::beginning(Now::read().wall.seconds()));
    Ok(Some(snapshot.with_later_events(events)))
}

/// Leaves `events` to the next daemon. The caller has its [`turn`].
pub(crate) fn note_events(directory: &Path, events: Events) -> io::Result<()> {
    replace(&events_path(directory), serde_json::to_string(&events)?.as_bytes())
}

/// Waits until no other event handler reads and writes here. Its end is the end of the turn.
pub(crate) fn turn(directory: &Path) -> io::Result<File> {
    let directory = File::open(directory)?;
    directory.lock()?;
    Ok(directory)
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let text = match File::open(path) {
        Ok(file) => io::read_to_string(file.take(MAX_FILE_BYTES)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match text.and_then(|text| Ok(serde_json::from_str(&text)?)) {
        Ok(content) => Ok(Some(content)),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            tracing::error!(file = %path.display(), %error, "the file is damaged: going on as if it were not there");
            Ok(None)
        }
        Err(error) => Err(error),
    }
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
    use crate::event::Event;
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
    fn what_is_damaged_or_missing_is_none_and_the_later_events_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(read_state(path).unwrap().is_none());
        fs::write(snapshot_path(path), "{\"state\":").unwrap();
        assert!(read_state(path).unwrap().is_none());
        let told = |event, us| {
            let mut events = Events::default();
            events.take(event, Now { wall: nagios::Timestamp::from_micros(us), ..Now::read() });
            events
        };
        note_events(path, told(Event::ProcessCritical, 5)).unwrap();
        assert!(read_state(path).unwrap().unwrap().events().fail());
        let snapshot = |us| Snapshot::beginning(0).with_later_events(told(Event::ProcessOk, us));
        write_snapshot(path, &snapshot(6)).unwrap();
        assert!(!read_state(path).unwrap().unwrap().events().fail(), "the daemon was told later");
        write_snapshot(path, &snapshot(4)).unwrap();
        assert!(read_state(path).unwrap().unwrap().events().fail(), "the daemon was told before");
        fs::write(events_path(path), "{}{").unwrap();
        assert!(!read_state(path).unwrap().unwrap().events().fail());
    }
}
