//! A shelf, and what of it the disk does not have yet.

use book::shelf::{Heading, TakeError};
use book::{Record, Shelf};
use nsca::sealed::NodeName;

use super::MIN_REWRITE;
use crate::stored;

/// What waits to be appended is no longer than this, in bytes: beyond, the file is written anew.
const MAX_WAITING: usize = 16 << 20;

/// A shelf, and what of it the disk does not have yet.
#[derive(Default)]
pub(super) struct Kept {
    shelf: Shelf,
    /// Frames to append.
    waiting: Vec<u8>,
    /// The file as it is, if it can be appended to.
    file: Option<File>,
    /// Whether the file lacks something beside what waits.
    is_behind: bool,
}

/// How long a file is, in bytes.
#[derive(Clone, Copy)]
struct File {
    whole: u64,
    appended: u64,
}

/// What is to be done with a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// It becomes this.
    Replace(Vec<u8>),
    /// This is appended.
    Append(Vec<u8>),
}

impl Kept {
    /// What was read from a file that can be appended to, or cannot.
    pub(super) fn restored(shelf: Shelf, length: Option<u64>) -> Self {
        let file = length.map(|whole| File { whole, appended: 0 });
        Self { shelf, waiting: Vec::new(), is_behind: file.is_none(), file }
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    pub(super) fn begin(&mut self) {
        self.shelf.begin();
        self.note_heading();
    }

    pub(super) fn end(&mut self) {
        let gone = self.shelf.end();
        gone.iter().for_each(|record| self.note(record));
        self.note_heading();
    }

    pub(super) fn head(&mut self, heading: Heading) {
        let before = (self.shelf.heading(), self.shelf.activity());
        self.shelf.head(heading);
        if before != (self.shelf.heading(), self.shelf.activity()) {
            self.note_heading();
        }
    }

    pub(super) fn take(&mut self, record: Record) -> Result<(), TakeError> {
        let was_whole = self.shelf.is_whole();
        let taken = self.shelf.take(record);
        match &taken {
            Ok(Some(record)) => self.note(record),
            Ok(None) => {}
            Err(_) if was_whole => self.note_heading(),
            Err(_) => {}
        }
        taken.map(|_| ())
    }

    /// What the disk lacks, if anything. It counts as done unless [`Kept::failed`] says otherwise.
    pub(super) fn work(&mut self, node: &NodeName) -> Option<Work> {
        let waiting = self.waiting.len() as u64;
        let file = self.file.filter(|file| file.appended + waiting <= file.whole.max(MIN_REWRITE));
        if !self.is_behind && waiting == 0 {
            return None;
        }
        let waiting = std::mem::take(&mut self.waiting);
        if let Some(File { whole, appended }) = file.filter(|_| !self.is_behind) {
            self.file = Some(File { whole, appended: appended + waiting.len() as u64 });
            return Some(Work::Append(waiting));
        }
        let bytes = stored::whole(node, &self.shelf);
        self.file = Some(File { whole: bytes.len() as u64, appended: 0 });
        self.is_behind = false;
        Some(Work::Replace(bytes))
    }

    /// What was to be done was not: the file holds nobody knows what.
    pub(super) fn failed(&mut self) {
        (self.file, self.is_behind) = (None, true);
    }

    fn note(&mut self, record: &Record) {
        self.wait(|waiting| stored::put_record(record, waiting));
    }

    fn note_heading(&mut self) {
        let mut frame = Vec::new();
        stored::put_heading(&self.shelf, &mut frame);
        self.wait(|waiting| waiting.extend_from_slice(&frame));
    }

    fn wait(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        if self.file.is_none() || self.is_behind {
            // All of it will be written.
            self.is_behind = true;
            return;
        }
        put(&mut self.waiting);
        if self.waiting.len() > MAX_WAITING {
            (self.waiting, self.is_behind) = (Vec::new(), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::{Change, Entry};
    use nagios::{HostName, Memory, Object};

    fn record(name: &str, last_check: i64) -> Record {
        let memory = Memory { last_check, ..Memory::default() };
        let object = Object::Host(HostName::try_from(name).unwrap());
        Record::Whole(object, Change::whole(&Entry { memory, ..Entry::default() }))
    }

    fn node() -> NodeName {
        NodeName::try_from("m").unwrap()
    }

    /// Does the work on `file`.
    fn write(kept: &mut Kept, file: &mut Vec<u8>) -> &'static str {
        match kept.work(&node()) {
            None => "nothing",
            Some(Work::Replace(bytes)) => {
                *file = bytes;
                "replaced"
            }
            Some(Work::Append(bytes)) => {
                file.extend(bytes);
                "appended"
            }
        }
    }

    fn agrees(kept: &Kept, file: &[u8]) {
        let read = stored::read(file).unwrap();
        assert!(!read.is_cut);
        let entries = |shelf: &Shelf| shelf.book().entries().map(|(o, e)| (o.clone(), e.clone())).collect::<Vec<_>>();
        assert_eq!(entries(&read.shelf), entries(&kept.shelf));
        assert_eq!((read.shelf.heading(), read.shelf.is_whole()), (kept.shelf.heading(), kept.shelf.is_whole()));
    }

    #[test]
    fn the_file_follows_and_what_changes_nothing_costs_nothing() {
        let (mut kept, mut file) = (Kept::default(), Vec::new());
        assert_eq!(write(&mut kept, &mut file), "nothing");
        kept.begin();
        kept.take(record("a", 1)).unwrap();
        assert_eq!(write(&mut kept, &mut file), "replaced", "there was none");
        kept.take(record("b", 1)).unwrap();
        kept.end();
        assert_eq!(write(&mut kept, &mut file), "appended");
        agrees(&kept, &file);
        assert_eq!(write(&mut kept, &mut file), "nothing");
        kept.take(record("a", 1)).unwrap();
        assert_eq!(write(&mut kept, &mut file), "nothing");
        kept.begin();
        kept.take(record("b", 2)).unwrap();
        kept.end();
        kept.head(Heading { program_start: 1, created: 5, notifies: Some(true) });
        assert_eq!(write(&mut kept, &mut file), "appended");
        agrees(&kept, &file);
    }

    #[test]
    fn a_file_does_not_grow_for_ever() {
        let (mut kept, mut file, mut done) = (Kept::default(), Vec::new(), Vec::new());
        for time in 0..60_000 {
            kept.take(record("a", time)).unwrap();
            if time % 1000 == 0 {
                done.push(write(&mut kept, &mut file));
                assert!(file.len() as u64 <= 2 * MIN_REWRITE);
            }
        }
        assert!(done.iter().filter(|done| **done == "replaced").count() > 1);
        write(&mut kept, &mut file);
        agrees(&kept, &file);
    }

    #[test]
    fn after_a_failure_the_file_is_written_anew() {
        let (mut kept, mut file) = (Kept::default(), Vec::new());
        kept.take(record("a", 1)).unwrap();
        write(&mut kept, &mut file);
        kept.take(record("a", 2)).unwrap();
        assert!(matches!(kept.work(&node()), Some(Work::Append(_))));
        kept.failed();
        kept.take(record("b", 2)).unwrap();
        assert_eq!(write(&mut kept, &mut file), "replaced");
        agrees(&kept, &file);
    }
}
