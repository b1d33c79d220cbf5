//! The backlog on disk: every accepted result, until the core has it and a newer one of the same object has come.
//!
//! ```text
//! connections ─▶ append ─▶ [ older … ▪ newest of each object … | waits … ] ─▶ Tail ─▶ injector
//!                                              position "core" ┘
//! ```
//!
//! **Invariant:** when [`Journal::append`] has succeeded, the results survive the death of this process; after at most
//! [`spool::COMMIT_WITHIN`] and one sync of the disk, a power cut. Only then they are acknowledged to sealed senders.
//!
//! **Invariant:** the order of the journal is the order of injection. What is older than what another origin has told, or came
//! over another path before, is left out when it comes, under the lock that appending takes.
//!
//! **Invariant:** the position is never ahead of what the core's command file took. It is behind by what was taken in the
//! last [`spool::POSITIONS_WITHIN`] when the process is killed: that is injected twice.

mod forward;
mod orders;
mod picker;
mod stretch;
mod tail;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nagios::Timestamp;
use spool::{Keep, NoShrink, OpenError, Options, Recovery, Spool, Trouble};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::backlog::NotTaken;
use crate::batch::Batch;
use crate::counts::Counters;
use crate::episode::Episode;
use crate::ledger::{Fingerprints, Ledger, Records};
use crate::peers::Keeper;
use crate::status::JournalStatus;

pub(crate) use forward::{Forward, Portion};
pub(crate) use orders::UnderWay;
pub(crate) use tail::Tail;

/// Who reads the journal.
const CORE: &str = "core";

/// A commit does not wait for more when so many results wait for it: senders wait for their acknowledgement.
const COMMIT_AT: u64 = 2048;

/// The journal of a running receiver. Connections append, a [`Tail`] reads.
pub(crate) struct Journal {
    /// An asynchronous lock: a connection that waits for a compaction costs no thread.
    spool: Arc<tokio::sync::Mutex<Spool>>,
    /// Who sends, and what of it is here. Changed under the lock of the spool, as far as results are concerned.
    peers: Arc<Keeper>,
    /// Locked after the spool.
    ledger: Mutex<Ledger>,
    fingerprints: Fingerprints,
    orders: Mutex<orders::Orders>,
    counters: Arc<Counters>,
    /// Wakes the tail.
    appended: Notify,
    /// Wakes the relay.
    appended_for_relay: Notify,
    /// Wakes whoever commits.
    dirty: Notify,
    /// Wakes those who wait for a commit.
    commits: watch::Sender<()>,
    /// Whether the tail gives the newest results again.
    is_giving_again: AtomicBool,
    appending: Mutex<Episode>,
    syncing: Mutex<Episode>,
}

impl Journal {
    /// Opens the journal at both ends, and says in the log what was found if it is remarkable.
    pub(crate) fn open(
        config: &config::Journal,
        new_id: [u8; 16],
        has_relay: bool,
        peers: Arc<Keeper>,
        counters: Arc<Counters>,
    ) -> Result<(Arc<Self>, Tail), OpenError> {
        let options = Options { max_size: config.max_size, keep: Keep::NewestOfEachKey, shrink: Box::new(NoShrink) };
        let (mut spool, recovery) = Spool::open(&config.directory, options, new_id)?;
        forward::keep_positions(&mut spool, has_relay, recovery.positions);
        report_recovery(&config.directory, &recovery);
        let position = spool.position(CORE).unwrap_or(0);
        let ledger = Ledger::of(&spool);
        let journal = Arc::new(Journal {
            spool: Arc::new(tokio::sync::Mutex::new(spool)),
            peers,
            fingerprints: ledger.fingerprints(),
            ledger: Mutex::new(ledger),
            orders: Mutex::default(),
            counters,
            appended: Notify::new(),
            appended_for_relay: Notify::new(),
            dirty: Notify::new(),
            commits: watch::Sender::new(()),
            is_giving_again: AtomicBool::new(false),
            appending: Mutex::default(),
            syncing: Mutex::default(),
        });
        let tail = Tail::new(journal.clone(), position);
        Ok((journal, tail))
    }

    /// Tells when something was committed.
    pub(crate) fn commits(&self) -> watch::Receiver<()> {
        self.commits.subscribe()
    }

    /// Whether the core's command file has taken everything that is here, and nothing is being given again.
    pub(crate) async fn is_injected(&self) -> bool {
        let spool = self.spool.lock().await;
        let is_past_all = spool.position(CORE).unwrap_or(0) >= spool.newest();
        is_past_all && !self.is_giving_again.load(Ordering::Relaxed)
    }

    /// How it is.
    pub(crate) async fn status(&self) -> JournalStatus {
        let spool = self.spool.lock().await;
        JournalStatus {
            waiting: spool.depth(CORE).ok().flatten(),
            results: spool.records(),
            bytes: spool.bytes(),
            uncommitted: spool.newest() - spool.committed(),
            trouble: spool.trouble().map(ToString::to_string),
        }
    }

    fn write(&self, spool: &mut Spool, batch: &Batch, records: Records) -> Result<(), NotTaken> {
        let (now, second) = (Instant::now(), Timestamp::from(SystemTime::now()).seconds());
        let had = match batch.source() {
            None => 0,
            Some((source, session)) => match self.peers.lock().taken(source, session) {
                Some(taken) => taken,
                // The session that superseded this one sends all of it again.
                None => return Ok(()),
            },
        };
        let appended = locked(&self.ledger).append(spool, batch, records, had, now, second);
        if let Some((source, session)) = batch.source() {
            self.peers.lock().take(source, session, appended.through);
        }
        let (compactions, damage) = (spool.take_compactions(), spool.take_damage());
        self.counters.accepted.add(appended.taken);
        if batch.is_readmitted() {
            self.counters.readmitted.add(appended.taken);
        }
        self.counters.repeated.add(appended.repeated);
        self.counters.older.add(appended.older);
        for compaction in &compactions {
            self.counters.lost.add(usize::try_from(compaction.lost).unwrap_or(usize::MAX));
            tracing::warn!(?compaction, "the journal was full and keeps only the newest results: raise max_size");
        }
        for stretch in damage.entries() {
            tracing::warn!("journal: {stretch}");
        }
        self.tell_appending(appended.outcome.as_ref().err(), now);
        Ok(appended.outcome?)
    }

    /// Wakes all who wait for results.
    fn note_appended(&self) {
        self.appended.notify_one();
        self.appended_for_relay.notify_one();
        self.dirty.notify_one();
    }

    fn tell_appending(&self, error: Option<&spool::AppendCause>, now: Instant) {
        let mut episode = locked(&self.appending);
        match error {
            None => {
                if let Some(lasted) = episode.ends(now) {
                    tracing::info!(after_seconds = lasted.as_secs(), "the journal takes results again");
                }
            }
            Some(error) => {
                if let Some(lasts) = episode.goes_on(Duration::ZERO, now) {
                    let for_seconds = lasts.as_secs();
                    tracing::error!(%error, for_seconds, "the journal takes no results: their senders have to keep them");
                }
            }
        }
    }

    /// Commits whenever it is due, until `ended`, and then once more.
    pub(crate) async fn keep_committed(self: Arc<Self>, ended: CancellationToken) {
        let mut failing = false;
        while !ended.is_cancelled() {
            let due = self.commit_due(failing).await;
            let wait = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => failing = !self.commit().await,
                () = self.dirty.notified() => {}
                () = ended.cancelled() => {}
            }
        }
        self.commit().await;
    }

    async fn commit_due(&self, failing: bool) -> Option<Instant> {
        let spool = self.spool.lock().await;
        let due = spool.next_commit_due();
        let waiting = spool.newest() - spool.committed();
        // Where everything of a batch was left out, there is nothing to sync, but something to acknowledge.
        let is_nothing_to_sync = waiting == 0 && self.peers.lock().is_uncommitted();
        if !failing && (waiting >= COMMIT_AT || is_nothing_to_sync) { Some(Instant::now()) } else { due }
    }

    /// Whether everything is committed that was appended before.
    async fn commit(self: &Arc<Self>) -> bool {
        let journal = self.clone();
        let outcome = match tokio::task::spawn_blocking(move || journal.sync()).await {
            Ok(outcome) => outcome,
            Err(defect) => {
                tracing::error!(%defect, "a commit of the journal failed; please report this");
                return false;
            }
        };
        self.peers.note();
        self.commits.send_replace(());
        self.tell_syncing(outcome.as_ref().err(), Instant::now());
        outcome.is_ok()
    }

    /// Syncs what was appended, while connections and injector go on; and says so to the peers.
    fn sync(&self) -> Result<(), Trouble> {
        let mut spool = self.spool.blocking_lock();
        let newest = spool.newest();
        let begun = spool.begin_commit(Instant::now())?;
        let of_peers = self.peers.lock().begin_commit();
        drop(spool);
        let done = begun.map(spool::Commit::run);
        let mut spool = self.spool.blocking_lock();
        let outcome = done.map_or(Ok(()), |done| spool.finish_commit(done, Instant::now()).map(|_| ()));
        let mut peers = self.peers.lock();
        if spool.committed() >= newest {
            peers.committed(of_peers);
        } else {
            peers.not_committed(of_peers);
        }
        outcome
    }

    fn tell_syncing(&self, error: Option<&Trouble>, now: Instant) {
        let mut episode = locked(&self.syncing);
        match error {
            None => {
                if let Some(lasted) = episode.ends(now) {
                    tracing::info!(after_seconds = lasted.as_secs(), "the journal is committed again");
                }
            }
            Some(error) => {
                if let Some(lasts) = episode.goes_on(Duration::ZERO, now) {
                    let for_seconds = lasts.as_secs();
                    tracing::error!(%error, for_seconds, "the journal would not survive a power cut, and nothing is acknowledged");
                }
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
