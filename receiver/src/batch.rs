//! Results that are taken together: those of one read.

use std::sync::Arc;

use nagios::{Attributed, CheckResult};

use crate::peers::{SessionNumber, Source};

/// Results in their order, and where they are from.
#[derive(Debug)]
pub struct Batch {
    results: Vec<Attributed>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A client that numbers nothing.
    Classic,
    Sealed(Sealed),
    /// A core that knows them already: they were asked for.
    Memory,
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
        Batch { results, kind: Kind::Classic }
    }

    /// No results yet.
    pub(crate) fn sealed(source: Source, session: SessionNumber) -> Self {
        let sealed = Sealed { source, session, sequences: Vec::new(), through: 0 };
        Batch { results: Vec::new(), kind: Kind::Sealed(sealed) }
    }

    /// Results that are no news, and pass if nothing newer of their objects has.
    pub(crate) fn readmitted(results: Vec<Attributed>) -> Self {
        Batch { results, kind: Kind::Memory }
    }

    /// Adds a result that came with a number.
    pub(crate) fn push(&mut self, sequence: u64, result: Attributed) {
        let sealed = self.numbered();
        sealed.sequences.push(sequence);
        sealed.through = sequence;
        self.results.push(result);
    }

    /// A result with this number came and is dropped for good.
    pub(crate) fn skip(&mut self, sequence: u64) {
        self.numbered().through = sequence;
    }

    fn numbered(&mut self) -> &mut Sealed {
        match &mut self.kind {
            Kind::Sealed(sealed) => sealed,
            Kind::Classic | Kind::Memory => unreachable!("only sealed sessions number results"),
        }
    }

    fn numbers(&self) -> Option<&Sealed> {
        match &self.kind {
            Kind::Sealed(sealed) => Some(sealed),
            Kind::Classic | Kind::Memory => None,
        }
    }

    /// The results.
    pub fn results(&self) -> &[Attributed] {
        &self.results
    }

    /// Whether they are no news: see [`readmitted`](Self::readmitted).
    pub(crate) fn is_readmitted(&self) -> bool {
        matches!(self.kind, Kind::Memory)
    }

    /// Whose spool they are from, and the session; `None`: they come from no spool.
    pub fn source(&self) -> Option<(&Source, SessionNumber)> {
        self.numbers().map(|sealed| (&sealed.source, sealed.session))
    }

    /// The last sequence that this batch is about; 0: none.
    pub fn through(&self) -> u64 {
        self.numbers().map_or(0, |sealed| sealed.through)
    }

    /// The sequence of a result; 0: it has none.
    pub fn sequence(&self, at: usize) -> u64 {
        self.numbers().map_or(0, |sealed| sealed.sequences[at])
    }

    /// How many of the first results have a sequence up to this one.
    pub fn count_up_to(&self, sequence: u64) -> usize {
        self.numbers().map_or(0, |sealed| sealed.sequences.partition_point(|s| *s <= sequence))
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.results.is_empty() && self.through() == 0
    }

    pub(crate) fn into_results(self) -> Vec<Attributed> {
        self.results
    }
}
