//! The standby's core is brought up to date with the master's book, whatever it knew before.

use std::fs;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

use book::verify::{self, Aspect, Report};
use book::{Book, Entry};
use nagios::Object;
use nagios::status::StatusReader;

use crate::cast::{Actor, Cast};
use crate::clock::now;
use crate::objects::Watched;
use crate::pair::{Pair, names, object};
use crate::support::wait::{until, until_within};

/// As promised, for up to 10,000 services.
const AGREES_WITHIN: Duration = Duration::from_secs(10);

/// A result may be on its way for 20 s; it is looked for every 10 s.
const MISSED_WITHIN: Duration = Duration::from_secs(50);

/// How many results each object gets: enough for a problem to be HARD, whatever its attempts.
const RESULTS: u64 = 6;

#[test]
fn a_standby_that_was_started_with_nothing_agrees_with_the_master() {
    let mut cast = Cast::enter();
    check_everything(&mut cast);
    cast.standby.kill_daemon();
    let actor = &mut cast.standby.actor;
    actor.kill();
    forget(actor);
    let state = actor.core.path("../state");
    fs::remove_dir_all(&state).unwrap();
    fs::create_dir(&state).unwrap();
    cast.standby.start_daemon();
    cast.standby.actor.core.start();
    assert_agrees(&cast);
    // What was delivered to it before does not come again by itself.
    until("the report", || cast.standby.said().contains("shown=220").then_some(()));
}

#[test]
fn a_result_that_went_missing_is_missed() {
    let mut pair = Pair::new(20);
    pair.standby.core.start();
    pair.standby.start_daemon();
    pair.check_all(|_| Some(0));
    let is_state = |aspect| matches!(aspect, Aspect::State);
    pair.wait_until_they_agree(AGREES_WITHIN, is_state);
    let (host, service) = names(7);
    // A core takes this for its newest result, whatever it had.
    let old = now() / 1_000 - 100;
    pair.standby.write(&format!("[{old}] PROCESS_SERVICE_CHECK_RESULT;{host};{service};1;an old one\n"));
    pair.standby.shows("the old result", |book| book.entry(&object(7)).is_some_and(|entry| entry.memory.state == 1));
    pair.wait_until_they_agree(MISSED_WITHIN, is_state);
}

/// Gives the master's core results of everything, and waits until it has told all that it has to tell.
fn check_everything(cast: &mut Cast) {
    let objects: Vec<Watched> = Watched::all().collect();
    for _ in 0..RESULTS {
        let actor = &mut cast.master.actor;
        let time = now() / 1_000;
        let lines = objects.iter().enumerate().map(|(index, object)| {
            let kind = if object.is_host() { "HOST" } else { "SERVICE" };
            // Hosts are up, so that their services are notified of.
            let code = if object.is_host() { 0 } else { [0, 1, 2, 3, 0][index % 5] };
            format!("[{time}] PROCESS_{kind}_CHECK_RESULT;{};{code};said {code}\n", object.name())
        });
        actor.write(&lines.collect::<String>());
        until("the next second", || (now() / 1_000 > time).then_some(()));
    }
    let last = now() / 1_000;
    until("the master's status file", || {
        cast.master.actor.core.shown().filter(|shown| shown.created > last.cast_signed() + 1)
    });
}

/// What a core keeps of its runs is gone.
fn forget(actor: &Actor) {
    for file in [actor.core.retention_file(), actor.core.status_file()] {
        let _ = fs::remove_file(file);
    }
}

#[track_caller]
fn assert_agrees(cast: &Cast) {
    let began = Instant::now();
    until_within(3 * AGREES_WITHIN, "the cores to agree", || compare(cast).agrees().then_some(()));
    let took = began.elapsed();
    assert!(took <= AGREES_WITHIN, "after {took:?}: {}", cast.standby.said());
}

/// The standby's core, compared with the master's.
fn compare(cast: &Cast) -> Report {
    let (master, standby) = (book(&cast.master.actor.core.status_file()), book(&cast.standby.actor.core.status_file()));
    let shown: Vec<(&Object, &Entry)> = standby.entries().collect();
    verify::compare(&master, shown.iter().map(|(object, entry)| (*object, &entry.memory)))
}

/// What a status file shows; nothing while there is none.
fn book(status_file: &Path) -> Book {
    let mut book = Book::default();
    let Ok(file) = fs::File::open(status_file) else { return book };
    let mut reader = StatusReader::new(BufReader::new(file));
    book.begin_picture(1);
    while let Ok(Some(block)) = reader.next_block() {
        book.handle_block(&block);
    }
    book.end_picture();
    book
}
