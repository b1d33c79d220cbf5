//! One link per destination: takes what waits for it in the spool to the daemon there.
//!
//! Each connection becomes what the init packet says: a sealed session, which stays open, or a classic one, which carries a batch.
//!
//! Invariants:
//! - there is at most one connection at a time, since old daemons serve them one after the other; or in classic sessions as
//!   many as the destination has lanes, and all results of an object travel in the same lane;
//! - in a classic session, the link's position in the spool moves past a result only after the daemon closed its
//!   connection cleanly, which it does when it has read everything; else the whole batch of the lane is sent again, in
//!   order, after a pause, and the position stays behind it, however far the other lanes are;
//! - in a sealed session it moves as the peer acknowledges;
//! - results may therefore arrive twice, and never out of order.

mod batch;
mod book;
mod classic;
mod connect;
mod error;
mod failures;
mod lanes;
mod record;
mod sealed;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chronicle::Chronicle;
use config::Destination;
use nagios::CheckResult;
use nsca::classic::ClientSession;
use nsca::greeting::{ClientGreeting, PeerAbility, Policy};
use nsca::packet::Truncated;
use nsca::sealed::{ClientSettings, CoreVerdict, Duty, Ephemeral, NodeName, STALE_AFTER, Warmth};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, trace, warn};

use crate::abilities::Abilities;
use crate::backoff::{self, Backoff};
use crate::outbox::Outbox;
use crate::sealed::{Exchange, History, hello};
use crate::tap::Waiting;
use crate::throttle::Throttle;
use batch::{BatchSize, LINGER};
use classic::Connection;
use connect::{Greeted, Resolve, connect, greet};
use sealed::Conversation;

pub(crate) use classic::encode;
pub(crate) use connect::System;
pub(crate) use record::Record;
pub use record::{Ended, Heard};
pub(crate) use sealed::FAREWELL_TIME;

use error::LinkError;
use failures::Failures;
use lanes::Lanes;

/// How many results are encoded for each lane before they are written; bounds its memory to some 400 KiB. Not fewer: a stock
/// daemon that finds part of a packet sleeps for a second, and that happens less often with large writes.
const RESULTS_PER_WRITE: usize = 100;

/// What all links have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) node: NodeName,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) abilities: Arc<Abilities>,
    /// What heartbeats tell of this node.
    pub(crate) presence: watch::Receiver<Presence>,
    /// This node's book, if there is one.
    pub(crate) chronicle: Option<Chronicle>,
}

/// How this node is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Presence {
    pub(crate) core: CoreVerdict,
    pub(crate) duty: Duty,
    pub(crate) warmth: Warmth,
}

/// How links are told to end.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    /// With what waits.
    pub(crate) drain: CancellationToken,
    /// Now.
    pub(crate) hurry: CancellationToken,
}

/// A destination and the way there.
pub(crate) struct Link<R> {
    destination: Destination,
    resolver: R,
    /// Its place in the outbox.
    index: usize,
    shared: Shared,
    record: Arc<Record>,
    history: History,
    backoff: Backoff,
    batch_size: BatchSize,
    stale_after: Duration,
    /// Whether the last connection was taken for a classic one: there is nothing to stay connected for.
    is_classic: bool,
    /// Of each lane: all its results up to this sequence are confirmed in classic sessions.
    confirmed: Vec<u64>,
    /// Whether the daemon has taken a packet that it could have refused since the last failure.
    proven: bool,
    random: StdRng,
    failures: Failures,
    truncations: Throttle,
}

/// A batch, or the part of it that was delivered.
#[derive(Default)]
struct Delivery {
    results: usize,
    /// The sequence after its last result.
    end: u64,
}

impl<R: Resolve + Sync> Link<R> {
    pub(crate) fn new(
        destination: Destination,
        resolver: R,
        index: usize,
        shared: Shared,
        record: Arc<Record>,
        seed: u64,
    ) -> Link<R> {
        let mut random = StdRng::seed_from_u64(seed);
        let history = History::new(&shared.outbox.lock().spool, &destination.name);
        Link {
            confirmed: vec![0; destination.lanes],
            destination,
            resolver,
            index,
            shared,
            record,
            history,
            backoff: Backoff::new(random.next_u64()),
            batch_size: BatchSize::new(),
            stale_after: STALE_AFTER,
            is_classic: false,
            proven: false,
            random,
            failures: Failures::default(),
            truncations: Throttle::default(),
        }
    }

    /// Delivers until `stop`, and then until nothing waits or an attempt fails: what is left is safe in the spool.
    pub(crate) async fn run(mut self, stop: Stop) {
        while self.is_wanted(&stop).await {
            if let Err(error) = self.attempt(&stop).await {
                let pause = self.failed(&error).await;
                if stop.drain.is_cancelled() {
                    return;
                }
                // A stop ends the pause, and there is one last attempt.
                tokio::select! {
                    () = sleep(pause) => {}
                    () = stop.drain.cancelled() => {}
                    () = self.record.retry.notified() => {}
                }
            }
        }
    }

    /// Waits for a reason to connect; `false` when there will be none: the sender stops, and no results are left.
    async fn is_wanted(&self, stop: &Stop) -> bool {
        if stop.hurry.is_cancelled() {
            return false;
        }
        if self.stays_connected() && !stop.drain.is_cancelled() {
            return true;
        }
        tokio::select! {
            // Results that are there win over the stop.
            biased;
            () = self.shared.outbox.arrival(self.index) => true,
            () = stop.drain.cancelled() => false,
        }
    }

    /// Whether there is, or may be, a sealed session, which says that this node lives also when it has no results.
    fn stays_connected(&self) -> bool {
        match self.destination.sealed {
            Policy::Off => false,
            Policy::Require(_) => true,
            Policy::Auto(_) => !self.is_classic || self.ability() == PeerAbility::CanSeal,
        }
    }

    fn ability(&self) -> PeerAbility {
        self.shared.abilities.of(&self.destination.name)
    }

    /// One connection.
    async fn attempt(&mut self, stop: &Stop) -> Result<(), LinkError> {
        let Destination { address, secret, packet_size, sealed, .. } = &self.destination;
        let (mut stream, peer) = connect(address, &self.resolver).await?;
        let classic = ClientSession::new(secret.clone(), *packet_size, self.random.next_u64());
        let hello = hello(&self.shared.node, &self.shared.outbox.lock_soon().await.spool);
        let epoch = hello.epoch;
        let presence = *self.shared.presence.borrow();
        let books = self.shared.chronicle.is_some();
        let settings = ClientSettings { hello, core: presence.core, books, stale_after: self.stale_after };
        let (mut random, mut step) = ([0; 32], [0; 4]);
        getrandom::fill(&mut random).map_err(LinkError::Random)?;
        getrandom::fill(&mut step).map_err(LinkError::Random)?;
        let step = NonZeroU32::new(u32::from_le_bytes(step)).unwrap_or(NonZeroU32::MIN);
        let ability = self.ability();
        let greeting = ClientGreeting::new(classic, sealed.clone(), ability, settings, Ephemeral::new(random));
        match greet(&mut stream, peer, greeting).await? {
            Greeted::Classic(session) => {
                self.is_classic = true;
                self.record.note_classic();
                let lanes = Lanes::new(Connection::new(stream, session), peer, self.destination.lanes);
                tokio::select! {
                    delivered = self.deliver(lanes) => delivered,
                    () = stop.hurry.cancelled() => Ok(()),
                }
            }
            Greeted::Sealed(client, early) => {
                self.is_classic = false;
                let history = self.history.clone();
                let mut exchange = Exchange::new(*client, &self.destination.name, epoch, ability, history, step);
                exchange.set_duty(presence.duty);
                exchange.set_warmth(presence.warmth);
                self.converse(stream, peer, exchange, &early, stop).await
            }
        }
    }

    /// A sealed session, until it ends.
    async fn converse(
        &mut self,
        stream: TcpStream,
        address: SocketAddr,
        exchange: Exchange,
        early: &[u8],
        stop: &Stop,
    ) -> Result<(), LinkError> {
        let (begun, acknowledged) = (Instant::now(), self.history.counts().acknowledged);
        let mut conversation = Conversation {
            destination: &self.destination.name,
            index: self.index,
            shared: &self.shared,
            record: &self.record,
            stream,
            address,
            exchange,
            books: None,
            is_welcomed: false,
        };
        let outcome = conversation.run(early, stop).await;
        self.history = conversation.exchange.history().clone();
        let is_welcomed = conversation.is_welcomed;
        if self.history.counts().acknowledged > acknowledged || begun.elapsed() > backoff::LONGEST {
            self.backoff.succeeded();
            self.failures.succeeded();
        } else if is_welcomed && !outcome.as_ref().is_err_and(LinkError::needs_somebody) {
            self.backoff.succeeded();
            if self.shared.outbox.depth(self.index).await == 0 {
                self.failures.met();
            }
        }
        outcome
    }

    /// A batch, over classic sessions.
    async fn deliver(&mut self, mut lanes: Lanes) -> Result<(), LinkError> {
        let mut sent = Delivery::default();
        // Of each lane.
        let mut counts = vec![0; self.confirmed.len()];
        let opened = Instant::now();
        loop {
            let waiting = self.read(&sent).await?;
            self.encode(&mut lanes, &waiting, &mut counts).await;
            lanes.write().await;
            sent.results += waiting.results.len();
            sent.end = waiting.end;
            let is_full = sent.results >= self.batch_results() || opened.elapsed() >= batch::MAX_TIME;
            if is_full || lanes.has_failed() || !self.more_arrives(sent.end).await {
                break;
            }
        }
        if !self.proven && !lanes.has_failed() && sent.results > 0 {
            lanes.prove().await;
        }
        let outcomes = lanes.finish().await;
        self.note_outcomes(outcomes, &counts, sent.end).await
    }

    /// Makes packets of what waits, but for what a lane has delivered when another one failed.
    async fn encode(&mut self, lanes: &mut Lanes, waiting: &Waiting, counts: &mut [usize]) {
        for (result, sequence) in waiting.results.iter().zip(&waiting.sequences) {
            let lane = lanes.of(&result.object);
            if *sequence <= self.confirmed[lane] {
                continue;
            }
            let Destination { secret, packet_size, .. } = &self.destination;
            let random = &mut self.random;
            lanes.open(lane, || ClientSession::new(secret.clone(), *packet_size, random.next_u64())).await;
            if let Some(truncated) = lanes.encode(lane, result, Instant::now()) {
                counts[lane] += 1;
                self.note_truncation(result, truncated);
            }
        }
    }

    /// Moves on as far as all lanes have come.
    async fn note_outcomes(
        &mut self,
        outcomes: Vec<Result<(), LinkError>>,
        counts: &[usize],
        end: u64,
    ) -> Result<(), LinkError> {
        let (mut delivered, mut failure) = (0, None);
        for ((outcome, confirmed), count) in outcomes.into_iter().zip(&mut self.confirmed).zip(counts) {
            match outcome {
                Ok(()) => {
                    *confirmed = (*confirmed).max(end.saturating_sub(1));
                    delivered += count;
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        let all = self.confirmed.iter().min().expect("there is at least one lane");
        let delivery = Delivery { results: delivered, end: all + 1 };
        match failure {
            None => {
                self.delivered(&delivery).await;
                Ok(())
            }
            Some(error) => {
                self.record.note_delivered(delivery.results);
                self.shared.outbox.confirm(self.index, delivery.end).await;
                Err(error)
            }
        }
    }

    /// How many results a batch has at most.
    fn batch_results(&self) -> usize {
        self.batch_size.results() * self.destination.lanes
    }

    /// What comes after what is on its way.
    async fn read(&self, delivery: &Delivery) -> Result<Waiting, LinkError> {
        let room = (self.batch_results() - delivery.results).min(RESULTS_PER_WRITE * self.destination.lanes);
        Ok(self.shared.outbox.read(self.index, delivery.end, room).await?)
    }

    /// Whether there is more to send on this connection.
    async fn more_arrives(&self, end: u64) -> bool {
        timeout(LINGER, self.shared.outbox.arrival_after(self.index, end)).await.is_ok()
    }

    async fn delivered(&mut self, delivery: &Delivery) {
        let is_back = delivery.results > 0 && self.taken(delivery.results);
        // Last, so that whoever sees that nothing waits sees the rest, too.
        self.shared.outbox.confirm(self.index, delivery.end).await;
        if is_back {
            let queued = self.shared.outbox.depth(self.index).await;
            info!(destination = self.destination.name, queued, "the destination takes results again");
        }
    }

    /// The daemon has taken results; says whether something was wrong before.
    fn taken(&mut self, results: usize) -> bool {
        self.record.note_delivered(results);
        self.proven = true;
        self.backoff.succeeded();
        self.failures.succeeded();
        self.batch_size.taken();
        debug!(destination = self.destination.name, results, "delivered");
        self.record.clear_failure()
    }

    /// Logs the failure and gives the pause after it.
    async fn failed(&mut self, error: &LinkError) -> Duration {
        self.proven = false;
        let pause = self.backoff.failed();
        if matches!(error, LinkError::Refused(_) | LinkError::Stalled(_) | LinkError::NotClosed(_)) {
            self.batch_size.refused();
        }
        let (destination, address) = (&self.destination.name, &self.destination.address);
        let is_news = self.failures.count(error, Instant::now());
        let (failures, queued) = (self.failures.in_a_row(), self.shared.outbox.depth(self.index).await);
        self.record.fail(error.to_string());
        if error.is_stop() {
            info!(destination, %address, %error, queued, "the results wait until the destination is back");
        } else if !is_news {
            debug!(destination, %address, %error, failures, queued, ?pause, "not delivered");
        } else if !self.failures.need_somebody(error) {
            warn!(destination, %address, %error, failures, queued, "not delivered; the results wait and are sent again");
        } else {
            error!(destination, %address, %error, failures, queued, "not delivered; the results wait until somebody acts");
        }
        pause
    }

    fn note_truncation(&mut self, result: &CheckResult, truncated: Truncated) {
        trace!(destination = self.destination.name, object = %result.object, "sent");
        if !truncated.any() {
            return;
        }
        self.record.note_truncated();
        if let Some(results) = self.truncations.count(1, Instant::now()) {
            warn!(
                destination = self.destination.name,
                results,
                object = %result.object,
                host_bytes_cut = truncated.host,
                service_bytes_cut = truncated.service,
                output_bytes_cut = truncated.output,
                "results did not fit into their packets; one whose name is cut is unknown to the other core"
            );
        }
    }
}
