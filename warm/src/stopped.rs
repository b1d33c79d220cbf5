//! What a core that does not run is to find in its retention file when it starts: what the other node's core has told meanwhile.
//!
//! A core that was away begins with what it remembered then. Where the other node was in charge since, its book says more.
//! A recovery that is owed is left to the take-over, since the core needs the result once more for it.

use std::fmt;
use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::inherit::{Inheritance, inherit};
use book::{Authority, Book};
use failover::Amend;
use nagios::memory::States;
use nagios::retention::{Patch, Scope, rewrite};
use nagios::status::{StatusError, StatusReader};
use nagios::{Memory, Object};
use tokio::sync::watch;

use crate::sides::Sides;
use crate::takeover::knowledge::memories;
use crate::takeover::plan::Plan;

/// How often a file is compared with a book that changes. 100,000 objects take half a second.
const COMPARE_EVERY: Duration = Duration::from_secs(10);

/// A core that may not run.
pub struct Stopped {
    sides: Arc<Sides>,
    changes: watch::Receiver<u64>,
    compared: Option<Instant>,
}

impl Stopped {
    /// The one of this node.
    pub fn new(sides: Arc<Sides>) -> Self {
        let mut changes = sides.shelves.changes();
        changes.mark_changed();
        Self { sides, changes, compared: None }
    }
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopped").finish_non_exhaustive()
    }
}

impl Amend for Stopped {
    fn is_due(&mut self) -> bool {
        self.changes.has_changed().unwrap_or(false) && self.compared.is_none_or(|at| at.elapsed() >= COMPARE_EVERY)
    }

    fn amend(&mut self, file: &mut dyn Read) -> Option<Vec<u8>> {
        self.changes.mark_unchanged();
        self.compared = Some(Instant::now());
        self.sides.authority().filter(|authority| *authority != Authority::Nothing)?;
        let mut full = Vec::new();
        let read = file.read_to_end(&mut full).map_err(|source| StatusError::Io { line: 0, source });
        let amended = read.and_then(|_| {
            // The book is locked only while it is compared.
            let plan = |own: &_| self.sides.compare(|_, shelf, authority| plan(shelf.book(), own, authority));
            amended(&full, |own| plan(own).unwrap_or_default())
        });
        match amended {
            Ok(Some((objects, amended))) => {
                tracing::info!(
                    objects,
                    "the core that does not run remembers what the other node has told, once it starts"
                );
                Some(amended)
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "the core that does not run starts with what it remembered itself");
                None
            }
        }
    }
}

type Memories = std::collections::BTreeMap<Object, Memory>;

fn plan(book: &Book, own: &Memories, authority: Authority) -> Plan {
    let mut plan = Plan::of_book(book, own, authority);
    plan.patches.retain(|object, _| !plan.owed.contains(object));
    if authority == Authority::Inherit {
        plan.patches.extend(forgotten(book, own));
    }
    plan
}

/// Of objects that had other results since, the core is to forget whom it told of what: it gets to know with these results what
/// the other one told, but a running core never forgets that it told something, and would tell a recovery twice.
fn forgotten(book: &Book, own: &Memories) -> impl Iterator<Item = (Object, Patch)> {
    book.entries().filter_map(|(object, entry)| {
        let own = own.get(object)?;
        let is_behind = inherit(&entry.memory, own) == Inheritance::Behind;
        let has_told = !own.notified_on.is_empty() || own.notifications > 0;
        let memory = Memory { notified_on: States::default(), notifications: 0, last_notification: 0, ..own.clone() };
        (is_behind && has_told).then(|| (object.clone(), Patch { memory, scope: Scope::Notifications }))
    })
}

/// The file with what `plan` makes of it, and how many objects that concerns; none if it is right as it is.
fn amended(full: &[u8], plan: impl FnOnce(&Memories) -> Plan) -> Result<Option<(usize, Vec<u8>)>, StatusError> {
    let Plan { patches, .. } = plan(&memories(&mut StatusReader::new(full))?);
    if patches.is_empty() {
        return Ok(None);
    }
    let mut amended = Cursor::new(Vec::with_capacity(full.len()));
    rewrite(full, &mut amended, |object, _| patches.get(object).cloned())?;
    Ok(Some((patches.len(), amended.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::{Change, Entry, Record};
    use nagios::HostName;

    const FULL: &str = "info {\ncreated=9\n}\nprogram {\nenable_notifications=1\n}\nhost {\nhost_name=web\nhas_been_checked=1\n\
                        current_state=1\nstate_type=1\nlast_check=90\nnotified_on_down=0\ncurrent_notification_number=0\n}\n\
                        host {\nhost_name=owed\nhas_been_checked=1\ncurrent_state=0\nstate_type=1\nlast_check=95\n}\n";

    fn book() -> Book {
        let mut book = Book::default();
        for name in ["web", "owed"] {
            let (notified_on, notifications) = (States::only(1), 3);
            let memory =
                Memory { checked: true, state: 1, last_check: 90, notified_on, notifications, ..Memory::default() };
            let entry = Entry { memory, ..Entry::default() };
            let object = Object::Host(HostName::try_from(name).unwrap());
            book.apply(Record::Whole(object, Change::whole(&entry))).unwrap();
        }
        book
    }

    #[test]
    fn a_stopped_core_remembers_what_the_book_says_and_nothing_else_changes() {
        let of_book = |own: &Memories| plan(&book(), own, Authority::Inherit);
        let (objects, amended) = super::amended(FULL.as_bytes(), of_book).unwrap().unwrap();
        let amended = String::from_utf8(amended).unwrap();
        assert_eq!(objects, 1, "a recovery that is owed is not for now");
        assert!(amended.contains("notified_on_down=1\ncurrent_notification_number=3\n"), "{amended}");
        assert!(amended.contains("program {\nenable_notifications=1\n}\n"), "{amended}");
        assert_eq!(super::amended(amended.as_bytes(), of_book).unwrap(), None, "once is enough");
    }

    #[test]
    fn a_stopped_core_forgets_what_it_told_of_what_is_over() {
        let own = FULL.replace(
            "last_check=90\nnotified_on_down=0\ncurrent_notification_number=0",
            "last_check=80\nnotified_on_down=1\ncurrent_notification_number=2",
        );
        let (objects, amended) =
            super::amended(own.as_bytes(), |own| plan(&book(), own, Authority::Inherit)).unwrap().unwrap();
        let amended = String::from_utf8(amended).unwrap();
        assert!(
            objects == 1 && amended.contains("last_check=80\nnotified_on_down=0\ncurrent_notification_number=0\n"),
            "{amended}"
        );
        assert_eq!(super::amended(own.as_bytes(), |own| plan(&book(), own, Authority::Union)).unwrap(), None);
    }
}
