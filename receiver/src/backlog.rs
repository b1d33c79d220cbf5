//! What was accepted and is not in the core yet.
//!
//! Two kinds, behind one small interface: the [journal](crate::journal) on disk, and the [queue](crate::memory) in memory
//! for the drop-in, which has no directory to keep anything in.

use std::sync::Arc;

use nagios::{Attributed, CheckResult};

use crate::batch::Batch;
use crate::core_watch::OwnTimes;
use crate::counts::Counters;
use crate::injector::Rule;
use crate::journal::{Journal, Tail, UnderWay};
use crate::memory;

/// Where connections put results.
pub(crate) enum Backlog {
    Memory(memory::Inlet),
    Journal(Arc<Journal>),
}

/// Where the injector takes them, in the same order.
pub(crate) enum Waiting {
    Memory(memory::Outlet),
    Journal(Box<Tail>),
}

/// What there is for the injector.
pub(crate) enum Next {
    Results(Vec<Attributed>),
    /// Nothing for now.
    Nothing,
    /// Everything up to [`Selection::until`] is done.
    Reached,
    /// A result that can be judged only when [`Selection::own_times`] are known.
    Unjudged,
    /// Nothing, and nothing more will come.
    Ended,
}

/// Which results the injector asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) rule: Rule,
    /// When the core checked objects itself, if that is known.
    pub(crate) own_times: Option<Arc<OwnTimes>>,
    /// None behind this sequence.
    pub(crate) until: Option<u64>,
}

/// Why results were not taken; their sender has to keep them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// The queue is full and stayed full, or the injector is gone: the core does not take results.
    #[error(
        "results for {mebibytes} MiB are waiting for the core; the peer has to send them again: is the core running, and \
         does it read its command file?"
    )]
    NoRoom {
        /// The limit.
        mebibytes: usize,
    },
    #[error("the journal took not all results, the peer has to send them again: {0}")]
    Journal(#[from] spool::AppendCause),
    #[error("writing the journal failed; please report this")]
    Defect,
}

/// Results that are being taken. Journals take them also when this is dropped.
pub(crate) enum Taking {
    Done,
    UnderWay(UnderWay),
}

impl Taking {
    /// When this succeeds, the results are as safe as their kind of backlog makes them. If it fails, the first ones may have
    /// been taken nevertheless.
    ///
    /// # Cancel safety
    /// It goes on where it was.
    pub(crate) async fn finish(&mut self) -> Result<(), NotTaken> {
        let Taking::UnderWay(under_way) = self else { return Ok(()) };
        let outcome = under_way.outcome().await;
        *self = Taking::Done;
        outcome
    }

    /// Whether there is something to wait for.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self, Taking::UnderWay(_))
    }
}

impl Backlog {
    /// Begins to take all of `batch`. What was begun before by the same connection must have been finished.
    pub(crate) async fn begin(&self, batch: Batch, counters: &Counters) -> Result<Taking, NotTaken> {
        match self {
            Backlog::Memory(queue) => {
                let results: Vec<CheckResult> = batch.into_results().into_iter().map(|a| a.result).collect();
                let count = results.len();
                queue.push(results).await?;
                counters.accepted.add(count);
                Ok(Taking::Done)
            }
            Backlog::Journal(journal) => Ok(Taking::UnderWay(journal.begin_append(Arc::new(batch)))),
        }
    }
}

impl Waiting {
    /// Lends the next results, when what was lent before is [done](Waiting::done) or taken back. Never waits for any.
    pub(crate) async fn read(&mut self, selection: &Selection) -> Next {
        match self {
            // A queue that knows no core that becomes active has nothing to select.
            Waiting::Memory(queue) => queue.read(),
            Waiting::Journal(tail) => tail.read(selection).await,
        }
    }

    /// Waits until there may be something to read.
    pub(crate) async fn wait(&mut self) {
        match self {
            Waiting::Memory(queue) => queue.wait().await,
            Waiting::Journal(tail) => tail.wait().await,
        }
    }

    /// The core has the next `count` of what was lent.
    pub(crate) fn done(&mut self, count: usize) {
        match self {
            // A queue that dies with the process has no use for positions.
            Waiting::Memory(_) => {}
            Waiting::Journal(tail) => tail.done(count),
        }
    }
}
