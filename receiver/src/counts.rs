//! What the receiver counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters, each written by whoever does the thing.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connections: Counter,
    pub(crate) connections_refused: Counter,
    pub(crate) sessions_refused: Counter,
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) injected: Counter,
    pub(crate) cut: Counter,
    pub(crate) dumped: Counter,
    pub(crate) lost: Counter,
    pub(crate) superseded: Counter,
    pub(crate) older_than_own: Counter,
}

/// One number that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a receiver has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were let in.
    pub connections: u64,
    /// Connections that were turned away: not on the allow-list, or beyond a limit.
    pub connections_refused: u64,
    /// Sessions that ended because of what the peer sent or did not send.
    pub sessions_refused: u64,
    /// Results taken into the backlog.
    pub accepted: u64,
    /// Results in good packets that were dropped for what they say: names that no core can have, or a host name that
    /// is not the peer's.
    pub refused: u64,
    /// Results that the core's command file or check-result directory took.
    pub injected: u64,
    /// Results whose output was cut to the core's line limit; they are among the injected.
    pub cut: u64,
    /// Results that went into the dump file at the end.
    pub dumped: u64,
    /// Results that were taken and reached neither the core nor the dump file: without a journal at the end, with a journal
    /// when it was too small and kept only newer ones.
    pub lost: u64,
    /// Results that were not injected because a newer one of the same object waited, while the core was active or before
    /// it was made so.
    pub superseded: u64,
    /// Results of a peer that were not injected because the core, while active, had checked the object later itself.
    pub older_than_own: u64,
}

impl Counters {
    pub(crate) fn read(&self) -> Counts {
        Counts {
            connections: self.connections.get(),
            connections_refused: self.connections_refused.get(),
            sessions_refused: self.sessions_refused.get(),
            accepted: self.accepted.get(),
            refused: self.refused.get(),
            injected: self.injected.get(),
            cut: self.cut.get(),
            dumped: self.dumped.get(),
            lost: self.lost.get(),
            superseded: self.superseded.get(),
            older_than_own: self.older_than_own.get(),
        }
    }
}
