//! All entries, kept up to date.
//!
//! On a master the book follows its core: [`Book::begin_picture`], [`Book::handle_block`] for each block of a status file and
//! [`Book::end_picture`] compare it with the core, as slowly as the caller likes, and [`Book::handle_notification`] takes what
//! the log tells at once. Each gives the [`Record`]s that bring another book up to date. On a standby, [`Book::apply`] takes
//! those.
//!
//! A core logs a notification when it has one, and writes its status file some seconds later. So the log tells not only whom the
//! core notified: it tells the state too, and that it is HARD.
//!
//! **Invariant:** what the log told is not taken back by a status file that was written in the same second or before, and is not
//! counted again if it comes after a status file that knows of it.
//!
//! **Invariant:** of a problem that somebody was told of, and that ended while the core did not notify, the states that were
//! notified and the number of notifications stay in the book: its recovery is owed. They go when somebody is told of it, when the
//! object has another problem, and when the core notifies again.
//!
//! **Invariant:** records that are applied in their order make the same book. Whoever missed one gets [`Book::whole`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use nagios::log::{Notification, NotificationKind};
use nagios::memory::States;
use nagios::remark::{Comment, Downtime};
use nagios::status::{Block, BlockKind};
use nagios::{Memory, Object, StateType};

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
    /// Those with comments or downtimes; perhaps some more.
    remarked: BTreeSet<Object>,
    picture: Picture,
    left_out: u64,
}

/// An entry, and how it came to be.
#[derive(Clone, Debug, Default)]
struct Page {
    entry: Entry,
    /// The picture that showed it last.
    picture: u64,
    /// When that was written.
    shown_at: i64,
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
    /// Whether the core did not notify then. It says so before it shows any object.
    is_silent: bool,
    /// How many objects it has shown so far.
    objects: usize,
    remarks: BTreeMap<Object, (Vec<Comment>, Vec<Downtime>)>,
}

/// What a block of a status file shows, understood: whoever shares a book does that without it.
#[derive(Clone, Debug)]
pub struct Shown(Content);

#[derive(Clone, Debug)]
enum Content {
    /// Whether the core notifies.
    Program(Option<bool>),
    Memory(Object, Memory),
    Comment(Object, Comment),
    Downtime(Object, Downtime),
    /// Its names are none that a command file could carry.
    Nameless,
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

impl Shown {
    /// What `block` shows; none if the book has no use for it.
    pub fn of(block: &Block<'_>) -> Option<Self> {
        let content = match block.kind() {
            BlockKind::Host | BlockKind::Service => {
                block.memory().zip(block.object().ok()).map(|(memory, object)| Content::Memory(object, memory))
            }
            BlockKind::HostComment | BlockKind::ServiceComment => {
                block.comment().zip(block.object().ok()).map(|(comment, object)| Content::Comment(object, comment))
            }
            BlockKind::HostDowntime | BlockKind::ServiceDowntime => {
                block.downtime().zip(block.object().ok()).map(|(downtime, object)| Content::Downtime(object, downtime))
            }
            BlockKind::Program => Some(Content::Program(block.program_status()?.enable_notifications())),
            BlockKind::Info | BlockKind::Contact | BlockKind::Other => return None,
        };
        Some(Self(content.unwrap_or(Content::Nameless)))
    }
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
                self.remarked.remove(&object);
            }
            Record::Changed(object, change) => {
                let page = self.pages.get_mut(&object).ok_or(ApplyError::UnknownObject)?;
                change.apply(&mut page.entry);
                self.note_remarks(&object);
            }
            Record::Whole(object, change) => {
                if self.pages.len() >= MAX_OBJECTS && !self.pages.contains_key(&object) {
                    return Err(ApplyError::Full);
                }
                let mut entry = Entry::default();
                change.apply(&mut entry);
                self.pages.entry(object.clone()).or_default().entry = entry;
                self.note_remarks(&object);
            }
        }
        Ok(())
    }

    /// A status file is going to be read that was written at `created`, in Unix seconds. One that was not read to its end
    /// counts as never begun.
    pub fn begin_picture(&mut self, created: i64) {
        self.picture = Picture { number: self.picture.number + 1, created, ..Picture::default() };
    }

    /// Takes a block of it.
    pub fn handle_block(&mut self, block: &Block<'_>) -> Option<Record> {
        self.handle_shown(Shown::of(block)?)
    }

    /// Takes what a block of it shows. Hosts and services give their record at once, comments and downtimes at the end.
    pub fn handle_shown(&mut self, shown: Shown) -> Option<Record> {
        match shown.0 {
            Content::Program(notifies) => {
                self.picture.is_silent = notifies == Some(false);
                None
            }
            Content::Memory(object, memory) => self.handle_memory(object, memory),
            Content::Comment(object, comment) => {
                let (comments, _) = self.picture.remarks.entry(object).or_default();
                comments.push(comment);
                limit(comments, |comment| comment.id);
                None
            }
            Content::Downtime(object, downtime) => {
                let (_, downtimes) = self.picture.remarks.entry(object).or_default();
                downtimes.push(downtime);
                limit(downtimes, |downtime| downtime.id);
                None
            }
            Content::Nameless => {
                self.left_out += 1;
                None
            }
        }
    }

    /// The status file ended: what it did not show is gone. This takes as long as there are remarks; only when something is gone,
    /// as long as there are objects.
    pub fn end_picture(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        let Picture { number, objects, mut remarks, .. } = std::mem::take(&mut self.picture);
        self.picture.number = number;
        if objects < self.pages.len() {
            let gone = self.pages.extract_if(.., |_, page| page.picture != number);
            records.extend(gone.map(|(object, _)| Record::Gone(object)));
        }
        let mut remarked = std::mem::take(&mut self.remarked);
        remarked.extend(remarks.keys().cloned());
        for object in remarked {
            let Some(page) = self.pages.get_mut(&object) else { continue };
            let (comments, downtimes) = remarks.remove(&object).unwrap_or_default();
            let new = Entry { comments, downtimes, ..Entry::default() };
            let entry = &mut page.entry;
            let (comments, downtimes) = (std::mem::take(&mut entry.comments), std::mem::take(&mut entry.downtimes));
            let old = Entry { comments, downtimes, ..Entry::default() };
            records.extend(Change::between(&old, &new).map(|change| Record::Changed(object.clone(), change)));
            (entry.comments, entry.downtimes) = (new.comments, new.downtimes);
            self.note_remarks(&object);
        }
        records
    }

    /// The log tells of a notification. An object that no status file has shown yet is passed over: the first one will.
    pub fn handle_notification(&mut self, told: &Notification<'_>) -> Option<Record> {
        let page = self.pages.get_mut(&told.object)?;
        let is_problem = match told.kind {
            NotificationKind::Problem => true,
            NotificationKind::Recovery => false,
            NotificationKind::Acknowledgement
            | NotificationKind::FlappingStart
            | NotificationKind::FlappingStop
            | NotificationKind::FlappingDisabled
            | NotificationKind::DowntimeStart
            | NotificationKind::DowntimeEnd
            | NotificationKind::DowntimeCancelled
            | NotificationKind::Custom => return None,
        };
        let mut entry = page.entry.clone();
        if told.time < page.shown_at {
            recall(told, &mut entry.memory);
        } else if is_problem {
            page.tell_problem(told, &mut entry.memory);
        } else {
            page.tell_recovery(told, &mut entry.memory);
        }
        let change = Change::between(&page.entry, &entry)?;
        page.entry = entry;
        Some(Record::Changed(told.object.clone(), change))
    }

    /// The core's retention file says this of an object that a status file has shown: of a problem that lasts, it knows all states
    /// that somebody was told of.
    pub fn recall(&mut self, object: &Object, saved: &Memory) -> Option<Record> {
        let page = self.pages.get_mut(object)?;
        let memory = &page.entry.memory;
        let lasts = memory.is_problem() && saved.is_problem() && memory.last_times[0] == saved.last_times[0];
        if !lasts || memory.notifications == 0 {
            return None;
        }
        let notified_on = memory.notified_on.union(saved.notified_on);
        let memory = Memory { notified_on, ..memory.clone() };
        let change = Change::between(&page.entry, &Entry { memory, ..page.entry.clone() })?;
        page.entry.memory.notified_on = notified_on;
        Some(Record::Changed(object.clone(), change))
    }

    /// Remembers which objects have remarks.
    fn note_remarks(&mut self, object: &Object) {
        let entry = self.entry(object);
        if entry.is_some_and(|entry| !entry.comments.is_empty() || !entry.downtimes.is_empty()) {
            self.remarked.insert(object.clone());
        }
    }

    fn handle_memory(&mut self, object: Object, shown: Memory) -> Option<Record> {
        if let Some(page) = self.pages.get_mut(&object) {
            self.picture.objects += usize::from(page.picture != self.picture.number);
            page.picture = self.picture.number;
            page.shown_at = self.picture.created;
            let new = Entry { memory: page.reconcile(shown, &self.picture), ..Entry::default() };
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
        let Picture { number: picture, created: shown_at, .. } = self.picture;
        self.pages.insert(object, Page { entry, picture, shown_at, ..Page::default() });
        self.picture.objects += 1;
        Some(record)
    }
}

impl Page {
    /// The log tells of a problem, later than any status file.
    fn tell_problem(&mut self, told: &Notification<'_>, memory: &mut Memory) {
        let is_another_contact = self
            .told
            .is_some_and(|(time, state)| state == told.state && (0..=ONE_NOTIFICATION).contains(&(told.time - time)));
        let is_shown =
            self.told.is_none() && memory.last_notification >= told.time && memory.notified_on.contains(told.state);
        if !is_another_contact && !is_shown {
            memory.notifications = memory.notifications.saturating_add(1);
        }
        if !is_another_contact {
            self.told = Some((told.time, told.state));
        }
        memory.notified_on = memory.notified_on.union(States::only(told.state));
        self.tell_state(told, memory);
    }

    /// The log tells of a recovery, later than any status file.
    fn tell_recovery(&mut self, told: &Notification<'_>, memory: &mut Memory) {
        (memory.notifications, memory.notified_on) = (0, States::default());
        self.told = None;
        self.tell_state(told, memory);
    }

    /// Nobody is told of what is SOFT, or acknowledged. When it was checked the log does not say.
    fn tell_state(&mut self, told: &Notification<'_>, memory: &mut Memory) {
        (memory.checked, memory.state, memory.last_hard_state) = (true, told.state, told.state);
        (memory.state_type, memory.acknowledgement) = (StateType::Hard, None);
        memory.last_notification = memory.last_notification.max(told.time);
        self.told_at = told.time;
    }

    /// What a status file shows, together with what the log has told.
    fn reconcile(&self, mut shown: Memory, &Picture { created, is_silent, .. }: &Picture) -> Memory {
        let known = &self.entry.memory;
        if self.told_at >= created {
            (shown.notified_on, shown.notifications) = (known.notified_on, known.notifications);
            shown.last_notification = shown.last_notification.max(known.last_notification);
            // Of the same second, it may have been written after the result that the log told of.
            let lacks_result = self.told_at > created || shown.last_check <= known.last_check;
            if lacks_result {
                (shown.checked, shown.state, shown.last_hard_state) = (true, known.state, known.last_hard_state);
                (shown.state_type, shown.acknowledgement) = (known.state_type, known.acknowledgement);
            }
        } else if shown.is_problem() && shown.notifications > 0 {
            // The file implies the present state only; of earlier ones of the same problem the log told.
            let implied = if known.notified_on.is_empty() { shown.notified_on } else { States::default() };
            shown.notified_on = known.notified_on.union(implied);
        } else if is_silent && !shown.is_problem() && !known.notified_on.is_empty() {
            (shown.notified_on, shown.notifications) = (known.notified_on, known.notifications);
        }
        shown
    }
}

/// The log tells of what a status file has counted already: of a problem that lasts, it knows the earlier states, and of one that is
/// over, that somebody was told.
fn recall(told: &Notification<'_>, memory: &mut Memory) {
    if told.kind == NotificationKind::Recovery && !memory.is_problem() {
        (memory.notifications, memory.notified_on) = (0, States::default());
    }
    let lasts = memory.is_problem() && memory.notifications > 0 && memory.last_times[0] <= told.time;
    if lasts && told.kind == NotificationKind::Problem {
        memory.notified_on = memory.notified_on.union(States::only(told.state));
    }
}

#[cfg(test)]
mod tests;
