//! What one peer has not been told of a book yet.
//!
//! ```text
//! restart ─▶ Begin ─▶ each object, in its order, and news of those before it ─▶ End ─▶ news
//! ```
//!
//! Whoever changes the book [notes](Feed::note) each record. What is told is what the book says at that moment: of an object
//! that changed often since the last [`Feed::poll`] only the last is told, and only the fields that changed.
//!
//! **Invariant:** a [`Shelf`](crate::Shelf) that takes all that is told, once there is nothing more to tell, is the book.
//!
//! **Invariant:** memory is bounded by the number of objects, however long nobody polls: a name and a few bytes of each.

use std::collections::BTreeMap;
use std::ops::Bound;

use nagios::Object;

use crate::book::Book;
use crate::entry::Change;
use crate::record::Record;

/// What a peer has not been told yet.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    whole: Whole,
    /// What changed of objects that were told already.
    news: BTreeMap<Object, News>,
}

/// How much of the whole book was told.
#[derive(Clone, Debug, Default)]
enum Whole {
    /// Nothing.
    #[default]
    Unbegun,
    /// The objects up to and including this one.
    Told(Option<Object>),
    /// Everything.
    Ended,
}

/// What is to be told of an object.
#[derive(Clone, Copy, Debug)]
enum News {
    /// These fields, by their bits.
    Fields(u32),
    /// All of it, since the peer may not know it.
    All,
}

/// What is to be told next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Telling {
    /// The whole book follows.
    Begin,
    /// What is known of an object, or what changed.
    Record(Box<Record>),
    /// The whole book was told.
    End,
}

impl Feed {
    /// The book has changed like this.
    pub fn note(&mut self, record: &Record) {
        let object = record.object();
        if !self.was_told(object) {
            return;
        }
        let news = match record {
            Record::Changed(_, change) => News::Fields(change.fields()),
            Record::Whole(..) | Record::Gone(_) => News::All,
        };
        match self.news.get_mut(object) {
            Some(known) => *known = known.and(news),
            None => drop(self.news.insert(object.clone(), news)),
        }
    }

    /// The peer knows nothing any more: the whole book is told again.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// Whether everything was told.
    pub fn is_done(&self) -> bool {
        matches!(self.whole, Whole::Ended) && self.news.is_empty()
    }

    /// What to tell next; none if the peer knows all that `book` says. News come before what is left of the whole.
    pub fn poll(&mut self, book: &Book) -> Option<Telling> {
        if matches!(self.whole, Whole::Unbegun) {
            self.whole = Whole::Told(None);
            return Some(Telling::Begin);
        }
        if let Some((object, news)) = self.news.pop_first() {
            return Some(Telling::Record(Box::new(news.of(object, book))));
        }
        let Whole::Told(last) = &mut self.whole else { return None };
        let after = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let Some((object, entry)) = book.entries_from(after).next() else {
            self.whole = Whole::Ended;
            return Some(Telling::End);
        };
        *last = Some(object.clone());
        Some(Telling::Record(Box::new(Record::Whole(object.clone(), Change::whole(entry)))))
    }

    /// Whether the peer may know something of `object`. The others' turn is still to come.
    fn was_told(&self, object: &Object) -> bool {
        match &self.whole {
            Whole::Unbegun | Whole::Told(None) => false,
            Whole::Told(Some(last)) => object <= last,
            Whole::Ended => true,
        }
    }
}

impl News {
    /// What is to be told if `later` happened after this.
    fn and(self, later: Self) -> Self {
        match (self, later) {
            (Self::Fields(fields), Self::Fields(more)) => Self::Fields(fields | more),
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }

    fn of(self, object: Object, book: &Book) -> Record {
        match (self, book.entry(&object)) {
            (_, None) => Record::Gone(object),
            (Self::All, Some(entry)) => Record::Whole(object, Change::whole(entry)),
            (Self::Fields(fields), Some(entry)) => Record::Changed(object, Change::of(entry, fields)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use crate::entry::tests::entry;
    use crate::shelf::Shelf;
    use nagios::{HostName, Memory};
    use proptest::prelude::*;

    fn host(name: &str) -> Object {
        Object::Host(HostName::try_from(name).unwrap())
    }

    fn at(last_check: i64) -> Entry {
        Entry { memory: Memory { checked: true, last_check, ..Memory::default() }, ..Entry::default() }
    }

    fn record(record: Record) -> Option<Telling> {
        Some(Telling::Record(Box::new(record)))
    }

    /// A core's book, the feed of one peer, and that peer.
    #[derive(Default)]
    struct Site {
        book: Book,
        feed: Feed,
        shelf: Shelf,
    }

    impl Site {
        /// The core says this of an object; none if it knows it no more.
        fn set(&mut self, name: &str, entry: Option<&Entry>) {
            let object = host(name);
            let record = match (self.book.entry(&object), entry) {
                (None, None) => return,
                (Some(_), None) => Record::Gone(object),
                (None, Some(new)) => Record::Whole(object, Change::whole(new)),
                (Some(old), Some(new)) => match Change::between(old, new) {
                    Some(change) => Record::Changed(object, change),
                    None => return,
                },
            };
            self.book.apply(record.clone()).unwrap();
            self.feed.note(&record);
        }

        /// Tells the peer the next thing.
        fn tell(&mut self) -> Option<Telling> {
            let told = self.feed.poll(&self.book)?;
            match &told {
                Telling::Begin => self.shelf.begin(),
                Telling::Record(record) => drop(self.shelf.take((**record).clone()).unwrap()),
                Telling::End => drop(self.shelf.end()),
            }
            Some(told)
        }

        fn tell_all(&mut self) -> usize {
            std::iter::from_fn(|| self.tell()).count()
        }

        fn agrees(&self) -> bool {
            self.shelf.is_whole() && self.feed.is_done() && self.shelf.book().entries().eq(self.book.entries())
        }
    }

    #[test]
    fn the_whole_comes_first_and_then_what_changed() {
        let mut site = Site::default();
        site.set("a", Some(&at(1)));
        site.set("b", Some(&at(1)));
        assert_eq!(site.tell(), Some(Telling::Begin));
        assert_eq!(site.tell(), record(Record::Whole(host("a"), Change::whole(&at(1)))));
        site.set("a", Some(&at(2)));
        site.set("b", Some(&at(2)));
        let change = Change::between(&at(1), &at(2)).unwrap();
        assert_eq!(site.tell(), record(Record::Changed(host("a"), change)), "news do not wait");
        assert_eq!(site.tell(), record(Record::Whole(host("b"), Change::whole(&at(2)))));
        assert_eq!(site.tell(), Some(Telling::End));
        assert_eq!(site.tell(), None);
        assert!(site.agrees());
    }

    #[test]
    fn what_changes_often_is_told_once() {
        let mut site = Site::default();
        site.set("a", Some(&at(1)));
        site.tell_all();
        for time in 2..100 {
            site.set("a", Some(&at(time)));
        }
        let attempt = Entry { memory: Memory { attempt: 2, ..at(99).memory }, ..Entry::default() };
        site.set("a", Some(&attempt));
        assert_eq!((site.feed.is_done(), site.tell_all()), (false, 1));
        assert!(site.agrees());
    }

    #[test]
    fn what_goes_and_comes_again_is_told_anew() {
        let mut site = Site::default();
        let acknowledged = Memory { notifications: 7, ..at(1).memory };
        site.set("a", Some(&Entry { memory: acknowledged, ..Entry::default() }));
        site.tell_all();
        site.set("a", None);
        site.set("a", Some(&at(2)));
        site.set("b", Some(&at(2)));
        site.set("b", None);
        assert_eq!(site.tell_all(), 2);
        assert!(site.agrees());
    }

    #[test]
    fn what_went_while_nobody_listened_goes() {
        let mut site = Site::default();
        site.set("a", Some(&at(1)));
        site.set("b", Some(&at(1)));
        site.tell_all();
        site.set("a", None);
        site.feed.restart();
        assert_eq!(site.tell_all(), 3, "begin, b, end");
        assert!(site.agrees());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, Option<Box<Entry>>),
        Tell(u8),
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..8_u8, proptest::option::weighted(0.7, entry())).prop_map(|(name, entry)| Step::Set(name, entry.map(Box::new))),
            4 => (0..6_u8).prop_map(Step::Tell),
            1 => Just(Step::Restart),
        ]
    }

    proptest! {
        /// Whatever happens between polls, restarts in the middle too.
        #[test]
        fn in_the_end_the_peer_knows_the_book(steps in proptest::collection::vec(step(), 0..80)) {
            let mut site = Site::default();
            for step in steps {
                match step {
                    Step::Set(name, entry) => site.set(&format!("h{name}"), entry.as_deref()),
                    Step::Tell(count) => { (0..count).map_while(|_| site.tell()).count(); }
                    Step::Restart => site.feed.restart(),
                }
                prop_assert!(site.feed.news.len() <= 8);
            }
            site.tell_all();
            prop_assert!(site.agrees());
        }
    }
}
