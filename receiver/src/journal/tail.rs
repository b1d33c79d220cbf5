//! Reading the journal for the core: what waits, and after a restart of the core the newest of each object again.
//!
//! **Invariant:** for one object, nothing older follows something newer. What is given again is the last result of its
//! object up to the position, and all of it comes before anything behind the position.
//!
//! **Invariant:** memory is bounded by one batch, and 8 bytes per object while results are given again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nagios::{CheckResult, stored};
use spool::{Batch, Reader, Record, Trouble};
use tokio_util::sync::CancellationToken;

use super::{CORE, Journal};
use crate::backlog::Next;

/// How long the tail waits for results before it lets the injector look after the core.
const QUIET: Duration = Duration::from_secs(1);

/// The injector's end of the journal.
pub(crate) struct Tail {
    journal: Arc<Journal>,
    reader: Reader,
    again: Option<Again>,
    /// The sequences of what is lent and not yet done.
    lent: Vec<u64>,
}

/// What is given once more.
struct Again {
    reader: Reader,
    /// The newest of each object, in order.
    newest: Vec<u64>,
    given: usize,
}

impl Tail {
    /// Begins behind what the core has.
    pub(super) fn new(journal: Arc<Journal>, position: u64) -> Self {
        Tail { journal, reader: Reader::from(position + 1), again: None, lent: Vec::new() }
    }

    /// Lends what follows. Waits for it, but not for ever, and not when `closing`.
    pub(crate) async fn next(&mut self, closing: &CancellationToken) -> Next {
        match self.read().await {
            Ok(results) if !results.is_empty() => return Next::Results(results),
            Ok(_) if closing.is_cancelled() => return Next::Ended,
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "the journal cannot be read");
                if closing.is_cancelled() {
                    return Next::Ended;
                }
                tokio::time::sleep(QUIET).await;
            }
        }
        tokio::select! {
            () = self.journal.appended.notified() => {}
            () = closing.cancelled() => {}
            () = tokio::time::sleep(QUIET) => {}
        }
        Next::Quiet
    }

    async fn read(&mut self) -> Result<Vec<CheckResult>, Trouble> {
        self.lent.clear();
        while let Some(again) = &mut self.again {
            let Some(&wanted) = again.newest.get(again.given) else {
                self.again = None;
                break;
            };
            if again.reader.next_sequence() < wanted {
                again.reader.seek(wanted);
            }
            let batch = again.reader.next_batch(&*self.journal.spool.lock().await)?;
            let last = batch.iter().last().map_or(u64::MAX, |record| record.sequence);
            let results = decode(&self.journal, batch, &mut self.lent, |record| {
                // Those that are gone were compacted away in favour of newer ones, which follow.
                let passed = again.newest[again.given..].partition_point(|sequence| *sequence < record.sequence);
                again.given += passed;
                again.newest.get(again.given) == Some(&record.sequence)
            });
            again.given += again.newest[again.given..].partition_point(|sequence| *sequence <= last);
            if !results.is_empty() {
                return Ok(results);
            }
        }
        loop {
            let batch = self.reader.next_batch(&*self.journal.spool.lock().await)?;
            let Some(last) = batch.iter().last().map(|record| record.sequence) else {
                return Ok(Vec::new());
            };
            let results = decode(&self.journal, batch, &mut self.lent, |_| true);
            if !results.is_empty() {
                return Ok(results);
            }
            self.journal.spool.lock().await.advance(CORE, last, Instant::now());
        }
    }

    /// The core has the next `count` of what is lent.
    pub(crate) fn done(&mut self, count: usize) {
        let last = self.lent.drain(..count).next_back();
        if let (Some(last), None) = (last, &self.again) {
            self.journal.spool.blocking_lock().advance(CORE, last, Instant::now());
            self.journal.dirty.notify_one();
        }
    }

    /// What is lent and not done is to be lent again.
    pub(crate) fn take_back(&mut self) {
        match (&mut self.again, self.lent.first()) {
            (_, None) => {}
            (Some(again), Some(first)) => {
                again.given = again.newest.partition_point(|sequence| sequence < first);
                again.reader.seek(*first);
            }
            (None, Some(first)) => self.reader.seek(*first),
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

    /// How many results the core does not have.
    pub(crate) fn depth(&self) -> u64 {
        self.journal.spool.blocking_lock().depth(CORE).ok().flatten().unwrap_or(0)
    }
}

/// The results in `batch` that are wanted; notes their sequences.
fn decode(
    journal: &Journal,
    batch: Batch<'_>,
    sequences: &mut Vec<u64>,
    mut is_wanted: impl FnMut(&Record<'_>) -> bool,
) -> Vec<CheckResult> {
    for stretch in batch.damage().entries() {
        tracing::warn!("journal: {stretch}");
    }
    let mut results = Vec::new();
    for record in batch.iter().filter(|record| is_wanted(record)) {
        match stored::decode(record.payload) {
            Ok((result, _)) => {
                results.push(result);
                sequences.push(record.sequence);
            }
            Err(error) => {
                journal.counters.lost.add(1);
                tracing::warn!(sequence = record.sequence, %error, "a result in the journal cannot be used");
            }
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use nagios::{HostName, Object, PluginOutput, ReturnCode, Timestamp};
    use tempfile::TempDir;
    use tokio::runtime::Runtime;

    /// A journal in a directory of its own, and whoever appends and reads.
    struct Stage {
        runtime: Runtime,
        directory: TempDir,
        journal: Arc<Journal>,
        tail: Tail,
    }

    impl Stage {
        fn new() -> Self {
            let directory = TempDir::new().unwrap();
            let (journal, tail) = open(&directory);
            Stage { runtime: Runtime::new().unwrap(), directory, journal, tail }
        }

        /// Another process; positions survive, as after a commit.
        fn reopen(self) -> Self {
            let Stage { runtime, directory, journal, tail } = self;
            journal.spool.blocking_lock().commit(Instant::now()).unwrap();
            drop((journal, tail));
            let (journal, tail) = open(&directory);
            Stage { runtime, directory, journal, tail }
        }

        fn append(&self, outputs: &[&str]) {
            let batch = Batch::classic(outputs.iter().map(|output| result(output)), &Arc::from(""));
            self.runtime.block_on(self.journal.append(Arc::new(batch))).unwrap();
        }

        /// What is lent next; empty if that is the end.
        fn next(&mut self) -> Vec<String> {
            let closing = CancellationToken::new();
            closing.cancel();
            match self.runtime.block_on(self.tail.next(&closing)) {
                Next::Results(results) => {
                    results.iter().map(|r| String::from_utf8_lossy(r.output.escaped()).into_owned()).collect()
                }
                Next::Quiet | Next::Ended => Vec::new(),
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
    }

    fn open(directory: &TempDir) -> (Arc<Journal>, Tail) {
        let config =
            config::Journal { directory: directory.path().join("journal"), max_size: 16 << 20, status_file: None };
        Journal::open(&config, [7; 16], Arc::default(), Arc::default()).unwrap()
    }

    /// The first letter of the output is the host.
    fn result(output: &str) -> CheckResult {
        let object = Object::Host(HostName::try_from(&output[..1]).unwrap());
        CheckResult::new(
            object,
            ReturnCode::new(0),
            PluginOutput::from_text(output.as_bytes()),
            Timestamp::from_seconds(1),
        )
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
}
