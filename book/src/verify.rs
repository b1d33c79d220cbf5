//! In what a core differs from the book.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use nagios::memory::{Acknowledgement, Switches};
use nagios::{Memory, Object};

use crate::book::Book;

/// How many names the line for a plugin holds.
const NAMES: usize = 3;

/// What is compared, and differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// The core does not know the object, or the master's does not.
    Known,
    /// The state, or whether it was checked at all.
    State,
    /// SOFT or HARD, and of a SOFT state the attempt.
    Course,
    /// Number and states of notifications.
    Notifications,
    /// Whether the problem is acknowledged, and how.
    Acknowledgement,
    /// The number of downtimes that it is in.
    Downtime,
    /// `notifications_enabled`
    NotificationsEnabled,
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known => "known",
            Self::State => "state",
            Self::Course => "state type or attempt",
            Self::Notifications => "notifications",
            Self::Acknowledgement => "acknowledgement",
            Self::Downtime => "downtime",
            Self::NotificationsEnabled => "notifications enabled",
        })
    }
}

impl Aspect {
    /// What a core says of it that remembers `memory` of `object`, for people; none if it does not know the object.
    pub fn value(self, object: &Object, memory: Option<&Memory>) -> String {
        let Some(memory) = memory else { return "not known".to_owned() };
        match self {
            Self::Known => "known".to_owned(),
            Self::State if !memory.checked => "never checked".to_owned(),
            Self::State => state(object, memory.state),
            Self::Course => {
                memory.soft_attempt().map_or_else(|| "HARD".to_owned(), |attempt| format!("SOFT, attempt {attempt}"))
            }
            Self::Notifications => memory.notifications.to_string(),
            Self::Acknowledgement => match memory.acknowledgement {
                None => "none".to_owned(),
                Some(Acknowledgement::Normal) => "normal".to_owned(),
                Some(Acknowledgement::Sticky) => "sticky".to_owned(),
            },
            Self::Downtime => format!("in {}", memory.downtime_depth),
            Self::NotificationsEnabled => if notifies(memory) { "yes" } else { "no" }.to_owned(),
        }
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many objects were compared.
    pub objects: usize,
    /// Those that differ.
    pub differing: BTreeMap<Object, Difference>,
}

/// An object that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In what; never empty.
    pub aspects: Vec<Aspect>,
    /// When it was checked last, by the book if that knows it, in Unix seconds.
    pub last_check: i64,
}

/// Compares what a core shows with the book.
pub fn compare<'a>(book: &Book, shown: impl IntoIterator<Item = (&'a Object, &'a Memory)>) -> Report {
    let mut shown: BTreeMap<&Object, &Memory> = shown.into_iter().collect();
    let mut report = Report::default();
    for (object, entry) in book.entries() {
        let aspects = shown.remove(object).map_or(vec![Aspect::Known], |own| differences(&entry.memory, own));
        report.add(object, aspects, entry.memory.last_check);
    }
    shown.into_iter().for_each(|(object, own)| report.add(object, vec![Aspect::Known], own.last_check));
    report
}

/// In what two memories differ, as far as it decides what is notified.
pub fn differences(book: &Memory, own: &Memory) -> Vec<Aspect> {
    let mut aspects = Vec::new();
    let mut compare = |aspect, same: bool| {
        if !same {
            aspects.push(aspect);
        }
    };
    compare(Aspect::State, (book.checked, book.state) == (own.checked, own.state));
    compare(Aspect::Course, book.soft_attempt() == own.soft_attempt());
    // A core that is fine remembers nothing of what it told; what the book says of that is a recovery that is owed.
    let told = if own.is_problem() { own.notifications } else { 0 };
    compare(Aspect::Notifications, book.notifications == told);
    compare(Aspect::Acknowledgement, book.acknowledgement == own.acknowledgement);
    compare(Aspect::Downtime, book.downtime_depth == own.downtime_depth);
    compare(Aspect::NotificationsEnabled, notifies(book) == notifies(own));
    aspects
}

fn notifies(memory: &Memory) -> bool {
    memory.switches.contains(Switches::NOTIFICATIONS)
}

fn state(object: &Object, state: u8) -> String {
    let name = match (object, state) {
        (Object::Host(_), 0) => "UP",
        (Object::Host(_), 1) => "DOWN",
        (Object::Host(_), 2) => "UNREACHABLE",
        (Object::Service(..), 0) => "OK",
        (Object::Service(..), 1) => "WARNING",
        (Object::Service(..), 2) => "CRITICAL",
        (Object::Service(..), 3) => "UNKNOWN",
        (Object::Host(_) | Object::Service(..), _) => return state.to_string(),
    };
    name.to_owned()
}

impl Report {
    /// Whether nothing differs.
    pub fn agrees(&self) -> bool {
        self.differing.is_empty()
    }

    /// The oldest last check of those that differ, in Unix seconds.
    pub fn oldest(&self) -> Option<i64> {
        self.differing.values().map(|difference| difference.last_check).min()
    }

    /// One line for a plugin to print at `now`, in Unix seconds, with performance data. It exits 0 if [`Report::agrees`], else
    /// 1.
    pub fn plugin_line(&self, now: i64) -> String {
        let differing = self.differing.len();
        let mut line = if self.agrees() {
            format!("OK: {} objects agree with the master's book", self.objects)
        } else {
            format!("WARNING: {differing} of {} objects differ from the master's book: ", self.objects)
        };
        let name = |(object, difference): (&Object, &Difference)| {
            let aspects: Vec<String> = difference.aspects.iter().map(Aspect::to_string).collect();
            // A plugin's text ends at a bar.
            format!("{object} ({})", aspects.join(", ")).replace('|', "/")
        };
        let names: Vec<String> = self.differing.iter().take(NAMES).map(name).collect();
        line.push_str(&names.join(", "));
        if differing > NAMES {
            line.push_str(", …");
        }
        let age = self.oldest().map_or(0, |oldest| now.saturating_sub(oldest).max(0));
        write!(line, "|objects={};;;0 differing={differing};0;;0 oldest={age}s;;;0", self.objects)
            .expect("a String takes every write");
        line
    }

    fn add(&mut self, object: &Object, aspects: Vec<Aspect>, last_check: i64) {
        self.objects += 1;
        if !aspects.is_empty() {
            self.differing.insert(object.clone(), Difference { aspects, last_check });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Change, Entry};
    use crate::record::Record;
    use nagios::HostName;

    fn host(name: &str) -> Object {
        Object::Host(HostName::try_from(name).unwrap())
    }

    fn book(entries: &[(Object, Memory)]) -> Book {
        let mut book = Book::default();
        for (object, memory) in entries {
            let entry = Entry { memory: memory.clone(), ..Entry::default() };
            book.apply(Record::Whole(object.clone(), Change::whole(&entry))).unwrap();
        }
        book
    }

    fn at(last_check: i64) -> Memory {
        Memory { checked: true, last_check, ..Memory::default() }
    }

    #[test]
    fn what_agrees_is_ok() {
        let entries = [(host("a"), at(100)), (host("b"), at(90))];
        // The time of the last check may differ: a check since is no fault.
        let shown = [(host("a"), at(120)), (host("b"), at(90))];
        let report = compare(&book(&entries), shown.iter().map(|(object, memory)| (object, memory)));
        assert!(report.agrees());
        let line = "OK: 2 objects agree with the master's book|objects=2;;;0 differing=0;0;;0 oldest=0s;;;0";
        assert_eq!(report.plugin_line(130), line);
    }

    #[test]
    fn values_are_told_in_the_words_of_the_cores() {
        let service = Object::Service(HostName::try_from("a").unwrap(), "b".try_into().unwrap());
        let memory = Memory { state: 2, attempt: 3, state_type: nagios::StateType::Soft, downtime_depth: 1, ..at(1) };
        let value = |aspect: Aspect, object: &Object| aspect.value(object, Some(&memory));
        assert_eq!(value(Aspect::State, &service), "CRITICAL");
        assert_eq!(value(Aspect::State, &host("a")), "UNREACHABLE");
        assert_eq!(value(Aspect::Course, &service), "SOFT, attempt 3");
        assert_eq!(value(Aspect::Acknowledgement, &service), "none");
        assert_eq!(
            (value(Aspect::Downtime, &service), value(Aspect::Notifications, &service)),
            ("in 1".into(), "0".into())
        );
        assert_eq!(value(Aspect::NotificationsEnabled, &service), "yes");
        assert_eq!(Aspect::Known.value(&service, None), "not known");
        assert_eq!(Aspect::State.value(&service, Some(&Memory::default())), "never checked");
    }

    #[test]
    fn what_differs_is_named() {
        let problem = Memory { state: 1, ..at(100) };
        let entries = [(host("a|b"), problem.clone()), (host("c"), at(90)), (host("d"), at(80)), (host("e"), at(70))];
        let shown = [
            (host("a|b"), Memory { notifications: 1, state_type: nagios::StateType::Soft, ..problem }),
            (host("c"), at(90)),
            (host("x"), at(99)),
        ];
        let report = compare(&book(&entries), shown.iter().map(|(object, memory)| (object, memory)));
        assert_eq!((report.objects, report.differing.len(), report.oldest()), (5, 4, Some(70)));
        assert_eq!(
            report.plugin_line(130),
            "WARNING: 4 of 5 objects differ from the master's book: a/b (state type or attempt, notifications), d (known), \
             e (known), …|objects=5;;;0 differing=4;0;;0 oldest=60s;;;0"
        );
    }
}
