//! The backlog in memory, bounded in bytes: for a receiver without a directory of its own.

use std::sync::Arc;
use std::time::Duration;

use nagios::CheckResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::backlog::{Next, NotTaken};

/// What may wait for the core, in bytes of memory: about 300,000 results of ordinary size.
const QUEUE_BYTES: usize = 64 << 20;

/// What a result costs beside its texts, in bytes: the structure itself and the allocator's share.
const RESULT_OVERHEAD_BYTES: usize = 160;

/// How long results wait for room before their connection is reset, so that the sender keeps them.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many results are lent together at most, unless one batch has more.
const GATHER_RESULTS: usize = 4096;

/// Results of one connection, in their order, and the room that they take.
struct Batch {
    results: Vec<CheckResult>,
    room: OwnedSemaphorePermit,
}

/// Where connections put results.
pub(crate) struct Inlet {
    room: Arc<Semaphore>,
    batches: mpsc::UnboundedSender<Batch>,
}

/// Where the injector takes them.
pub(crate) struct Outlet {
    batches: mpsc::UnboundedReceiver<Batch>,
    /// The room of what is lent.
    lent: Vec<OwnedSemaphorePermit>,
}

pub(crate) fn new() -> (Inlet, Outlet) {
    let (batches, outlet) = mpsc::unbounded_channel();
    (Inlet { room: Arc::new(Semaphore::new(QUEUE_BYTES)), batches }, Outlet { batches: outlet, lent: Vec::new() })
}

impl Inlet {
    /// Waits a bounded time for room, then hands `results` over.
    pub(crate) async fn push(&self, results: Vec<CheckResult>) -> Result<(), NotTaken> {
        let no_room = || NotTaken::NoRoom { mebibytes: QUEUE_BYTES >> 20 };
        let bytes = results.iter().map(cost).sum::<usize>().min(QUEUE_BYTES);
        let permits = u32::try_from(bytes).map_err(|_| no_room())?;
        let room = self.room.clone().acquire_many_owned(permits);
        let room = tokio::time::timeout(PATIENCE, room).await.map_err(|_| no_room())?.map_err(|_| no_room())?;
        self.batches.send(Batch { results, room }).map_err(|_| no_room())
    }
}

impl Outlet {
    /// Waits for results, and takes whatever else has come by then. What was lent before is done with.
    pub(crate) async fn next(&mut self) -> Next {
        self.lent.clear();
        let Some(first) = self.batches.recv().await else { return Next::Ended };
        let mut results = first.results;
        self.lent.push(first.room);
        while results.len() < GATHER_RESULTS {
            let Ok(batch) = self.batches.try_recv() else { break };
            results.extend(batch.results);
            self.lent.push(batch.room);
        }
        Next::Results(results)
    }

    /// Everything that nobody has taken.
    pub(crate) fn rest(&mut self) -> Vec<CheckResult> {
        std::iter::from_fn(|| self.batches.try_recv().ok()).flat_map(|batch| batch.results).collect()
    }
}

fn cost(result: &CheckResult) -> usize {
    let service = result.object.service().map_or(0, |service| service.as_bytes().len());
    let texts = result.object.host().as_bytes().len() + service + result.output.escaped().len();
    RESULT_OVERHEAD_BYTES + texts
}
