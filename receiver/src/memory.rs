//! The backlog in memory, bounded in bytes: for a receiver without a directory of its own.

use std::sync::Arc;
use std::time::Duration;

use nagios::{Attributed, CheckResult};
use tokio::sync::mpsc::error::TryRecvError;
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
    /// What came while somebody waited.
    first: Option<Batch>,
    /// The room of what is lent.
    lent: Vec<OwnedSemaphorePermit>,
}

pub(crate) fn new() -> (Inlet, Outlet) {
    let (batches, outlet) = mpsc::unbounded_channel();
    (
        Inlet { room: Arc::new(Semaphore::new(QUEUE_BYTES)), batches },
        Outlet { batches: outlet, first: None, lent: Vec::new() },
    )
}

impl Inlet {
    /// Waits a bounded time for room, then hands `results` over.
    pub(crate) async fn push(&self, mut results: Vec<CheckResult>) -> Result<(), NotTaken> {
        // A result counts as what it takes itself: it must not keep what it shared memory with.
        results.iter_mut().for_each(|result| result.output = result.output.detached());
        let no_room = || NotTaken::NoRoom { mebibytes: QUEUE_BYTES >> 20 };
        let bytes = results.iter().map(cost).sum::<usize>().min(QUEUE_BYTES);
        let permits = u32::try_from(bytes).map_err(|_| no_room())?;
        let room = self.room.clone().acquire_many_owned(permits);
        let room = tokio::time::timeout(PATIENCE, room).await.map_err(|_| no_room())?.map_err(|_| no_room())?;
        self.batches.send(Batch { results, room }).map_err(|_| no_room())
    }
}

impl Outlet {
    /// Lends what has come. What was lent before is done with.
    pub(crate) fn read(&mut self) -> Next {
        self.lent.clear();
        let mut results = Vec::new();
        while results.len() < GATHER_RESULTS {
            match self.first.take().map_or_else(|| self.batches.try_recv(), Ok) {
                Ok(batch) => {
                    results.extend(batch.results.into_iter().map(of_a_classic_client));
                    self.lent.push(batch.room);
                }
                Err(TryRecvError::Disconnected) if results.is_empty() => return Next::Ended,
                Err(TryRecvError::Empty) if results.is_empty() => return Next::Nothing,
                Err(_) => break,
            }
        }
        Next::Results(results)
    }

    /// Waits until there is something to read, or nothing more will come.
    pub(crate) async fn wait(&mut self) {
        if self.first.is_none() {
            self.first = self.batches.recv().await;
        }
    }

    /// Everything that nobody has taken.
    pub(crate) fn rest(&mut self) -> Vec<CheckResult> {
        let first = self.first.take().into_iter();
        first.chain(std::iter::from_fn(|| self.batches.try_recv().ok())).flat_map(|batch| batch.results).collect()
    }
}

/// Only the drop-in for nsca has its backlog in memory.
fn of_a_classic_client(result: CheckResult) -> Attributed {
    Attributed { result, origin: Arc::from("") }
}

fn cost(result: &CheckResult) -> usize {
    let service = result.object.service().map_or(0, |service| service.as_bytes().len());
    let texts = result.object.host().as_bytes().len() + service + result.output.escaped().len();
    RESULT_OVERHEAD_BYTES + texts
}
