//! What is lent, in which order, and what is done with.

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
    let outputs: Vec<String> = (0..4000).map(|n| format!("{} {n} {:0500}", char::from(b'a' + n_th(n)), 0)).collect();
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

#[test]
fn everything_is_injected_when_nothing_waits_and_nothing_is_given_again() {
    let mut stage = Stage::new();
    let is_injected = |stage: &Stage| stage.runtime.block_on(stage.journal.is_injected());
    assert!(is_injected(&stage), "there is nothing");
    stage.append(&["a1", "b1"]);
    assert!(!is_injected(&stage));
    let lent = stage.next().len();
    stage.tail.done(lent - 1);
    assert!(!is_injected(&stage));
    stage.tail.done(1);
    assert!(is_injected(&stage));
    stage.tail.begin_again().unwrap();
    assert!(!is_injected(&stage), "the core lacks them");
    assert_eq!(stage.take_all(), ["a1", "b1"]);
    assert!(is_injected(&stage));
}
