//! What outlives a session with a destination.

use nagios::stored::StoredError;
use spool::disk::Disk;
use spool::{DamageLog, Spool};
use tracing::warn;

/// What this process knows of its sessions with one destination. The next one begins with it.
///
/// **Which sequences the peer may have accepted.** Those below [`Spool::opened_at`] are from processes before this one, as
/// long as the epoch is the one that the spool was opened with. Of all others, only those that this process has sent to this
/// peer in this epoch. If the peer has accepted more, it knows another future of this spool: the spool was restored from an
/// older copy, or is one of two copies. Going on behind what was accepted would lose results; so a new epoch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    epoch: u64,
    newest_sent: u64,
    counts: Counts,
    /// What was skipped up to here is counted: after a connection that broke off it is read again.
    counted_through: u64,
    /// As above, for damaged stretches: file and offset.
    counted_damage: (String, u64),
}

/// Counts of results since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Acknowledged by the peer.
    pub acknowledged: u64,
    /// Not sent, because they came from the peer itself.
    pub own: u64,
    /// Not sent, because they could not be read: damaged stretches of the spool, and results of another version.
    pub unreadable: u64,
    /// Sent without a part of their text, because no frame could hold all of it.
    pub cut: u64,
}

impl History {
    /// Nothing was sent since the spool was opened.
    pub fn new<D: Disk>(spool: &Spool<D>) -> History {
        History {
            epoch: spool.epoch(),
            newest_sent: spool.opened_at() - 1,
            counts: Counts::default(),
            counted_through: 0,
            counted_damage: (String::new(), 0),
        }
    }

    /// What has been done.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The newest sequence of an epoch that the peer can have accepted.
    pub(super) fn newest_sent(&mut self, epoch: u64) -> u64 {
        if epoch != self.epoch {
            // Begun by this process: nobody before it sent anything in it.
            (self.epoch, self.newest_sent) = (epoch, 0);
        }
        self.newest_sent
    }

    pub(super) fn note_sent(&mut self, sequence: u64, is_cut: bool) {
        self.newest_sent = self.newest_sent.max(sequence);
        if is_cut && self.is_news(sequence) {
            self.counts.cut += 1;
        }
    }

    pub(super) fn note_acknowledged(&mut self, results: usize) {
        self.counts.acknowledged += results as u64;
    }

    pub(super) fn note_own(&mut self, sequence: u64) {
        if self.is_news(sequence) {
            self.counts.own += 1;
        }
    }

    pub(super) fn note_unreadable(&mut self, sequence: u64, error: &StoredError) {
        if self.is_news(sequence) {
            self.counts.unreadable += 1;
            warn!(sequence, %error, "a result in the spool cannot be read and is skipped");
        }
    }

    pub(super) fn note_damage(&mut self, damage: &DamageLog) {
        for damage in damage.entries() {
            let place = (damage.file.clone(), damage.offset);
            if place > self.counted_damage {
                self.counts.unreadable += 1;
                self.counted_damage = place;
                warn!(%damage, "a stretch of the spool is damaged and is skipped");
            }
        }
    }

    fn is_news(&mut self, sequence: u64) -> bool {
        let is_news = sequence > self.counted_through;
        self.counted_through = self.counted_through.max(sequence);
        is_news
    }
}
