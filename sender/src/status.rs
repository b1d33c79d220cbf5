//! What the sender counts.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

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
    pub(crate) echoes: AtomicU64,
    pub(crate) relayed: AtomicU64,
    pub(crate) not_relayed: AtomicU64,
}

/// What the sender has done since its start, and what waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Where results came from.
    pub intake: IntakeStatus,
    /// Where they wait.
    pub spool: SpoolStatus,
    /// Where they go, in the order of the configuration.
    pub destinations: Vec<DestinationStatus>,
}

/// Counts of results since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IntakeStatus {
    /// Taken from `understudy-ocsp`, over the socket or from the spill directory.
    pub handed_over: u64,
    /// Files of the spill directory among them, duplicates included.
    pub from_spill: u64,
    /// Hand-overs that came over the socket and from the spill directory.
    pub duplicates: u64,
    /// Refused for a name that no core can have, or for their length.
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
    /// Results that the core told only because this node's receiver gave them to it. They go no further.
    pub echoes: u64,
    /// Taken from this node's receiver, to be sent on.
    pub relayed: u64,
    /// Passive results, from this node's receiver or told by the core, that go no further: `relay_passive = false`.
    pub not_relayed: u64,
}

/// The queue on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationStatus {
    /// Its name in the configuration.
    pub name: String,
    /// The kind of the session with it, and nothing where there is none. Classic ones come and go with each batch; they count as
    /// one until something fails.
    pub session: Option<SessionKind>,
    /// The node that it is, known in sealed sessions.
    pub peer: Option<String>,
    /// How long the session has lasted.
    pub session_seconds: Option<u64>,
    /// Results that wait.
    pub queued: u64,
    /// The age of the oldest of them, by its check time.
    pub oldest_waiting_seconds: Option<u64>,
    /// Results that the destination confirmed: in sealed sessions, each; in classic ones, by closing the connection.
    pub acknowledged: u64,
    /// Results that it did not get, or not whole.
    pub skipped: Skipped,
    /// Results that did not fit into a classic packet whole.
    pub truncated: u64,
    /// How far its clock is ahead of this one's; negative when it is behind. Known in sealed sessions.
    pub clock_offset_ms: Option<i64>,
    /// Why the last attempt failed, or the session ended; nothing when all is well.
    pub failure: Option<Failure>,
}

/// What went wrong with a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What it was, and what to do about it.
    pub message: String,
    /// How long ago it was.
    pub seconds: u64,
}

/// The kind of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// As `send_nsca` speaks it.
    Classic,
    /// Between two Understudies.
    Sealed,
}

/// What a destination did not get, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Results that came from it.
    pub origin: u64,
    /// Results in the spool that could not be read: damaged stretches, and results of another version.
    pub damaged: u64,
    /// Results whose text was cut because no frame of a sealed session could hold it.
    pub cut: u64,
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
            echoes: self.echoes.load(Relaxed),
            relayed: self.relayed.load(Relaxed),
            not_relayed: self.not_relayed.load(Relaxed),
        }
    }
}
