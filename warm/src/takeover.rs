//! What this node's core is given before it notifies: what the other node's core has told, and whom.
//!
//! [`TakeOver`] stands between the failover, which issues mode commands, and whoever writes them. What enables notifications it
//! holds back until the core knows what it is to know:
//!
//! ```text
//! START, START, ENABLE, SAVE ─▶ START, START, SAVE           active checks wait for nobody
//!                               └─▶ what the core has saved  what it knows at this moment
//!                                   └─▶ plan                 by the peer's book, and whose memory counts
//!                                       ├─▶ nothing: ENABLE, SAVE
//!                                       └─▶ Giver: READ, SAVE, ENABLE in one write
//!                                           └─▶ recoveries that are owed: their results again
//! ```
//!
//! **Invariant:** notifications are enabled, whatever fails: at the latest [`ENABLED_WITHIN`] after the core took the first part, if
//! it takes commands. Why it knows nothing then is in the log and in the [`Report`].
//!
//! **Invariant:** after a command that silences nothing follows of what enables. What was begun before is called off first.
//!
//! **Invariant:** one take-over is under way at a time: who issues again joins it.

mod knowledge;
mod plan;
mod report;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use book::Authority;
use book::inherit::keeps_leftovers;
use failover::{Issue, Issued, NotIssued, Obstacle};
use nagios::{CheckResult, ModeCommand, Timestamp};
use receiver::Receiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::handing_over::{Giver, Progress, Wish, now};
use crate::needs::Lack;
use crate::sides::Sides;
use knowledge::Before;
use plan::Plan;
pub use report::{Ending, Report};

/// After how long notifications are enabled without a memory.
const ENABLED_WITHIN: Duration = Duration::from_secs(8);

/// How long take-overs that go on may take to their end when the daemon is stopped.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// How often the journal is asked to take results again, once a second.
const MAX_READMISSIONS: usize = 10;

/// Has the core know what it is to know before it notifies.
pub struct TakeOver {
    shared: Arc<Shared>,
    current: Option<Current>,
    /// The run of the core that notifies, and knows what it is to know.
    done: Arc<Mutex<Option<i64>>>,
}

struct Shared {
    inner: Mutex<Box<dyn Issue>>,
    means: Means,
}

/// What a take-over works with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) sides: Arc<Sides>,
    pub(crate) giver: Result<Arc<Giver>, Lack>,
    /// Whoever ends the daemon needs it alone.
    pub(crate) receiver: Weak<Receiver>,
    /// What becomes of each take-over.
    pub(crate) report: watch::Sender<Option<Report>>,
    pub(crate) running: Arc<Courses>,
}

/// The take-overs that go on, also when nobody waits for them any more.
#[derive(Debug, Default)]
pub(crate) struct Courses {
    tasks: Mutex<JoinSet<()>>,
    ending: CancellationToken,
}

/// A take-over that is under way.
#[derive(Clone)]
struct Current {
    /// Nobody wants it any more when the last one has gone.
    interest: Weak<DropGuard>,
    called_off: CancellationToken,
    progress: watch::Receiver<Progress>,
    obstacle: watch::Receiver<Option<String>>,
    /// Whether the first part is written.
    is_begun: watch::Receiver<bool>,
}

/// One take-over, as it goes on.
struct Course {
    shared: Arc<Shared>,
    giver: Arc<Giver>,
    done: Arc<Mutex<Option<i64>>>,
    called_off: CancellationToken,
    progress: watch::Sender<Progress>,
    obstacle: watch::Sender<Option<String>>,
    is_begun: watch::Sender<bool>,
}

impl TakeOver {
    /// Between the failover and `inner`.
    pub(crate) fn new(inner: Box<dyn Issue>, means: Means) -> Self {
        let shared = Arc::new(Shared { inner: Mutex::new(inner), means });
        Self { shared, current: None, done: Arc::default() }
    }

    /// What is needed for it, or why the core is given nothing.
    fn giver(&self) -> Result<Arc<Giver>, Ending> {
        let not_needed = |why: &str| Err(Ending::NotNeeded(why.to_owned()));
        let sides = &self.shared.means.sides;
        let (program_start, is_known) = sides.chronicle.read(|own| (own.program_start, own.created != 0));
        if is_known && *lock(&self.done) == Some(program_start) {
            return not_needed("this run of the core knows already");
        }
        match sides.authority() {
            Some(Authority::Inherit | Authority::Union) => {}
            Some(Authority::Nothing) if self.shared.keeps_leftovers() => {}
            Some(Authority::Nothing) => return not_needed("this core has notified last, so its own memory counts"),
            None => return not_needed("no other node has sent its book, or it cannot be known whose counts"),
        }
        self.shared.means.giver.clone().map_err(Ending::Impossible)
    }

    fn begin(&mut self, giver: Arc<Giver>, rest: Vec<ModeCommand>) -> Current {
        let called_off = self.shared.means.running.ending.child_token();
        let before = Before::look(giver.place().retention.clone());
        let (progress, told) = watch::channel(Progress::default());
        let (obstacle, told_obstacle) = watch::channel(None);
        let (is_begun, told_begun) = watch::channel(false);
        let current = Current {
            interest: Weak::new(),
            called_off: called_off.clone(),
            progress: told,
            obstacle: told_obstacle,
            is_begun: told_begun,
        };
        let (shared, done) = (self.shared.clone(), self.done.clone());
        let course = Course { shared, giver, done, called_off, progress, obstacle, is_begun };
        let rest = course.hand_in(&rest);
        self.shared.means.running.spawn(course.run(rest, before));
        current
    }
}

impl Issue for TakeOver {
    fn issue(&mut self, commands: Vec<ModeCommand>, obstacle: Obstacle) -> Issued {
        if !commands.contains(&ModeCommand::EnableNotifications) {
            let mut inner = lock(&self.shared.inner);
            if commands.contains(&ModeCommand::DisableNotifications) {
                self.current.take().inspect(|current| current.called_off.cancel());
                *lock(&self.done) = None;
            }
            return inner.issue(commands, obstacle);
        }
        let mut rest = commands.clone();
        rest.retain(|command| *command != ModeCommand::EnableNotifications);
        if let Some((current, interest)) = self.current.as_ref().and_then(Current::join) {
            let issued = (!is_saving(&rest)).then(|| lock(&self.shared.inner).issue(rest, Obstacle::new().0));
            return Box::pin(current.wait(interest, obstacle, issued));
        }
        let giver = match self.giver() {
            Ok(giver) => giver,
            Err(ending) => {
                self.shared.means.report.send_replace(Some(Report::passed_on(ending)));
                return lock(&self.shared.inner).issue(commands, obstacle);
            }
        };
        if !rest.contains(&ModeCommand::SaveStateInformation) {
            rest.push(ModeCommand::SaveStateInformation);
        }
        let old = self.current.take();
        let mut current = self.begin(giver, rest);
        // After the new one was issued: what is in both goes on waiting where it was.
        old.inspect(|old| old.called_off.cancel());
        let interest = Arc::new(current.called_off.clone().drop_guard());
        current.interest = Arc::downgrade(&interest);
        self.current = Some(current.clone());
        Box::pin(current.wait(interest, obstacle, None))
    }
}

impl Current {
    /// If it goes on, and has begun to be more than its first part.
    fn join(&self) -> Option<(Self, Arc<DropGuard>)> {
        let goes_on = self.progress.borrow().enabled.is_none() && *self.is_begun.borrow();
        self.interest.upgrade().filter(|_| goes_on).map(|interest| (self.clone(), interest))
    }

    /// Waits until notifications are enabled, and for `issued`, if there is something else.
    async fn wait(
        mut self,
        interest: Arc<DropGuard>,
        obstacle: Obstacle,
        issued: Option<Issued>,
    ) -> Result<(), NotIssued> {
        if let Some(issued) = issued {
            issued.await?;
        }
        loop {
            if let Some(enabled) = self.progress.borrow_and_update().enabled.clone() {
                drop(interest);
                return enabled.map_err(NotIssued);
            }
            tokio::select! {
                changed = self.progress.changed() => {
                    if changed.is_err() {
                        return Err(NotIssued("the take-over ended before its end; please report this".to_owned()));
                    }
                }
                Ok(()) = self.obstacle.changed() => obstacle.tell(self.obstacle.borrow_and_update().clone()),
            }
        }
    }
}

impl Courses {
    fn spawn(&self, course: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(course);
    }

    /// Calls off what goes on, and waits for its end; the core's own file is back then.
    pub(crate) async fn end(&self) {
        self.ending.cancel();
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(ENDED_WITHIN, ended).await.is_err() {
            tasks.shutdown().await;
        }
    }
}

impl Shared {
    /// Whether this core keeps what it was told of problems that are over.
    fn keeps_leftovers(&self) -> bool {
        let core = &self.means.sides.settings.core;
        let version = core.status_file.as_deref().and_then(knowledge::core_version);
        version.is_some_and(|version| keeps_leftovers(core.flavour, &version))
    }
}

impl Course {
    /// Hands commands to the core, unless it was called off.
    fn hand_in(&self, commands: &[ModeCommand]) -> Issued {
        let mut inner = lock(&self.shared.inner);
        if self.called_off.is_cancelled() {
            return Box::pin(async { Err(NotIssued("it was called off".to_owned())) });
        }
        let (obstacle, mut told) = Obstacle::new();
        let (mut issued, pass_on) = (inner.issue(commands.to_vec(), obstacle), self.obstacle.clone());
        Box::pin(async move {
            loop {
                tokio::select! {
                    ended = &mut issued => return ended,
                    Ok(()) = told.changed() => drop(pass_on.send_replace(told.borrow_and_update().clone())),
                }
            }
        })
    }

    async fn run(self, rest: Issued, before: Before) {
        let written = tokio::select! {
            written = rest => written,
            () = self.called_off.cancelled() => return,
        };
        if let Err(error) = written {
            return self.note_enabled(Err(error));
        }
        self.is_begun.send_replace(true);
        let (began, mut report) = (std::time::Instant::now(), Report::begun(now().seconds()));
        let enable_by = Timestamp::from_micros(now().micros() + i64::try_from(ENABLED_WITHIN.as_micros()).unwrap_or(0));
        let (plan, results) = self.plan(before, &mut report).await;
        self.shared.means.report.send_replace(Some(report.clone()));
        report.ending =
            if plan.patches.is_empty() { self.enable().await } else { self.give(plan, enable_by, results).await };
        report.took = began.elapsed();
        report.log();
        self.shared.means.report.send_replace(Some(report));
    }

    /// What the core is to be given, and the results that it needs once more.
    async fn plan(&self, before: Before, report: &mut Report) -> (Plan, Vec<CheckResult>) {
        let (shared, place) = (self.shared.clone(), self.giver.place().clone());
        report.peer = shared.means.sides.peer();
        let planning = tokio::task::spawn_blocking(move || {
            let saved = before.wait();
            let (own, stale) = match saved {
                Ok(own) => (own, None),
                Err(why) => {
                    let shown = |own: &chronicle::Own| {
                        let entries = own.book.entries();
                        entries
                            .map(|(object, entry)| (object.clone(), entry.memory.clone()))
                            .collect::<BTreeMap<_, _>>()
                    };
                    (shared.means.sides.chronicle.read(shown), Some(why))
                }
            };
            let of_book =
                |_: &chronicle::Own, shelf: &book::Shelf, authority| Plan::of_book(shelf.book(), &own, authority);
            let mut plan = shared.means.sides.compare(of_book).unwrap_or_default();
            if stale.is_none() && shared.keeps_leftovers() {
                plan.silence(&own);
            }
            let results = knowledge::results(&place.retention, place.flavour, &plan.owed);
            (plan, results, stale)
        });
        let Ok((plan, results, stale)) = planning.await else { return Default::default() };
        report.note(&plan, stale);
        (plan, results)
    }

    /// There is nothing to give.
    async fn enable(&self) -> Ending {
        let issued = self.hand_in(&[ModeCommand::EnableNotifications, ModeCommand::SaveStateInformation]);
        let written = tokio::select! {
            written = issued => written,
            () = self.called_off.cancelled() => return Ending::CalledOff,
        };
        self.note_enabled(written);
        Ending::NothingToGive
    }

    async fn give(&self, plan: Plan, enable_by: Timestamp, results: Vec<CheckResult>) -> Ending {
        let wish = Wish { patches: plan.patches, enable_by: Some(enable_by), called_off: self.called_off.clone() };
        let mut hand_in = |commands: &'static [ModeCommand]| self.hand_in(commands);
        let progress = self.progress.clone();
        let given = self.giver.give(wish, &mut hand_in, &progress);
        let readmitted = self.readmit(results);
        tokio::pin!(readmitted);
        let outcome = tokio::select! {
            biased;
            outcome = given => outcome,
            () = &mut readmitted => unreachable!("it goes on until the other one ends"),
        };
        if self.progress.borrow().enabled == Some(Ok(())) {
            self.note_done();
        }
        Ending::Given(outcome)
    }

    /// As soon as the core has read what it was given, it gets these results once more.
    async fn readmit(&self, results: Vec<CheckResult>) {
        let mut progress = self.progress.subscribe();
        let is_read = progress.wait_for(|progress| progress.is_read).await.is_ok();
        if let (true, false, Some(peer)) = (is_read, results.is_empty(), self.shared.means.sides.peer()) {
            for _ in 0..MAX_READMISSIONS {
                let Some(receiver) = self.shared.means.receiver.upgrade() else { break };
                let is_taken = receiver.readmit(results.clone(), peer.as_str()).await;
                drop(receiver);
                if is_taken {
                    break;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        std::future::pending().await
    }

    fn note_enabled(&self, result: Result<(), NotIssued>) {
        if result.is_ok() {
            self.note_done();
        }
        let enabled = Some(result.map_err(|error| error.to_string()));
        self.progress.send_modify(|progress| progress.enabled = enabled);
    }

    fn note_done(&self) {
        let run = self.shared.means.sides.chronicle.read(|own| own.program_start);
        *lock(&self.done) = Some(run);
    }
}

/// Whether it does nothing but save.
fn is_saving(commands: &[ModeCommand]) -> bool {
    commands.iter().all(|command| *command == ModeCommand::SaveStateInformation)
}

/// Nothing that is done under these locks leaves anything half-way.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
