//! What this node's core is given before it notifies: what the other node's core has told, and whom.
//!
//! [`TakeOver`] stands between the failover, which issues mode commands, and whoever writes them. What enables notifications it
//! holds back until the core knows what it is to know:
//!
//! ```text
//! START, START, ENABLE, SAVE ─▶ START, START, SAVE           active checks wait for nobody
//!                               ├─▶ what people did          on the other node, and this core does not show yet
//!                               └─▶ what the core has saved  what it knows at this moment
//!                                   └─▶ plan                 by the peer's book, and whose memory counts
//!                                       ├─▶ nothing: ENABLE, SAVE
//!                                       └─▶ Giver: READ, SAVE, ENABLE in one write
//!                                           └─▶ recoveries that are owed: their results again
//! ```
//!
//! **Invariant:** notifications are enabled, whatever fails: at the latest `ENABLED_WITHIN` after the core took the first part, if
//! it takes commands. Why it knows nothing then is in the log and in the [`Report`].
//!
//! **Invariant:** after a command that silences nothing follows of what enables. What was begun before is called off first.
//!
//! **Invariant:** one take-over is under way at a time: who issues again joins it.

mod course;
pub(crate) mod knowledge;
pub(crate) mod plan;
mod report;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use book::Authority;
use book::inherit::keeps_leftovers;
use failover::{Issue, Issued, NotIssued, Obstacle};
use nagios::ModeCommand;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::handing_over::{Giver, Progress};
use crate::needs::Lack;
use crate::readmission::Readmission;
use crate::sides::Sides;
use course::Course;
use knowledge::Before;
pub use report::{Ending, Report};

/// After how long notifications are enabled without a memory.
const ENABLED_WITHIN: Duration = Duration::from_secs(8);

/// How long take-overs that go on may take to their end when the daemon is stopped.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// Has the core know what it is to know before it notifies.
pub struct TakeOver {
    shared: Arc<Shared>,
    /// The last one, until the core is to be silent again.
    current: Option<Current>,
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
    pub(crate) readmission: Readmission,
    /// Has the core told what people did on the other node; answered when its command file has that.
    pub(crate) remarks: mpsc::Sender<oneshot::Sender<()>>,
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

/// A take-over.
#[derive(Clone)]
struct Current {
    /// The run of the core that it is for.
    run: i64,
    /// Nobody waits for it any more when the last one has gone.
    interest: Weak<DropGuard>,
    /// The core is not to notify after all, or the daemon ends.
    called_off: CancellationToken,
    /// That, or nobody waited until the core notified.
    given_up: CancellationToken,
    progress: watch::Receiver<Progress>,
    obstacle: watch::Receiver<Option<String>>,
    /// Whether the first part is written.
    is_begun: watch::Receiver<bool>,
}

impl TakeOver {
    /// Between the failover and `inner`.
    pub(crate) fn new(inner: Box<dyn Issue>, means: Means) -> Self {
        let shared = Arc::new(Shared { inner: Mutex::new(inner), means });
        Self { shared, current: None }
    }

    /// What is needed for it, or why the core is given nothing.
    fn giver(&self) -> Result<Arc<Giver>, Ending> {
        let not_needed = |why: &str| Err(Ending::NotNeeded(why.to_owned()));
        match self.shared.means.sides.authority() {
            Some(Authority::Inherit | Authority::Union) => {}
            Some(Authority::Nothing) if self.shared.keeps_leftovers() => {}
            Some(Authority::Nothing) => return not_needed("this core has notified last, so its own memory counts"),
            None => return not_needed("no other node has sent its book, or it cannot be known whose counts"),
        }
        self.shared.means.giver.clone().map_err(Ending::Impossible)
    }

    /// Whether the core notifies already, and knows what it is to know: only its status file does not show it yet.
    fn is_over(&self) -> bool {
        let run = self.shared.means.sides.chronicle.read(|own| own.program_start);
        self.current.as_ref().is_some_and(|current| current.run == run && current.is_over())
    }

    fn begin(&mut self, giver: Arc<Giver>, rest: Vec<ModeCommand>) -> Current {
        let called_off = self.shared.means.running.ending.child_token();
        let before = Before::look(giver.place().retention.clone());
        let (progress, told) = watch::channel(Progress::default());
        let (obstacle, told_obstacle) = watch::channel(None);
        let (is_begun, told_begun) = watch::channel(false);
        let current = Current {
            run: self.shared.means.sides.chronicle.read(|own| own.program_start),
            interest: Weak::new(),
            given_up: called_off.child_token(),
            called_off,
            progress: told,
            obstacle: told_obstacle,
            is_begun: told_begun,
        };
        let Current { called_off, given_up, .. } = current.clone();
        let course = Course { shared: self.shared.clone(), giver, called_off, given_up, progress, obstacle, is_begun };
        let rest = course.hand_in(&rest, &course.given_up);
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
            }
            return inner.issue(commands, obstacle);
        }
        if self.is_over() {
            return lock(&self.shared.inner).issue(commands, obstacle);
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
        let interest = Arc::new(current.given_up.clone().drop_guard());
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

    /// Whether what enables notifications is with the core.
    fn is_over(&self) -> bool {
        self.progress.borrow().enabled == Some(Ok(()))
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

/// Whether it does nothing but save.
fn is_saving(commands: &[ModeCommand]) -> bool {
    commands.iter().all(|command| *command == ModeCommand::SaveStateInformation)
}

/// Nothing that is done under these locks leaves anything half-way.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
