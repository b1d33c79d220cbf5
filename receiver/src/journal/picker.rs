//! Picking what is lent out of what was read.

use std::collections::VecDeque;
use std::sync::Arc;

use nagios::{Attributed, Outputs, stored};
use spool::{Batch, Record};

use crate::backlog::Selection;
use crate::counts::Counters;
use crate::injector::Judgement;

/// A result that is lent and not yet done.
pub(super) struct Lent {
    pub(super) sequence: u64,
    /// Left out between the one before and this.
    pub(super) left_out: LeftOut,
}

/// How many results were left out, and why. They are counted when what was lent before them is done: until then they
/// may be read again.
#[derive(Clone, Copy, Default)]
pub(super) struct LeftOut {
    superseded: usize,
    older_than_own: usize,
    damaged: usize,
}

/// Why a batch is not lent to its end.
pub(super) enum Stop {
    /// It is not known whether this one and those behind it are the newest.
    Unknown,
    /// It cannot be judged without the core's own checks.
    Unjudged,
    /// The time for it has not come.
    Until,
}

/// Picks the results of a batch that are lent.
pub(super) struct Picker<'a> {
    selection: &'a Selection,
    shared: &'a mut Shared,
    lent: &'a mut VecDeque<Lent>,
    results: Vec<Attributed>,
    /// Since the last that is lent.
    left_out: LeftOut,
}

impl<'a> Picker<'a> {
    pub(super) fn new(selection: &'a Selection, shared: &'a mut Shared, lent: &'a mut VecDeque<Lent>) -> Self {
        Picker { selection, shared, lent, results: Vec::new(), left_out: LeftOut::default() }
    }

    /// Picks from a batch. `newest` says of each sequence whether it is the newest of its object; `None`: it is not
    /// wanted. Where it stopped before the end, and why.
    pub(super) fn pick(
        &mut self,
        batch: Batch<'_>,
        mut newest: impl FnMut(u64) -> Result<Option<bool>, Stop>,
    ) -> Option<(u64, Stop)> {
        for stretch in batch.damage().entries() {
            tracing::warn!("journal: {stretch}");
        }
        batch.iter().find_map(|record| {
            let taken = newest(record.sequence).and_then(|is_newest| match is_newest {
                Some(is_newest) => self.take(&record, is_newest),
                None => Ok(()),
            });
            taken.err().map(|stop| (record.sequence, stop))
        })
    }

    /// What is lent, and what was left out behind the last of it.
    pub(super) fn picked(self) -> (Vec<Attributed>, LeftOut) {
        (self.results, self.left_out)
    }

    /// Lends the result or leaves it out, unless that cannot be decided now.
    fn take(&mut self, record: &Record<'_>, is_newest: bool) -> Result<(), Stop> {
        let result = match stored::decode_among(record.payload, &mut self.shared.outputs) {
            Ok((result, origin)) => Attributed { result, origin: self.shared.origin(origin) },
            Err(error) => {
                tracing::warn!(sequence = record.sequence, %error, "a result in the journal cannot be used");
                self.left_out.damaged += 1;
                return Ok(());
            }
        };
        let Selection { rule, own_times, .. } = self.selection;
        if own_times.is_none() && rule.needs_own_times(&result.origin) {
            return Err(Stop::Unjudged);
        }
        let own_check = || own_times.as_ref().and_then(|times| times.of(&result.result.object));
        match rule.judge(&result, is_newest, own_check) {
            Judgement::GoesIn => {
                let left_out = std::mem::take(&mut self.left_out);
                self.lent.push_back(Lent { sequence: record.sequence, left_out });
                self.results.push(result);
            }
            Judgement::Superseded => self.left_out.superseded += 1,
            Judgement::OlderThanOwn => self.left_out.older_than_own += 1,
        }
        Ok(())
    }
}

impl LeftOut {
    pub(super) fn count(self, counters: &Counters) {
        counters.superseded.add(self.superseded);
        counters.older_than_own.add(self.older_than_own);
        counters.lost.add(self.damaged);
    }
}

/// What results have in common, so that none of them needs memory of its own.
pub(super) struct Shared {
    /// The name of the last origin: most results have the same one as the one before.
    origin: Arc<str>,
    outputs: Outputs,
}

impl Default for Shared {
    fn default() -> Self {
        Shared { origin: Arc::from(""), outputs: Outputs::default() }
    }
}

impl Shared {
    fn origin(&mut self, origin: &[u8]) -> Arc<str> {
        if self.origin.as_bytes() != origin {
            self.origin = String::from_utf8_lossy(origin).into();
        }
        self.origin.clone()
    }
}
