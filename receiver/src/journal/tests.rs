use nagios::{Attributed, CheckResult, Object, PluginOutput, ReturnCode, stored};
use nsca::sealed::{Hello, NodeName, SpoolId};
use spool::Reader;
use tempfile::TempDir;

use super::*;
use crate::peers::{Begun, SessionNumber, Source};

/// A journal that is committed only when a test says so, and one node that sends.
struct Stage {
    runtime: tokio::runtime::Runtime,
    directory: TempDir,
    journal: Arc<Journal>,
    source: Source,
    session: SessionNumber,
}

fn hello(source: &Source) -> Hello {
    Hello { node: source.node.clone(), spool: source.spool, epoch: source.epoch, oldest: 1, newest: 9 }
}

impl Stage {
    fn new() -> Self {
        Stage::open(TempDir::new().unwrap())
    }

    /// Another process, which has lost what was remembered of peers.
    fn reopen(self) -> Self {
        let Stage { runtime, directory, journal, .. } = self;
        drop((runtime, journal));
        Stage::open(directory)
    }

    fn open(directory: TempDir) -> Self {
        let source = Source { node: NodeName::try_from("m").unwrap(), spool: SpoolId([1; 16]), epoch: 1 };
        let (journal, _) = testing::open(directory.path(), &Arc::default());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut stage = Stage { runtime, directory, journal, source, session: SessionNumber::default() };
        stage.session = stage.begin().number;
        stage
    }

    fn begin(&self) -> Begun {
        self.journal.peers.lock().begin(&hello(&self.source)).unwrap()
    }

    /// Results of a host: sequence, origin, second.
    fn batch(&self, results: &[(u64, &str, i64)]) -> Batch {
        let mut batch = Batch::sealed(self.source.clone(), self.session);
        for (sequence, origin, second) in results {
            let object = Object::Host("h".try_into().unwrap());
            let (code, time) = (ReturnCode::new(0), Timestamp::from_seconds(*second));
            let result = CheckResult::new(object, code, PluginOutput::default(), time);
            batch.push(*sequence, Attributed { result, origin: Arc::from(*origin) });
        }
        batch
    }

    fn append(&self, batch: Batch) {
        self.runtime.block_on(self.journal.append(Arc::new(batch))).unwrap();
    }

    fn commit(&self) {
        assert!(self.runtime.block_on(self.journal.commit()));
    }

    fn accepted(&self) -> Option<u64> {
        self.journal.peers.lock().accepted(&self.source, self.session)
    }

    /// The seconds of what is in the journal.
    fn seconds(&self) -> Vec<i64> {
        let spool = self.journal.spool.blocking_lock();
        let mut reader = Reader::from(0);
        let batch = reader.next_batch(&spool).unwrap();
        batch.iter().map(|record| stored::decode(record.payload).unwrap().0.check_time.seconds()).collect()
    }
}

#[test]
fn what_is_appended_counts_as_accepted_when_it_is_committed() {
    let stage = Stage::new();
    stage.append(stage.batch(&[(1, "m", 10), (2, "m", 20)]));
    assert_eq!(stage.accepted(), Some(0));
    stage.commit();
    assert_eq!(stage.accepted(), Some(2));
}

#[test]
fn a_batch_that_comes_again_is_taken_once() {
    let stage = Stage::new();
    stage.append(stage.batch(&[(1, "m", 10), (2, "m", 20)]));
    stage.append(stage.batch(&[(1, "m", 10), (2, "m", 20), (5, "m", 50)]));
    assert_eq!(stage.seconds(), [10, 20, 50]);
    assert_eq!(stage.journal.counters.read().repeated, 2);
}

#[test]
fn what_is_left_out_is_accepted_too_even_if_nothing_is_left() {
    let stage = Stage::new();
    stage.append(stage.batch(&[(1, "m", 10), (2, "far", 9), (3, "far", 8)]));
    stage.commit();
    assert_eq!((stage.seconds(), stage.accepted()), (vec![10], Some(3)));
    stage.append(stage.batch(&[(4, "far", 7)]));
    assert!(stage.runtime.block_on(stage.journal.commit_due(false)).is_some(), "there is something to acknowledge");
    stage.commit();
    assert_eq!((stage.seconds(), stage.accepted()), (vec![10], Some(4)));
    assert_eq!(stage.journal.counters.read().older, 3);
}

#[test]
fn a_copy_that_a_relay_sends_is_left_out_and_accepted() {
    let mut stage = Stage::new();
    stage.append(stage.batch(&[(1, "m", 10), (2, "m", 20)]));
    stage.source = Source { node: NodeName::try_from("relay").unwrap(), spool: SpoolId([2; 16]), epoch: 1 };
    stage.session = stage.begin().number;
    stage.append(stage.batch(&[(1, "m", 10), (2, "m", 20), (3, "m", 21)]));
    stage.commit();
    assert_eq!((stage.seconds(), stage.accepted()), (vec![10, 20, 21], Some(3)));
    assert_eq!(stage.journal.counters.read().older, 2);
}

#[test]
fn a_session_that_was_superseded_has_nothing_taken_any_more() {
    let mut stage = Stage::new();
    let late = stage.batch(&[(1, "m", 10)]);
    stage.session = stage.begin().number;
    stage.append(late);
    assert_eq!(stage.seconds(), [0i64; 0]);
    stage.append(stage.batch(&[(1, "m", 11)]));
    stage.commit();
    assert_eq!((stage.seconds(), stage.accepted()), (vec![11], Some(1)));
}

#[test]
fn the_newest_of_each_object_are_known_when_the_journal_is_opened_again() {
    let stage = Stage::new();
    stage.append(stage.batch(&[(1, "m", 10), (2, "m", 30), (3, "m", 20)]));
    let stage = stage.reopen();
    stage.append(stage.batch(&[(1, "far", 19), (2, "m", 5), (3, "far", 4)]));
    assert_eq!(stage.seconds(), [10, 30, 20, 5]);
}
