//! The queue between connections and injector, bounded in bytes.

use std::sync::Arc;
use std::time::Duration;

use nagios::CheckResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What may wait for the core, in bytes of memory: about 300,000 results of ordinary size.
pub(crate) const QUEUE_BYTES: usize = 64 << 20;

/// What a result costs beside its texts, in bytes: the structure itself and the allocator's share.
const RESULT_OVERHEAD_BYTES: usize = 160;

/// How long results wait for room before their connection is reset, so that the sender keeps them.
const PATIENCE: Duration = Duration::from_secs(10);

/// Results of one connection, in their order, and the room that they take.
pub(crate) struct Batch {
    pub(crate) results: Vec<CheckResult>,
    _room: OwnedSemaphorePermit,
}

/// Where connections put results.
#[derive(Clone)]
pub(crate) struct Inlet {
    room: Arc<Semaphore>,
    batches: mpsc::UnboundedSender<Batch>,
}

/// Where the injector takes them.
pub(crate) type Outlet = mpsc::UnboundedReceiver<Batch>;

/// The queue is full and stayed full, or the injector is gone: the core does not take results.
#[derive(Debug, thiserror::Error)]
#[error("results for {} MiB are waiting for the core", QUEUE_BYTES >> 20)]
pub(crate) struct NoRoom;

pub(crate) fn new() -> (Inlet, Outlet) {
    let (batches, outlet) = mpsc::unbounded_channel();
    (Inlet { room: Arc::new(Semaphore::new(QUEUE_BYTES)), batches }, outlet)
}

impl Inlet {
    /// Waits a bounded time for room, then hands `results` over.
    pub(crate) async fn push(&self, results: Vec<CheckResult>) -> Result<(), NoRoom> {
        let bytes = results.iter().map(cost).sum::<usize>().min(QUEUE_BYTES);
        let permits = u32::try_from(bytes).map_err(|_| NoRoom)?;
        let room = self.room.clone().acquire_many_owned(permits);
        let room = tokio::time::timeout(PATIENCE, room).await.map_err(|_| NoRoom)?.map_err(|_| NoRoom)?;
        self.batches.send(Batch { results, _room: room }).map_err(|_| NoRoom)
    }
}

fn cost(result: &CheckResult) -> usize {
    let service = result.object.service().map_or(0, |service| service.as_bytes().len());
    let texts = result.object.host().as_bytes().len() + service + result.output.escaped().len();
    RESULT_OVERHEAD_BYTES + texts
}
