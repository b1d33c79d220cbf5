//! The sender: takes check results on the master and delivers each to every destination.
//!
//! ```text
//! understudy-ocsp ──▶ socket ─────────▶┐
//!              └────▶ spill directory ▶├─▶ outbox: a spool on disk ─▶ link ══ TCP ══▶ NSCA daemon, or Understudy
//! core ──▶ perfdata FIFO ─────────────▶│
//! this node's receiver ──▶ inlet ─────▶┘
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `intake` | socket and spill directory: answers "taken" only when a result is in the spool |
//! | [`perfdata`] | the FIFO: takes only frames that are provably whole |
//! | `sieve` | keeps back echoes, and passive results where they are not wanted |
//! | `inlet` | the way in for what this node's receiver took |
//! | `outbox`, `tap` | the spool and how far each destination is in it; reading it for classic sessions |
//! | `committer` | makes the spool survive a power cut |
//! | `shrink` | what a result loses when the spool is too small |
//! | `link` | connections; batches, confirmation by clean close, retries |
//! | `link::book` | what sealed sessions tell beside results: the book of this node's core |
//! | [`sealed`] | sealed sessions without I/O: where to go on, what to leave out, when to begin a new epoch |
//! | `abilities` | which destinations can seal |
//!
//! **Invariant:** an intake never waits for the network, and a destination never for another.
//!
//! **Invariant:** what was taken survives the death of this process at once, and a power cut when it is committed. A link
//! goes on after a restart where it was.
//!
//! **When the spool is full**, older results of objects that have newer ones go, then long output, then perfdata: a dead
//! destination does not hold up a live one, and the last state of every object stays. When even that is not enough, or the
//! disk is full or read-only, the socket answers "full", so that `understudy-ocsp` leaves results in the spill directory
//! and nothing is lost; the perfdata FIFO cannot wait, and its results are lost until there is room. Whatever goes is
//! counted and logged.

mod abilities;
mod backoff;
mod committer;
mod error;
mod inlet;
mod intake;
mod intakes;
mod link;
#[doc(hidden)]
pub mod measured;
mod outbox;
pub mod perfdata;
pub mod sealed;
mod shrink;
mod sieve;
mod status;
mod tap;
#[cfg(test)]
mod testing;
mod throttle;
mod wait;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use chronicle::Chronicle;
use nagios::echo::Echoes;
use nagios::{CheckResult, Timestamp};
use nsca::sealed::{CoreVerdict, Duty, Warmth};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

pub use abilities::ForgetError;
pub use error::StartError;
pub use inlet::Inlet;
pub use link::{Ended, Heard};
pub use outbox::{NotTaken, SPOOL_DIRECTORY};
pub use status::{DestinationStatus, Failure, IntakeStatus, SessionKind, Skipped, SpoolStatus, Status};

use abilities::Abilities;
use committer::Committer;
use intakes::Intakes;
use link::{FAREWELL_TIME, Link, Presence, Record, Shared, Stop, System};
use outbox::Outbox;
use perfdata::silence;
use status::Counters;

/// A running sender. Dropped without [`stop`](Sender::stop), it ends at once; what waits in the spool is
/// delivered by the next one.
pub struct Sender {
    outbox: Arc<Outbox>,
    abilities: Arc<Abilities>,
    counters: Arc<Counters>,
    inlet: Inlet,
    destinations: Vec<(String, Arc<Record>)>,
    intakes: Intakes,
    presence: watch::Sender<Presence>,
    /// The links, and the watch over the perfdata FIFO.
    tasks: JoinSet<()>,
    /// The watch ends when the links are told to drain.
    stop: Stop,
    committer: Committer,
}

/// What a stop left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Results that each destination has not confirmed, by name. They wait in the spool.
    pub left: Vec<(String, u64)>,
}

impl Sender {
    /// Opens the spool in the node's state directory, binds the socket, opens the FIFO, and starts taking and delivering
    /// results. What waits in the spool is delivered.
    ///
    /// `core` is where the status file is that tells whether the perfdata FIFO should have something to say. `echoes` are
    /// those that this node's receiver expects: they are taken, and go no further. `chronicle` is what this node's core
    /// remembers: sealed sessions tell it to peers that can make use of it.
    ///
    /// # Errors
    ///
    /// See [`StartError`]. Nothing runs then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start(
        config: &config::Sender,
        node: &config::Node,
        core: Option<&config::Core>,
        echoes: Arc<Mutex<Echoes>>,
        chronicle: Option<Chronicle>,
    ) -> Result<Sender, StartError> {
        let seeds: Result<Vec<u64>, _> = config.destinations.iter().map(|_| getrandom::u64()).collect();
        let seeds = seeds.map_err(StartError::Random)?;
        let (outbox, abilities) = open(config, &node.state_directory).await?;
        let (outbox, abilities) = (Arc::new(outbox), Arc::new(abilities));
        let committer = Committer::start(Arc::clone(&outbox))?;
        let counters = Arc::new(Counters::default());
        let inlet = Inlet::new(Arc::clone(&outbox), Arc::clone(&counters), config.relay_passive);
        let intakes = Intakes::start(config, &outbox, &counters, echoes)?;
        let (mut tasks, stop) = (JoinSet::new(), Stop::default());
        let status_file = core.and_then(|core| core.status_file.clone());
        if let (Some(perfdata), Some(status_file)) = (&config.perfdata, status_file) {
            let fifo = perfdata.path.clone();
            tasks.spawn(silence::watch(fifo, status_file, Arc::clone(&counters), stop.drain.clone()));
        }
        let presence = watch::Sender::new(Presence::default());
        let shared = Shared {
            node: node.name.clone(),
            outbox: Arc::clone(&outbox),
            abilities: Arc::clone(&abilities),
            presence: presence.subscribe(),
            chronicle,
        };
        let mut destinations = Vec::new();
        for (index, (destination, seed)) in config.destinations.iter().cloned().zip(seeds).enumerate() {
            let record = Arc::new(Record::default());
            destinations.push((destination.name.clone(), Arc::clone(&record)));
            let link = Link::new(destination, System, index, shared.clone(), record, seed);
            tasks.spawn(link.run(stop.clone()));
        }
        Ok(Sender { outbox, abilities, counters, inlet, destinations, intakes, presence, tasks, stop, committer })
    }

    /// Writes a result into the spool, for every destination. Blocks while the spool is compacted.
    ///
    /// # Errors
    ///
    /// See [`NotTaken`].
    pub fn submit(&self, result: CheckResult) -> Result<(), NotTaken> {
        self.outbox.append(&[result]).pop().expect("one outcome for each result")
    }

    /// The way in for what this node's receiver took.
    #[must_use]
    pub fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// How the core on this node is. All sealed sessions tell it at once, and with every heartbeat. Unknown until this is
    /// called.
    pub fn set_core(&self, core: CoreVerdict) {
        self.presence.send_if_modified(|presence| std::mem::replace(&mut presence.core, core) != core);
    }

    /// Whether this node checks and notifies. Told as [`set_core`](Self::set_core) tells its news.
    pub fn set_duty(&self, duty: Duty) {
        self.presence.send_if_modified(|presence| std::mem::replace(&mut presence.duty, duty) != duty);
    }

    /// Whether this node's core is up to date. Told as [`set_core`](Self::set_core) tells its news.
    pub fn set_warmth(&self, warmth: Warmth) {
        self.presence.send_if_modified(|presence| std::mem::replace(&mut presence.warmth, warmth) != warmth);
    }

    /// What a destination tells of itself in sealed sessions; `None` if there is no such destination.
    #[must_use]
    pub fn heard(&self, destination: &str) -> Option<watch::Receiver<Heard>> {
        self.record(destination).map(Record::heard)
    }

    /// Tries all destinations again at once that could not be reached: a node that has just connected may be one of them.
    pub fn retry(&self) {
        self.destinations.iter().for_each(|(_, record)| record.retry.notify_waiters());
    }

    /// Forgets that a destination could seal, so that it may be one that cannot from now on, and tries it again at once. Says
    /// whether it was remembered. A sealed session that lasts goes on. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// See [`ForgetError`].
    pub fn forget(&self, destination: &str) -> Result<bool, ForgetError> {
        let record = self.record(destination).ok_or_else(|| ForgetError::Unknown(destination.to_owned()))?;
        let forgotten = self.abilities.forget(destination)?;
        record.retry.notify_one();
        Ok(forgotten)
    }

    /// What has been done, and what waits. Blocks on the disk, and while the spool is compacted.
    #[must_use]
    pub fn status(&self) -> Status {
        let destinations = self.destinations.iter().enumerate();
        let destinations = destinations.map(|(index, (name, record))| self.destination_status(index, name, record));
        Status { intake: self.counters.snapshot(), destinations: destinations.collect(), spool: self.outbox.status() }
    }

    fn destination_status(&self, index: usize, name: &str, record: &Record) -> DestinationStatus {
        let known = record.snapshot();
        let oldest = self.outbox.oldest_waiting(index, Timestamp::from(SystemTime::now()));
        DestinationStatus {
            name: name.to_owned(),
            session: known.session.as_ref().map(|session| session.kind),
            session_seconds: known.session.as_ref().map(|session| session.since.elapsed().as_secs()),
            peer: known.session.and_then(|session| session.peer).map(|peer| peer.as_str().to_owned()),
            queued: self.outbox.waiting(index),
            oldest_waiting_seconds: oldest.map(|age| age.as_secs()),
            acknowledged: known.delivered + known.counts.acknowledged,
            skipped: Skipped {
                origin: known.counts.own,
                damaged: self.outbox.skipped(index) + known.counts.unreadable,
                cut: known.counts.cut,
            },
            truncated: known.truncated,
            clock_offset_ms: known.clock_offset.map(|offset| offset.ahead_us / 1000),
            failure: known.failure.map(|(message, at)| Failure { message, seconds: at.elapsed().as_secs() }),
        }
    }

    fn record(&self, destination: &str) -> Option<&Record> {
        self.destinations.iter().find(|(name, _)| name == destination).map(|(_, record)| &**record)
    }

    /// Takes nothing more, delivers what waits within `grace` if the destinations take it, says goodbye, which may take a moment
    /// more, and leaves the rest in the spool.
    ///
    /// `understudy-ocsp` spills from now on, and the core keeps what fits into the perfdata FIFO, if another
    /// process has it open.
    pub async fn stop(mut self, grace: Duration) -> Summary {
        let mut intakes = self.intakes;
        if tokio::task::spawn_blocking(move || intakes.join()).await.is_err() {
            warn!("an intake did not end in order");
        }
        self.stop.drain.cancel();
        let mut in_time = true;
        if tokio::time::timeout(grace, all(&mut self.tasks)).await.is_err() {
            in_time = false;
            self.stop.hurry.cancel();
            // What does not end by itself now is ended.
            let _ = tokio::time::timeout(2 * FAREWELL_TIME, all(&mut self.tasks)).await;
        }
        self.tasks.shutdown().await;
        let names = self.destinations.iter().map(|(name, _)| name.clone());
        let left: Vec<(String, u64)> =
            names.enumerate().map(|(index, name)| (name, self.outbox.waiting(index))).collect();
        for (destination, results) in left.iter().filter(|(_, results)| *results > 0) {
            info!(destination, results, in_time, "not delivered before the stop; these results wait in the spool");
        }
        let committer = self.committer;
        if tokio::task::spawn_blocking(move || drop(committer)).await.is_err() {
            warn!("the spool was not committed in order");
        }
        Summary { left }
    }
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

/// On a thread where reading a large spool holds nothing up.
async fn open(config: &config::Sender, state_directory: &Path) -> Result<(Outbox, Abilities), StartError> {
    let names: Vec<String> = config.destinations.iter().map(|destination| destination.name.clone()).collect();
    let (state_directory, spool) = (state_directory.to_owned(), config.spool);
    let opened = tokio::task::spawn_blocking(move || {
        // The spool first: its lock keeps a second sender from the state directory.
        let outbox = Outbox::open(&state_directory, spool, names.clone())?;
        Ok((outbox, Abilities::open(&state_directory, &names)?))
    });
    opened.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
