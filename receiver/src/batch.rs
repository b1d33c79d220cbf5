//! Results that are taken together: those of one read.

use std::sync::Arc;

use nagios::{Attributed, CheckResult};

use crate::peers::{SessionNumber, Source};

/// Results in their order, and which of their sender's they are.
#[derive(Debug, Default)]
pub struct Batch {
    results: Vec<Attributed>,
    sealed: Option<Sealed>,
}

/// Results that can be told from those before.
#[derive(Debug)]
struct Sealed {
    source: Source,
    session: SessionNumber,
    /// Of each result; ascending.
    sequences: Vec<u64>,
    /// The last sequence that came, be it of a result here or of one that was dropped.
    through: u64,
}

impl Batch {
    /// Results of a client that numbers nothing.
    pub(crate) fn classic(results: impl IntoIterator<Item = CheckResult>, origin: &Arc<str>) -> Self {
        let results = results.into_iter().map(|result| Attributed { result, origin: origin.clone() }).collect();
        Batch { results, sealed: None }
    }

    /// No results yet.
    pub(crate) fn sealed(source: Source, session: SessionNumber) -> Self {
        Batch { results: Vec::new(), sealed: Some(Sealed { source, session, sequences: Vec::new(), through: 0 }) }
    }

    /// Adds a result that came with a number.
    pub(crate) fn push(&mut self, sequence: u64, result: Attributed) {
        let sealed = self.sealed.as_mut().expect("only sealed sessions number results");
        sealed.sequences.push(sequence);
        sealed.through = sequence;
        self.results.push(result);
    }

    /// A result with this number came and is dropped for good.
    pub(crate) fn skip(&mut self, sequence: u64) {
        self.sealed.as_mut().expect("only sealed sessions number results").through = sequence;
    }

    /// The results.
    pub fn results(&self) -> &[Attributed] {
        &self.results
    }

    /// Whose spool they are from, and the session; `None`: of a classic client.
    pub fn source(&self) -> Option<(&Source, SessionNumber)> {
        self.sealed.as_ref().map(|sealed| (&sealed.source, sealed.session))
    }

    /// The last sequence that this batch is about; 0: none.
    pub fn through(&self) -> u64 {
        self.sealed.as_ref().map_or(0, |sealed| sealed.through)
    }

    /// The sequence of a result; 0: it has none.
    pub fn sequence(&self, at: usize) -> u64 {
        self.sealed.as_ref().map_or(0, |sealed| sealed.sequences[at])
    }

    /// How many of the first results have a sequence up to this one.
    pub fn count_up_to(&self, sequence: u64) -> usize {
        self.sealed.as_ref().map_or(0, |sealed| sealed.sequences.partition_point(|s| *s <= sequence))
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.results.is_empty() && self.through() == 0
    }

    pub(crate) fn into_results(self) -> Vec<Attributed> {
        self.results
    }
}
