//! Reading the journal for the core: what waits, and after a restart of the core the newest of each object again.
//!
//! Not everything that waits goes in: the [`Rule`](crate::injector::Rule) decides. What is left out is done with as soon as
//! what was lent before it is.
//!
//! **Invariant:** for one object, nothing older follows something newer. What is given again is the last result of its
//! object up to the position, and all of it comes before anything behind the position.
//!
//! **Invariant:** memory is bounded by one batch, 8 bytes per object while results are given again, and one
//! [`Stretch`] where what waits is reduced.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use spool::{Reader, Trouble};

use super::picker::{LeftOut, Lent, Picker, Shared, Stop};
use super::stretch::Stretch;
use super::{CORE, Journal};
use crate::backlog::{Next, Selection};
use crate::episode::Episode;

/// The injector's end of the journal.
pub(crate) struct Tail {
    journal: Arc<Journal>,
    reader: Reader,
    again: Option<Again>,
    /// Where to tell the newest results from others, while somebody asks.
    stretch: Option<Stretch>,
    lent: VecDeque<Lent>,
    /// What comes behind all that is lent and is done with together with its last.
    rest: Rest,
    shared: Shared,
    unreadable: Episode,
}

/// What is given once more.
struct Again {
    reader: Reader,
    /// The newest of each object, in order.
    newest: Vec<u64>,
    given: usize,
}

/// Behind the last that is lent.
#[derive(Default)]
struct Rest {
    /// The last sequence that was read.
    through: u64,
    left_out: LeftOut,
}

impl Tail {
    /// Begins behind what the core has.
    pub(super) fn new(journal: Arc<Journal>, position: u64) -> Self {
        Tail {
            journal,
            reader: Reader::from(position + 1),
            again: None,
            stretch: None,
            lent: VecDeque::new(),
            rest: Rest::default(),
            shared: Shared::default(),
            unreadable: Episode::default(),
        }
    }

    /// Lends what follows.
    pub(crate) async fn read(&mut self, selection: &Selection) -> Next {
        debug_assert!(self.lent.is_empty(), "what was lent is done or taken back first");
        let read = match self.read_again(selection).await {
            Ok(Next::Nothing) => self.read_on(selection).await,
            other => other,
        };
        let now = Instant::now();
        match read {
            Ok(next) => {
                self.unreadable.ends(now);
                next
            }
            Err(error) => {
                if self.unreadable.goes_on(Duration::ZERO, now).is_some() {
                    tracing::error!(%error, "the journal cannot be read");
                }
                Next::Nothing
            }
        }
    }

    /// Waits until something is appended.
    pub(crate) async fn wait(&mut self) {
        self.journal.appended.notified().await;
    }

    /// What is given again: nothing when that is over.
    async fn read_again(&mut self, selection: &Selection) -> Result<Next, Trouble> {
        while let Some(again) = &mut self.again {
            let Some(&wanted) = again.newest.get(again.given) else {
                self.again = None;
                self.journal.is_giving_again.store(false, Ordering::Relaxed);
                break;
            };
            if again.reader.next_sequence() < wanted {
                again.reader.seek(wanted);
            }
            let batch = again.reader.next_batch(&*self.journal.spool.lock().await)?;
            let end = batch.iter().last().map_or(u64::MAX, |record| record.sequence);
            let mut picker = Picker::new(selection, &mut self.shared, &mut self.lent);
            let stopped = picker.pick(batch, |sequence| {
                // Those that are gone were compacted away in favour of newer ones, which follow.
                again.given += again.newest[again.given..].partition_point(|wanted| *wanted < sequence);
                Ok((again.newest.get(again.given) == Some(&sequence)).then_some(true))
            });
            let (results, left_out) = picker.picked();
            let through = stopped.as_ref().map_or(end, |(at, _)| at - 1);
            again.given += again.newest[again.given..].partition_point(|sequence| *sequence <= through);
            if let Some((at, _)) = stopped {
                again.reader.seek(at);
            }
            if !results.is_empty() {
                self.rest = Rest { through, left_out };
                return Ok(Next::Results(results));
            }
            left_out.count(&self.journal.counters);
            if stopped.is_some() {
                return Ok(Next::Unjudged);
            }
        }
        Ok(Next::Nothing)
    }

    /// What waits.
    async fn read_on(&mut self, selection: &Selection) -> Result<Next, Trouble> {
        let nothing = if selection.until.is_some() { Next::Reached } else { Next::Nothing };
        let until = selection.until.unwrap_or(u64::MAX);
        loop {
            if self.reader.next_sequence() > until || !self.look_ahead(selection, until).await? {
                return Ok(nothing);
            }
            let batch = self.reader.next_batch(&*self.journal.spool.lock().await)?;
            let Some(end) = batch.iter().last().map(|record| record.sequence) else { return Ok(nothing) };
            let mut picker = Picker::new(selection, &mut self.shared, &mut self.lent);
            let stopped = picker.pick(batch, |sequence| match &self.stretch {
                _ if sequence > until => Err(Stop::Until),
                Some(stretch) if sequence > stretch.through() => Err(Stop::Unknown),
                Some(stretch) => Ok(Some(stretch.is_newest(sequence))),
                None => Ok(Some(true)),
            });
            let (results, left_out) = picker.picked();
            let through = stopped.as_ref().map_or(end, |(at, _)| at - 1);
            if let Some((at, _)) = stopped {
                self.reader.seek(at);
            }
            if !results.is_empty() {
                self.rest = Rest { through, left_out };
                return Ok(Next::Results(results));
            }
            left_out.count(&self.journal.counters);
            self.journal.spool.lock().await.advance(CORE, through, Instant::now());
            self.journal.dirty.notify_one();
            match stopped {
                Some((_, Stop::Unjudged)) => return Ok(Next::Unjudged),
                Some((_, Stop::Until)) => return Ok(Next::Reached),
                Some((_, Stop::Unknown)) | None => {}
            }
        }
    }

    /// Sees to it that the stretch that is read is known, if the rule asks for that. False if there is nothing to read.
    async fn look_ahead(&mut self, selection: &Selection, until: u64) -> Result<bool, Trouble> {
        if !selection.rule.looks_ahead() {
            self.stretch = None;
            return Ok(true);
        }
        let from = self.reader.next_sequence();
        if self.stretch.as_ref().is_none_or(|stretch| stretch.through() < from) {
            self.stretch = Stretch::look(&self.journal, from, until).await?;
        }
        Ok(self.stretch.is_some())
    }

    /// The core has the next `count` of what is lent.
    pub(crate) fn done(&mut self, count: usize) {
        let mut passed = None;
        for Lent { sequence, left_out } in self.lent.drain(..count) {
            left_out.count(&self.journal.counters);
            passed = Some(sequence);
        }
        if passed.is_some() && self.lent.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            rest.left_out.count(&self.journal.counters);
            passed = passed.max(Some(rest.through));
        }
        if let (Some(passed), None) = (passed, &self.again) {
            self.journal.spool.blocking_lock().advance(CORE, passed, Instant::now());
            self.journal.dirty.notify_one();
        }
    }

    /// What is lent and not done is to be lent again, and judged anew.
    pub(crate) fn take_back(&mut self) {
        self.stretch = None;
        let Some(Lent { sequence: first, left_out }) = self.lent.pop_front() else { return };
        left_out.count(&self.journal.counters);
        match &mut self.again {
            Some(again) => {
                again.given = again.newest.partition_point(|sequence| *sequence < first);
                again.reader.seek(first);
            }
            None => self.reader.seek(first),
        }
        self.lent.clear();
    }

    /// From now on the newest results of all objects that the core had are lent again, then what follows. Nothing may be
    /// lent. Gives the number of objects.
    pub(crate) fn begin_again(&mut self) -> Result<usize, Trouble> {
        let mut spool = self.journal.spool.blocking_lock();
        let position = spool.position(CORE).unwrap_or(0);
        let mut newest = spool.newest_of_each_key()?;
        newest.truncate(newest.partition_point(|sequence| *sequence <= position));
        newest.shrink_to_fit();
        let objects = newest.len();
        self.again = Some(Again { reader: Reader::from(0), newest, given: 0 });
        self.journal.is_giving_again.store(true, Ordering::Relaxed);
        Ok(objects)
    }

    /// Whether results are being given again.
    pub(crate) fn is_giving_again(&self) -> bool {
        self.again.is_some()
    }

    /// The last sequence that waits, or that was ever given.
    pub(crate) fn newest(&self) -> u64 {
        self.journal.spool.blocking_lock().newest()
    }

    /// How many results the core does not have.
    pub(crate) fn depth(&self) -> u64 {
        self.journal.spool.blocking_lock().depth(CORE).ok().flatten().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
