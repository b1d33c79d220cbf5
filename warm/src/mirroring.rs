//! Does on this core what people did on the one in charge: acknowledgements, downtimes, comments, switches.
//!
//! [`book::mirror`] decides what; here it is decided whose remarks count ([`charge`]), and carried out: one batch of commands at a
//! time, with each picture of the own core and soon after each news of the peer's.
//!
//! ```text
//! Sides ─▶ Mirror ─▶ carried over, to the disk ─▶ commands, behind the results that wait ─▶ core
//! ```
//!
//! A core that is about to notify is told at once what is missing: afterwards it would notify of downtimes that the other one has
//! notified of.
//!
//! **Invariant:** a core is told nothing by a status file of the run before: numbers of remarks may be others now.
//!
//! **Invariant:** what was carried over is on the disk before its commands are issued, unless the disk fails.

mod carried;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::mirror::{Charge, Mirror, Sight};
use book::{Authority, Shelf};
use chronicle::Own;
use config::Role;
use failover::machine::Now;
use nagios::command::ObjectCommand;
use nsca::sealed::{CoreVerdict, NodeName};
use receiver::{Commands, Progress, Ticket, Waits};
use tokio::sync::{mpsc, oneshot, watch};

use crate::sides::Sides;

/// How long news of the peer may wait, so that more come together.
const NEWS_WITHIN: Duration = Duration::from_millis(500);

/// How much longer than a look news wait at least: all of a large core's objects are looked at.
const RESTS: u32 = 50;

/// How it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whose remarks count. None: that of nobody, as long as it is not known who is in charge.
    pub charge: Option<Charge>,
    /// How many objects have remarks that both nodes had.
    pub carried: usize,
    /// How many commands this core was told since the daemon's start.
    pub told: u64,
    /// Why commands wait, if they do.
    pub waits: Option<String>,
    /// Whether this core shows everything that it was to be told, as far as is known.
    pub is_settled: bool,
}

/// The task that owns the mirror.
pub(crate) struct Mirroring {
    sides: Arc<Sides>,
    commands: Commands,
    /// How this core is.
    core: watch::Receiver<CoreVerdict>,
    status: watch::Sender<Status>,
    /// A status file that is not newer than this, in Unix seconds, may tell of the run of the core before.
    fresh_after: i64,
    /// None as long as nobody is known to be the peer.
    beside: Option<Beside>,
    ticket: Option<Ticket>,
    /// Who waits until this core was told everything, since it is going to notify.
    orders: mpsc::Receiver<oneshot::Sender<()>>,
    waiting: Vec<oneshot::Sender<()>>,
    /// How long the last look took.
    took: Duration,
}

/// A mirror beside one peer.
struct Beside {
    peer: NodeName,
    mirror: Mirror,
    file: PathBuf,
    is_file_in_trouble: bool,
}

/// What was seen, and what follows.
struct Seen {
    charge: Option<Charge>,
    commands: Vec<ObjectCommand>,
    is_settled: bool,
}

/// Whose remarks count for this core. None: nobody's, for now.
///
/// Two cores that do not notify would each do as the other one does if both took the other's; so where their memories are to be
/// joined, or neither ever notified, one of them has to have the say.
pub fn charge(own: &Own, shelf: &Shelf, authority: Authority, is_on_stage: bool, role: Option<Role>) -> Option<Charge> {
    let peer_notifies = shelf.heading().notifies == Some(true);
    match authority {
        _ if own.created == 0 || shelf.heading().created == 0 => None,
        // It may be in charge by now. A core that came back with what was ended before must not pass for the one that has the say.
        Authority::Nothing | Authority::Union if shelf.ends() == 0 => None,
        Authority::Nothing => Some(Charge::Own),
        Authority::Union if is_on_stage => Some(Charge::Own),
        Authority::Union if peer_notifies => Some(Charge::Peer),
        Authority::Inherit if is_on_stage => None,
        Authority::Inherit if shelf.activity().is_some() || role == Some(Role::Standby) => Some(Charge::Peer),
        Authority::Union | Authority::Inherit => None,
    }
}

impl Mirroring {
    pub(crate) fn new(
        sides: Arc<Sides>,
        commands: Commands,
        core: watch::Receiver<CoreVerdict>,
        status: watch::Sender<Status>,
        orders: mpsc::Receiver<oneshot::Sender<()>>,
    ) -> Self {
        Mirroring {
            sides,
            commands,
            core,
            status,
            fresh_after: 0,
            beside: None,
            ticket: None,
            orders,
            waiting: Vec::new(),
            took: Duration::ZERO,
        }
    }

    pub(crate) async fn run(mut self) {
        let (mut pictures, mut news) = (self.sides.chronicle.pictures(), self.sides.shelves.changes());
        loop {
            self.look().await;
            if self.ticket.is_none() {
                for order in self.waiting.drain(..) {
                    // Whoever waited may have gone on.
                    let _ = order.send(());
                }
            }
            tokio::select! {
                Ok(()) = pictures.changed() => {}
                Ok(()) = news.changed() => {
                    tokio::select! {
                        () = tokio::time::sleep(NEWS_WITHIN.max(RESTS * self.took)) => {}
                        Some(order) = self.orders.recv() => self.waiting.push(order),
                    }
                    news.mark_unchanged();
                }
                Some(order) = self.orders.recv() => self.waiting.push(order),
                Ok(()) = self.core.changed() => {}
                progress = next(&mut self.ticket) => self.handle_progress(progress),
                else => return,
            }
        }
    }

    async fn look(&mut self) {
        if matches!(*self.core.borrow_and_update(), CoreVerdict::DeadCrash | CoreVerdict::DeadClean) {
            self.fresh_after = unix_now();
            self.tell(|status| status.is_settled = false);
            return;
        }
        let Some(beside) = self.beside().await else {
            // There is nothing to be told.
            self.tell(|status| *status = Status { told: status.told, is_settled: true, ..Status::default() });
            return;
        };
        self.waiting.retain(|order| !order.is_closed());
        let (sides, fresh_after, is_last) = (self.sides.clone(), self.fresh_after, !self.waiting.is_empty());
        let looking = tokio::task::spawn_blocking(move || {
            let mut beside = beside;
            let began = Instant::now();
            let seen = beside.look(&sides, fresh_after, is_last);
            let took = began.elapsed();
            beside.keep();
            (beside, seen, took)
        });
        let Ok((beside, seen, took)) = looking.await else { return };
        self.took = took;
        let carried = beside.mirror.carried().len();
        let is_settled = seen.is_settled && seen.commands.is_empty();
        if !seen.commands.is_empty() {
            let (commands, peer) = (seen.commands.len(), &beside.peer);
            tracing::info!(commands, %peer, "this core is told what people did on the other node");
            self.ticket = Some(self.commands.issue_objects(&seen.commands));
        }
        self.beside = Some(beside);
        self.tell(|status| {
            status.told += seen.commands.len() as u64;
            (status.charge, status.carried, status.is_settled) = (seen.charge, carried, is_settled);
        });
    }

    /// The mirror beside the peer of now, which may be another one than before.
    async fn beside(&mut self) -> Option<Beside> {
        let peer = self.sides.peer()?;
        if let Some(beside) = self.beside.take_if(|beside| beside.peer == peer) {
            return Some(beside);
        }
        self.ticket = None;
        let file = carried::path(&self.sides.settings.state_directory, &peer);
        let reading = tokio::task::spawn_blocking(move || {
            let carried = carried::read(&file);
            let mirror = Mirror::new(carried, unix_now());
            Beside { peer, mirror, file, is_file_in_trouble: false }
        });
        reading.await.ok()
    }

    fn handle_progress(&mut self, progress: Progress) {
        let waits = match progress {
            Progress::Waits(Waits::Turn) => None,
            Progress::Waits(Waits::Core(reason)) => Some(reason),
            Progress::Written => self.handle_written(None),
            Progress::NotWritten(reason) => self.handle_written(Some(reason.to_string())),
        };
        self.tell(|status| status.waits = waits);
    }

    fn handle_written(&mut self, trouble: Option<String>) -> Option<String> {
        self.ticket = None;
        if let Some(beside) = &mut self.beside {
            match &trouble {
                None => beside.mirror.handle_written(unix_now()),
                Some(_) => beside.mirror.handle_refused(unix_now()),
            }
        }
        if let Some(reason) = &trouble {
            tracing::warn!(
                reason,
                "this core was not told all of what people did on the other node: it is told again in time"
            );
        }
        trouble
    }

    fn tell(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
    }
}

impl Beside {
    /// `is_last`: the core is about to notify, and does not yet.
    fn look(&mut self, sides: &Sides, fresh_after: i64, is_last: bool) -> Seen {
        let (is_on_stage, now) = (sides.is_on_stage() && !is_last, unix_now());
        let nothing = || Seen { charge: None, commands: Vec::new(), is_settled: false };
        let seen = sides.compare(|own, shelf, authority| {
            if own.created <= fresh_after {
                return nothing();
            }
            let charge = charge(own, shelf, authority, is_on_stage, sides.settings.role);
            let (wanted, shown) = (shelf.book(), &own.book);
            let sight = Sight { wanted, shown, created: own.created, program_start: own.program_start };
            let commands = charge.map(|charge| self.mirror.handle_sight(sight, charge, now)).unwrap_or_default();
            let is_settled = match charge {
                Some(Charge::Peer) => shelf.is_whole() && self.mirror.has_settled(own.created),
                Some(Charge::Own) | None => true,
            };
            Seen { charge, commands, is_settled }
        });
        seen.unwrap_or_else(nothing)
    }

    /// Writes what was carried over, if that changed.
    fn keep(&mut self) {
        if !self.mirror.has_news() {
            return;
        }
        match carried::write(&self.file, &self.peer, self.mirror.carried()) {
            Ok(()) => {
                self.mirror.handle_kept();
                self.is_file_in_trouble = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_file_in_trouble, true) {
                    let file = self.file.display();
                    tracing::error!(
                        %file, %error,
                        "what was carried over to this core is not written: if the daemon is restarted, what ended on the other \
                         node meanwhile may stay here; is the disk full?"
                    );
                }
            }
        }
    }
}

/// What becomes of what was issued; never, if nothing was.
async fn next(ticket: &mut Option<Ticket>) -> Progress {
    match ticket {
        Some(ticket) => ticket.next().await,
        None => std::future::pending().await,
    }
}

fn unix_now() -> i64 {
    Now::read().wall.seconds()
}

#[cfg(test)]
mod tests;
