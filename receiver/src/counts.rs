//! What the receiver counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use nsca::sealed::{Reason, SealedError};
use serde::Serialize;

/// Counters, each written by whoever does the thing.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connections: Counter,
    pub(crate) connections_refused: Counter,
    pub(crate) sessions_refused: Counter,
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) own: Counter,
    pub(crate) older: Counter,
    pub(crate) repeated: Counter,
    pub(crate) injected: Counter,
    pub(crate) cut: Counter,
    pub(crate) dumped: Counter,
    pub(crate) lost: Counter,
    pub(crate) superseded: Counter,
    pub(crate) older_than_own: Counter,
    pub(crate) relayed: Counter,
    pub(crate) readmitted: Counter,
    pub(crate) not_readmitted: Counter,
    causes: [Counter; Cause::ALL.len()],
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
    /// Results of sealed sessions that were dropped because they come from this very node.
    pub own: u64,
    /// Results that were left out because another origin has told a newer one of the same object, or because they came
    /// before over another path, or were asked for and are not the newest any more.
    pub older: u64,
    /// Results of sealed sessions that were left out because they were taken already.
    pub repeated: u64,
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
    /// Results that the sender on this node took, to send them on.
    pub relayed: u64,
    /// Results that are no news and were taken again, because this node's core lacked them; they are among the accepted.
    pub readmitted: u64,
    /// Results that are no news and for which there was no room. Whoever asked for them asks again.
    pub not_readmitted: u64,
}

/// Why a peer was refused, or its session ended by its fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its address is not on the allow-list.
    NotAllowed,
    /// As many connections are open as are allowed.
    TooMany,
    /// A classic packet that is not sound, not recent, or not complete.
    BadPacket,
    /// Nothing came for too long.
    Silent,
    /// Something was not complete in time.
    Slow,
    /// The results could not be kept.
    NotTaken,
    /// A classic session where sealed ones are required.
    ClassicRefused,
    /// A sealed session with another key, a replayed or a forged one.
    WrongKey,
    /// A handshake that did not come to its end.
    Handshake,
    /// A message that was changed on its way.
    Forged,
    /// Something against the protocol.
    Misbehaved,
    /// A sender with this node's name.
    OwnName,
    /// A sender with the name of another one that is connected.
    NameInUse,
    /// More nodes than can be remembered.
    Unavailable,
    /// This machine could not: no random numbers.
    Defect,
}

impl Cause {
    const ALL: [Cause; 15] = [
        Cause::NotAllowed,
        Cause::TooMany,
        Cause::BadPacket,
        Cause::Silent,
        Cause::Slow,
        Cause::NotTaken,
        Cause::ClassicRefused,
        Cause::WrongKey,
        Cause::Handshake,
        Cause::Forged,
        Cause::Misbehaved,
        Cause::OwnName,
        Cause::NameInUse,
        Cause::Unavailable,
        Cause::Defect,
    ];

    fn name(self) -> &'static str {
        match self {
            Cause::NotAllowed => "not_allowed",
            Cause::TooMany => "too_many_connections",
            Cause::BadPacket => "bad_packet",
            Cause::Silent => "silent",
            Cause::Slow => "slow",
            Cause::NotTaken => "not_taken",
            Cause::ClassicRefused => "classic_refused",
            Cause::WrongKey => "wrong_key",
            Cause::Handshake => "handshake_not_finished",
            Cause::Forged => "forged",
            Cause::Misbehaved => "misbehaved",
            Cause::OwnName => "own_name",
            Cause::NameInUse => "name_in_use",
            Cause::Unavailable => "too_many_nodes",
            Cause::Defect => "defect",
        }
    }
}

impl From<&SealedError> for Cause {
    fn from(error: &SealedError) -> Self {
        match error {
            SealedError::WrongKey => Cause::WrongKey,
            SealedError::ClassicRefused => Cause::ClassicRefused,
            SealedError::HandshakeTimeout(_) | SealedError::CutOff => Cause::Handshake,
            SealedError::Forged => Cause::Forged,
            SealedError::OwnName(_) => Cause::OwnName,
            SealedError::Silent(_) => Cause::Silent,
            SealedError::Refused(reason) => (*reason).into(),
            SealedError::Classic(_) => Cause::BadPacket,
            _ => Cause::Misbehaved,
        }
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::OwnName => Cause::OwnName,
            Reason::NameInUse => Cause::NameInUse,
            Reason::Unavailable => Cause::Unavailable,
            _ => Cause::Misbehaved,
        }
    }
}

impl Counters {
    /// Counts somebody who was refused.
    pub(crate) fn refuse(&self, cause: Cause) {
        let counter = match cause {
            Cause::NotAllowed | Cause::TooMany => &self.connections_refused,
            _ => &self.sessions_refused,
        };
        counter.add(1);
        self.causes[cause as usize].add(1);
    }

    /// How often each cause was met; those that never were are left out.
    pub(crate) fn refused_by_cause(&self) -> BTreeMap<&'static str, u64> {
        let all = Cause::ALL.into_iter().map(|cause| (cause.name(), self.causes[cause as usize].get()));
        all.filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn read(&self) -> Counts {
        Counts {
            connections: self.connections.get(),
            connections_refused: self.connections_refused.get(),
            sessions_refused: self.sessions_refused.get(),
            accepted: self.accepted.get(),
            refused: self.refused.get(),
            own: self.own.get(),
            older: self.older.get(),
            repeated: self.repeated.get(),
            injected: self.injected.get(),
            cut: self.cut.get(),
            dumped: self.dumped.get(),
            lost: self.lost.get(),
            superseded: self.superseded.get(),
            older_than_own: self.older_than_own.get(),
            relayed: self.relayed.get(),
            readmitted: self.readmitted.get(),
            not_readmitted: self.not_readmitted.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_counter_and_a_name_of_its_own() {
        let counters = Counters::default();
        Cause::ALL.iter().for_each(|cause| counters.refuse(*cause));
        let by_cause = counters.refused_by_cause();
        assert_eq!(by_cause.len(), Cause::ALL.len());
        assert!(by_cause.values().all(|count| *count == 1), "{by_cause:?}");
        assert_eq!(counters.read().connections_refused, 2);
    }
}
