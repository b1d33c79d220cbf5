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
use std::time::Instant;

use nagios::{Attributed, stored};
use spool::{Reader, Record, Trouble};

use super::stretch::Stretch;
use super::{CORE, Journal};
use crate::backlog::{Next, Selection};
use crate::episode::Episode;
use crate::injector::Judgement;

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
    origins: Origins,
    unreadable: Episode,
}

/// What is given once more.
struct Again {
    reader: Reader,
    /// The newest of each object, in order.
    newest: Vec<u64>,
    given: usize,
}

/// A result that is lent and not yet done.
struct Lent {
    sequence: u64,
    /// Left out between the one before and this.
    left_out: LeftOut,
}

/// Behind the last that is lent.
#[derive(Default)]
struct Rest {
    /// The last sequence that was read.
    through: u64,
    left_out: LeftOut,
}

/// How many results were left out, and why.
#[derive(Clone, Copy, Default)]
struct LeftOut {
    superseded: usize,
    older_than_own: usize,
    damaged: usize,
}

/// Why a batch is not lent to its end.
enum Stop {
    /// It is not known whether this one and those behind it are the newest.
    Unknown,
    /// It cannot be judged without the core's own checks.
    Unjudged,
    /// The time for it has not come.
    Until,
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
            origins: Origins::default(),
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
                if self.unreadable.goes_on(std::time::Duration::ZERO, now).is_some() {
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
                break;
            };
            if again.reader.next_sequence() < wanted {
                again.reader.seek(wanted);
            }
            let batch = again.reader.next_batch(&*self.journal.spool.lock().await)?;
            let mut last = batch.iter().last().map_or(u64::MAX, |record| record.sequence);
            let mut picker = Picker::new(selection, &mut self.origins, &mut self.lent);
            let mut stopped_at = None;
            for stretch in batch.damage().entries() {
                tracing::warn!("journal: {stretch}");
            }
            for record in batch.iter() {
                // Those that are gone were compacted away in favour of newer ones, which follow.
                again.given += again.newest[again.given..].partition_point(|sequence| *sequence < record.sequence);
                if again.newest.get(again.given) != Some(&record.sequence) {
                    continue;
                }
                if picker.take(&record, Ok(true)).is_err() {
                    stopped_at = Some(record.sequence);
                    break;
                }
            }
            let (results, left_out) = (picker.results, picker.left_out);
            if let Some(at) = stopped_at {
                again.reader.seek(at);
                last = at - 1;
            }
            again.given += again.newest[again.given..].partition_point(|sequence| *sequence <= last);
            if !results.is_empty() {
                self.rest = Rest { through: last, left_out };
                return Ok(Next::Results(results));
            }
            left_out.count(&self.journal);
            if stopped_at.is_some() {
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
            let from = self.reader.next_sequence();
            if from > until {
                return Ok(nothing);
            }
            let looks_ahead = selection.rule.looks_ahead();
            if looks_ahead && self.stretch.as_ref().is_none_or(|stretch| stretch.through() < from) {
                self.stretch = Stretch::look(&self.journal, from, until).await?;
                if self.stretch.is_none() {
                    return Ok(nothing);
                }
            }
            let stretch = self.stretch.as_ref().filter(|_| looks_ahead);
            let batch = self.reader.next_batch(&*self.journal.spool.lock().await)?;
            for damaged in batch.damage().entries() {
                tracing::warn!("journal: {damaged}");
            }
            if batch.is_empty() {
                return Ok(nothing);
            }
            let mut picker = Picker::new(selection, &mut self.origins, &mut self.lent);
            let (mut last, mut stop) = (None, None);
            for record in batch.iter() {
                let is_newest = match stretch {
                    _ if record.sequence > until => Err(Stop::Until),
                    Some(stretch) if record.sequence > stretch.through() => Err(Stop::Unknown),
                    Some(stretch) => Ok(stretch.is_newest(record.sequence)),
                    None => Ok(true),
                };
                if let Err(reason) = picker.take(&record, is_newest) {
                    stop = Some((record.sequence, reason));
                    break;
                }
                last = Some(record.sequence);
            }
            let (results, left_out) = (picker.results, picker.left_out);
            if let Some((at, _)) = stop {
                self.reader.seek(at);
            }
            if !results.is_empty() {
                self.rest = Rest { through: last.unwrap_or_default(), left_out };
                return Ok(Next::Results(results));
            }
            left_out.count(&self.journal);
            if let Some(last) = last {
                self.journal.spool.lock().await.advance(CORE, last, Instant::now());
                self.journal.dirty.notify_one();
            }
            match stop {
                Some((_, Stop::Unjudged)) => return Ok(Next::Unjudged),
                Some((_, Stop::Until)) => return Ok(Next::Reached),
                Some((_, Stop::Unknown)) | None => {}
            }
        }
    }

    /// The core has the next `count` of what is lent.
    pub(crate) fn done(&mut self, count: usize) {
        let mut passed = None;
        for Lent { sequence, left_out } in self.lent.drain(..count) {
            left_out.count(&self.journal);
            passed = Some(sequence);
        }
        if passed.is_some() && self.lent.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            rest.left_out.count(&self.journal);
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
        left_out.count(&self.journal);
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

/// Picks the results of a batch that are lent.
struct Picker<'a> {
    selection: &'a Selection,
    origins: &'a mut Origins,
    lent: &'a mut VecDeque<Lent>,
    results: Vec<Attributed>,
    /// Since the last that is lent.
    left_out: LeftOut,
}

impl<'a> Picker<'a> {
    fn new(selection: &'a Selection, origins: &'a mut Origins, lent: &'a mut VecDeque<Lent>) -> Self {
        Picker { selection, origins, lent, results: Vec::new(), left_out: LeftOut::default() }
    }

    /// Lends the result or leaves it out, unless that cannot be decided now.
    fn take(&mut self, record: &Record<'_>, is_newest: Result<bool, Stop>) -> Result<(), Stop> {
        let is_newest = is_newest?;
        let result = match stored::decode(record.payload) {
            Ok((result, origin)) => Attributed { result, origin: self.origins.of(origin) },
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
    fn count(self, journal: &Journal) {
        journal.counters.superseded.add(self.superseded);
        journal.counters.older_than_own.add(self.older_than_own);
        journal.counters.lost.add(self.damaged);
    }
}

/// The name of the last origin: most results have the same one as the one before.
struct Origins(Arc<str>);

impl Default for Origins {
    fn default() -> Self {
        Origins(Arc::from(""))
    }
}

impl Origins {
    fn of(&mut self, origin: &[u8]) -> Arc<str> {
        if self.0.as_bytes() != origin {
            self.0 = String::from_utf8_lossy(origin).into();
        }
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core_watch::OwnTimes;
    use crate::injector::Rule;
    use crate::journal::testing;
    use tempfile::TempDir;
    use tokio::runtime::Runtime;

    const ACTIVE: Rule = Rule { is_active: true, before_commands: false };
    const BECOMES_ACTIVE: Rule = Rule { is_active: false, before_commands: true };

    /// A journal in a directory of its own, and whoever appends and reads.
    struct Stage {
        runtime: Runtime,
        directory: TempDir,
        journal: Arc<Journal>,
        tail: Tail,
        selection: Selection,
    }

    impl Stage {
        fn new() -> Self {
            let directory = TempDir::new().unwrap();
            let (journal, tail) = testing::open(directory.path(), &Arc::default());
            Stage { runtime: Runtime::new().unwrap(), directory, journal, tail, selection: Selection::default() }
        }

        /// Another process; positions survive, as after a commit.
        fn reopen(self) -> Self {
            let Stage { runtime, directory, journal, tail, selection } = self;
            journal.spool.blocking_lock().commit(Instant::now()).unwrap();
            drop((journal, tail));
            let (journal, tail) = testing::open(directory.path(), &Arc::default());
            Stage { runtime, directory, journal, tail, selection }
        }

        /// The first letter of an output is its host; upper case: of a peer.
        fn append(&self, outputs: &[&str]) {
            testing::append(&self.journal, outputs);
        }

        fn read(&mut self) -> Next {
            self.runtime.block_on(self.tail.read(&self.selection))
        }

        /// What is lent next; empty if that is the end.
        fn next(&mut self) -> Vec<String> {
            match self.read() {
                Next::Results(results) => results.iter().map(testing::output).collect(),
                Next::Nothing | Next::Reached | Next::Unjudged | Next::Ended => Vec::new(),
            }
        }

        fn take_all(&mut self) -> Vec<String> {
            let mut all = Vec::new();
            loop {
                let lent = self.next();
                if lent.is_empty() {
                    return all;
                }
                self.tail.done(lent.len());
                all.extend(lent);
            }
        }

        fn left_out(&self) -> (u64, u64) {
            let counts = self.journal.counters.read();
            (counts.superseded, counts.older_than_own)
        }
    }

    #[test]
    fn what_was_not_done_is_lent_again_here_and_by_the_next_process() {
        let mut stage = Stage::new();
        stage.append(&["a1", "b1", "a2"]);
        assert_eq!(stage.next(), ["a1", "b1", "a2"]);
        stage.tail.done(1);
        stage.tail.take_back();
        assert_eq!(stage.next(), ["b1", "a2"]);
        stage.tail.done(1);
        let mut stage = stage.reopen();
        assert_eq!(stage.tail.depth(), 1);
        assert_eq!(stage.take_all(), ["a2"]);
        assert_eq!(stage.tail.depth(), 0);
    }

    #[test]
    fn the_newest_of_each_object_come_again_before_what_waits() {
        let mut stage = Stage::new();
        stage.append(&["a1", "b1", "c1", "a2"]);
        stage.take_all();
        stage.append(&["c2", "d1"]);
        assert_eq!(stage.tail.begin_again().unwrap(), 2);
        stage.append(&["b2"]);
        assert_eq!(stage.next(), ["b1", "a2"]);
        assert!(stage.tail.is_giving_again());
        // A second restart, in the middle of it.
        stage.tail.done(1);
        stage.tail.take_back();
        assert_eq!(stage.tail.begin_again().unwrap(), 1);
        assert_eq!(stage.take_all(), ["a2", "c2", "d1", "b2"]);
        assert!(!stage.tail.is_giving_again());
        assert_eq!(stage.tail.depth(), 0);
    }

    #[test]
    fn many_objects_come_again_once_each_and_in_order_also_after_a_compaction() {
        let mut stage = Stage::new();
        let outputs: Vec<String> =
            (0..4000).map(|n| format!("{} {n} {:0500}", char::from(b'a' + n_th(n)), 0)).collect();
        for chunk in outputs.chunks(100) {
            stage.append(&chunk.iter().map(String::as_str).collect::<Vec<_>>());
        }
        assert_eq!(stage.take_all(), outputs);
        let newest: Vec<&String> = {
            let last = |letter: &u8| outputs.iter().rposition(|o| o.as_bytes()[0] == *letter);
            let mut places: Vec<usize> = (b'a'..=b'z').filter_map(|letter| last(&letter)).collect();
            places.sort_unstable();
            places.into_iter().map(|place| &outputs[place]).collect()
        };
        assert_eq!(stage.tail.begin_again().unwrap(), 26);
        assert_eq!(stage.take_all().iter().collect::<Vec<_>>(), newest);
        assert_eq!(stage.tail.begin_again().unwrap(), 26);
        stage.journal.spool.blocking_lock().compact().unwrap();
        assert_eq!(stage.take_all().iter().collect::<Vec<_>>(), newest);
    }

    /// Some letters often, some seldom.
    fn n_th(n: u32) -> u8 {
        u8::try_from(if n < 2000 { n % 26 } else { n % 3 }).unwrap()
    }

    #[test]
    fn an_active_core_gets_of_peers_only_the_newest_and_of_others_everything() {
        let mut stage = Stage::new();
        stage.selection = Selection { rule: ACTIVE, own_times: Some(Arc::default()), until: None };
        stage.append(&["A1", "b1", "A2", "b2", "C1", "A3"]);
        assert_eq!(stage.next(), ["b1", "b2", "C1", "A3"]);
        stage.tail.done(3);
        assert_eq!(stage.left_out(), (2, 0), "what is left out counts when what follows is done");
        stage.append(&["A4", "c2"]);
        stage.tail.take_back();
        assert_eq!(stage.take_all(), ["A4", "c2"], "a newer one came while A3 was waiting");
        assert_eq!(stage.left_out(), (3, 0));
        assert_eq!(stage.tail.depth(), 0);
    }

    #[test]
    fn what_an_active_core_saw_later_itself_is_left_out_and_done_with() {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("status.dat");
        let checked = "check_type=0\n\thas_been_checked=1\n\tlast_check=2000000000";
        std::fs::write(&file, format!("hoststatus {{\n\thost_name=a\n\t{checked}\n\t}}\n")).unwrap();
        let times = Arc::new(OwnTimes::read(&file).unwrap());
        let mut stage = Stage::new();
        stage.selection = Selection { rule: ACTIVE, own_times: None, until: None };
        stage.append(&["b1", "A1", "a2", "B1", "A3"]);
        assert_eq!(stage.next(), ["b1"]);
        stage.tail.done(1);
        assert!(matches!(stage.read(), Next::Unjudged), "A1 is superseded, but nothing follows that could be judged");
        stage.selection.own_times = Some(times.clone());
        assert_eq!(stage.take_all(), ["a2", "B1"], "classic clients are never left out");
        assert_eq!(stage.left_out(), (1, 1));
        assert_eq!(stage.tail.depth(), 0, "A3 is done with, though nothing follows");
        stage.append(&["A4"]);
        assert!(stage.next().is_empty());
        assert_eq!((stage.left_out(), stage.tail.depth()), ((1, 2), 0));
        // After a restart the core, still active, is not set back either.
        assert_eq!(stage.tail.begin_again().unwrap(), 2);
        assert_eq!(stage.take_all(), ["B1"]);
        assert!(!stage.tail.is_giving_again());
    }

    #[test]
    fn before_commands_everything_up_to_their_mark_is_reduced() {
        let mut stage = Stage::new();
        stage.append(&["a1", "B1", "a2", "B2"]);
        let until = stage.tail.newest();
        stage.append(&["a3", "a4"]);
        stage.selection = Selection { rule: BECOMES_ACTIVE, own_times: None, until: Some(until) };
        assert_eq!(stage.next(), ["a2", "B2"]);
        stage.tail.done(2);
        assert!(matches!(stage.read(), Next::Reached));
        assert!(matches!(stage.read(), Next::Reached), "until somebody asks for more");
        stage.selection = Selection::default();
        assert_eq!(stage.take_all(), ["a3", "a4"]);
        assert_eq!(stage.left_out(), (2, 0));
    }

    #[test]
    fn a_mark_at_the_end_and_in_an_empty_journal_is_reached() {
        let mut stage = Stage::new();
        stage.selection = Selection { rule: BECOMES_ACTIVE, own_times: None, until: Some(0) };
        assert!(matches!(stage.read(), Next::Reached));
        stage.append(&["a1"]);
        stage.selection.until = Some(1000);
        assert_eq!(stage.take_all(), ["a1"]);
        assert!(matches!(stage.read(), Next::Reached), "sequences have gaps");
    }
}
