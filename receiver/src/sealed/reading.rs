//! What a session does about its sender's book: passes it on, and asks for it.
//!
//! **Invariant:** the whole book is asked for at most once in [`BOOK_EVERY`] because something was amiss: a sender whose book
//! never fits costs one book a minute.

use std::sync::Arc;
use std::time::Duration;

use nsca::sealed::{Heading, NodeName, Want};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Session;
use crate::books::Books;

/// How often the whole book is asked for at most when records do not fit.
const BOOK_EVERY: Duration = Duration::from_secs(60);

/// How many wants may wait to be sent.
pub(crate) const MAX_WANTS: usize = 64;

/// A sender's book, as one session hears of it; nothing where one of the two sides knows of no books.
#[derive(Default)]
pub(super) struct Reading(Option<Open>);

struct Open {
    node: NodeName,
    books: Arc<dyn Books>,
    wants: mpsc::Receiver<Want>,
    /// There was no room for it.
    unsent: Option<Want>,
    repair: Repair,
    /// The results that it is about are on their way into the journal.
    answer: Option<u32>,
}

/// Whether the whole book is needed, and when it was asked for.
#[derive(Debug, Default)]
struct Repair {
    is_needed: bool,
    asked: Option<Instant>,
}

impl Reading {
    /// A session begins. What the other end of the channel takes is asked of the sender.
    pub(super) fn begin(node: &NodeName, books: Arc<dyn Books>) -> (Self, mpsc::Sender<Want>) {
        let (outlet, wants) = mpsc::channel(MAX_WANTS);
        books.begin(node);
        let (unsent, repair, answer) = (None, Repair::default(), None);
        (Reading(Some(Open { node: node.clone(), books, wants, unsent, repair, answer })), outlet)
    }

    pub(super) fn handle_heading(&self, heading: Heading) {
        if let Some(Open { node, books, .. }) = &self.0 {
            books.heading(node, heading);
        }
    }

    pub(super) fn handle_record(&mut self, record: &[u8]) {
        let Some(Open { node, books, repair, .. }) = &mut self.0 else { return };
        if let Err(amiss) = books.record(node, record)
            && !std::mem::replace(&mut repair.is_needed, true)
        {
            tracing::warn!(%node, %amiss, "a part of the node's book cannot be used: all of it is asked for");
        }
    }

    /// The sender has answered. To be told when what it has shown is in the journal.
    pub(super) fn handle_answered(&mut self, shown: u32) {
        if let Some(open) = &mut self.0 {
            open.answer = Some(shown);
        }
    }

    /// Everything that was shown has come into the journal, or was left out.
    pub(super) fn handle_readmitted(&mut self) {
        if let Some(Open { node, books, answer, .. }) = &mut self.0
            && let Some(shown) = answer.take()
        {
            books.answered(node, shown);
        }
    }

    /// Waits for somebody who wants something; for ever while there is no room to ask for it.
    pub(super) async fn wait(&mut self) {
        if let Some(Open { wants, unsent: unsent @ None, .. }) = &mut self.0
            && let Some(want) = wants.recv().await
        {
            *unsent = Some(want);
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Asks the sender, as far as there is room.
    pub(super) fn ask(&mut self, session: &mut Session, now: Instant) {
        let Some(Open { wants, unsent, repair, .. }) = &mut self.0 else { return };
        loop {
            let book = || repair.is_due(now).then_some(Want::Book);
            let Some(want) = unsent.take().or_else(book).or_else(|| wants.try_recv().ok()) else { return };
            if !session.want(&want) {
                *unsent = Some(want);
                return;
            }
            if want == Want::Book {
                *repair = Repair { is_needed: false, asked: Some(now) };
            }
        }
    }

    /// When to [ask](Self::ask) without another reason.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.as_ref().filter(|open| open.unsent.is_none()).and_then(|open| open.repair.due_at())
    }
}

impl Repair {
    fn is_due(&self, now: Instant) -> bool {
        self.is_needed && self.asked.is_none_or(|asked| now >= asked + BOOK_EVERY)
    }

    /// `None`: nothing is needed, or it may be asked for at once.
    fn due_at(&self) -> Option<Instant> {
        self.asked.filter(|_| self.is_needed).map(|asked| asked + BOOK_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::books::Amiss;

    /// Notes which answers it was told.
    #[derive(Default)]
    struct Answers(Mutex<Vec<u32>>);

    impl Books for Answers {
        fn begin(&self, _node: &NodeName) {}

        fn heading(&self, _node: &NodeName, _heading: Heading) {}

        fn record(&self, _node: &NodeName, _record: &[u8]) -> Result<(), Amiss> {
            Ok(())
        }

        fn answered(&self, _node: &NodeName, shown: u32) {
            self.0.lock().unwrap().push(shown);
        }
    }

    #[test]
    fn an_answer_is_told_when_what_was_shown_has_come_into_the_journal() {
        let answers = Arc::new(Answers::default());
        let node = NodeName::try_from("master").unwrap();
        let (mut reading, _wants) = Reading::begin(&node, answers.clone());
        reading.handle_readmitted();
        reading.handle_answered(3);
        assert!(answers.0.lock().unwrap().is_empty());
        reading.handle_readmitted();
        reading.handle_readmitted();
        assert_eq!(*answers.0.lock().unwrap(), [3]);
    }

    #[test]
    fn a_book_that_does_not_fit_is_asked_for_at_once_then_once_a_minute() {
        let start = Instant::now();
        let mut repair = Repair::default();
        assert!(!repair.is_due(start) && repair.due_at().is_none(), "nothing is amiss");
        repair.is_needed = true;
        assert!(repair.is_due(start));
        let mut repair = Repair { is_needed: false, asked: Some(start) };
        assert!(!repair.is_due(start + 2 * BOOK_EVERY) && repair.due_at().is_none(), "it was told");
        repair.is_needed = true;
        assert_eq!(repair.due_at(), Some(start + BOOK_EVERY));
        assert!(!repair.is_due(start + BOOK_EVERY - Duration::from_millis(1)));
        assert!(repair.is_due(start + BOOK_EVERY), "what was amiss meanwhile is not forgotten");
    }
}
