//! Results of a session on their way into the journal: one batch at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::backlog::NotTaken;
use crate::batch::Batch;
use crate::journal::Journal;

/// The pause before results that the journal did not take are tried again.
const RETRY: Duration = Duration::from_secs(1);

pub(super) enum Appending {
    Nothing,
    /// A task, so that it goes on when the connection ends.
    UnderWay(Arc<Batch>, JoinHandle<Result<(), NotTaken>>),
    /// It did not work; again at this time.
    Failed(Arc<Batch>, Instant),
}

impl Appending {
    /// Has the next batch appended, or the one that was not taken before, unless one is under way or it is not the time.
    pub(super) fn begin(&mut self, journal: &Arc<Journal>, next: impl FnOnce() -> Option<Batch>) {
        let batch = match self {
            Appending::UnderWay(..) => return,
            Appending::Failed(_, at) if Instant::now() < *at => return,
            Appending::Failed(batch, _) => batch.clone(),
            Appending::Nothing => match next() {
                Some(batch) => Arc::new(batch),
                None => return,
            },
        };
        let (journal, of_task) = (journal.clone(), batch.clone());
        let task = tokio::spawn(async move { journal.append(of_task).await });
        *self = Appending::UnderWay(batch, task);
    }

    /// When there is something to be tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self {
            Appending::Failed(_, at) => Some(*at),
            Appending::Nothing | Appending::UnderWay(..) => None,
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self, Appending::UnderWay(..))
    }

    /// Waits for a batch that is under way; for ever if none is.
    pub(super) async fn outcome(&mut self) -> Result<(), NotTaken> {
        match self {
            Appending::UnderWay(_, task) => task.await.unwrap_or(Err(NotTaken::Defect)),
            Appending::Nothing | Appending::Failed(..) => std::future::pending().await,
        }
    }

    /// The batch that was under way, whose outcome is known.
    ///
    /// # Panics
    /// When none was.
    pub(super) fn conclude(&mut self) -> Arc<Batch> {
        match std::mem::replace(self, Appending::Nothing) {
            Appending::UnderWay(batch, _) => batch,
            Appending::Nothing | Appending::Failed(..) => unreachable!("only a batch that is under way has an outcome"),
        }
    }

    /// Tries this batch once more, after a pause.
    pub(super) fn retry(&mut self, batch: Arc<Batch>) {
        *self = Appending::Failed(batch, Instant::now() + RETRY);
    }
}
