//! What one peer is told.

use std::sync::Arc;

use book::Telling;
use book::shelf::Heading;
use tokio::sync::Notify;

use crate::Chronicle;
use crate::own::Listener;

/// Tells one peer what it does not know yet. Nothing before a status file was read to its end: an empty book is no news.
#[derive(Debug)]
pub struct Subscription {
    chronicle: Chronicle,
    number: u64,
    news: Arc<Notify>,
}

/// What a peer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// How the core is, and how new what it was told is.
    Heading(Part, Heading),
    /// A [`book::Record`], encoded.
    Record(Vec<u8>),
}

/// What a heading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole book follows.
    Begin,
    /// The whole book was told.
    End,
    /// Nothing: everything up to this picture was told.
    News,
}

impl Subscription {
    pub(crate) fn new(chronicle: Chronicle) -> Self {
        let news = Arc::new(Notify::new());
        let listener = Listener { news: Arc::clone(&news), ..Listener::default() };
        let number = chronicle.following.shared.lock().add_listener(listener);
        // What is known already.
        news.notify_one();
        Subscription { chronicle, number, news }
    }

    /// Waits until [`poll`](Self::poll) may have something to tell. May be dropped and called again at any time, but not by two
    /// at once.
    pub async fn changed(&self) {
        self.news.notified().await;
    }

    /// What to tell next; none until something has [changed](Self::changed).
    pub fn poll(&self) -> Option<Told> {
        let mut known = self.chronicle.following.shared.lock();
        let heading = known.heading();
        if heading.created == 0 {
            return None;
        }
        let known = &mut *known;
        let listener = known.listeners.get_mut(&self.number)?;
        let part = match listener.feed.poll(&known.own.book) {
            Some(Telling::Record(record)) => {
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                return Some(Told::Record(bytes));
            }
            Some(Telling::Begin) => Part::Begin,
            Some(Telling::End) => Part::End,
            None if listener.heading == Some(heading) => return None,
            None => Part::News,
        };
        listener.heading = Some(heading);
        Some(Told::Heading(part, heading))
    }

    /// The peer knows nothing any more: it is told the whole book again.
    pub fn restart(&self) {
        if let Some(listener) = self.chronicle.following.shared.lock().listeners.get_mut(&self.number) {
            listener.feed.restart();
        }
        self.news.notify_one();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.chronicle.following.shared.lock().listeners.remove(&self.number);
    }
}
