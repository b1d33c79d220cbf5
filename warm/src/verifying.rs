//! Whether this node's core agrees with the book of the one in charge.
//!
//! Both cores write their status files some seconds apart, and results are on their way from one to the other. So what differs
//! counts only if it differs for as long as that takes, each time that somebody looks.
//!
//! What the other core has told contacts, and this one not, is no difference while this core does not notify: it is given that
//! when it takes over. How many objects that concerns is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use book::verify::{self, Aspect, Report};
use book::{Authority, Shelf};
use chronicle::Own;
use nagios::Object;
use nsca::sealed::NodeName;

use crate::sides::Sides;

/// A book, or a status file of this core, that is older says nothing, in seconds.
pub const MAX_AGE: i64 = 300;

/// How many differences are told.
pub const MAX_LINES: usize = 10_000;

/// Who looks later than this after the look before begins anew.
const LOOKS_WITHIN: Duration = Duration::from_secs(15);

/// What results take from one core's file to the other's, beside the intervals of both files.
const ON_THEIR_WAY: Duration = Duration::from_secs(5);

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether nothing differs, as far as is decided.
    pub agrees: bool,
    /// How many objects differ, and may do so for a moment only.
    pub undecided: usize,
    /// One line for a plugin, with performance data.
    pub line: String,
    /// A line for each object that differs, at most [`MAX_LINES`].
    pub differences: Vec<String>,
}

/// Why nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotTell {
    /// Nobody sends one.
    #[error(
        "no other node has sent its book to this one: look into `understudy status` there, does it send here, sealed?"
    )]
    NoBook,
    /// It is not known whose counts.
    #[error("several nodes send their books here: name the one that counts, node = \"…\" in [failover.heartbeat]")]
    SeveralBooks,
    /// It has not arrived.
    #[error("{0} has not told its whole book yet")]
    NotWhole(NodeName),
    /// The other core shows nothing new.
    #[error("the newest status file in the book of {node} is {age} s old: does its core run, and is it connected?")]
    OldBook {
        /// Whose.
        node: NodeName,
        /// In seconds.
        age: i64,
    },
    /// This core shows nothing.
    #[error("this node's core has written no status file in the last {MAX_AGE} s: does it run?")]
    NoPicture,
    /// There is nothing to agree with.
    #[error("this node's core is the one in charge: ask the daemon of the other one")]
    InCharge,
    /// The daemon is ending.
    #[error("the daemon is ending")]
    Ending,
}

/// What has differed for how long. No I/O.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    since: BTreeMap<Object, Instant>,
    looked: Option<Instant>,
}

impl Patience {
    /// Takes what differs at `now` for less than `patience` out of `report`, and says how many that were.
    fn sift(&mut self, report: &mut Report, patience: Duration, now: Instant) -> usize {
        if self.looked.is_none_or(|looked| now.saturating_duration_since(looked) > LOOKS_WITHIN) {
            self.since.clear();
        }
        self.looked = Some(now);
        let before = std::mem::take(&mut self.since);
        let objects = report.differing.keys().map(|object| (object.clone(), *before.get(object).unwrap_or(&now)));
        self.since = objects.collect();
        let all = report.differing.len();
        report.differing.retain(|object, _| now.saturating_duration_since(self.since[object]) >= patience);
        all - report.differing.len()
    }
}

/// For how long something must differ, beside a core that writes its status file every `status_interval`. The other one's
/// interval is taken to be the same.
pub(crate) fn patience(status_interval: Duration) -> Duration {
    2 * status_interval + ON_THEIR_WAY
}

/// Looks once. With a `patience` of nothing, what differs now differs. Takes as long as it takes to compare all objects.
pub(crate) fn look(
    sides: &Sides,
    known: &mut Patience,
    patience: Duration,
    now: (Instant, i64),
) -> Result<Verified, CannotTell> {
    let Some(peer) = sides.peer() else {
        return Err(if sides.shelves.nodes().is_empty() { CannotTell::NoBook } else { CannotTell::SeveralBooks });
    };
    let is_on_stage = sides.is_on_stage();
    let (instant, unix) = now;
    let verified = sides.compare(|own, shelf, authority| {
        let is_in_charge = authority == Authority::Nothing || is_on_stage;
        is_to_be_told(own, shelf, is_in_charge, &peer, unix)?;
        let mut report =
            verify::compare(shelf.book(), own.book.entries().map(|(object, entry)| (object, &entry.memory)));
        let untold = leave_out_what_is_told_at_a_take_over(&mut report);
        let undecided = known.sift(&mut report, patience, instant);
        Ok(Verified {
            agrees: report.agrees(),
            undecided,
            line: line(&report, untold, unix),
            differences: differences(&report, &peer, shelf, own),
        })
    });
    verified.unwrap_or(Err(CannotTell::NoBook))
}

fn is_to_be_told(own: &Own, shelf: &Shelf, is_in_charge: bool, peer: &NodeName, now: i64) -> Result<(), CannotTell> {
    let age = now - shelf.heading().created;
    match () {
        () if is_in_charge => Err(CannotTell::InCharge),
        () if now - own.created > MAX_AGE => Err(CannotTell::NoPicture),
        () if !shelf.is_whole() => Err(CannotTell::NotWhole(peer.clone())),
        () if age > MAX_AGE => Err(CannotTell::OldBook { node: peer.clone(), age }),
        () => Ok(()),
    }
}

/// How many objects differ in nothing else, too.
fn leave_out_what_is_told_at_a_take_over(report: &mut Report) -> usize {
    let mut untold = 0;
    report.differing.retain(|_, difference| {
        let all = difference.aspects.len();
        difference.aspects.retain(|aspect| *aspect != Aspect::Notifications);
        untold += usize::from(difference.aspects.len() < all);
        !difference.aspects.is_empty()
    });
    untold
}

fn line(report: &Report, untold: usize, now: i64) -> String {
    let mut line = report.plugin_line(now);
    write!(line, " told_at_takeover={untold};;;0").expect("a String takes every write");
    line
}

fn differences(report: &Report, peer: &NodeName, shelf: &Shelf, own: &Own) -> Vec<String> {
    let lines = report.differing.iter().take(MAX_LINES).map(|(object, difference)| {
        let theirs = shelf.book().entry(object).map(|entry| &entry.memory);
        let ours = own.book.entry(object).map(|entry| &entry.memory);
        let aspects = difference.aspects.iter().map(|aspect| {
            format!("{aspect}: {peer} {}, here {}", aspect.value(object, theirs), aspect.value(object, ours))
        });
        // A plugin's text ends at a bar.
        format!("{object}: {}", aspects.collect::<Vec<_>>().join("; ")).replace('|', "/")
    });
    let mut lines: Vec<String> = lines.collect();
    let more = report.differing.len() - lines.len();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::shelf::Heading;
    use book::verify::Difference;
    use book::{Book, Change, Entry, Record};
    use nagios::{HostName, Memory};

    const NOW: i64 = 10_000;

    fn host(name: &str) -> Object {
        Object::Host(HostName::try_from(name).unwrap())
    }

    fn record(name: &str, memory: Memory) -> Record {
        Record::Whole(host(name), Change::whole(&Entry { memory, ..Entry::default() }))
    }

    fn report(names: &[&str], aspects: &[Aspect]) -> Report {
        let difference = Difference { aspects: aspects.to_vec(), last_check: 1 };
        Report { objects: 9, differing: names.iter().map(|name| (host(name), difference.clone())).collect() }
    }

    #[test]
    fn only_what_lasts_differs() {
        let (start, patience, mut known) = (Instant::now(), Duration::from_secs(25), Patience::default());
        let mut look = |seconds, names: &[&str]| {
            let mut report = report(names, &[Aspect::State]);
            let undecided = known.sift(&mut report, patience, start + Duration::from_secs(seconds));
            (report.differing.into_keys().map(|object| object.to_string()).collect::<Vec<_>>(), undecided)
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(look(0, &["a", "b"]), (none.clone(), 2));
        assert_eq!(look(10, &["a"]), (none.clone(), 1));
        assert_eq!(look(20, &["a", "b"]), (none.clone(), 2));
        assert_eq!(look(25, &["a", "b"]), (vec!["a".to_owned()], 1), "b agreed in between");
        assert_eq!(look(41, &["a", "b"]), (none, 2), "nobody knows what was in between");
    }

    #[test]
    fn what_is_told_at_a_take_over_is_counted_and_no_difference() {
        let mut both = report(&["a"], &[Aspect::Notifications]);
        both.differing.extend(report(&["b"], &[Aspect::State, Aspect::Notifications]).differing);
        assert_eq!(leave_out_what_is_told_at_a_take_over(&mut both), 2);
        assert_eq!(both, report(&["b"], &[Aspect::State]));
        let line = line(&both, 2, 60);
        assert!(line.ends_with("|objects=9;;;0 differing=1;0;;0 oldest=59s;;;0 told_at_takeover=2;;;0"), "{line}");
    }

    #[test]
    fn each_difference_says_what_both_cores_have() {
        let mut shelf = Shelf::default();
        let down = Memory { checked: true, state: 1, ..Memory::default() };
        shelf.take(record("a", down.clone())).unwrap();
        shelf.take(record("b", down)).unwrap();
        let mut own = Own { book: Book::default(), ..Own::default() };
        own.book.apply(record("a", Memory { checked: true, downtime_depth: 1, ..Memory::default() })).unwrap();
        let report = verify::compare(shelf.book(), own.book.entries().map(|(object, entry)| (object, &entry.memory)));
        let peer = NodeName::try_from("master").unwrap();
        assert_eq!(
            differences(&report, &peer, &shelf, &own),
            [
                "a: state: master DOWN, here UP; downtime: master in 0, here in 1",
                "b: known: master known, here not known"
            ]
        );
    }

    #[test]
    fn what_is_old_or_not_there_says_nothing() {
        let peer = NodeName::try_from("master").unwrap();
        let shelf = |created, is_whole| {
            let mut shelf = Shelf::default();
            shelf.restore(Heading { created, ..Heading::default() }, None, is_whole);
            shelf
        };
        let own = |created| Own { created, ..Own::default() };
        let tell = |own: &Own, shelf: &Shelf, is_in_charge| is_to_be_told(own, shelf, is_in_charge, &peer, NOW);
        assert_eq!(tell(&own(NOW), &shelf(NOW - MAX_AGE, true), false), Ok(()));
        assert_eq!(tell(&own(NOW), &shelf(NOW, true), true), Err(CannotTell::InCharge));
        assert_eq!(tell(&own(0), &shelf(NOW, true), false), Err(CannotTell::NoPicture));
        assert_eq!(tell(&own(NOW), &shelf(NOW, false), false), Err(CannotTell::NotWhole(peer.clone())));
        let age = MAX_AGE + 1;
        let old = Err(CannotTell::OldBook { node: peer.clone(), age });
        assert_eq!(tell(&own(NOW), &shelf(NOW - age, true), false), old);
    }
}
