//! The sender: takes check results on the master and delivers each to every destination.
//!
//! ```text
//! understudy-ocsp ──▶ socket ─────────▶┐
//!              └────▶ spill directory ▶├─▶ outbox: a queue per destination ─▶ link ══ TCP ══▶ NSCA daemon
//! core ──▶ perfdata FIFO ─────────────▶┘
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `intake` | socket and spill directory: answers "taken" only when a result is queued |
//! | [`perfdata`] | the FIFO: takes only frames that are provably whole |
//! | `outbox`, `queue` | bounded memory; what had to go is counted |
//! | `link` | batches, confirmation by clean close, retries |
//!
//! **Invariant:** an intake never waits for the network, and a destination never for another.
//!
//! **When queues are full.** While one destination has room, results are taken, and the others lose their oldest:
//! a dead destination does not hold up a live one. When all are full, the socket answers "full", so that
//! `understudy-ocsp` leaves results in the spill directory and nothing is lost; the perfdata FIFO cannot
//! wait, and the oldest results go. Whatever goes is counted and logged.

mod backoff;
mod error;
mod intake;
mod intakes;
mod link;
mod outbox;
pub mod perfdata;
mod queue;
mod status;
#[cfg(test)]
mod testing;
mod throttle;
mod wait;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nagios::CheckResult;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use error::StartError;
pub use outbox::Full;
pub use queue::{MAX_BYTES as QUEUE_MAX_BYTES, MAX_RESULTS as QUEUE_MAX_RESULTS};
pub use status::{DestinationStatus, IntakeStatus, Status};

use intakes::Intakes;
use link::{Link, Record, System};
use outbox::Outbox;
use perfdata::silence;
use status::Counters;

/// A running sender. Dropped without [`stop`](Sender::stop), it ends at once and what is queued is lost.
pub struct Sender {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    destinations: Vec<(String, Arc<Record>)>,
    intakes: Intakes,
    /// The links, and the watch over the perfdata FIFO.
    tasks: JoinSet<()>,
    /// Cancelled when the links shall end with what is queued; the watch ends at once.
    drain: CancellationToken,
}

/// What a stop left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Results that each destination has not confirmed, by name. They are lost.
    pub left: Vec<(String, usize)>,
}

impl Sender {
    /// Binds the socket, opens the FIFO, and starts taking and delivering results.
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
    pub async fn start(config: &config::Sender, core: Option<&config::Core>) -> Result<Sender, StartError> {
        let seeds: Result<Vec<u64>, _> = config.destinations.iter().map(|_| getrandom::u64()).collect();
        let seeds = seeds.map_err(StartError::Random)?;
        let names = config.destinations.iter().map(|destination| destination.name.clone());
        let outbox = Arc::new(Outbox::new(names));
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
            info!(destination = destination.name, address = %destination.address, "delivering results");
            let record = Arc::new(Record::default());
            destinations.push((destination.name.clone(), Arc::clone(&record)));
            let link = Link::new(destination, System, index, Arc::clone(&outbox), record, seed);
            tasks.spawn(link.run(drain.clone()));
        }
        Ok(Sender { outbox, counters, destinations, intakes, tasks, drain })
    }

    /// Queues a result for every destination.
    ///
    /// # Errors
    ///
    /// [`Full`] when every destination's queue is full; nothing was taken.
    pub fn submit(&self, result: CheckResult) -> Result<(), Full> {
        self.outbox.offer(result)
    }

    /// What has been done, and what waits.
    #[must_use]
    pub fn status(&self) -> Status {
        let destinations = self.destinations.iter().enumerate().map(|(index, (name, record))| {
            let (queued, dropped) = self.outbox.counts(index);
            DestinationStatus {
                name: name.clone(),
                queued,
                delivered: record.delivered.load(Relaxed),
                dropped,
                truncated: record.truncated.load(Relaxed),
                failure: record.failure(),
            }
        });
        Status { intake: self.counters.snapshot(), destinations: destinations.collect() }
    }

    /// Takes nothing more, and delivers what is queued within `grace`.
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
        let left: Vec<(String, usize)> = self
            .destinations
            .iter()
            .enumerate()
            .map(|(index, (name, _))| (name.clone(), self.outbox.counts(index).0))
            .collect();
        for (destination, results) in left.iter().filter(|(_, results)| *results > 0) {
            warn!(destination, results, in_time, "not delivered before the stop; these results are lost");
        }
        Summary { left }
    }
}
