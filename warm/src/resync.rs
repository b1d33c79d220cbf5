//! Brings this core up to date with the book of the peer, while it does not notify.
//!
//! [`machine`] decides when, and in which steps; [`lag`] notices what is missing; here is their shell: what they see, and what
//! they want done.
//!
//! ```text
//! chronicle: pictures ─┐                          ┌─▶ receiver: Want ═▶ the peer ═▶ journal ─▶ core
//! shelves: the book ───┼─▶ Resync, Lag, warmth ───┼─▶ the memory, given to the core
//! receiver: settled ───┤                          ├─▶ warmth, for heartbeats
//! operator ────────────┘                          └─▶ report: log, status
//! ```

pub mod lag;
pub mod machine;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::inherit::{Inheritance, inherit, inherit_union};
use book::{Authority, Shelf};
use chronicle::Own;
use failover::machine::Now;
use nagios::retention::Patch;
use nagios::{Memory, Object};
use nsca::sealed::{CoreVerdict, NodeName, Want, Warmth};
use receiver::{Contact, Receiver};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub use machine::{Behind, Cause, Ending, Obstacle, Report};

use crate::mirroring;
use crate::shelves::Answers;
use crate::sides::Sides;
use crate::warmth::Thermometer;
use lag::Lag;
use machine::{Action, Resync, Sight};

/// How often it is looked around while one goes on, and otherwise.
const TICK: Duration = Duration::from_millis(100);
const IDLE_TICK: Duration = Duration::from_millis(500);

/// How often it is looked whether something is missing, in seconds of this core's status files.
const COMPARE_EVERY: i64 = 10;

/// Gives the core what it is to inherit, without enabling anything. An error says why it has not taken it.
pub type Give =
    Box<dyn Fn(Vec<(Object, Patch)>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Who may ask for a resynchronisation, at most.
pub(crate) const MAX_REQUESTS: usize = 16;

/// What goes in.
pub(crate) struct Inputs {
    /// The operator's. Each is told how it ended.
    pub(crate) requests: mpsc::Receiver<oneshot::Sender<Report>>,
    /// How this node's core is.
    pub(crate) core: watch::Receiver<CoreVerdict>,
    /// Whether it shows what people did on the other one.
    pub(crate) mirroring: watch::Receiver<mirroring::Status>,
}

/// What comes out.
pub(crate) struct Outputs {
    pub(crate) warmth: watch::Sender<Warmth>,
    pub(crate) last: watch::Sender<Option<Report>>,
}

/// The task that owns the machine.
pub(crate) struct Running {
    sides: Arc<Sides>,
    receiver: Arc<Receiver>,
    give: Give,
    outputs: Outputs,
    resync: Resync,
    lag: Lag,
    thermometer: Thermometer,
    /// The last run of the core that was seen, and how often the peer has told its whole book.
    program_start: i64,
    told: Option<(NodeName, u64)>,
    is_core_gone: bool,
    /// A status file that is not newer than this, in Unix seconds, tells of the run of the core before.
    fresh_after: i64,
    compared: i64,
    /// How many results were injected, and when that was last found to have changed, in Unix seconds.
    injected: (u64, i64),
    answers: watch::Receiver<Answers>,
    /// The memory that is being given to the core.
    giving: JoinSet<Result<usize, String>>,
    orders: Vec<oneshot::Sender<Report>>,
}

impl Running {
    pub(crate) fn new(sides: Arc<Sides>, receiver: Arc<Receiver>, give: Give, outputs: Outputs) -> Self {
        let now = Now::read();
        let status_interval = failover::verdict::CoreFiles::new(&sides.settings.core).status_update_interval();
        Self {
            answers: sides.shelves.answers(),
            receiver,
            give,
            outputs,
            resync: Resync::new(status_interval),
            lag: Lag::default(),
            thermometer: Thermometer::new(now.instant),
            program_start: 0,
            told: None,
            is_core_gone: false,
            fresh_after: now.wall.seconds(),
            compared: 0,
            injected: (0, 0),
            giving: JoinSet::new(),
            orders: Vec::new(),
            sides,
        }
    }

    pub(crate) async fn run(mut self, mut inputs: Inputs) {
        let mut pictures = self.sides.chronicle.pictures();
        loop {
            let core = *inputs.core.borrow_and_update();
            self.notice(core, Now::read()).await;
            let sight = self.sight().await;
            self.resync.handle_sight(&sight, Now::read());
            while let Some(action) = self.resync.poll_action() {
                self.carry_out(action).await;
            }
            self.thermometer.handle_remarks(inputs.mirroring.borrow().is_settled);
            let warmth = self.thermometer.warmth(Instant::now());
            self.outputs.warmth.send_if_modified(|known| std::mem::replace(known, warmth) != warmth);
            let tick = if self.resync.is_busy() { TICK } else { IDLE_TICK };
            tokio::select! {
                () = tokio::time::sleep(tick) => {}
                Some(order) = inputs.requests.recv() => {
                    self.orders.push(order);
                    self.resync.request(Cause::Order, Now::read());
                }
                Ok(()) = pictures.changed() => {}
                Ok(()) = inputs.core.changed() => {}
                Ok(()) = self.answers.changed() => {
                    let answers = *self.answers.borrow_and_update();
                    tracing::debug!(shown = answers.shown, "the other node has answered");
                    self.resync.handle_answered(u64::from(answers.shown));
                }
                Some(given) = self.giving.join_next() => {
                    let given = given.unwrap_or_else(|defect| Err(defect.to_string()));
                    self.resync.handle_handed_over(given, Now::read());
                }
                else => return,
            }
        }
    }

    /// Whatever asks for a resynchronisation.
    async fn notice(&mut self, core: CoreVerdict, now: Now) {
        let injected = self.receiver.counts().injected;
        if injected != self.injected.0 {
            self.injected = (injected, now.wall.seconds());
        }
        let is_gone = matches!(core, CoreVerdict::DeadCrash | CoreVerdict::DeadClean);
        if is_gone && !self.is_core_gone {
            self.thermometer.handle_core_gone();
            self.resync.handle_core_gone(now);
        }
        let is_back = self.is_core_gone && !is_gone;
        self.is_core_gone = is_gone;
        if is_gone {
            self.fresh_after = now.wall.seconds();
            return;
        }
        let (start, created) = self.sides.chronicle.read(|own| (own.program_start, own.created));
        if is_back || (start != 0 && start != self.program_start) {
            self.thermometer.handle_core_started(now.instant);
            self.resync.request(Cause::Start, now);
        }
        self.program_start = start;
        if self.hears_another_whole_book() {
            self.thermometer.handle_contact(now.instant);
            self.resync.request(Cause::Contact, now);
        }
        if !self.resync.is_busy() && created >= self.compared + COMPARE_EVERY && self.obstacle().is_none() {
            self.compared = created;
            let behind = self.behind().await;
            if self.lag.handle_comparison(behind, created) {
                self.resync.request(Cause::Missing, now);
            }
        }
    }

    /// Whether the peer has told its whole book once more, and its memory counts.
    fn hears_another_whole_book(&mut self) -> bool {
        let Some(peer) = self.sides.peer() else { return false };
        let Some(ends) = self.sides.shelves.read(&peer, Shelf::ends) else { return false };
        let told = Some((peer, ends));
        let is_news = ends > 0 && told != self.told;
        self.told = told;
        is_news && self.sides.authority() != Some(Authority::Nothing)
    }

    async fn sight(&self) -> Sight {
        let created = self.sides.chronicle.read(|own| own.created);
        let is_settled = match self.sides.peer().filter(|_| self.resync.is_busy()) {
            Some(peer) => self.receiver.is_settled(peer.as_str()).await,
            None => false,
        };
        Sight { obstacle: self.obstacle(), is_settled, created, injected: self.injected.1 }
    }

    fn obstacle(&self) -> Option<Obstacle> {
        if self.is_core_gone {
            return Some(Obstacle::NoCore);
        }
        let Some(peer) = self.sides.peer() else { return Some(Obstacle::NoPeer) };
        if self.sides.chronicle.read(|own| own.created) <= self.fresh_after {
            return Some(Obstacle::NoPicture);
        }
        if self.sides.is_on_stage() {
            return Some(Obstacle::Notifies);
        }
        let known = self.sides.compare(|_, shelf, authority| (shelf.is_whole(), authority));
        let is_connected = self.receiver.heard(peer.as_str()).borrow().contact == Contact::Connected;
        match known {
            Some((_, Authority::Nothing)) => Some(Obstacle::OwnCounts),
            Some((true, Authority::Inherit | Authority::Union)) if is_connected => None,
            Some(_) | None => Some(Obstacle::NoBook),
        }
    }

    async fn carry_out(&mut self, action: Action) {
        match action {
            Action::Compare => {
                let behind = self.behind().await;
                tracing::debug!(behind = behind.len(), "compared with the other node's book");
                self.resync.handle_compared(behind, Now::read());
            }
            Action::Ask(objects) => {
                let count = objects.len();
                let asked = self.ask(objects);
                tracing::debug!(objects = count, asked, "the other node is asked for results");
                self.resync.handle_asked(asked, Now::read());
            }
            Action::HandOver => {
                let sides = self.sides.clone();
                let mut patches = blocking(move || sides.compare(patches).unwrap_or_default()).await;
                if self.sides.is_on_stage() {
                    // A take-over has begun meanwhile, and knows better.
                    patches.clear();
                }
                tracing::debug!(objects = patches.len(), "the core is given what the other node remembers");
                let (count, given) = (patches.len(), (!patches.is_empty()).then(|| (self.give)(patches)));
                // What is still given of an earlier one concerns nobody any more.
                self.giving = JoinSet::new();
                self.giving.spawn(async move {
                    match given {
                        Some(given) => given.await.map(|()| count),
                        None => Ok(0),
                    }
                });
            }
            Action::Finish(report) => self.finish(report),
        }
    }

    fn ask(&mut self, objects: Vec<Object>) -> bool {
        let Some(peer) = self.sides.peer() else { return false };
        self.answers.mark_unchanged();
        let names = objects.iter().map(|object| {
            let service = object.service().map_or(&[][..], |service| service.as_bytes());
            (object.host().as_bytes().to_vec(), service.to_vec())
        });
        let wants: Vec<Want> = Want::results(names);
        wants.into_iter().all(|want| self.receiver.want(peer.as_str(), want))
    }

    async fn behind(&self) -> Vec<Behind> {
        let sides = self.sides.clone();
        blocking(move || sides.compare(|own, shelf, _| behind(own, shelf)).unwrap_or_default()).await
    }

    fn finish(&mut self, report: Report) {
        if report.ending != Ending::NotNeeded(Obstacle::NoCore) {
            self.thermometer.handle_resynced(Instant::now());
        }
        report.log();
        if report.cause == Cause::Order {
            // Whoever asked may have gone away.
            self.orders.drain(..).for_each(|order| drop(order.send(report.clone())));
        }
        self.outputs.last.send_replace(Some(report));
    }
}

impl Report {
    fn log(&self) {
        let Report { cause, behind, still_behind, shown, given, took, .. } = self;
        match &self.ending {
            Ending::Done if *still_behind == 0 => {
                tracing::info!(?cause, behind, shown, given, ?took, "this core is up to date with the other node's");
            }
            Ending::Done => tracing::warn!(
                ?cause,
                behind,
                still_behind,
                shown,
                given,
                ?took,
                "this core is up to date with the other node's, but for objects whose results it does not show: does it know \
                 them, and accept passive checks?"
            ),
            Ending::NotNeeded(obstacle) => tracing::debug!(?cause, %obstacle, "not brought up to date"),
            Ending::GaveUp(reason) => {
                tracing::warn!(
                    ?cause,
                    behind,
                    still_behind,
                    shown,
                    ?took,
                    reason,
                    "this core could not be brought up to date"
                );
            }
            Ending::NotTaken(reason) => tracing::warn!(
                ?cause,
                behind,
                still_behind,
                shown,
                ?took,
                reason,
                "this core has the results of the other node's, but not its memory of notifications"
            ),
        }
    }
}

/// The objects whose newest result the core does not show.
fn behind(own: &Own, shelf: &Shelf) -> Vec<Behind> {
    let lacks = |book: &Memory, own: &Memory| {
        let shown = if own.checked { own.last_check } else { 0 };
        let is_same = book.state == own.state;
        // Of two results of one second, it may have taken the wrong one for the newer.
        (book.checked && (shown, is_same) < (book.last_check, true))
            .then(|| (shown.min(book.last_check - 1), book.last_check))
    };
    let both = shelf.book().entries().filter_map(|(object, book)| Some((object, book, own.book.entry(object)?)));
    both.filter_map(|(object, book, own)| {
        let (shown, known) = lacks(&book.memory, &own.memory)?;
        Some(Behind { object: object.clone(), shown, known })
    })
    .collect()
}

/// What the core is to inherit before it notifies. A recovery that is owed is given when it does.
fn patches(own: &Own, shelf: &Shelf, authority: Authority) -> Vec<(Object, Patch)> {
    let of = |book: &Memory, own: &Memory| match authority {
        Authority::Inherit => inherit(book, own),
        Authority::Union => inherit_union(book, own),
        Authority::Nothing => Inheritance::Nothing,
    };
    let both = shelf.book().entries().filter_map(|(object, book)| Some((object, book, own.book.entry(object)?)));
    both.filter_map(|(object, book, own)| match of(&book.memory, &own.memory) {
        Inheritance::Patch(patch) => Some((object.clone(), patch)),
        Inheritance::Nothing | Inheritance::Behind | Inheritance::RecoveryOwed(_) => None,
    })
    .collect()
}

/// Comparing large books takes a moment, and the runtime has others to serve.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(defect) => std::panic::resume_unwind(defect.into_panic()),
    }
}
