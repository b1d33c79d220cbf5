//! The book of another node, as it arrives.
//!
//! A session begins with the whole book and goes on with news:
//!
//! ```text
//! begin ─▶ take, take, take, … ─▶ end ─▶ take, take, …
//!          everything it knows     │     what changed
//!                                  └─ what was not named since the beginning is gone
//! ```
//!
//! **Invariant:** what arrived before counts until something newer is known of the same object, or the whole book ended
//! without it. So a node that is told the book again does not forget it meanwhile.
//!
//! **Invariant:** what [`Shelf::take`] and [`Shelf::end`] give, applied in its order to what [`Shelf::book`] was, is what it
//! became. What changes nothing gives nothing, so that a book that is told again costs a disk nothing.
//!
//! **Invariant:** memory is bounded by [`MAX_OBJECTS`] and [`MAX_BYTES`]. What is beyond is refused.

use std::collections::BTreeSet;

use nagios::Object;

use crate::authority::Activity;
use crate::book::{ApplyError, Book};
use crate::entry::{Change, Entry};
use crate::record::Record;

pub use crate::book::MAX_OBJECTS;

/// How many bytes the objects of one shelf may take, about.
pub const MAX_BYTES: usize = 1 << 30;

/// What an object without names and remarks takes, about, in bytes.
const ENTRY_BYTES: usize = 512;

/// What a remark without its text takes, about, in bytes.
const REMARK_BYTES: usize = 128;

/// What another node says of its core, and of how new its book is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// When its core started, in Unix seconds; 0: not known.
    pub program_start: i64,
    /// When the newest status file in its book was written, in Unix seconds; 0: there was none.
    pub created: i64,
    /// Whether its core notifies.
    pub notifies: Option<bool>,
}

/// A record that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    /// It does not fit to what arrived before.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// There are [`MAX_BYTES`].
    #[error("the book is full: its comments and downtimes take too much memory")]
    Full,
}

/// The book of another node.
#[derive(Clone, Debug)]
pub struct Shelf {
    book: Book,
    heading: Heading,
    activity: Option<Activity>,
    /// While the whole is told: what was not named yet.
    unnamed: Option<BTreeSet<Object>>,
    is_whole: bool,
    ends: u64,
    bytes: usize,
    max_bytes: usize,
}

impl Default for Shelf {
    fn default() -> Self {
        Self::with_limit(MAX_BYTES)
    }
}

impl Shelf {
    fn with_limit(max_bytes: usize) -> Self {
        Self {
            book: Book::default(),
            heading: Heading::default(),
            activity: None,
            unnamed: None,
            is_whole: false,
            ends: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// Goes on with what was kept: the records first, with [`Shelf::take`], then this.
    pub fn restore(&mut self, heading: Heading, activity: Option<Activity>, is_whole: bool) {
        (self.heading, self.activity, self.is_whole) = (heading, activity, is_whole);
    }

    /// What the other node knows, as far as it has arrived.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The same, alone.
    pub fn into_book(self) -> Book {
        self.book
    }

    /// What it said last of its core.
    pub fn heading(&self) -> Heading {
        self.heading
    }

    /// When its core notified last, by what it said; none if it never did.
    pub fn activity(&self) -> Option<Activity> {
        self.activity
    }

    /// Whether the whole book has arrived, and nothing was missed since.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// How often the whole book has arrived since the shelf was made.
    pub fn ends(&self) -> u64 {
        self.ends
    }

    /// The other node says how its core is, and how new what follows is.
    pub fn head(&mut self, heading: Heading) {
        self.activity = Activity::after(self.activity, self.heading.notifies, heading.notifies, heading.created);
        self.heading = heading;
    }

    /// The whole book follows.
    pub fn begin(&mut self) {
        self.unnamed = Some(self.book.entries().map(|(object, _)| object.clone()).collect());
        self.is_whole = false;
    }

    /// Takes a record, and gives what it changed, if anything.
    ///
    /// # Errors
    /// It is not taken, and the book is not whole any more.
    pub fn take(&mut self, record: Record) -> Result<Option<Record>, TakeError> {
        let taken = self.try_take(record);
        if taken.is_err() {
            (self.is_whole, self.unnamed) = (false, None);
        }
        taken
    }

    /// The whole book has been told. What it did not name is gone. Says nothing if its beginning was missed, or a part of it.
    pub fn end(&mut self) -> Vec<Record> {
        let Some(unnamed) = self.unnamed.take() else { return Vec::new() };
        self.is_whole = true;
        self.ends += 1;
        let gone = unnamed.into_iter().filter_map(|object| self.try_take(Record::Gone(object)).ok().flatten());
        gone.collect()
    }

    fn try_take(&mut self, record: Record) -> Result<Option<Record>, TakeError> {
        let known = self.book.entry(record.object());
        let (object, new) = match record {
            Record::Gone(object) => {
                let Some(known) = known else { return Ok(None) };
                self.bytes -= bytes(&object, known);
                self.name(&object);
                return self.apply(Record::Gone(object));
            }
            Record::Changed(object, change) => {
                let mut new = known.ok_or(ApplyError::UnknownObject)?.clone();
                change.apply(&mut new);
                (object, new)
            }
            Record::Whole(object, change) => {
                let mut new = Entry::default();
                change.apply(&mut new);
                self.name(&object);
                (object, new)
            }
        };
        let known = self.book.entry(&object);
        let (before, after) = (known.map_or(0, |known| bytes(&object, known)), bytes(&object, &new));
        let total = self.bytes - before + after;
        if after > before && total > self.max_bytes {
            return Err(TakeError::Full);
        }
        let record = match known {
            None => Record::Whole(object, Change::whole(&new)),
            Some(known) => match Change::between(known, &new) {
                Some(change) => Record::Changed(object, change),
                None => return Ok(None),
            },
        };
        let applied = self.apply(record)?;
        self.bytes = total;
        Ok(applied)
    }

    fn apply(&mut self, record: Record) -> Result<Option<Record>, TakeError> {
        self.book.apply(record.clone())?;
        Ok(Some(record))
    }

    fn name(&mut self, object: &Object) {
        if let Some(unnamed) = &mut self.unnamed {
            unnamed.remove(object);
        }
    }
}

/// What an object takes in memory, about.
fn bytes(object: &Object, entry: &Entry) -> usize {
    let names = object.host().as_bytes().len() + object.service().map_or(0, |service| service.as_bytes().len());
    let text = |author: &nagios::remark::RemarkText, text: &nagios::remark::RemarkText| {
        REMARK_BYTES + author.as_bytes().len() + text.as_bytes().len()
    };
    let comments = entry.comments.iter().map(|comment| text(&comment.author, &comment.text));
    let downtimes = entry.downtimes.iter().map(|downtime| text(&downtime.author, &downtime.text));
    ENTRY_BYTES + names + comments.chain(downtimes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::entry;
    use nagios::remark::{Comment, CommentKind, RemarkText};
    use nagios::{HostName, Memory};
    use proptest::prelude::*;

    fn host(name: &str) -> Object {
        Object::Host(HostName::try_from(name).unwrap())
    }

    fn at(last_check: i64) -> Entry {
        Entry { memory: Memory { checked: true, last_check, ..Memory::default() }, ..Entry::default() }
    }

    fn whole(name: &str, last_check: i64) -> Record {
        Record::Whole(host(name), Change::whole(&at(last_check)))
    }

    fn changed(name: &str, from: i64, to: i64) -> Record {
        Record::Changed(host(name), Change::between(&at(from), &at(to)).unwrap())
    }

    fn seen(shelf: &Shelf) -> Vec<(String, i64)> {
        shelf.book().entries().map(|(object, entry)| (object.to_string(), entry.memory.last_check)).collect()
    }

    fn seen_as(all: &[(&str, i64)]) -> Vec<(String, i64)> {
        all.iter().map(|(name, time)| (host(name).to_string(), *time)).collect()
    }

    fn told(shelf: &mut Shelf, records: Vec<Record>) -> Vec<Record> {
        records.into_iter().filter_map(|record| shelf.take(record).unwrap()).collect()
    }

    #[test]
    fn what_the_whole_book_does_not_name_is_gone_at_its_end() {
        let mut shelf = Shelf::default();
        assert!(!shelf.is_whole());
        shelf.begin();
        assert_eq!(told(&mut shelf, vec![whole("a", 1), whole("b", 1)]), [whole("a", 1), whole("b", 1)]);
        assert!(!shelf.is_whole(), "there may be more");
        assert_eq!(shelf.end(), []);
        assert!(shelf.is_whole());
        assert_eq!(told(&mut shelf, vec![changed("a", 1, 2)]), [changed("a", 1, 2)]);

        shelf.begin();
        assert!(!shelf.is_whole());
        // Each gives the difference only.
        assert_eq!(told(&mut shelf, vec![whole("b", 1), whole("c", 3)]), [whole("c", 3)]);
        assert_eq!(seen(&shelf), seen_as(&[("a", 2), ("b", 1), ("c", 3)]), "what was known counts until the end");
        assert_eq!(shelf.end(), [Record::Gone(host("a"))]);
        assert_eq!(seen(&shelf), seen_as(&[("b", 1), ("c", 3)]));
        assert_eq!((shelf.is_whole(), shelf.ends()), (true, 2));
    }

    #[test]
    fn what_comes_and_goes_while_the_whole_is_told_is_news() {
        let mut shelf = Shelf::default();
        shelf.begin();
        told(&mut shelf, vec![whole("a", 1), changed("a", 1, 2), whole("b", 1), Record::Gone(host("b"))]);
        assert_eq!(shelf.end(), []);
        assert_eq!(seen(&shelf), seen_as(&[("a", 2)]));
        assert_eq!(told(&mut shelf, vec![Record::Gone(host("b"))]), [], "it is gone already");
    }

    #[test]
    fn what_does_not_fit_makes_it_doubtful_until_the_whole_is_told_again() {
        let mut shelf = Shelf::default();
        shelf.begin();
        told(&mut shelf, vec![whole("a", 1)]);
        assert_eq!(shelf.take(changed("b", 0, 1)), Err(TakeError::Apply(ApplyError::UnknownObject)));
        assert_eq!(shelf.end(), []);
        assert!(!shelf.is_whole(), "a part of it was missed");
        assert_eq!(seen(&shelf), seen_as(&[("a", 1)]));
        shelf.begin();
        told(&mut shelf, vec![whole("a", 1)]);
        shelf.end();
        assert!(shelf.is_whole());
        assert!(shelf.take(changed("b", 0, 1)).is_err());
        assert!(!shelf.is_whole());
    }

    #[test]
    fn a_shelf_holds_no_more_than_fits() {
        let long = Comment {
            id: 1,
            kind: CommentKind::User,
            entered: 1,
            persistent: false,
            expires: 0,
            author: RemarkText::new(b"joe"),
            text: RemarkText::new(&[b'x'; 2000]),
        };
        let full = |name| Record::Whole(host(name), Change::whole(&Entry { comments: vec![long.clone()], ..at(1) }));
        let mut shelf = Shelf::with_limit(5000);
        assert!(shelf.take(full("a")).is_ok());
        assert_eq!(shelf.take(full("b")), Err(TakeError::Full));
        assert!(shelf.take(full("a")).is_ok(), "it is there already");
        assert!(shelf.take(Record::Gone(host("a"))).is_ok());
        assert!(shelf.take(full("b")).is_ok(), "there is room again");
    }

    #[test]
    fn headings_tell_when_its_core_notified() {
        let heading = |notifies, created| Heading { program_start: 1, created, notifies: Some(notifies) };
        let mut shelf = Shelf::default();
        assert_eq!(shelf.activity(), None);
        for (notifies, created) in [(false, 100), (true, 110), (true, 120), (false, 130)] {
            shelf.head(heading(notifies, created));
        }
        assert_eq!(shelf.activity(), Some(Activity { since: 110, until: 120 }));
        assert_eq!(shelf.heading(), heading(false, 130));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Begin,
        End,
        Whole(u8, Box<Entry>),
        Gone(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => Just(Step::Begin),
            1 => Just(Step::End),
            6 => (0..6_u8, entry()).prop_map(|(name, entry)| Step::Whole(name, Box::new(entry))),
            2 => (0..6_u8).prop_map(Step::Gone),
        ]
    }

    proptest! {
        /// Whoever applies what it gives has the same book.
        #[test]
        fn what_it_gives_makes_the_same_book(steps in proptest::collection::vec(step(), 0..60)) {
            let (mut shelf, mut copy) = (Shelf::default(), Book::default());
            let name = |number: u8| host(&format!("h{number}"));
            for step in steps {
                let records = match step {
                    Step::Begin => { shelf.begin(); vec![] }
                    Step::End => shelf.end(),
                    Step::Gone(number) => shelf.take(Record::Gone(name(number))).unwrap().into_iter().collect(),
                    Step::Whole(number, entry) => {
                        let record = Record::Whole(name(number), Change::whole(&entry));
                        shelf.take(record).unwrap().into_iter().collect()
                    }
                };
                for record in records {
                    copy.apply(record).unwrap();
                }
                let entries = |book: &Book| book.entries().map(|(o, e)| (o.clone(), e.clone())).collect::<Vec<_>>();
                prop_assert_eq!(entries(shelf.book()), entries(&copy));
                let expected: usize = copy.entries().map(|(object, entry)| bytes(object, entry)).sum();
                prop_assert_eq!(shelf.bytes, expected);
            }
        }
    }
}
