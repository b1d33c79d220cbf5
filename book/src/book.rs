//! All entries, kept up to date.
//!
//! On a master the book follows its core: [`Book::begin_picture`], [`Book::handle_block`] for each block of a status file and
//! [`Book::end_picture`] compare it with the core, as slowly as the caller likes, and [`Book::handle_notification`] takes what
//! the log tells at once. Each gives the [`Record`]s that bring another book up to date. On a standby, [`Book::apply`] takes
//! those.
//!
//! **Invariant:** what the log told is not taken back by a status file that was written in the same second or before.
//!
//! **Invariant:** records that are applied in their order make the same book. Whoever missed one gets [`Book::whole`].

use std::collections::BTreeMap;
use std::ops::Bound;

use nagios::log::{Notification, NotificationKind};
use nagios::memory::States;
use nagios::remark::{Comment, Downtime};
use nagios::status::Block;
use nagios::{Memory, Object};

use crate::entry::{Change, Entry, limit};
use crate::record::Record;

/// How many objects are kept. What is beyond is left out, and counted.
pub const MAX_OBJECTS: usize = 2_000_000;

/// Lines of several contacts that belong to one notification lie at most this far apart, in seconds.
const ONE_NOTIFICATION: i64 = 1;

/// What is known of all objects of a core.
#[derive(Clone, Debug, Default)]
pub struct Book {
    pages: BTreeMap<Object, Page>,
    picture: Picture,
    left_out: u64,
}

/// An entry, and how it came to be.
#[derive(Clone, Debug, Default)]
struct Page {
    entry: Entry,
    /// The picture that showed it last.
    picture: u64,
    /// The problem notification that the log told last: its time and state.
    told: Option<(i64, u8)>,
    /// When the log told the last problem or recovery.
    told_at: i64,
}

/// A status file that is being read.
#[derive(Clone, Debug, Default)]
struct Picture {
    number: u64,
    created: i64,
    remarks: BTreeMap<Object, (Vec<Comment>, Vec<Downtime>)>,
}

/// A record that does not fit to this book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It changes an object that the book does not know: a record before it was missed.
    #[error("the record changes an object that is not in the book: the whole book is needed again")]
    UnknownObject,
    /// There are [`MAX_OBJECTS`].
    #[error("the book is full: it holds {MAX_OBJECTS} objects")]
    Full,
}

impl Book {
    /// What is known of `object`.
    pub fn entry(&self, object: &Object) -> Option<&Entry> {
        self.pages.get(object).map(|page| &page.entry)
    }

    /// All that is known, hosts before their services.
    pub fn entries(&self) -> impl Iterator<Item = (&Object, &Entry)> {
        self.pages.iter().map(|(object, page)| (object, &page.entry))
    }

    /// Those from `start` on.
    pub fn entries_from<'a>(
        &'a self,
        start: Bound<&Object>,
    ) -> impl Iterator<Item = (&'a Object, &'a Entry)> + use<'a> {
        self.pages.range::<Object, _>((start, Bound::Unbounded)).map(|(object, page)| (object, &page.entry))
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// How many blocks were left out because the book is full, or because their names are none.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The records that make this book of an empty one.
    pub fn whole(&self) -> impl Iterator<Item = Record> {
        self.entries().map(|(object, entry)| Record::Whole(object.clone(), Change::whole(entry)))
    }

    /// Takes what another book told.
    ///
    /// # Errors
    /// The record is not taken.
    pub fn apply(&mut self, record: Record) -> Result<(), ApplyError> {
        match record {
            Record::Gone(object) => {
                self.pages.remove(&object);
            }
            Record::Changed(object, change) => {
                let page = self.pages.get_mut(&object).ok_or(ApplyError::UnknownObject)?;
                change.apply(&mut page.entry);
            }
            Record::Whole(object, change) => {
                if self.pages.len() >= MAX_OBJECTS && !self.pages.contains_key(&object) {
                    return Err(ApplyError::Full);
                }
                let mut entry = Entry::default();
                change.apply(&mut entry);
                self.pages.entry(object).or_default().entry = entry;
            }
        }
        Ok(())
    }

    /// A status file is going to be read that was written at `created`, in Unix seconds. One that was not read to its end
    /// counts as never begun.
    pub fn begin_picture(&mut self, created: i64) {
        self.picture = Picture { number: self.picture.number + 1, created, remarks: BTreeMap::new() };
    }

    /// Takes a block of it. Hosts and services give their record at once, comments and downtimes at the end.
    pub fn handle_block(&mut self, block: &Block<'_>) -> Option<Record> {
        if let Some(memory) = block.memory() {
            return self.handle_memory(block, memory);
        }
        let (comment, downtime) = (block.comment(), block.downtime());
        if comment.is_none() && downtime.is_none() {
            return None;
        }
        let Ok(object) = block.object() else {
            self.left_out += 1;
            return None;
        };
        let (comments, downtimes) = self.picture.remarks.entry(object).or_default();
        comments.extend(comment);
        downtimes.extend(downtime);
        limit(comments, |comment| comment.id);
        limit(downtimes, |downtime| downtime.id);
        None
    }

    /// The status file ended: what it did not show is gone.
    pub fn end_picture(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        let Picture { number, mut remarks, .. } = std::mem::take(&mut self.picture);
        self.picture.number = number;
        self.pages.retain(|object, page| {
            if page.picture != number {
                records.push(Record::Gone(object.clone()));
                return false;
            }
            let (comments, downtimes) = remarks.remove(object).unwrap_or_default();
            let new = Entry { comments, downtimes, ..Entry::default() };
            let entry = &mut page.entry;
            let (comments, downtimes) = (std::mem::take(&mut entry.comments), std::mem::take(&mut entry.downtimes));
            let old = Entry { comments, downtimes, ..Entry::default() };
            records.extend(Change::between(&old, &new).map(|change| Record::Changed(object.clone(), change)));
            (entry.comments, entry.downtimes) = (new.comments, new.downtimes);
            true
        });
        records
    }

    /// The log tells of a notification. An object that no status file has shown yet is passed over: the first one will.
    pub fn handle_notification(&mut self, told: &Notification<'_>) -> Option<Record> {
        let page = self.pages.get_mut(&told.object)?;
        let mut entry = page.entry.clone();
        let memory = &mut entry.memory;
        match told.kind {
            NotificationKind::Problem => {
                let is_another_contact = page.told.is_some_and(|(time, state)| {
                    state == told.state && (0..=ONE_NOTIFICATION).contains(&(told.time - time))
                });
                if !is_another_contact {
                    memory.notifications = memory.notifications.saturating_add(1);
                    page.told = Some((told.time, told.state));
                }
                memory.notified_on = memory.notified_on.union(States::only(told.state));
            }
            NotificationKind::Recovery => {
                (memory.notifications, memory.notified_on) = (0, States::default());
                page.told = None;
            }
            NotificationKind::Acknowledgement
            | NotificationKind::FlappingStart
            | NotificationKind::FlappingStop
            | NotificationKind::FlappingDisabled
            | NotificationKind::DowntimeStart
            | NotificationKind::DowntimeEnd
            | NotificationKind::DowntimeCancelled
            | NotificationKind::Custom => return None,
        }
        memory.last_notification = memory.last_notification.max(told.time);
        page.told_at = told.time;
        let change = Change::between(&page.entry, &entry)?;
        page.entry = entry;
        Some(Record::Changed(told.object.clone(), change))
    }

    fn handle_memory(&mut self, block: &Block<'_>, shown: Memory) -> Option<Record> {
        let Ok(object) = block.object() else {
            self.left_out += 1;
            return None;
        };
        if let Some(page) = self.pages.get_mut(&object) {
            page.picture = self.picture.number;
            let new = Entry { memory: page.reconcile(shown, self.picture.created), ..Entry::default() };
            let old = Entry { memory: std::mem::take(&mut page.entry.memory), ..Entry::default() };
            let change = Change::between(&old, &new);
            page.entry.memory = new.memory;
            return change.map(|change| Record::Changed(object, change));
        }
        if self.pages.len() >= MAX_OBJECTS {
            self.left_out += 1;
            return None;
        }
        let entry = Entry { memory: shown, ..Entry::default() };
        let record = Record::Whole(object.clone(), Change::whole(&entry));
        let page = Page { entry, picture: self.picture.number, ..Page::default() };
        self.pages.insert(object, page);
        Some(record)
    }
}

impl Page {
    /// What a status file of `created` shows, together with what the log has told.
    fn reconcile(&self, mut shown: Memory, created: i64) -> Memory {
        let known = &self.entry.memory;
        if self.told_at >= created {
            (shown.notified_on, shown.notifications) = (known.notified_on, known.notifications);
            shown.last_notification = shown.last_notification.max(known.last_notification);
        } else if shown.is_problem() && shown.notifications > 0 {
            // The file implies the present state only; of earlier ones of the same problem the log told.
            let implied = if known.notified_on.is_empty() { shown.notified_on } else { States::default() };
            shown.notified_on = known.notified_on.union(implied);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nagios::log::LogEvent;
    use nagios::status::StatusReader;

    fn service(name: &str, fields: &str) -> String {
        format!("servicestatus {{\n\thost_name=web\n\tservice_description={name}\n\thas_been_checked=1\n{fields}\t}}\n")
    }

    fn critical(number: u32, notified_at: i64) -> String {
        let fields = "\tcurrent_state=2\n\tcurrent_notification_number=";
        service("http", &format!("{fields}{number}\n\tlast_notification={notified_at}\n"))
    }

    /// Shows a status file to `book`, and its records to `mirror`.
    fn show(book: &mut Book, mirror: &mut Book, created: i64, file: &str) -> usize {
        let mut reader = StatusReader::new(file.as_bytes());
        let mut records = Vec::new();
        book.begin_picture(created);
        while let Some(block) = reader.next_block().unwrap() {
            records.extend(book.handle_block(&block));
        }
        records.extend(book.end_picture());
        apply(mirror, records)
    }

    fn tell(book: &mut Book, mirror: &mut Book, line: &str) -> usize {
        let Some(LogEvent::Notification(told)) = LogEvent::parse(line.as_bytes()) else { panic!("{line}") };
        let record = book.handle_notification(&told);
        apply(mirror, record)
    }

    fn apply(mirror: &mut Book, records: impl IntoIterator<Item = Record>) -> usize {
        records.into_iter().map(|record| mirror.apply(record).unwrap()).count()
    }

    fn only(book: &Book) -> &Entry {
        assert_eq!(book.len(), 1);
        book.entries().next().unwrap().1
    }

    #[test]
    fn a_picture_tells_what_is_new_changed_and_gone() {
        let (mut book, mut mirror) = (Book::default(), Book::default());
        let comment =
            "servicecomment {\n\thost_name=web\n\tservice_description=http\n\tcomment_id=1\n\tcomment_data=x\n\t}\n";
        let both = [service("http", ""), service("ftp", ""), comment.to_owned()].concat();
        assert_eq!(show(&mut book, &mut mirror, 1, &both), 3, "two services, and a comment");
        assert_eq!(show(&mut book, &mut mirror, 2, &both), 0, "nothing new");
        assert_eq!(
            show(&mut book, &mut mirror, 3, &[critical(1, 2), comment.to_owned()].concat()),
            2,
            "one changed, one gone"
        );
        assert_eq!(only(&mirror), only(&book));
        assert_eq!((only(&mirror).comments.len(), only(&mirror).memory.notified_on), (1, States::only(2)));
        assert_eq!(show(&mut book, &mut mirror, 4, &critical(1, 2)), 1, "the comment is gone");
        assert!(only(&mirror).comments.is_empty());
    }

    #[test]
    fn an_interrupted_picture_takes_nothing_away() {
        let (mut book, mut mirror) = (Book::default(), Book::default());
        show(&mut book, &mut mirror, 1, &[service("http", ""), service("ftp", "")].concat());
        book.begin_picture(2);
        assert_eq!(show(&mut book, &mut mirror, 3, &[service("http", ""), service("ftp", "")].concat()), 0);
        assert_eq!(book.len(), 2);
    }

    #[test]
    fn the_log_is_ahead_of_the_status_file() {
        let (mut book, mut mirror) = (Book::default(), Book::default());
        show(&mut book, &mut mirror, 100, &critical(0, 0));
        let line = "[105] SERVICE NOTIFICATION: admin;web;http;CRITICAL;mail;bad";
        assert_eq!(tell(&mut book, &mut mirror, line), 1);
        assert_eq!((only(&mirror).memory.notifications, only(&mirror).memory.last_notification), (1, 105));
        assert_eq!(tell(&mut book, &mut mirror, &line.replace("admin", "other")), 0, "another contact");
        // Written in the same second, perhaps before.
        assert_eq!(show(&mut book, &mut mirror, 105, &critical(0, 0)), 0);
        assert_eq!(show(&mut book, &mut mirror, 106, &critical(3, 105)), 1, "the file corrects");
        assert_eq!(only(&mirror).memory.notifications, 3);
        assert_eq!(tell(&mut book, &mut mirror, "[107] SERVICE NOTIFICATION: admin;web;http;OK;mail;good"), 1);
        assert_eq!((only(&mirror).memory.notifications, only(&mirror).memory.notified_on), (0, States::default()));
    }

    #[test]
    fn earlier_states_of_a_problem_are_remembered() {
        let (mut book, mut mirror) = (Book::default(), Book::default());
        show(&mut book, &mut mirror, 100, &critical(0, 0));
        tell(&mut book, &mut mirror, "[105] SERVICE NOTIFICATION: admin;web;http;WARNING;mail;bad");
        tell(&mut book, &mut mirror, "[105] SERVICE NOTIFICATION: admin;web;http;CRITICAL;mail;bad");
        assert_eq!(only(&mirror).memory.notifications, 2);
        show(&mut book, &mut mirror, 110, &critical(2, 105));
        assert_eq!(only(&mirror).memory.notified_on, States::only(1).union(States::only(2)));
        show(&mut book, &mut mirror, 120, &service("http", "\tcurrent_state=0\n"));
        assert!(only(&mirror).memory.notified_on.is_empty(), "the problem is over");
    }

    #[test]
    fn what_is_no_number_changes_nothing() {
        let (mut book, mut mirror) = (Book::default(), Book::default());
        show(&mut book, &mut mirror, 100, &critical(1, 90));
        let line = "[105] SERVICE NOTIFICATION: admin;web;http;ACKNOWLEDGEMENT (CRITICAL);mail;bad;joe;mine";
        assert_eq!(tell(&mut book, &mut mirror, line), 0);
        assert_eq!(tell(&mut book, &mut mirror, "[105] HOST NOTIFICATION: admin;unknown;DOWN;mail;bad"), 0);
    }

    #[test]
    fn a_book_can_be_told_as_a_whole() {
        let (mut book, mut mirror) = (Book::default(), Book::default());
        show(&mut book, &mut mirror, 1, &[critical(1, 90), service("ftp", "")].concat());
        let mut another = Book::default();
        assert_eq!(apply(&mut another, book.whole()), 2);
        assert!(another.entries().eq(book.entries()) && mirror.entries().eq(book.entries()));
        let change = Change::whole(only_of(&book));
        let unknown = Record::Changed(book.entries().next().unwrap().0.clone(), change);
        assert_eq!(Book::default().apply(unknown), Err(ApplyError::UnknownObject));
        assert_eq!((book.left_out(), Book::default().is_empty()), (0, true));
    }

    fn only_of(book: &Book) -> &Entry {
        book.entries().next().unwrap().1
    }
}
