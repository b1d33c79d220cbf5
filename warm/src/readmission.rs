//! Results that the core gets once more, since it was set back to the problem that they end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use nagios::CheckResult;
use receiver::Receiver;

use crate::sides::Sides;

/// How often the journal is asked to take results again, and how long it is left alone in between.
const MAX_ATTEMPTS: usize = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// Has the core get results once more.
#[derive(Clone)]
pub(crate) struct Readmission {
    sides: Arc<Sides>,
    /// Whoever ends the daemon needs it alone.
    receiver: Weak<Receiver>,
}

impl Readmission {
    pub(crate) fn new(sides: Arc<Sides>, receiver: &Arc<Receiver>) -> Self {
        Self { sides, receiver: Arc::downgrade(receiver) }
    }

    /// Has the core get `results` once more.
    pub(crate) async fn readmit(&self, results: Vec<CheckResult>) {
        let Some(peer) = self.sides.peer().filter(|_| !results.is_empty()) else { return };
        for _ in 0..MAX_ATTEMPTS {
            let Some(receiver) = self.receiver.upgrade() else { return };
            let is_taken = receiver.readmit(results.clone(), peer.as_str()).await;
            drop(receiver);
            if is_taken {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::error!(
            results = results.len(),
            "objects that are fine show problems until their next results, and their recoveries wait for these"
        );
    }
}
