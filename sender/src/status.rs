//! What the sender counts.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Counted by the intakes; all since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) handed_over: AtomicU64,
    pub(crate) from_spill: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) perfdata: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) foreign: AtomicU64,
    pub(crate) not_copied: AtomicU64,
}

/// What the sender has done since its start, and what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where results came from.
    pub intake: IntakeStatus,
    /// Where they wait.
    pub spool: SpoolStatus,
    /// Where they go, in the order of the configuration.
    pub destinations: Vec<DestinationStatus>,
}

/// Counts of results since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntakeStatus {
    /// Taken from `understudy-ocsp`, over the socket or from the spill directory.
    pub handed_over: u64,
    /// Files of the spill directory among them, duplicates included.
    pub from_spill: u64,
    /// Hand-overs that came over the socket and from the spill directory.
    pub duplicates: u64,
    /// Refused for a name that no core can have.
    pub refused: u64,
    /// Read from the perfdata FIFO.
    pub perfdata: u64,
    /// Of those, results that the spool did not take.
    pub lost: u64,
    /// Frames of the perfdata FIFO that were torn, glued or otherwise not whole.
    pub damaged: u64,
    /// Lines of the perfdata FIFO without any frame of ours.
    pub foreign: u64,
    /// Lines that `perfdata_copy_to` did not take.
    pub not_copied: u64,
}

/// The queue on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Results in it, also those that some destinations have.
    pub results: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Results dropped since the start in favour of newer ones of their objects, because the spool was full.
    pub superseded: u64,
    /// Results whose text was cut since the start, because the spool was full.
    pub cut: u64,
    /// Bytes that were found damaged when the spool was opened, and by compactions since.
    pub damaged_bytes: u64,
    /// Why it takes no results; nothing when it does.
    pub trouble: Option<String>,
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Results that wait.
    pub queued: u64,
    /// Results that the destination confirmed.
    pub delivered: u64,
    /// Results in the spool that could not be read for it: damaged stretches, and results of another version.
    pub skipped: u64,
    /// Results that did not fit into a packet whole.
    pub truncated: u64,
    /// Why the last attempt failed; nothing when it succeeded.
    pub failure: Option<String>,
}

impl Counters {
    /// Frames of the perfdata FIFO, whole or not.
    pub(crate) fn perfdata_frames(&self) -> u64 {
        self.perfdata.load(Relaxed) + self.damaged.load(Relaxed)
    }

    pub(crate) fn snapshot(&self) -> IntakeStatus {
        IntakeStatus {
            handed_over: self.handed_over.load(Relaxed),
            from_spill: self.from_spill.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            refused: self.refused.load(Relaxed),
            perfdata: self.perfdata.load(Relaxed),
            lost: self.lost.load(Relaxed),
            damaged: self.damaged.load(Relaxed),
            foreign: self.foreign.load(Relaxed),
            not_copied: self.not_copied.load(Relaxed),
        }
    }
}
