//! The queues of all destinations behind one lock: a result enters all of them or none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nagios::CheckResult;
use tokio::sync::Notify;
use tracing::warn;

use crate::queue::{MAX_RESULTS, Queue};
use crate::throttle::Throttle;

/// Every destination's queue is full; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue of every destination is full ({MAX_RESULTS} results): no destination can be reached")]
pub struct Full;

/// What waits for the destinations. Destinations are known by their place in the configuration.
pub(crate) struct Outbox {
    slots: Mutex<Vec<Slot>>,
    /// One per destination, with one waiting link each.
    arrivals: Vec<Notify>,
}

struct Slot {
    destination: String,
    queue: Queue,
    complaint: Throttle,
}

impl Outbox {
    pub(crate) fn new(destinations: impl Iterator<Item = String>) -> Outbox {
        let slots: Vec<Slot> = destinations
            .map(|destination| Slot { destination, queue: Queue::new(), complaint: Throttle::default() })
            .collect();
        let arrivals = slots.iter().map(|_| Notify::new()).collect();
        Outbox { slots: Mutex::new(slots), arrivals }
    }

    /// For a source that can keep what is not taken. While one destination has room, the others lose their oldest.
    pub(crate) fn offer(&self, result: CheckResult) -> Result<(), Full> {
        let mut slots = self.lock();
        if slots.iter().all(|slot| slot.queue.is_full()) {
            return Err(Full);
        }
        push(&mut slots, result);
        drop(slots);
        self.announce();
        Ok(())
    }

    /// For a source that cannot wait: where there is no room, the oldest goes.
    pub(crate) fn push(&self, results: impl Iterator<Item = CheckResult>) {
        let mut slots = self.lock();
        results.for_each(|result| push(&mut slots, result));
        drop(slots);
        self.announce();
    }

    /// See [`Queue::read`].
    pub(crate) fn read(&self, destination: usize, from: u64, limit: usize) -> (u64, Vec<Arc<CheckResult>>) {
        self.lock()[destination].queue.read(from, limit)
    }

    /// See [`Queue::confirm`].
    pub(crate) fn confirm(&self, destination: usize, end: u64) {
        self.lock()[destination].queue.confirm(end);
    }

    /// How many results wait, and how many were pushed out.
    pub(crate) fn counts(&self, destination: usize) -> (usize, u64) {
        let slots = self.lock();
        let queue = &slots[destination].queue;
        (queue.len(), queue.dropped())
    }

    /// Waits until any result waits for the destination.
    pub(crate) async fn arrival(&self, destination: usize) {
        while self.lock()[destination].queue.len() == 0 {
            self.arrivals[destination].notified().await;
        }
    }

    /// Waits until a result of number `from` or higher waits for the destination.
    pub(crate) async fn arrival_after(&self, destination: usize, from: u64) {
        while self.lock()[destination].queue.end() <= from {
            self.arrivals[destination].notified().await;
        }
    }

    fn announce(&self) {
        self.arrivals.iter().for_each(Notify::notify_one);
    }

    /// A thread that panicked with the lock held left whole results in the queues: pushing and popping cannot panic
    /// between two states.
    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push(slots: &mut [Slot], result: CheckResult) {
    let result = Arc::new(result);
    for slot in slots {
        let dropped = slot.queue.push(Arc::clone(&result));
        if let Some(results) = slot.complaint.count(dropped, Instant::now()) {
            warn!(
                destination = slot.destination,
                results,
                in_all = slot.queue.dropped(),
                "the queue is full: the oldest results were dropped; the destination does not take them fast enough"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbered;

    fn result(number: u64) -> CheckResult {
        CheckResult::clone(&numbered(number))
    }

    #[test]
    fn full_means_full_everywhere() {
        let outbox = Outbox::new(["dead", "alive"].into_iter().map(String::from));
        for number in 0..MAX_RESULTS as u64 {
            outbox.offer(result(number)).unwrap();
        }
        assert_eq!(outbox.offer(result(0)), Err(Full));
        assert_eq!(outbox.counts(0), (MAX_RESULTS, 0));
        outbox.confirm(1, 1);
        outbox.offer(result(0)).unwrap();
        assert_eq!(outbox.counts(0), (MAX_RESULTS, 1), "the dead destination lost its oldest");
        assert_eq!(outbox.counts(1), (MAX_RESULTS, 0));
        assert_eq!(outbox.offer(result(0)), Err(Full));
        outbox.push([result(0), result(1)].into_iter());
        assert_eq!(outbox.counts(1), (MAX_RESULTS, 2));
    }

    #[tokio::test]
    async fn a_waiting_link_is_woken() {
        let outbox = Arc::new(Outbox::new([String::from("a")].into_iter()));
        let waiting = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.arrival_after(0, 1).await }
        });
        outbox.push([result(0)].into_iter());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        outbox.push([result(1)].into_iter());
        waiting.await.unwrap();
    }
}
