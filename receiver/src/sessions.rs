//! The sessions that are open, for the status and for each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nsca::sealed::{ClockOffset, CoreVerdict, NodeName, Want};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::peers::SessionNumber;

/// All sessions that are open.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<BTreeMap<u64, Arc<Session>>>,
    next: AtomicU64,
}

/// A session's entry; dropping it removes it.
pub(crate) struct Entry {
    sessions: Arc<Sessions>,
    number: u64,
    session: Arc<Session>,
}

struct Session {
    address: SocketAddr,
    since: SystemTime,
    /// Results that were handed to the backlog.
    accepted: AtomicU64,
    sealed: Mutex<Option<Sealed>>,
}

/// What only sealed sessions have.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) node: NodeName,
    pub(crate) number: SessionNumber,
    pub(crate) superseded: CancellationToken,
    pub(crate) received: u64,
    pub(crate) acknowledged: u64,
    pub(crate) clock: Option<ClockOffset>,
    pub(crate) core: CoreVerdict,
    /// Where the node is asked for its book, if it has one.
    pub(crate) wants: Option<mpsc::Sender<Want>>,
    /// From when on the journal has all that the node's spool held for this one when the session began, and all that it has
    /// shown since; none while it has not. Nothing more may come, or something else may come before.
    pub(crate) caught_up: Option<Instant>,
}

/// An open session.
#[derive(Clone, Debug, Serialize)]
pub struct SessionStatus {
    /// Where the peer connected from.
    pub address: SocketAddr,
    /// How it calls itself; classic clients have no name.
    pub node: Option<String>,
    /// `classic` or `sealed`.
    pub kind: &'static str,
    /// When it connected, in seconds since the Unix epoch.
    pub since: u64,
    /// How many of its results were taken.
    pub accepted: u64,
    /// The last sequence that came, in a sealed session.
    pub received: Option<u64>,
    /// The last sequence that is committed and acknowledged, in a sealed session.
    pub acknowledged: Option<u64>,
    /// How many microseconds the peer's clock is ahead of this one, once that is known.
    pub clock_ahead_us: Option<i64>,
    /// How the peer's core is, if the peer says so.
    pub core: Option<&'static str>,
}

impl Sessions {
    /// Somebody connected.
    pub(crate) fn enter(self: &Arc<Self>, address: SocketAddr) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(Session {
            address,
            since: SystemTime::now(),
            accepted: AtomicU64::new(0),
            sealed: Mutex::new(None),
        });
        lock(&self.open).insert(number, session.clone());
        Entry { sessions: self.clone(), number, session }
    }

    /// Ends a sealed session, because the same node has begun another. Where that one came from.
    pub(crate) fn supersede(&self, number: SessionNumber) -> Option<SocketAddr> {
        lock(&self.open).values().find_map(|session| {
            let sealed = lock(&session.sealed);
            let sealed = sealed.as_ref().filter(|sealed| sealed.number == number)?;
            sealed.superseded.cancel();
            Some(session.address)
        })
    }

    /// Asks a node for a part of its book. Whether there is a session to do that, and room.
    pub(crate) fn want(&self, node: &str, want: Want) -> bool {
        let wants = self.of_node(node, |sealed| sealed.wants.clone()).flatten();
        wants.is_some_and(|wants| wants.try_send(want).is_ok())
    }

    /// Whether a node is connected, and the journal has all that it had to send.
    pub(crate) fn is_caught_up(&self, node: &str) -> bool {
        self.of_node(node, |sealed| sealed.caught_up).flatten().is_some_and(|from| from <= Instant::now())
    }

    /// Looks at a node's session, unless there is none.
    fn of_node<T>(&self, node: &str, look: impl FnOnce(&Sealed) -> T) -> Option<T> {
        let open = lock(&self.open);
        let session = open.values().find(|session| {
            let sealed = lock(&session.sealed);
            sealed.as_ref().is_some_and(|sealed| sealed.node.as_str() == node && !sealed.superseded.is_cancelled())
        })?;
        lock(&session.sealed).as_ref().map(look)
    }

    /// The sessions, the oldest first.
    pub(crate) fn status(&self) -> Vec<SessionStatus> {
        lock(&self.open).values().map(|session| session.status()).collect()
    }
}

impl Session {
    fn status(&self) -> SessionStatus {
        let sealed = lock(&self.sealed).clone();
        let sealed = sealed.as_ref();
        SessionStatus {
            address: self.address,
            node: sealed.map(|sealed| sealed.node.to_string()),
            kind: if sealed.is_some() { "sealed" } else { "classic" },
            since: self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            accepted: self.accepted.load(Ordering::Relaxed),
            received: sealed.map(|sealed| sealed.received),
            acknowledged: sealed.map(|sealed| sealed.acknowledged),
            clock_ahead_us: sealed.and_then(|sealed| sealed.clock).map(|clock| clock.ahead_us),
            core: sealed.and_then(|sealed| in_words(sealed.core)),
        }
    }
}

impl Entry {
    /// More of its results were taken.
    pub(crate) fn accept(&self, results: usize) {
        self.session.accepted.fetch_add(results as u64, Ordering::Relaxed);
    }

    /// What there is to tell of a sealed session.
    pub(crate) fn sealed(&self) -> MutexGuard<'_, Option<Sealed>> {
        lock(&self.session.sealed)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.sessions.open).remove(&self.number);
    }
}

fn in_words(core: CoreVerdict) -> Option<&'static str> {
    match core {
        CoreVerdict::Unknown => None,
        CoreVerdict::Alive => Some("alive"),
        CoreVerdict::DeadCrash => Some("crashed"),
        CoreVerdict::DeadClean => Some("stopped"),
    }
}

/// Nothing that is done under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
