//! One link per destination: takes what waits for it in the spool to the daemon there.
//!
//! Invariants:
//! - there is at most one connection at a time: old daemons serve them one after the other;
//! - the link's position in the spool moves past a result only after the daemon closed the connection cleanly, which it does when it has read
//!   everything; else the whole batch is sent again, in order, after a pause;
//! - results may therefore arrive twice, and never out of order.

mod batch;
mod connection;
mod error;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use config::Destination;
use nagios::CheckResult;
use nsca::classic::ClientSession;
use nsca::packet::Truncated;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, trace, warn};

use crate::backoff::Backoff;
use crate::outbox::{Outbox, Waiting};
use crate::throttle::Throttle;
use batch::{BatchSize, LINGER};
use connection::{Connection, Resolve};

pub(crate) use connection::System;
use error::LinkError;

/// Failures in a row from which on somebody must act.
const FAILURES_TO_ACT: u32 = 8;

/// How many results are encoded before they are written; bounds the memory of one link to some 400 KiB. Not fewer:
/// a stock daemon that finds part of a packet sleeps for a second, and that happens less often with large writes.
const RESULTS_PER_WRITE: usize = 100;

/// What the outside may know of a link.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) delivered: AtomicU64,
    pub(crate) truncated: AtomicU64,
    failure: Mutex<Option<String>>,
}

/// A destination and the way there.
pub(crate) struct Link<R> {
    destination: Destination,
    resolver: R,
    /// Its place in the outbox.
    index: usize,
    outbox: Arc<Outbox>,
    record: Arc<Record>,
    backoff: Backoff,
    batch_size: BatchSize,
    /// Whether the daemon has taken a packet that it could have refused since the last failure.
    proven: bool,
    random: StdRng,
    failures: Throttle,
    truncations: Throttle,
}

/// A batch that was delivered.
struct Delivery {
    results: usize,
    /// The sequence after its last result.
    end: u64,
}

impl Record {
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_failure(&self, failure: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.failure.lock().unwrap_or_else(PoisonError::into_inner), failure)
    }
}

impl<R: Resolve + Sync> Link<R> {
    pub(crate) fn new(
        destination: Destination,
        resolver: R,
        index: usize,
        outbox: Arc<Outbox>,
        record: Arc<Record>,
        seed: u64,
    ) -> Link<R> {
        let mut random = StdRng::seed_from_u64(seed);
        Link {
            destination,
            resolver,
            index,
            outbox,
            record,
            backoff: Backoff::new(random.next_u64()),
            batch_size: BatchSize::new(),
            proven: false,
            random,
            failures: Throttle::default(),
            truncations: Throttle::default(),
        }
    }

    /// Delivers until `stop`, and then until nothing waits or an attempt fails: what is left is safe in the spool.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while self.has_results(&stop).await {
            match self.deliver().await {
                Ok(delivery) => self.delivered(&delivery),
                Err(error) => {
                    let pause = self.failed(&error);
                    if stop.is_cancelled() {
                        return;
                    }
                    // A stop ends the pause, and there is one last attempt.
                    let _ = timeout(pause, stop.cancelled()).await;
                }
            }
        }
    }

    /// Waits for results; `false` when the sender stops and none are left.
    async fn has_results(&self, stop: &CancellationToken) -> bool {
        tokio::select! {
            // Results that are there win over the stop.
            biased;
            () = self.outbox.arrival(self.index) => true,
            () = stop.cancelled() => false,
        }
    }

    /// One connection's worth of results.
    async fn deliver(&mut self) -> Result<Delivery, LinkError> {
        let mut delivery = Delivery { results: 0, end: 0 };
        let mut waiting = self.read(&delivery)?;
        if waiting.results.is_empty() {
            // All of it was damaged: nothing to connect for.
            return Ok(Delivery { end: waiting.end, ..delivery });
        }
        let Destination { address, secret, packet_size, .. } = &self.destination;
        let session = ClientSession::new(secret.clone(), *packet_size, self.random.next_u64());
        let mut connection = Connection::open(address, &self.resolver, session).await?;
        let opened = Instant::now();
        loop {
            for result in &waiting.results {
                let truncated = connection.encode(result, Instant::now());
                self.note_truncation(result, truncated);
            }
            connection.write().await?;
            delivery.results += waiting.results.len();
            delivery.end = waiting.end;
            let is_full = delivery.results >= self.batch_size.results() || opened.elapsed() >= batch::MAX_TIME;
            if is_full || !self.more_arrives(delivery.end).await {
                break;
            }
            waiting = self.read(&delivery)?;
        }
        if !self.proven {
            connection.prove().await?;
        }
        connection.finish().await?;
        Ok(delivery)
    }

    /// What comes after what is on its way.
    fn read(&self, delivery: &Delivery) -> Result<Waiting, LinkError> {
        let room = (self.batch_size.results() - delivery.results).min(RESULTS_PER_WRITE);
        Ok(self.outbox.read(self.index, delivery.end, room)?)
    }

    /// Whether there is more to send on this connection.
    async fn more_arrives(&self, end: u64) -> bool {
        timeout(LINGER, self.outbox.arrival_after(self.index, end)).await.is_ok()
    }

    fn delivered(&mut self, delivery: &Delivery) {
        self.outbox.confirm(self.index, delivery.end);
        if delivery.results == 0 {
            return;
        }
        self.record.delivered.fetch_add(delivery.results as u64, Relaxed);
        self.proven = true;
        self.backoff.succeeded();
        self.batch_size.taken();
        debug!(destination = self.destination.name, results = delivery.results, "delivered");
        if self.record.set_failure(None).is_some() {
            self.failures = Throttle::default();
            let queued = self.outbox.waiting(self.index);
            info!(destination = self.destination.name, queued, "the destination takes results again");
        }
    }

    /// Logs the failure and gives the pause after it.
    fn failed(&mut self, error: &LinkError) -> Duration {
        self.proven = false;
        let pause = self.backoff.failed();
        if matches!(error, LinkError::Refused(_) | LinkError::Stalled(_) | LinkError::NotClosed(_)) {
            self.batch_size.refused();
        }
        let (destination, address) = (&self.destination.name, &self.destination.address);
        let queued = self.outbox.waiting(self.index);
        let failures = self.backoff.failures();
        self.record.set_failure(Some(error.to_string()));
        if self.failures.count(1, Instant::now()).is_none() {
            debug!(destination, %address, %error, failures, queued, ?pause, "not delivered");
        } else if failures < FAILURES_TO_ACT {
            warn!(destination, %address, %error, failures, queued, "not delivered; the results wait and are sent again");
        } else {
            error!(destination, %address, %error, failures, queued, "not delivered for a while; the results wait and are sent again");
        }
        pause
    }

    fn note_truncation(&mut self, result: &CheckResult, truncated: Truncated) {
        trace!(destination = self.destination.name, object = %result.object, "sent");
        if !truncated.any() {
            return;
        }
        self.record.truncated.fetch_add(1, Relaxed);
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use config::Address;
    use nsca::packet::{INIT_BYTES, PACKET_BYTES, PacketSize};
    use nsca::{Method, Secret};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::testing::numbered;

    /// A resolver whose answer changes.
    #[derive(Clone, Default)]
    struct Moving(Arc<Mutex<Vec<SocketAddr>>>);

    impl Resolve for Moving {
        async fn resolve(&self, _: &Address) -> io::Result<Vec<SocketAddr>> {
            Ok(self.0.lock().unwrap().clone())
        }
    }

    /// Takes one connection and gives the number of packets in it.
    async fn daemon(listener: TcpListener) -> usize {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[0; INIT_BYTES]).await.unwrap();
        let mut packets = Vec::new();
        stream.read_to_end(&mut packets).await.unwrap();
        packets.len() / PACKET_BYTES
    }

    #[tokio::test]
    async fn a_name_is_resolved_at_each_attempt_and_all_its_addresses_are_tried() {
        let names = Moving::default();
        let (_directory, outbox) = crate::testing::outbox();
        let record = Arc::new(Record::default());
        let destination = Destination {
            name: "moving".into(),
            address: "moving.example.org:5667".parse().unwrap(),
            secret: Secret::new(Method::None, b""),
            sealed: nsca::greeting::Policy::Off,
            key_source: None,
            packet_size: PacketSize::Modern,
        };
        let stop = CancellationToken::new();
        let link = Link::new(destination, names.clone(), 0, Arc::clone(&outbox), Arc::clone(&record), 1);
        let running = tokio::spawn(link.run(stop.clone()));
        assert!(outbox.append(&[numbered(1)])[0].is_ok());
        while record.failure().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(record.failure().unwrap(), "the name moving.example.org has no address");

        let (dead, alive) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("[::1]:0").await.unwrap());
        *names.0.lock().unwrap() = vec![dead.local_addr().unwrap(), alive.local_addr().unwrap()];
        drop(dead);
        assert_eq!(daemon(alive).await, 1);

        let moved = TcpListener::bind("127.0.0.1:0").await.unwrap();
        *names.0.lock().unwrap() = vec![moved.local_addr().unwrap()];
        assert!(outbox.append(&[numbered(2), numbered(3), numbered(4)]).iter().all(Result::is_ok));
        assert_eq!(daemon(moved).await, 3);
        stop.cancel();
        running.await.unwrap();
        assert_eq!((outbox.waiting(0), record.delivered.load(Relaxed), record.failure()), (0, 4, None));
    }
}
