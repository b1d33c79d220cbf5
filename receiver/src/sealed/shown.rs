//! Results that the sender's core shows, until the journal takes them.

use nagios::Attributed;

use crate::batch::Batch;

/// What they may take in memory, in bytes: about 100,000 results of ordinary size. No credit bounds them, since there are
/// as many as were asked for; beyond this they are dropped, and to be asked for again.
pub const MAX_SHOWN_BYTES: usize = 32 << 20;

/// What a result costs beside its texts, in bytes: the structure itself and the allocator's share.
const RESULT_OVERHEAD_BYTES: usize = 160;

#[derive(Debug, Default)]
pub(super) struct Shown {
    results: Vec<Attributed>,
    bytes: usize,
}

impl Shown {
    /// Keeps a result whose texts have so many bytes. False: there is no room.
    pub(super) fn push(&mut self, result: Attributed, text_bytes: usize) -> bool {
        let bytes = RESULT_OVERHEAD_BYTES + text_bytes;
        let has_room = self.bytes + bytes <= MAX_SHOWN_BYTES;
        if has_room {
            self.bytes += bytes;
            self.results.push(result);
        }
        has_room
    }

    /// What came since the last call.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let Shown { results, .. } = std::mem::take(self);
        (!results.is_empty()).then(|| Batch::readmitted(results))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.results.is_empty()
    }
}
