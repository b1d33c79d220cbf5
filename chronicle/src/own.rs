//! What is known of this node's core, and whom it concerns.
//!
//! **Invariant:** every record that changes the book goes to every feed, under the same lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use book::book::Shown;
use book::shelf::Heading;
use book::{Activity, Book, Feed, Record};
use nagios::log::Notification;
use nagios::{Memory, Object};
use tokio::sync::{Notify, watch};

/// What is known of this node's core.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// What it remembers of each object.
    pub book: Book,
    /// When it started, in Unix seconds; 0: not known.
    pub program_start: i64,
    /// When the newest status file that was read to its end was written, in Unix seconds; 0: none was.
    pub created: i64,
    /// Whether it notifies, by that file.
    pub notifies: Option<bool>,
    /// When it notified last, by all of them, those of earlier processes too; none if it never did.
    pub activity: Option<Activity>,
}

/// A status file that was read to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// When it was written, in Unix seconds; 0: there was none yet.
    pub created: i64,
    /// When the core started, in Unix seconds; 0: not known.
    pub program_start: i64,
    /// Whether the core notifies.
    pub notifies: Option<bool>,
    /// How many were read before it, and it.
    pub number: u64,
}

/// What the follower and everybody else share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    known: Mutex<Known>,
    pub(crate) pictures: watch::Sender<Picture>,
    is_stopped: Mutex<bool>,
    stopped: Condvar,
}

/// What is known, and who is to be told of it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) own: Own,
    /// Whether the core notified by the status file before the next one, be it one that an earlier process read.
    pub(crate) notified: Option<bool>,
    pub(crate) listeners: BTreeMap<u64, Listener>,
    next_listener: u64,
}

/// One peer.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    pub(crate) feed: Feed,
    /// The last heading that it was told.
    pub(crate) heading: Option<Heading>,
    pub(crate) news: Arc<Notify>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stop(&self) {
        *self.is_stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.notify_all();
    }

    /// Waits for `time`, and says whether to stop, then at once.
    pub(crate) fn is_stopped_within(&self, time: Duration) -> bool {
        let is_stopped = self.is_stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopped.wait_timeout_while(is_stopped, time, |is_stopped| !*is_stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Known {
    /// One more peer is to be told; the number by which it is known.
    pub(crate) fn add_listener(&mut self, listener: Listener) -> u64 {
        let number = self.next_listener;
        self.next_listener += 1;
        self.listeners.insert(number, listener);
        number
    }

    /// What the status file and the log have shown so far.
    pub(crate) fn heading(&self) -> Heading {
        let Own { program_start, created, notifies, .. } = self.own;
        Heading { program_start, created, notifies }
    }

    /// The log told of a notification.
    pub(crate) fn handle_notification(&mut self, told: &Notification<'_>) {
        let record = self.own.book.handle_notification(told);
        self.tell(record);
    }

    /// The next part of a status file.
    pub(crate) fn handle_shown(&mut self, part: &mut Vec<Shown>) {
        let Self { own, listeners, .. } = self;
        let mut is_news = false;
        for record in part.drain(..).filter_map(|shown| own.book.handle_shown(shown)) {
            listeners.values_mut().for_each(|listener| listener.feed.note(&record));
            is_news = true;
        }
        if is_news {
            self.wake();
        }
    }

    /// The next part of a retention file.
    pub(crate) fn handle_saved(&mut self, part: &mut Vec<(Object, Memory)>) {
        let records: Vec<Record> =
            part.drain(..).filter_map(|(object, saved)| self.own.book.recall(&object, &saved)).collect();
        self.tell(records);
    }

    /// A status file was read to its end.
    pub(crate) fn handle_picture(&mut self, picture: &Picture) {
        let records = self.own.book.end_picture();
        let own = &mut self.own;
        own.activity = Activity::after(own.activity, self.notified, picture.notifies, picture.created);
        self.notified = picture.notifies;
        (own.program_start, own.created, own.notifies) = (picture.program_start, picture.created, picture.notifies);
        self.tell(records);
        self.wake();
    }

    fn tell(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            self.listeners.values_mut().for_each(|listener| listener.feed.note(&record));
            self.wake();
        }
    }

    fn wake(&self) {
        self.listeners.values().for_each(|listener| listener.news.notify_one());
    }
}
