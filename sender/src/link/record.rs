//! What the outside may know of a link.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nsca::sealed::{ClockOffset, CoreVerdict, Duty, Heartbeat, NodeName, Reason, Warmth};
use tokio::sync::{Notify, watch};

use crate::sealed::Counts;
use crate::status::SessionKind;

/// Kept by a link, read by others.
pub(crate) struct Record {
    inner: Mutex<Inner>,
    heard: watch::Sender<Heard>,
    /// Ends the pause after a failure.
    pub(crate) retry: Notify,
}

/// The values of a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inner {
    pub(crate) session: Option<Session>,
    /// Confirmed in classic sessions.
    pub(crate) delivered: u64,
    pub(crate) truncated: u64,
    /// Of sealed sessions.
    pub(crate) counts: Counts,
    pub(crate) clock_offset: Option<ClockOffset>,
    /// The last one, and when it was.
    pub(crate) failure: Option<(String, Instant)>,
}

/// The session with a destination.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) kind: SessionKind,
    pub(crate) peer: Option<NodeName>,
    pub(crate) since: Instant,
}

/// What a destination has told of itself in sealed sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its node's name; none until the first session.
    pub node: Option<NodeName>,
    /// When the last heartbeat of its last session came.
    pub at: Option<Instant>,
    /// How its core was then.
    pub core: CoreVerdict,
    /// What it did then.
    pub duty: Duty,
    /// Whether its core was up to date then.
    pub warmth: Warmth,
    /// How its last session ended; `None` while it lasts, or before the first one.
    pub ended: Option<Ended>,
}

/// How a session with a destination ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The destination said goodbye.
    Goodbye(Reason),
    /// Anything else: it was silent, the connection broke off, or this sender ended it.
    Cut,
}

impl Default for Record {
    fn default() -> Record {
        Record { inner: Mutex::default(), heard: watch::Sender::new(Heard::default()), retry: Notify::new() }
    }
}

impl Record {
    pub(crate) fn snapshot(&self) -> Inner {
        self.lock().clone()
    }

    pub(crate) fn heard(&self) -> watch::Receiver<Heard> {
        self.heard.subscribe()
    }

    /// Nothing is wrong; says whether something was.
    pub(crate) fn clear_failure(&self) -> bool {
        self.lock().failure.take().is_some()
    }

    pub(crate) fn fail(&self, failure: String) {
        let mut inner = self.lock();
        inner.failure = Some((failure, Instant::now()));
        inner.session = None;
        inner.clock_offset = None;
    }

    /// A classic session, or one more of them.
    pub(crate) fn note_classic(&self) {
        let session = &mut self.lock().session;
        if session.as_ref().is_none_or(|session| session.kind != SessionKind::Classic) {
            *session = Some(Session { kind: SessionKind::Classic, peer: None, since: Instant::now() });
        }
    }

    pub(crate) fn note_delivered(&self, results: usize) {
        self.lock().delivered += results as u64;
    }

    pub(crate) fn note_truncated(&self) {
        self.lock().truncated += 1;
    }

    /// A sealed session with `peer` has begun.
    pub(crate) fn note_welcome(&self, peer: NodeName) {
        let session = Session { kind: SessionKind::Sealed, peer: Some(peer.clone()), since: Instant::now() };
        self.lock().session = Some(session);
        // What it said before it was out of reach says nothing of now.
        self.heard.send_replace(Heard { node: Some(peer), ..Heard::default() });
    }

    pub(crate) fn note_heartbeat(&self, heartbeat: &Heartbeat, at: Instant) {
        self.heard.send_modify(|heard| {
            (heard.at, heard.core) = (Some(at), heartbeat.core);
            (heard.duty, heard.warmth) = (heartbeat.duty, heartbeat.warmth);
        });
    }

    pub(crate) fn note_progress(&self, counts: Counts, clock_offset: Option<ClockOffset>) {
        let mut inner = self.lock();
        (inner.counts, inner.clock_offset) = (counts, clock_offset);
    }

    /// The sealed session is over, if there was one.
    pub(crate) fn note_end(&self, ended: Ended) {
        let mut inner = self.lock();
        (inner.session, inner.clock_offset) = (None, None);
        drop(inner);
        self.heard.send_if_modified(|heard| {
            let was_on = heard.node.is_some() && heard.ended.is_none();
            if was_on {
                heard.ended = Some(ended);
            }
            was_on
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
