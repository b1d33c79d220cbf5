//! Everything that keeps this node's core warm, running.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chronicle::Chronicle;
use failover::machine::Now;
use failover::verdict::CoreFiles;
use failover::{Amend, Issue};
use nsca::sealed::{CoreVerdict, Warmth};
use receiver::Receiver;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::handing_over::Giver;
use crate::informing::Informer;
use crate::mirroring::{self, Mirroring};
use crate::readmission::Readmission;
use crate::resync::{self, Report, Running};
use crate::settings::Settings;
use crate::shelves::Shelves;
use crate::sides::Sides;
use crate::stopped::Stopped;
use crate::takeover::{self, Courses, Means, TakeOver};
use crate::verifying::{self, CannotTell, Patience, Verified};

/// What keeps this node's core warm. It holds on to the receiver until [`Warm::stop`].
pub struct Warm {
    sides: Arc<Sides>,
    core: watch::Sender<CoreVerdict>,
    warmth: watch::Receiver<Warmth>,
    last_resync: watch::Receiver<Option<Report>>,
    mirroring: watch::Receiver<mirroring::Status>,
    /// What differed when somebody looked last.
    patience: Arc<Mutex<Patience>>,
    requests: mpsc::Sender<oneshot::Sender<Report>>,
    taking_over: Means,
    tasks: JoinSet<()>,
}

/// It has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is ending, or what keeps this node's core warm has failed: see its log")]
pub struct Ended;

impl Warm {
    /// Begins. Runs inside a tokio runtime.
    pub fn start(settings: Settings, chronicle: Chronicle, receiver: Arc<Receiver>, shelves: Arc<Shelves>) -> Self {
        let sides = Arc::new(Sides::new(settings, chronicle, shelves));
        let (core, core_verdict) = watch::channel(CoreVerdict::Unknown);
        let (tell_warmth, warmth) = watch::channel(Warmth::Cold);
        let (tell_last, last_resync) = watch::channel(None);
        let (requests, asked) = mpsc::channel(resync::MAX_REQUESTS);
        let outputs = resync::Outputs { warmth: tell_warmth, last: tell_last };
        let giver = Giver::new(&sides.settings.core, sides.chronicle.clone()).map(Arc::new);
        let (remarks, wanted) = mpsc::channel(1);
        let readmission = Readmission::new(sides.clone(), &receiver);
        let taking_over = Means {
            sides: sides.clone(),
            giver: giver.clone(),
            readmission: readmission.clone(),
            remarks,
            report: watch::Sender::default(),
            running: Arc::new(Courses::default()),
        };
        let commands = receiver.commands();
        let informer = giver.map(|giver| Informer { giver, commands: commands.clone(), readmission });
        let give: resync::Give = Box::new(move |patches| {
            let informer = informer.clone();
            Box::pin(
                async move { informer.map_err(|lack| lack.to_string())?.inform(patches.into_iter().collect()).await },
            )
        });
        let resyncing = Running::new(sides.clone(), receiver, give, outputs);
        let (tell_mirroring, mirroring) = watch::channel(mirroring::Status::default());
        let mirror = Mirroring::new(sides.clone(), commands, core_verdict.clone(), tell_mirroring, wanted);
        let mut tasks = JoinSet::new();
        tasks.spawn(mirror.run());
        tasks.spawn(resyncing.run(resync::Inputs {
            requests: asked,
            core: core_verdict,
            mirroring: mirroring.clone(),
        }));
        let patience = Arc::default();
        Self { sides, core, warmth, last_resync, mirroring, patience, requests, taking_over, tasks }
    }

    /// Stands between the failover and `inner`, and has the core know what it is to know before it notifies.
    pub fn issue(&self, inner: Box<dyn Issue>) -> Box<dyn Issue> {
        Box::new(TakeOver::new(inner, self.taking_over.clone()))
    }

    /// What this node's core is to find in its retention file when it starts.
    pub fn amend(&self) -> Box<dyn Amend> {
        Box::new(Stopped::new(self.sides.clone()))
    }

    /// What became of the last take-over of memory.
    pub fn last_takeover(&self) -> Option<takeover::Report> {
        self.taking_over.report.borrow().clone()
    }

    /// This core notifies, or is about to; or it does not any more.
    pub fn set_on_stage(&self, on_stage: bool) {
        self.sides.set_on_stage(on_stage);
    }

    /// How this node's core is.
    pub fn set_core(&self, core: CoreVerdict) {
        self.core.send_if_modified(|known| std::mem::replace(known, core) != core);
    }

    /// Whether this node's core is up to date.
    pub fn warmth(&self) -> watch::Receiver<Warmth> {
        self.warmth.clone()
    }

    /// Brings this core up to date now, if it does not notify, and says how that ended.
    ///
    /// # Errors
    /// It has ended.
    pub async fn resync(&self) -> Result<Report, Ended> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(answer).await.map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }

    /// How the last resynchronisation ended.
    pub fn last_resync(&self) -> Option<Report> {
        self.last_resync.borrow().clone()
    }

    /// Compares what this core shows with the peer's book, as [`verifying`] says. `at_once`: what differs now differs.
    ///
    /// # Errors
    /// There is nothing to compare.
    pub async fn verify(&self, at_once: bool) -> Result<Verified, CannotTell> {
        let (sides, known) = (self.sides.clone(), self.patience.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let interval = CoreFiles::new(&sides.settings.core).status_update_interval();
            let patience = if at_once { Duration::ZERO } else { verifying::patience(interval) };
            // Nothing that is done under this lock can panic half-way.
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            verifying::look(&sides, &mut known, patience, (Instant::now(), Now::read().wall.seconds()))
        });
        looking.await.unwrap_or(Err(CannotTell::Ending))
    }

    /// How it goes with what people did on the other node.
    pub fn mirroring(&self) -> mirroring::Status {
        self.mirroring.borrow().clone()
    }

    /// What this core shows beside the book of the peer.
    pub fn sides(&self) -> &Arc<Sides> {
        &self.sides
    }

    /// Ends, and lets go of the receiver.
    pub async fn stop(mut self) {
        self.taking_over.running.end().await;
        self.tasks.shutdown().await;
    }
}
