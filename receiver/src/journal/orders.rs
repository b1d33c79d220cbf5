//! Appending for many connections at once.
//!
//! Who brings a batch puts it into a queue. The first one to find nobody at work has a thread empty the queue; whatever
//! comes meanwhile is written by the same thread. So a lone batch is written at once, and under load a batch costs neither
//! a thread nor a turn at the lock of its own.
//!
//! **Invariant:** batches are appended in the order in which they came, also those whose connection has ended since.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use spool::Spool;
use tokio::sync::oneshot;

use super::{Journal, locked};
use crate::backlog::NotTaken;
use crate::batch::Batch;
use crate::ledger::Records;

/// What is to be appended. Each connection has at most one batch here, and one of results that are no news, so their
/// number is bounded by theirs.
#[derive(Default)]
pub(super) struct Orders {
    waiting: Vec<Order>,
    /// A thread empties the queue.
    is_at_work: bool,
}

struct Order {
    batch: Arc<Batch>,
    records: Records,
    done: oneshot::Sender<Result<(), NotTaken>>,
}

/// A batch that is being appended, also when this is dropped.
pub(crate) struct UnderWay(oneshot::Receiver<Result<(), NotTaken>>);

impl UnderWay {
    /// What became of it. To be asked until it is known, and not again.
    pub(crate) async fn outcome(&mut self) -> Result<(), NotTaken> {
        (&mut self.0).await.unwrap_or(Err(NotTaken::Defect))
    }
}

impl Journal {
    /// Takes the results of `batch`, but for those that it has already, and those that are older than what another origin
    /// has told. If it fails, the first ones may have been taken nevertheless; a sealed sender's batch can then be
    /// appended again, and only the others are taken. Who has one under way must wait for it before the next.
    pub(crate) fn begin_append(self: &Arc<Self>, batch: Arc<Batch>) -> UnderWay {
        let records = Records::encode(&batch, &self.fingerprints);
        let (done, outcome) = oneshot::channel();
        let mut orders = locked(&self.orders);
        orders.waiting.push(Order { batch, records, done });
        let is_first = !std::mem::replace(&mut orders.is_at_work, true);
        drop(orders);
        if is_first {
            let journal = self.clone();
            tokio::task::spawn_blocking(move || journal.carry_out());
        }
        UnderWay(outcome)
    }

    /// As [`begin_append`](Self::begin_append), to the end.
    pub(crate) async fn append(self: &Arc<Self>, batch: Arc<Batch>) -> Result<(), NotTaken> {
        self.begin_append(batch).outcome().await
    }

    /// As [`append`](Self::append), on this thread. Whoever waits for results is not woken.
    pub(crate) fn append_here(&self, batch: &Batch) -> Result<(), NotTaken> {
        let records = Records::encode(batch, &self.fingerprints);
        self.write(&mut self.spool.blocking_lock(), batch, records)
    }

    /// Appends what waits until nothing does.
    fn carry_out(self: Arc<Self>) {
        let mut waiting = self.waiting();
        while !waiting.is_empty() {
            let mut spool = self.spool.blocking_lock();
            let outcomes: Vec<_> = waiting.into_iter().map(|order| self.carry_out_one(&mut spool, order)).collect();
            drop(spool);
            self.note_appended();
            waiting = self.waiting();
            if waiting.is_empty() {
                // Before the answers: who has them may close the journal and open it again.
                drop(self);
                return answer(outcomes);
            }
            answer(outcomes);
        }
    }

    /// The queue as it is. If it is empty, the work is over.
    fn waiting(&self) -> Vec<Order> {
        let mut orders = locked(&self.orders);
        orders.is_at_work = !orders.waiting.is_empty();
        std::mem::take(&mut orders.waiting)
    }

    /// A defect that one batch brings to light is no reason to leave the others waiting.
    fn carry_out_one(&self, spool: &mut Spool, order: Order) -> Outcome {
        let Order { batch, records, done } = order;
        let outcome = catch_unwind(AssertUnwindSafe(|| self.write(spool, &batch, records)));
        Outcome { done, outcome: outcome.unwrap_or(Err(NotTaken::Defect)) }
    }
}

struct Outcome {
    done: oneshot::Sender<Result<(), NotTaken>>,
    outcome: Result<(), NotTaken>,
}

fn answer(outcomes: Vec<Outcome>) {
    for Outcome { done, outcome } in outcomes {
        // Who asked may be gone.
        let _ = done.send(outcome);
    }
}
