//! What this node's sender is to expect back from the core.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nagios::Attributed;
use nagios::echo::Echoes;

/// The echoes that the sender on this node drops; none without a sender.
///
/// A result is expected once, however often its write is tried: what goes back into the journal is withdrawn, and
/// expected again when it is lent again.
pub(crate) struct ExpectedEchoes(Option<Arc<Mutex<Echoes>>>);

impl ExpectedEchoes {
    pub(crate) fn new(echoes: Option<Arc<Mutex<Echoes>>>) -> Self {
        ExpectedEchoes(echoes)
    }

    /// These are about to be written.
    pub(super) fn expect(&self, results: &[Attributed]) {
        if let Some(mut echoes) = self.lock() {
            let now = Instant::now();
            results.iter().for_each(|result| echoes.expect(&result.result, now));
        }
    }

    /// These were not written after all.
    pub(super) fn withdraw(&self, results: &[Attributed]) {
        if let Some(mut echoes) = self.lock() {
            results.iter().for_each(|result| echoes.withdraw(&result.result));
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Echoes>> {
        self.0.as_ref().map(|echoes| echoes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
