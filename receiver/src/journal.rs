//! The backlog on disk: every accepted result, until the core has it and a newer one of the same object has come.
//!
//! ```text
//! connections ─▶ append ─▶ [ older … ▪ newest of each object … | waits … ] ─▶ Tail ─▶ injector
//!                                              position "core" ┘
//! ```
//!
//! **Invariant:** when [`Journal::append`] has succeeded, the results survive the death of this process; after at most
//! [`spool::COMMIT_WITHIN`] and one sync of the disk, a power cut.
//!
//! **Invariant:** the position is never ahead of what the core's command file took. It is behind by what was taken in the
//! last [`spool::POSITIONS_WITHIN`] when the process is killed: that is injected twice.

mod stretch;
mod tail;
#[cfg(test)]
pub(crate) mod testing;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nagios::{CheckResult, stored};
use spool::{Keep, NewRecord, NoShrink, OpenError, Options, Recovery, Spool, Trouble};
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::backlog::NotTaken;
use crate::counts::Counters;
use crate::episode::Episode;

pub(crate) use tail::Tail;

/// Who reads the journal.
const CORE: &str = "core";

/// The journal of a running receiver. Connections append, a [`Tail`] reads.
pub(crate) struct Journal {
    /// An asynchronous lock: a connection that waits for a compaction costs no thread.
    spool: Arc<tokio::sync::Mutex<Spool>>,
    counters: Arc<Counters>,
    /// Wakes the tail.
    appended: Notify,
    /// Wakes whoever commits.
    dirty: Notify,
    appending: Mutex<Episode>,
    syncing: Mutex<Episode>,
}

impl Journal {
    /// Opens the journal at both ends, and says in the log what was found if it is remarkable.
    pub(crate) fn open(
        config: &config::Journal,
        new_id: [u8; 16],
        counters: Arc<Counters>,
    ) -> Result<(Arc<Self>, Tail), OpenError> {
        let options = Options { max_size: config.max_size, keep: Keep::NewestOfEachKey, shrink: Box::new(NoShrink) };
        let (mut spool, recovery) = Spool::open(&config.directory, options, new_id)?;
        spool.keep_positions(&[CORE], Instant::now()).expect("one short name");
        report_recovery(&config.directory, &recovery);
        let position = spool.position(CORE).unwrap_or(0);
        let journal = Arc::new(Journal {
            spool: Arc::new(tokio::sync::Mutex::new(spool)),
            counters,
            appended: Notify::new(),
            dirty: Notify::new(),
            appending: Mutex::default(),
            syncing: Mutex::default(),
        });
        let tail = Tail::new(journal.clone(), position);
        Ok((journal, tail))
    }

    /// Appends all of `results` with one write. If it fails, the first ones may be appended nevertheless.
    pub(crate) async fn append(self: &Arc<Self>, results: &[CheckResult]) -> Result<(), NotTaken> {
        let records = Records::encode(results);
        let spool = self.spool.clone().lock_owned().await;
        let journal = self.clone();
        Ok(tokio::task::spawn_blocking(move || journal.write(spool, &records)).await??)
    }

    fn write(&self, mut spool: OwnedMutexGuard<Spool>, records: &Records) -> Result<(), spool::AppendCause> {
        let now = Instant::now();
        let outcome = spool.append(records.iter(), now);
        let (compactions, damage) = (spool.take_compactions(), spool.take_damage());
        drop(spool);
        self.appended.notify_one();
        self.dirty.notify_one();
        for compaction in &compactions {
            self.counters.lost.add(usize::try_from(compaction.lost).unwrap_or(usize::MAX));
            tracing::warn!(?compaction, "the journal was full and keeps only the newest results: raise max_size");
        }
        for stretch in damage.entries() {
            tracing::warn!("journal: {stretch}");
        }
        let mut episode = locked(&self.appending);
        match &outcome {
            Ok(_) => {
                if let Some(lasted) = episode.ends(now) {
                    tracing::info!(after_seconds = lasted.as_secs(), "the journal takes results again");
                }
            }
            Err(error) => {
                if let Some(lasts) = episode.goes_on(Duration::ZERO, now) {
                    let for_seconds = lasts.as_secs();
                    tracing::error!(%error, for_seconds, "the journal takes no results: their senders have to keep them");
                }
            }
        }
        outcome.map(|_| ()).map_err(|error| error.cause)
    }

    /// Commits whenever it is due, until `ended`, and then once more.
    pub(crate) async fn keep_committed(self: Arc<Self>, ended: CancellationToken) {
        while !ended.is_cancelled() {
            let due = self.spool.lock().await.next_commit_due();
            let wait = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => self.dirty.notified().await,
                }
            };
            tokio::select! {
                () = wait => if due.is_some() { self.commit().await },
                () = ended.cancelled() => {}
            }
        }
        self.commit().await;
    }

    async fn commit(self: &Arc<Self>) {
        let journal = self.clone();
        let committed = tokio::task::spawn_blocking(move || {
            let begun = journal.spool.blocking_lock().begin_commit(Instant::now())?;
            let Some(commit) = begun else { return Ok(()) };
            // Connections and injector go on meanwhile.
            let done = commit.run();
            journal.spool.blocking_lock().finish_commit(done, Instant::now()).map(|_| ())
        });
        let outcome: Result<(), Trouble> = match committed.await {
            Ok(outcome) => outcome,
            Err(defect) => return tracing::error!(%defect, "a commit of the journal failed; please report this"),
        };
        let (mut episode, now) = (locked(&self.syncing), Instant::now());
        match outcome {
            Ok(()) => {
                if let Some(lasted) = episode.ends(now) {
                    tracing::info!(after_seconds = lasted.as_secs(), "the journal is committed again");
                }
            }
            Err(error) => {
                if let Some(lasts) = episode.goes_on(Duration::ZERO, now) {
                    let for_seconds = lasts.as_secs();
                    tracing::error!(%error, for_seconds, "the journal would not survive a power cut");
                }
            }
        }
    }
}

/// Results as records, in one buffer.
struct Records {
    bytes: Vec<u8>,
    /// Where key and payload of each end.
    ends: Vec<(usize, usize)>,
}

impl Records {
    fn encode(results: &[CheckResult]) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(results.len()));
        for result in results {
            stored::key(&result.object, &mut bytes);
            let key_end = bytes.len();
            // A classic client has no name of its own.
            stored::encode(result, b"", &mut bytes);
            ends.push((key_end, bytes.len()));
        }
        Records { bytes, ends }
    }

    fn iter(&self) -> impl Iterator<Item = NewRecord<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |&(key_end, end)| {
            let record = NewRecord { key: &self.bytes[start..key_end], payload: &self.bytes[key_end..end] };
            start = end;
            record
        })
    }
}

fn locked(episode: &Mutex<Episode>) -> MutexGuard<'_, Episode> {
    episode.lock().unwrap_or_else(PoisonError::into_inner)
}

fn report_recovery(directory: &Path, recovery: &Recovery) {
    if recovery.is_unremarkable() {
        return;
    }
    let Recovery { identity, positions, records, torn_bytes, leftovers, no_reserve, damage } = recovery;
    let no_reserve = no_reserve.as_deref().unwrap_or("none");
    tracing::warn!(
        directory = %directory.display(), ?identity, ?positions, records, torn_bytes, leftovers, no_reserve,
        "the journal was not closed in order"
    );
    for stretch in damage.entries() {
        tracing::warn!("journal: {stretch}");
    }
}
