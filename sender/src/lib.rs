//! The sender: takes check results on the master and delivers each to every destination.
//!
//! ```text
//! understudy-ocsp ──▶ socket ─────────▶┐
//!              └────▶ spill directory ▶├─▶ outbox: a spool on disk ─▶ link ══ TCP ══▶ NSCA daemon
//! core ──▶ perfdata FIFO ─────────────▶┘
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `intake` | socket and spill directory: answers "taken" only when a result is in the spool |
//! | [`perfdata`] | the FIFO: takes only frames that are provably whole |
//! | `outbox` | the spool and how far each destination is in it |
//! | `committer` | makes the spool survive a power cut |
//! | `shrink` | what a result loses when the spool is too small |
//! | `link` | batches, confirmation by clean close, retries |
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

mod backoff;
mod committer;
mod error;
mod intake;
mod intakes;
mod link;
mod outbox;
pub mod perfdata;
pub mod sealed;
mod shrink;
mod status;
#[cfg(test)]
mod testing;
mod throttle;
mod wait;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nagios::CheckResult;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use error::StartError;
pub use outbox::{NotTaken, SPOOL_DIRECTORY};
pub use status::{DestinationStatus, IntakeStatus, SpoolStatus, Status};

use committer::Committer;
use intakes::Intakes;
use link::{Link, Record, System};
use outbox::Outbox;
use perfdata::silence;
use status::Counters;

/// A running sender. Dropped without [`stop`](Sender::stop), it ends at once; what waits in the spool is
/// delivered by the next one.
pub struct Sender {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    destinations: Vec<(String, Arc<Record>)>,
    intakes: Intakes,
    /// The links, and the watch over the perfdata FIFO.
    tasks: JoinSet<()>,
    /// Cancelled when the links shall end with what is queued; the watch ends at once.
    drain: CancellationToken,
    committer: Committer,
}

/// What a stop left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Results that each destination has not confirmed, by name. They wait in the spool.
    pub left: Vec<(String, u64)>,
}

impl Sender {
    /// Opens the spool in `state_directory`, binds the socket, opens the FIFO, and starts taking and delivering results.
    /// What waits in the spool is delivered.
    ///
    /// `core` is where the status file is that tells whether the perfdata FIFO should have something to say.
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
        state_directory: &Path,
        core: Option<&config::Core>,
    ) -> Result<Sender, StartError> {
        let seeds: Result<Vec<u64>, _> = config.destinations.iter().map(|_| getrandom::u64()).collect();
        let seeds = seeds.map_err(StartError::Random)?;
        let outbox = Arc::new(open(config, state_directory).await?);
        let committer = Committer::start(Arc::clone(&outbox))?;
        let counters = Arc::new(Counters::default());
        let intakes = Intakes::start(config, &outbox, &counters)?;
        let (mut tasks, drain) = (JoinSet::new(), CancellationToken::new());
        let status_file = core.and_then(|core| core.status_file.clone());
        if let (Some(perfdata), Some(status_file)) = (&config.perfdata, status_file) {
            let fifo = perfdata.path.clone();
            tasks.spawn(silence::watch(fifo, status_file, Arc::clone(&counters), drain.clone()));
        }
        let mut destinations = Vec::new();
        for (index, (destination, seed)) in config.destinations.iter().cloned().zip(seeds).enumerate() {
            let record = Arc::new(Record::default());
            destinations.push((destination.name.clone(), Arc::clone(&record)));
            let link = Link::new(destination, System, index, Arc::clone(&outbox), record, seed);
            tasks.spawn(link.run(drain.clone()));
        }
        Ok(Sender { outbox, counters, destinations, intakes, tasks, drain, committer })
    }

    /// Writes a result into the spool, for every destination. Blocks while the spool is compacted.
    ///
    /// # Errors
    ///
    /// See [`NotTaken`].
    pub fn submit(&self, result: CheckResult) -> Result<(), NotTaken> {
        self.outbox.append(&[result]).pop().expect("one outcome for each result")
    }

    /// What has been done, and what waits.
    #[must_use]
    pub fn status(&self) -> Status {
        let destinations = self.destinations.iter().enumerate().map(|(index, (name, record))| DestinationStatus {
            name: name.clone(),
            queued: self.outbox.waiting(index),
            delivered: record.delivered.load(Relaxed),
            skipped: self.outbox.skipped(index),
            truncated: record.truncated.load(Relaxed),
            failure: record.failure(),
        });
        let destinations = destinations.collect();
        Status { intake: self.counters.snapshot(), spool: self.outbox.status(), destinations }
    }

    /// Takes nothing more, delivers what waits within `grace` if the destinations take it, and leaves the rest in the
    /// spool.
    ///
    /// `understudy-ocsp` spills from now on, and the core keeps what fits into the perfdata FIFO, if another
    /// process has it open.
    pub async fn stop(mut self, grace: Duration) -> Summary {
        let mut intakes = self.intakes;
        if tokio::task::spawn_blocking(move || intakes.join()).await.is_err() {
            warn!("an intake did not end in order");
        }
        self.drain.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(grace, all).await.is_ok();
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

/// On a thread where reading a large spool holds nothing up.
async fn open(config: &config::Sender, state_directory: &Path) -> Result<Outbox, StartError> {
    let names: Vec<String> = config.destinations.iter().map(|destination| destination.name.clone()).collect();
    let (state_directory, spool) = (state_directory.to_owned(), config.spool);
    let opened = tokio::task::spawn_blocking(move || Outbox::open(&state_directory, spool, names)).await;
    opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
