//! Gives this node's core a memory while it runs.
//!
//! [`book::handover`] decides in which steps; here are the files, the clock, and whoever hands the commands to the core.
//!
//! ```text
//! take-over ───────┐              ┌─▶ retention file, and back
//! resynchronisation┴─▶ Giver ─────┼─▶ READ, SAVE and, at a take-over, ENABLE
//!                                 └◀─ status file: does the core show it?
//! ```
//!
//! **Invariant:** one file is in place at a time. A take-over is not kept waiting: what only informs the core gives way.
//!
//! **Invariant:** a partial file does not outlive the [`Giver`]'s task: also where that is aborted, the core's own file is put back,
//! and what a daemon that was killed has left, the next one puts back before anything else ([`put_back`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use book::handover::{Action, Handover, Outcome, Settings};
use book::inherit::is_taken;
use chronicle::Chronicle;
use failover::verdict::CoreFiles;
use failover::{Issued, NotIssued};
use nagios::retention::{PartialFile, Patch, RetentionError, RetentionFile, Scope};
use nagios::{Flavour, ModeCommand, Object, Timestamp};
use nsca::sealed::CoreVerdict;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::needs::{self, Lack};

/// How often the core and its files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a task that is aborted waits for the core to read what it was told to read.
const LINGER_AT_END: Duration = Duration::from_secs(1);

/// Gives the core memories, one after the other.
pub struct Giver {
    place: Place,
    core: Arc<Mutex<CoreFiles>>,
    chronicle: Chronicle,
    save_interval: Option<Duration>,
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Cancelled when a take-over wants its turn.
    give_way: Mutex<CancellationToken>,
}

/// Where the core keeps its memory, and where it is given another one.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) flavour: Flavour,
    /// Its own full file.
    pub(crate) retention: PathBuf,
    /// Where a partial one goes: in the place of that, or, for Icinga 1, beside it.
    pub(crate) partial: RetentionFile,
}

/// What is wanted.
pub struct Wish {
    /// What the core is to know of each object.
    pub patches: BTreeMap<Object, Patch>,
    /// If it is to notify from then on: when at the latest, with or without that.
    pub enable_by: Option<Timestamp>,
    /// It is not wanted any more.
    pub called_off: CancellationToken,
}

/// How far it is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Whether what enables notifications is in the command file, or why not.
    pub enabled: Option<Result<(), String>>,
    /// The core has read what it was given.
    pub is_read: bool,
}

/// Hands commands to the core. Dropping what it gives withdraws them.
pub type HandIn<'a> = &'a mut (dyn FnMut(&'static [ModeCommand]) -> Issued + Send);

impl Giver {
    /// For `core`, which `chronicle` follows.
    ///
    /// # Errors
    /// What makes it impossible.
    pub fn new(core: &config::Core, chronicle: Chronicle) -> Result<Self, Lack> {
        Ok(Self {
            place: Place::of(core)?,
            core: Arc::new(Mutex::new(CoreFiles::new(core))),
            chronicle,
            save_interval: needs::save_interval(core),
            turn: Arc::default(),
            give_way: Mutex::default(),
        })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Gives the core `wish.patches` and says how that ended. `hand_in` hands it the commands; `progress` is told how far it is.
    ///
    /// # Cancel safety
    /// Where it is dropped, the core's own file is put back at once. Whoever can, cancels `wish.called_off` instead.
    pub async fn give(&self, wish: Wish, hand_in: HandIn<'_>, progress: &watch::Sender<Progress>) -> Outcome {
        let turn = self.turn.clone().lock_owned();
        let (turn, give_way) = match wish.enable_by {
            None => {
                let give_way = lock(&self.give_way).clone();
                let turn = turn.await;
                if give_way.is_cancelled() {
                    return Outcome::Withdrawn;
                }
                (Some(turn), give_way)
            }
            Some(latest) => {
                std::mem::take(&mut *lock(&self.give_way)).cancel();
                (tokio::time::timeout(until(latest), turn).await.ok(), CancellationToken::new())
            }
        };
        match turn {
            Some(turn) => Giving::new(self, wish, turn, progress.clone()).run(hand_in, give_way).await,
            // The file of another one is in place.
            None => {
                let issued = hand_in(&[ModeCommand::EnableNotifications]).await;
                note_enabled(progress, issued);
                Outcome::SaveNear
            }
        }
    }

    /// The same, and does what comes `afterwards` as soon as the core has read that.
    pub(crate) async fn give_and_then(
        &self,
        wish: Wish,
        hand_in: HandIn<'_>,
        progress: &watch::Sender<Progress>,
        afterwards: impl Future<Output = ()>,
    ) -> Outcome {
        let given = self.give(wish, hand_in, progress);
        tokio::pin!(given);
        let is_read = async {
            let read = progress.subscribe().wait_for(|progress| progress.is_read).await.is_ok();
            debug_assert!(read, "whoever waits for this holds the sender");
        };
        tokio::select! {
            biased;
            outcome = &mut given => return outcome,
            () = is_read => {}
        }
        tokio::join!(given, afterwards).0
    }

    fn settings(&self, enable_by: Option<Timestamp>) -> Settings {
        let program_start = self.chronicle.read(|own| own.program_start);
        Settings {
            flavour: self.place.flavour,
            program_start: (program_start != 0).then(|| Timestamp::from_seconds(program_start)),
            save_interval: self.save_interval,
            status_interval: lock(&self.core).status_update_interval(),
            enables: enable_by.is_some(),
            latest: enable_by,
        }
    }
}

/// Puts the core's own retention file back where a daemon that was killed has left another one.
///
/// # Errors
/// It cannot be put back.
pub fn put_back(core: &config::Core) -> Result<(), RetentionError> {
    let Ok(place) = Place::of(core) else { return Ok(()) };
    if place.partial.put_back()? {
        tracing::warn!(
            file = %place.retention.display(),
            "the core's own retention file is back: the daemon before this one ended while another one was in its place"
        );
    }
    Ok(())
}

impl Place {
    pub(crate) fn of(core: &config::Core) -> Result<Self, Lack> {
        let (retention, partial) = needs::files(core)?;
        Ok(Self { flavour: core.flavour, retention, partial: RetentionFile::new(partial) })
    }
}

/// A memory that is being given.
struct Giving<'a> {
    giver: &'a Giver,
    wish: Wish,
    handover: Handover,
    progress: watch::Sender<Progress>,
    /// Until the core's own file is in its place again.
    turn: Option<OwnedMutexGuard<()>>,
    placed: Placed,
    placing: Option<JoinHandle<bool>>,
    /// What the core was handed, and whether it has it read a file.
    issued: Option<(Issued, bool)>,
    /// The run of the core that it is for, and the last picture of it that was looked at.
    program_start: i64,
    looked_at: u64,
}

/// A partial file that is in its place, as far as is known.
struct Placed {
    file: RetentionFile,
    is_placed: bool,
    is_issued: bool,
}

/// What is seen of the core and its files.
struct Look {
    written: Option<Timestamp>,
    is_ours: bool,
    is_gone: bool,
}

impl<'a> Giving<'a> {
    fn new(giver: &'a Giver, wish: Wish, turn: OwnedMutexGuard<()>, progress: watch::Sender<Progress>) -> Self {
        let handover = Handover::new(giver.settings(wish.enable_by), now());
        let placed = Placed { file: giver.place.partial.clone(), is_placed: false, is_issued: false };
        let (program_start, looked_at) =
            (giver.chronicle.read(|own| own.program_start), giver.chronicle.pictures().borrow().number);
        let (turn, placing, issued) = (Some(turn), None, None);
        Self { giver, wish, handover, progress, turn, placed, placing, issued, program_start, looked_at }
    }

    async fn run(mut self, hand_in: HandIn<'_>, give_way: CancellationToken) -> Outcome {
        let mut is_called_off = false;
        let called_off = self.wish.called_off.clone();
        let outcome = loop {
            if let Some(outcome) = self.act(hand_in).await {
                break outcome;
            }
            tokio::select! {
                placed = finished(&mut self.placing) => self.handover.handle_placed(placed, now()),
                result = handed_in(&mut self.issued) => self.handle_issued(result),
                () = either(&called_off, &give_way), if !is_called_off => {
                    is_called_off = true;
                    self.handover.withdraw(now());
                }
                () = tokio::time::sleep(LOOK_EVERY) => self.look().await,
            }
            self.handover.handle_timeout(now());
        };
        // What enables notifications without a memory waits for the core as long as somebody wants it.
        if let Some((issued, _)) = self.issued.take() {
            tokio::select! {
                issued = issued => note_enabled(&self.progress, issued),
                () = called_off.cancelled() => {}
            }
        } else if outcome == Outcome::CoreGone && self.wish.enable_by.is_some() {
            self.progress.send_if_modified(|progress| match progress.enabled {
                Some(_) => false,
                None => {
                    progress.enabled = Some(Err(outcome.to_string()));
                    true
                }
            });
        }
        outcome
    }

    async fn act(&mut self, hand_in: HandIn<'_>) -> Option<Outcome> {
        let mut withdrawn = None;
        while let Some(action) = self.handover.poll_action() {
            match action {
                Action::Place => self.place(),
                Action::Issue(commands) => {
                    self.placed.is_issued = true;
                    let reads = commands.iter().any(|command| command.reads());
                    self.issued = Some((hand_in(commands), reads));
                }
                // What takes its place is handed in first.
                Action::Withdraw => withdrawn = self.issued.take(),
                Action::PutBack => {
                    drop(withdrawn.take());
                    self.put_back().await;
                }
                Action::Finish(outcome) => return Some(outcome),
            }
        }
        None
    }

    fn place(&mut self) {
        let mut partial = PartialFile::new(self.giver.place.flavour);
        self.wish.patches.iter().for_each(|(object, patch)| partial.push(object, patch));
        let file = self.placed.file.clone();
        self.placed.is_placed = true;
        self.placing = Some(tokio::task::spawn_blocking(move || match file.replace(&partial.into_bytes()) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "the core cannot be given what the other one remembers");
                false
            }
        }));
    }

    fn handle_issued(&mut self, (result, reads): (Result<(), NotIssued>, bool)) {
        match (result, reads) {
            (Ok(()), true) => {
                if self.wish.enable_by.is_some() {
                    note_enabled(&self.progress, Ok(()));
                }
                self.handover.handle_issued(now());
            }
            (Err(error), true) => {
                tracing::debug!(%error, "the core was not told to read");
                self.handover.handle_not_issued(now());
            }
            (result, false) => note_enabled(&self.progress, result),
        }
    }

    async fn look(&mut self) {
        let (core, place) = (self.giver.core.clone(), self.giver.place.clone());
        let looking = tokio::task::spawn_blocking(move || Look::take(&mut lock(&core), &place));
        let Ok(look) = looking.await else { return };
        let picture = *self.giver.chronicle.pictures().borrow();
        let restarted =
            self.program_start != 0 && picture.program_start != 0 && picture.program_start != self.program_start;
        if look.is_gone || restarted {
            return self.handover.handle_core_gone();
        }
        if let Some(written) = look.written {
            self.handover.handle_written(written, now());
        }
        // Only once it was handed in: before, it is not there yet.
        if self.placed.is_issued && self.placed.is_placed && !look.is_ours {
            self.put_back().await;
            self.progress.send_modify(|progress| progress.is_read = true);
            self.handover.handle_saved();
        }
        if picture.number != self.looked_at {
            self.looked_at = picture.number;
            let shown = self.is_shown();
            self.handover.handle_status(Timestamp::from_seconds(picture.created), shown);
        }
    }

    /// Whether the core shows what it was given. A state that it was set back to it does not keep.
    fn is_shown(&self) -> bool {
        let mut given = self.wish.patches.iter().filter(|(_, patch)| patch.scope < Scope::State);
        self.giver.chronicle.read(|own| {
            given.all(|(object, patch)| {
                own.book.entry(object).is_none_or(|entry| is_taken(&patch.memory, &entry.memory))
            })
        })
    }

    async fn put_back(&mut self) {
        if let Some(placing) = self.placing.take() {
            // However long the disk takes: what is placed late must not stay.
            let _ = placing.await;
        }
        if self.placed.is_placed {
            let file = self.placed.file.clone();
            let putting = tokio::task::spawn_blocking(move || file.put_back());
            if let Ok(Err(error)) = putting.await {
                tracing::error!(%error, "a partial file is in the place of the core's own, which is kept beside it");
            }
            self.placed.is_placed = false;
        }
        self.turn = None;
    }
}

impl Look {
    fn take(core: &mut CoreFiles, place: &Place) -> Self {
        let modified = std::fs::metadata(&place.retention).and_then(|found| found.modified());
        Self {
            written: modified.ok().map(Timestamp::from),
            // What cannot be read is put back in the end.
            is_ours: place.partial.is_ours().unwrap_or(true),
            is_gone: matches!(core.verdict(), CoreVerdict::DeadCrash | CoreVerdict::DeadClean),
        }
    }
}

/// The task was aborted.
impl Drop for Placed {
    fn drop(&mut self) {
        if !self.is_placed {
            return;
        }
        let waits_until = std::time::Instant::now() + LINGER_AT_END;
        while self.is_issued && self.file.is_ours().unwrap_or(false) && std::time::Instant::now() < waits_until {
            std::thread::sleep(LOOK_EVERY);
        }
        if let Err(error) = self.file.put_back() {
            tracing::error!(%error, "a partial file is in the place of the core's own, which is kept beside it");
        }
    }
}

fn note_enabled(progress: &watch::Sender<Progress>, result: Result<(), NotIssued>) {
    progress.send_modify(|progress| progress.enabled = Some(result.map_err(|error| error.to_string())));
}

async fn either(one: &CancellationToken, other: &CancellationToken) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
}

/// Whether the file was placed, once that is known; what ended is taken.
async fn finished(placing: &mut Option<JoinHandle<bool>>) -> bool {
    let Some(handle) = placing else { return std::future::pending().await };
    let placed = handle.await;
    *placing = None;
    placed.unwrap_or(false)
}

/// What became of what was handed in, once that is known; what ended is taken.
async fn handed_in(issued: &mut Option<(Issued, bool)>) -> (Result<(), NotIssued>, bool) {
    let Some((future, reads)) = issued else { return std::future::pending().await };
    let (result, reads) = (future.await, *reads);
    *issued = None;
    (result, reads)
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// How long it is until then.
fn until(moment: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(moment.micros() - now().micros()).unwrap_or(0))
}

/// Nothing that is done under these locks leaves anything half-way.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When and as what the file at `path` was written.
pub(crate) fn version(path: &Path) -> Option<nagios::status::Version> {
    nagios::status::look(path, None).ok().and_then(|look| match look {
        nagios::status::Look::New(version, _) => Some(version),
        nagios::status::Look::Missing | nagios::status::Look::Known => None,
    })
}
