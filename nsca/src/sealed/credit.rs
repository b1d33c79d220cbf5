//! Credit: how the receiver limits results while it goes on reading.
//!
//! The receiver grants, the sender spends. Both count from the beginning of the session, so that no message
//! that crosses another one on its way makes them disagree.
//!
//! **Invariants:** a grant never shrinks; what is granted and not committed never exceeds the window, by more
//! than the last result's own length.

use std::collections::VecDeque;

use super::SealedError;
use super::frame::Ack;

/// How much a sender may have sent since the session began, in all.
///
/// A result may be sent while the sender has used less than both. It may exceed the bytes, so that every result
/// fits at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Credit {
    /// Results.
    pub results: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// How much a receiver lets a sender have under way, uncommitted. It bounds what a session costs in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Results; default 16,384, so that usual ones keep coming while a slow disk commits those before.
    pub results: u32,
    /// Bytes of their frames; default 4 MiB.
    pub bytes: u32,
}

impl Default for Window {
    fn default() -> Self {
        Window { results: 16_384, bytes: 4 << 20 }
    }
}

impl Credit {
    fn add(&mut self, bytes: u64) {
        self.results += 1;
        self.bytes += bytes;
    }

    /// Whether one more result may be sent by whom this was granted and who has used `used`.
    fn covers_more_than(&self, used: Credit) -> bool {
        used.results < self.results && used.bytes < self.bytes
    }
}

/// The sender's side.
#[derive(Debug)]
pub(super) struct Purse {
    granted: Credit,
    used: Credit,
    /// The newest result that was sent, or accepted before.
    sent: u64,
    committed: u64,
}

impl Purse {
    pub(super) fn new(accepted: u64, granted: Credit) -> Self {
        Purse { granted, used: Credit::default(), sent: accepted, committed: accepted }
    }

    pub(super) fn may_send(&self) -> bool {
        self.granted.covers_more_than(self.used)
    }

    /// Spends.
    ///
    /// # Panics
    ///
    /// When `sequence` does not come after the one before.
    pub(super) fn send(&mut self, sequence: u64, bytes: usize) {
        assert!(sequence > self.sent, "result {sequence} was sent after result {}", self.sent);
        self.sent = sequence;
        self.used.add(bytes as u64);
    }

    /// Whether more was committed than before.
    pub(super) fn handle_ack(&mut self, ack: Ack) -> Result<bool, SealedError> {
        if !(self.committed..=self.sent).contains(&ack.committed) {
            return Err(SealedError::PeerMisbehaved("acknowledges results that it was not sent"));
        }
        if ack.credit.results < self.granted.results || ack.credit.bytes < self.granted.bytes {
            return Err(SealedError::PeerMisbehaved("takes credit back"));
        }
        let is_news = ack.committed > self.committed;
        (self.committed, self.granted) = (ack.committed, ack.credit);
        Ok(is_news)
    }
}

/// The receiver's side.
#[derive(Debug)]
pub(super) struct Ledger {
    window: Window,
    received: Credit,
    /// What was received and is committed.
    released: Credit,
    /// Sequence number and bytes of what is not committed yet; never longer than the window.
    pending: VecDeque<(u64, u64)>,
    /// The newest result that was received, or accepted before.
    newest: u64,
    committed: u64,
    ack_due: bool,
}

impl Ledger {
    pub(super) fn new(accepted: u64, window: Window) -> Self {
        Ledger {
            window,
            received: Credit::default(),
            released: Credit::default(),
            pending: VecDeque::new(),
            newest: accepted,
            committed: accepted,
            ack_due: false,
        }
    }

    /// What the sender may have sent.
    pub(super) fn granted(&self) -> Credit {
        Credit {
            results: self.released.results + u64::from(self.window.results),
            bytes: self.released.bytes + u64::from(self.window.bytes),
        }
    }

    pub(super) fn receive(&mut self, sequence: u64, bytes: usize) -> Result<(), SealedError> {
        if sequence <= self.newest {
            return Err(SealedError::PeerMisbehaved("sends results out of order"));
        }
        if !self.granted().covers_more_than(self.received) {
            return Err(SealedError::PeerMisbehaved("sends more results than it was allowed to"));
        }
        self.newest = sequence;
        self.received.add(bytes as u64);
        self.pending.push_back((sequence, bytes as u64));
        Ok(())
    }

    /// Releases everything up to `sequence`.
    ///
    /// # Panics
    ///
    /// When nothing up to `sequence` was received.
    pub(super) fn commit(&mut self, sequence: u64) {
        assert!(sequence <= self.newest, "result {sequence} was committed and never received");
        while let Some((_, bytes)) = self.pending.pop_front_if(|(pending, _)| *pending <= sequence) {
            self.released.add(bytes);
        }
        if sequence > self.committed {
            self.committed = sequence;
            self.ack_due = true;
        }
    }

    pub(super) fn take_ack(&mut self) -> Option<Ack> {
        std::mem::take(&mut self.ack_due).then(|| Ack { committed: self.committed, credit: self.granted() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { results: 3, bytes: 100 };

    #[test]
    fn the_window_limits_results_and_bytes() {
        let mut ledger = Ledger::new(5, WINDOW);
        let mut purse = Purse::new(5, ledger.granted());
        for (sequence, bytes) in [(6, 40), (9, 59), (10, 2000)] {
            assert!(purse.may_send());
            purse.send(sequence, bytes);
            assert_eq!(ledger.receive(sequence, bytes), Ok(()));
        }
        assert!(!purse.may_send());
        assert!(matches!(ledger.receive(11, 1), Err(SealedError::PeerMisbehaved(_))));

        ledger.commit(8);
        let ack = ledger.take_ack().unwrap();
        assert_eq!(ack, Ack { committed: 8, credit: Credit { results: 4, bytes: 140 } });
        assert_eq!(ledger.take_ack(), None);
        assert_eq!(purse.handle_ack(ack), Ok(true));
        assert!(!purse.may_send(), "bytes are used up");

        ledger.commit(10);
        assert_eq!(purse.handle_ack(ledger.take_ack().unwrap()), Ok(true));
        assert!(purse.may_send());
    }

    #[test]
    fn a_receiver_that_lies_is_found_out() {
        let mut purse = Purse::new(5, Credit { results: 2, bytes: 2 });
        purse.send(7, 1);
        let same = Credit { results: 2, bytes: 2 };
        assert_eq!(purse.handle_ack(Ack { committed: 5, credit: same }), Ok(false));
        for (committed, results, bytes) in [(4, 2, 2), (8, 2, 2), (7, 1, 2), (7, 2, 1)] {
            let ack = Ack { committed, credit: Credit { results, bytes } };
            assert!(matches!(purse.handle_ack(ack), Err(SealedError::PeerMisbehaved(_))), "{ack:?}");
        }
    }

    #[test]
    fn a_sender_that_repeats_itself_is_found_out() {
        let mut ledger = Ledger::new(5, WINDOW);
        assert!(ledger.receive(5, 1).is_err());
        assert_eq!(ledger.receive(6, 1), Ok(()));
        assert!(ledger.receive(6, 1).is_err());
    }
}
