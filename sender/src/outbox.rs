//! What waits for the destinations: one spool on disk, and a position in it for each of them.
//!
//! Invariants:
//! - a result that [`Outbox::append`] took has been written: it survives the death of this process at once, and a power
//!   cut after [`spool::COMMIT_WITHIN`] (see [`Committer`](crate::committer::Committer));
//! - each destination gets the results in the order in which they were appended, and gets on at its own pace;
//! - what a destination has [confirmed](Outbox::confirm) is not read for it again, also after a restart, except what was
//!   confirmed within [`spool::POSITIONS_WITHIN`] of a crash;
//! - memory holds no results: only a reader's buffer for each destination, and the spool's index.
//!
//! A result is known by its sequence in the spool. Sequences only grow; they have gaps.
//!
//! **Whose position begins where.** A destination that is new in the configuration gets what comes from now on. That is
//! written to the disk before the first result is taken; so a position that is missing later means a new destination, never
//! one that was forgotten. If the file of positions is damaged, every destination gets everything that is here again.
//! Positions of destinations that left the configuration are dropped, and hold nothing up.
//!
//! **Blocking.** Links read on tokio's threads. A read is one of at most 64 KiB, mostly from the page cache, under the
//! lock; decoding is outside of it. A compaction holds the lock until it is done: seconds for 256 MiB, once for
//! every 64 MiB that come while a destination is away. Links sleep meanwhile ([`Outbox::lock_soon`]) and hold no thread up.

use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use nagios::{Attributed, CheckResult, Timestamp, stored};
use spool::{AppendCause, AppendError, FileState, Keep, NewRecord, Options, Reader, Spool, Trouble};
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

use crate::StartError;
use crate::shrink::ShrinkText;
use crate::status::SpoolStatus;
use crate::tap::{Tap, Waiting};
use crate::throttle::Throttle;

const _: () = assert!(config::MIN_SPOOL_BYTES >= spool::MIN_MAX_SIZE);
const _: () = assert!(config::MAX_NAME_BYTES <= spool::MAX_NAME_BYTES);

/// How often a link that found the spool locked tries again at once: whoever appends or reads is done in microseconds.
const LOCK_TRIES: u32 = 100;

/// How soon it tries again after that.
const LOCK_STEP: Duration = Duration::from_millis(1);

/// The name of the spool's directory in the state directory.
pub const SPOOL_DIRECTORY: &str = "spool";

/// Why a result was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotTaken {
    /// It never will be.
    #[error("{0}")]
    TooLong(String),
    /// The spool cannot write at this moment; it may later.
    #[error(transparent)]
    Spool(#[from] Trouble),
    /// The sender has ended.
    #[error("the sender is stopped; the next one takes it")]
    Stopped,
}

/// The spool and its readers. Destinations are known by their place in the configuration.
pub(crate) struct Outbox {
    pub(crate) state: Mutex<State>,
    /// Something is to be committed, or no more will be.
    pub(crate) commit_wanted: Condvar,
    slots: Vec<Slot>,
}

/// What the lock protects.
pub(crate) struct State {
    pub(crate) spool: Spool,
    /// Whether the last commits are due.
    pub(crate) ending: bool,
    complaint: Throttle,
    is_in_trouble: bool,
    superseded: u64,
    cut: u64,
    damaged_bytes: u64,
}

struct Slot {
    destination: String,
    tap: Mutex<Tap>,
    /// One link waits.
    arrival: Notify,
}

impl Outbox {
    /// Opens the spool, or makes it. Blocks while all of it is read.
    pub(crate) fn open(
        state_directory: &Path,
        config: config::Spool,
        destinations: impl IntoIterator<Item = String>,
    ) -> Result<Outbox, StartError> {
        let directory = state_directory.join(SPOOL_DIRECTORY);
        let options = Options { max_size: config.max_size, keep: Keep::Unread, shrink: Box::new(ShrinkText) };
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(StartError::Random)?;
        let (mut spool, recovery) = Spool::open(&directory, options, id)?;
        if !recovery.is_unremarkable() {
            warn!(directory = %directory.display(), ?recovery, "the spool was not left in order; what is whole is delivered");
        }
        let names: Vec<String> = destinations.into_iter().collect();
        let start_at_end = recovery.positions != FileState::Replaced;
        set_positions(&mut spool, &names, start_at_end)?;
        for destination in &names {
            let waiting = spool.depth(destination)?.unwrap_or_default();
            info!(destination, waiting, directory = %directory.display(), "results in the spool");
        }
        let state = State {
            spool,
            ending: false,
            complaint: Throttle::default(),
            is_in_trouble: false,
            superseded: 0,
            cut: 0,
            damaged_bytes: recovery.damage.bytes(),
        };
        let slots = names.into_iter().map(Slot::new).collect();
        Ok(Outbox { state: Mutex::new(state), commit_wanted: Condvar::new(), slots })
    }

    /// Appends results, in one write if they are not megabytes; one answer for each. When this returns, those that were
    /// taken survive the death of this process.
    pub(crate) fn append(&self, results: &[impl Submission]) -> Vec<Result<(), NotTaken>> {
        let encoded: Vec<Encoded> = results.iter().map(Encoded::new).collect();
        let mut state = self.lock();
        if state.ending {
            return vec![Err(NotTaken::Stopped); results.len()];
        }
        let outcomes = state.append(&encoded);
        state.log_compactions();
        drop(state);
        self.commit_wanted.notify_one();
        self.slots.iter().for_each(|slot| slot.arrival.notify_one());
        outcomes
    }

    /// At most `limit` results that wait for the destination, from sequence `from` on. None: there are none before
    /// [`Waiting::end`].
    pub(crate) async fn read(&self, destination: usize, from: u64, limit: usize) -> Result<Waiting, Trouble> {
        let slot = &self.slots[destination];
        let state = self.lock_soon().await;
        let mut tap = slot.tap.lock().unwrap_or_else(PoisonError::into_inner);
        let confirmed = state.spool.position(&slot.destination).unwrap_or_default();
        tap.read(state, from.max(confirmed + 1), limit, &slot.destination)
    }

    /// The destination has everything below `end`.
    pub(crate) async fn confirm(&self, destination: usize, end: u64) {
        let mut state = self.lock_soon().await;
        state.spool.advance(&self.slots[destination].destination, end.saturating_sub(1), Instant::now());
        drop(state);
        self.commit_wanted.notify_one();
    }

    /// How many results wait. 0 also where that cannot be read: the link says so. Blocks.
    pub(crate) fn waiting(&self, destination: usize) -> u64 {
        self.lock().waiting(&self.slots[destination].destination)
    }

    /// As [`waiting`](Self::waiting), for a task.
    pub(crate) async fn depth(&self, destination: usize) -> u64 {
        self.lock_soon().await.waiting(&self.slots[destination].destination)
    }

    /// What has been skipped on the way to the destination; see [`DestinationStatus`](crate::DestinationStatus).
    pub(crate) fn skipped(&self, destination: usize) -> u64 {
        self.slots[destination].tap.lock().unwrap_or_else(PoisonError::into_inner).skipped()
    }

    pub(crate) fn status(&self) -> SpoolStatus {
        let State { spool, superseded, cut, damaged_bytes, .. } = &*self.lock();
        SpoolStatus {
            results: spool.records(),
            bytes: spool.bytes(),
            superseded: *superseded,
            cut: *cut,
            damaged_bytes: *damaged_bytes,
            trouble: spool.trouble().map(ToString::to_string),
        }
    }

    /// How old the oldest result is that waits, by its check time; `None` where none does, or it cannot be read. Blocks.
    pub(crate) fn oldest_waiting(&self, destination: usize, now: Timestamp) -> Option<Duration> {
        let state = self.lock();
        let position = state.spool.position(&self.slots[destination].destination)?;
        let mut reader = Reader::from(position + 1);
        let batch = reader.next_batch(&state.spool).ok()?;
        drop(state);
        let (oldest, _) = batch.iter().find_map(|record| stored::decode(record.payload).ok())?;
        Some(now.saturating_since(oldest.check_time))
    }

    /// Waits until any result waits for the destination.
    pub(crate) async fn arrival(&self, destination: usize) {
        self.arrival_after(destination, 0).await;
    }

    /// Waits until a result of sequence `from` or higher waits for the destination.
    pub(crate) async fn arrival_after(&self, destination: usize, from: u64) {
        while !self.has_after(destination, from).await {
            self.news(destination).await;
        }
    }

    /// Waits until something was appended since this was waited for the last time. It may be nothing that waits for the
    /// destination.
    pub(crate) async fn news(&self, destination: usize) {
        self.slots[destination].arrival.notified().await;
    }

    /// True also where that cannot be read, so that the next read tells why.
    async fn has_after(&self, destination: usize, from: u64) -> bool {
        let state = self.lock_soon().await;
        let confirmed = state.spool.position(&self.slots[destination].destination).unwrap_or_default();
        state.spool.records_after(confirmed.max(from.saturating_sub(1))).map_or(true, |records| records > 0)
    }

    /// As [`lock`](Self::lock), for a task: it sleeps while another one has the lock for long, and leaves its thread to
    /// others. A sleep takes a millisecond or two, which a result should not have to wait for.
    pub(crate) async fn lock_soon(&self) -> MutexGuard<'_, State> {
        for _ in 0..LOCK_TRIES {
            if let Some(state) = self.try_lock() {
                return state;
            }
            std::thread::yield_now();
        }
        loop {
            if let Some(state) = self.try_lock() {
                return state;
            }
            tokio::time::sleep(LOCK_STEP).await;
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// A thread that panicked with the lock held left the spool usable: it notes what it wrote after it wrote it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module's documentation. When this returns, the positions are on the disk.
fn set_positions(spool: &mut Spool, names: &[String], start_at_end: bool) -> Result<(), StartError> {
    let now = Instant::now();
    let is_new = |name: &&str| spool.position(name).is_none();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let new: Vec<&str> = names.iter().copied().filter(is_new).collect();
    spool.keep_positions(&names, now)?;
    if start_at_end {
        let newest = spool.newest();
        new.iter().for_each(|name| spool.advance(name, newest, now));
    }
    spool.commit(now)?;
    Ok(())
}

impl State {
    fn waiting(&self, destination: &str) -> u64 {
        self.spool.depth(destination).ok().flatten().unwrap_or_default()
    }

    fn append(&mut self, encoded: &[Encoded]) -> Vec<Result<(), NotTaken>> {
        let mut outcomes = Vec::with_capacity(encoded.len());
        while outcomes.len() < encoded.len() {
            let rest = encoded[outcomes.len()..].iter().map(Encoded::record);
            let Err(AppendError { appended, cause }) = self.spool.append(rest, Instant::now()) else {
                outcomes.resize(encoded.len(), Ok(()));
                break;
            };
            outcomes.extend(appended.map(|_| Ok(())));
            if let AppendCause::Trouble(trouble) = cause {
                self.complain(&trouble, encoded.len() - outcomes.len());
                outcomes.resize(encoded.len(), Err(NotTaken::Spool(trouble)));
                return outcomes;
            }
            outcomes.push(Err(NotTaken::TooLong(cause.to_string())));
        }
        if !encoded.is_empty() && std::mem::take(&mut self.is_in_trouble) {
            info!("the spool takes results again");
        }
        outcomes
    }

    fn complain(&mut self, trouble: &Trouble, results: usize) {
        self.is_in_trouble = true;
        if let Some(results) = self.complaint.count(results as u64, Instant::now()) {
            error!(
                results,
                error = %trouble,
                "the spool takes no results: understudy-ocsp leaves its own in the spill directory, those of the perfdata \
                 FIFO are lost"
            );
        }
    }

    fn log_compactions(&mut self) {
        for report in self.spool.take_compactions() {
            self.superseded += report.lost;
            self.cut += report.cut;
            if report.lost > 0 || report.cut > 0 {
                warn!(
                    superseded = report.lost,
                    cut = report.cut,
                    bytes_before = report.bytes_before,
                    bytes_after = report.bytes_after,
                    "the spool was full: older results of objects with newer ones were dropped, or texts cut; a \
                     destination does not take results, or raise max_size in [sender.spool]"
                );
            } else {
                debug!(?report, "the spool was compacted");
            }
        }
        let damage = self.spool.take_damage();
        self.damaged_bytes += damage.bytes();
        for damage in damage.entries() {
            warn!(%damage, "a compaction found damage in the spool");
        }
    }
}

impl Slot {
    fn new(destination: String) -> Slot {
        Slot { destination, tap: Mutex::new(Tap::new()), arrival: Notify::new() }
    }
}

/// A result as the spool has it.
struct Encoded {
    bytes: Vec<u8>,
    key: usize,
}

/// What can be appended.
pub(crate) trait Submission {
    /// The result, and the node whose spool it entered first; empty for this one.
    fn parts(&self) -> (&CheckResult, &str);
}

impl Submission for CheckResult {
    fn parts(&self) -> (&CheckResult, &str) {
        (self, "")
    }
}

impl Submission for Attributed {
    fn parts(&self) -> (&CheckResult, &str) {
        (&self.result, &self.origin)
    }
}

impl Encoded {
    fn new(submission: &impl Submission) -> Encoded {
        let (result, origin) = submission.parts();
        let mut bytes = Vec::new();
        stored::key(&result.object, &mut bytes);
        let key = bytes.len();
        stored::encode(result, origin.as_bytes(), &mut bytes);
        Encoded { bytes, key }
    }

    fn record(&self) -> NewRecord<'_> {
        let (key, payload) = self.bytes.split_at(self.key);
        NewRecord { key, payload }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{done, number, numbered, outbox};

    const LARGE: config::Spool = config::Spool { max_size: config::MIN_SPOOL_BYTES };

    fn open(directory: &Path, names: &[&str]) -> Outbox {
        Outbox::open(directory, LARGE, names.iter().map(ToString::to_string)).unwrap()
    }

    fn append(outbox: &Outbox, numbers: std::ops::Range<u64>) {
        let results: Vec<CheckResult> = numbers.map(numbered).collect();
        assert!(outbox.append(&results).iter().all(Result::is_ok));
    }

    fn numbers(waiting: &Waiting) -> Vec<u64> {
        waiting.results.iter().map(number).collect()
    }

    #[test]
    fn each_destination_goes_on_where_it_was_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = open(directory.path(), &["fast", "slow"]);
        append(&outbox, 0..500);
        let first = done(outbox.read(0, 0, 100)).unwrap();
        assert_eq!(numbers(&first), (0..100).collect::<Vec<_>>());
        let second = done(outbox.read(0, first.end, usize::MAX)).unwrap();
        assert_eq!(numbers(&second), (100..500).collect::<Vec<_>>());
        assert_eq!(numbers(&done(outbox.read(0, 0, 1)).unwrap()), [0], "nothing is confirmed yet");
        done(outbox.confirm(0, second.end));
        done(outbox.confirm(1, first.end));
        outbox.lock().spool.commit(Instant::now()).unwrap();
        drop(outbox);

        let outbox = open(directory.path(), &["slow", "fast"]);
        assert_eq!((outbox.waiting(0), outbox.waiting(1)), (400, 0));
        assert_eq!(numbers(&done(outbox.read(0, 0, 2)).unwrap()), [100, 101]);
        assert_eq!(numbers(&done(outbox.read(1, 0, 2)).unwrap()), [0; 0]);
    }

    #[test]
    fn a_new_destination_begins_with_what_comes_and_a_removed_one_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        append(&open(directory.path(), &["old"]), 0..10);
        let outbox = open(directory.path(), &["old", "new"]);
        append(&outbox, 10..11);
        assert_eq!((outbox.waiting(0), outbox.waiting(1)), (11, 1));
        assert_eq!(numbers(&done(outbox.read(1, 0, 5)).unwrap()), [10]);
        drop(outbox);
        // Before any commit: the positions were on the disk since the start.
        assert_eq!(open(directory.path(), &["new"]).waiting(0), 1);
        assert_eq!(open(directory.path(), &["old"]).waiting(0), 0);
    }

    #[test]
    fn without_the_file_of_positions_everything_is_sent_again() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = open(directory.path(), &["a"]);
        append(&outbox, 0..10);
        done(outbox.confirm(0, u64::MAX));
        drop(outbox);
        std::fs::write(directory.path().join("spool/positions"), b"damaged").unwrap();
        assert_eq!(open(directory.path(), &["a"]).waiting(0), 10);
    }

    #[test]
    fn damage_costs_what_it_touches_and_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        append(&open(directory.path(), &["a"]), 0..3);
        let mut files = std::fs::read_dir(directory.path().join("spool")).unwrap().map(|entry| entry.unwrap().path());
        let segment = files.find(|path| path.extension().is_some_and(|extension| extension == "segment")).unwrap();
        let mut bytes = std::fs::read(&segment).unwrap();
        let at = memchr::memmem::find(&bytes, format!("{:020}", 1).as_bytes()).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        let outbox = open(directory.path(), &["a"]);
        assert!(outbox.status().damaged_bytes > 0);
        for _ in 0..2 {
            assert_eq!(numbers(&done(outbox.read(0, 0, 10)).unwrap()), [0, 2]);
            assert_eq!(outbox.skipped(0), 1, "once, however often it is read");
        }
    }

    #[test]
    fn what_is_no_result_is_skipped_and_counted_once() {
        let (_directory, outbox) = outbox();
        append(&outbox, 0..1);
        let alien = NewRecord { key: b"k", payload: b"\x09 from another version" };
        outbox.lock().spool.append([alien, alien], Instant::now()).unwrap();
        append(&outbox, 1..2);
        for _ in 0..2 {
            assert_eq!(numbers(&done(outbox.read(0, 0, 10)).unwrap()), [0, 1]);
            assert_eq!(outbox.skipped(0), 2);
        }
        outbox.lock().spool.append([alien], Instant::now()).unwrap();
        let nothing = done(outbox.read(0, done(outbox.read(0, 0, 10)).unwrap().end, 10)).unwrap();
        assert_eq!(numbers(&nothing), [0; 0]);
        done(outbox.confirm(0, nothing.end));
        assert_eq!(outbox.waiting(0), 0);
    }

    #[test]
    fn a_result_that_is_too_long_takes_no_other_with_it() {
        let (_directory, outbox) = outbox();
        let mut long = numbered(1);
        long.output = nagios::PluginOutput::from_text(&vec![b'x'; spool::MAX_PAYLOAD_BYTES]);
        let outcomes = outbox.append(&[numbered(0), long, numbered(2)]);
        assert!(matches!(outcomes[..], [Ok(()), Err(NotTaken::TooLong(_)), Ok(())]), "{outcomes:?}");
        assert_eq!(numbers(&done(outbox.read(0, 0, 10)).unwrap()), [0, 2]);
    }

    #[tokio::test]
    async fn a_waiting_link_is_woken() {
        let (_directory, outbox) = outbox();
        append(&outbox, 0..1);
        let end = outbox.read(0, 0, 1).await.unwrap().end;
        let waiting = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.arrival_after(0, end).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        append(&outbox, 1..2);
        waiting.await.unwrap();
    }

    #[tokio::test]
    #[expect(clippy::await_holding_lock, reason = "that nobody else waits for it is what this shows")]
    async fn a_spool_that_is_locked_holds_up_no_other_task() {
        let (_directory, outbox) = outbox();
        append(&outbox, 0..1);
        let compacting = outbox.lock();
        let reading = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { numbers(&outbox.read(0, 0, 1).await.unwrap()) }
        });
        // On the thread that the other task is on.
        for _ in 0..10 {
            tokio::time::sleep(LOCK_STEP).await;
        }
        assert!(!reading.is_finished());
        drop(compacting);
        assert_eq!(reading.await.unwrap(), [0]);
    }
}
