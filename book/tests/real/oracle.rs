//! Two cores that take turns tell together what one core tells that never fails.
//!
//! All get the same results. The one that is in charge is killed, the other one inherits from the book that was kept beside it,
//! the killed one comes back with what it last saved, is brought up to date, and inherits in its turn.

use std::collections::BTreeMap;

use book::Book;
use book::handover::Outcome;
use book::inherit::{Inheritance, inherit};
use nagios::log::{LogEvent, LogFollower};
use nix::sys::signal::Signal;

use crate::core::{Core, Services, now, object};
use crate::handing_over::hand_over;

const SERVICES: Services<'_> = &[
    ("a", 1),
    ("b", 1),
    ("c", 2),
    ("d", 2),
    ("e", 3),
    ("f", 3),
    ("g", 5),
    ("h", 5),
    ("i", 1),
    ("j", 2),
    ("k", 3),
    ("l", 5),
];

/// Results of all services between two take-overs.
const ROUNDS: usize = 6;

/// How often the stage is taken over.
const TURNS: usize = 3;

/// A node: its core, and the book that follows it.
struct Node {
    core: Core,
    book: Book,
    log: LogFollower,
}

impl Node {
    fn new() -> Self {
        // One that comes back is not to notify before it is told to.
        let core = Core::new("enable_notifications=0\n", SERVICES);
        let log = LogFollower::from_start(core.path("nagios.log"));
        Self { core, book: Book::default(), log }
    }

    /// What a sender does all the time.
    fn follow_log(&mut self) {
        let Self { book, log, .. } = self;
        let mut take = |line: &[u8]| {
            if let Some(LogEvent::Notification(told)) = LogEvent::parse(line) {
                book.handle_notification(&told);
            }
        };
        while log.poll(&mut take).unwrap() {}
    }

    fn follow_status(&mut self) {
        let mut reader = nagios::status::StatusReader::new(std::fs::File::open(self.core.path("status.dat")).unwrap());
        while let Some(block) = reader.next_block().unwrap() {
            if let Some(created) = block.info_status().and_then(|info| info.created()) {
                self.book.begin_picture(created.seconds());
            }
            self.book.handle_block(&block);
        }
        self.book.end_picture();
        self.follow_log();
    }

    /// Waits until its core shows all of `results`.
    fn must_show(&self, results: &BTreeMap<&str, (u8, i64)>) {
        for (service, (code, time)) in results {
            self.core.shows_result(service, *code, *time);
        }
    }

    /// Injects what its core lacks, and says whether something was.
    fn catch_up(&self, book: &Book, results: &BTreeMap<&str, (u8, i64)>) {
        let own = self.core.picture().unwrap().book;
        for (service, (code, time)) in results {
            let object = object(service);
            if inherit(&book.entry(&object).unwrap().memory, &own.entry(&object).unwrap().memory) == Inheritance::Behind
            {
                self.core.result(service, *code, *time);
            }
        }
        self.must_show(results);
    }
}

/// A small generator of random numbers: a failure repeats itself.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[test]
fn two_cores_in_turn_tell_what_one_that_never_fails_tells() {
    let (oracle, mut on_stage, mut standing_by) = (Node::new(), Node::new(), Node::new());
    oracle.core.command("ENABLE_NOTIFICATIONS");
    on_stage.core.command("ENABLE_NOTIFICATIONS");
    let mut random = Random(7);
    let mut results: BTreeMap<&str, (u8, i64)> = SERVICES.iter().map(|(name, _)| (*name, (0, 0))).collect();
    // Check times of the past, so that each is newer than the one before.
    let mut time = now() - 1000;
    for turn in 0..=TURNS {
        for round in 0..ROUNDS {
            time += 1;
            for (name, result) in &mut results {
                // Problems last for some results.
                let code = if random.below(3) > 0 { result.0 } else { u8::try_from(random.below(4)).unwrap() };
                *result = (code, time);
                for node in [&oracle, &on_stage, &standing_by] {
                    node.core.result(name, code, time);
                }
            }
            for node in [&oracle, &on_stage, &standing_by] {
                node.must_show(&results);
            }
            // What the status file shows is older than what the log tells.
            if round < ROUNDS - 1 {
                on_stage.follow_status();
            }
        }
        if turn == TURNS {
            break;
        }
        on_stage.core.stop(Signal::SIGKILL);
        on_stage.follow_log();
        standing_by.catch_up(&on_stage.book, &results);
        assert_eq!(hand_over(&standing_by.core, &on_stage.book), Outcome::Confirmed);
        std::mem::swap(&mut on_stage, &mut standing_by);
        standing_by.core.start();
        on_stage.follow_status();
        standing_by.catch_up(&on_stage.book, &results);
    }
    let (expected, mut together) = (told(&oracle), told(&on_stage));
    for (name, states) in told(&standing_by) {
        together.entry(name).or_default().extend(states);
    }
    let in_order = |told: BTreeMap<String, Vec<(i64, u8)>>| -> BTreeMap<String, Vec<u8>> {
        let sorted = told.into_iter().map(|(name, mut states)| {
            states.sort_by_key(|(time, _)| *time);
            (name, states.into_iter().map(|(_, state)| state).collect())
        });
        sorted.collect()
    };
    let expected = in_order(expected);
    assert_eq!(in_order(together), expected);
    assert!(expected.values().map(Vec::len).sum::<usize>() > 30, "the oracle told too little: {expected:?}");
}

/// Time and state of what a core notified of, by service.
fn told(node: &Node) -> BTreeMap<String, Vec<(i64, u8)>> {
    let mut all = BTreeMap::<String, Vec<(i64, u8)>>::new();
    let mut take = |line: &[u8]| {
        if let Some(LogEvent::Notification(told)) = LogEvent::parse(line) {
            all.entry(told.object.to_string()).or_default().push((told.time, told.state));
        }
    };
    let mut log = LogFollower::from_start(node.core.path("nagios.log"));
    while log.poll(&mut take).unwrap() {}
    all
}
