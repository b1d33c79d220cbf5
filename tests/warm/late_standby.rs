//! A standby that begins with nothing beside a master that has run for long: 10,000 services, with problems, notifications,
//! acknowledgements and downtimes. And one whose core starts again.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::clock::now;
use crate::pair::{Pair, is_hard_at_once, names, object};

const SERVICES: usize = 10_000;

/// How soon both cores agree in everything, from the start of what was missing. Cores write their status files every second.
const WARM_WITHIN: Duration = Duration::from_secs(10);

/// Every tenth is a problem, of which half are told of.
fn is_problem(number: usize) -> bool {
    number.is_multiple_of(7)
}

fn is_told(number: usize) -> bool {
    is_problem(number) && is_hard_at_once(number)
}

fn is_acknowledged(number: usize) -> bool {
    is_told(number) && number.is_multiple_of(3)
}

fn is_in_downtime(number: usize) -> bool {
    number % 100 == 42
}

#[test]
fn a_standby_that_comes_late_is_warm_within_seconds_and_so_is_one_whose_core_starts_again() {
    let mut pair = Pair::new(SERVICES);
    prepare(&pair);
    // Nothing waits for the standby: it is as if it had been set up just now.
    pair.master.stop_daemon();
    pair.master.lose_state();
    pair.master.start_daemon();
    pair.standby.core.start();
    let begin = Instant::now();
    pair.standby.start_daemon();
    let objects = pair.wait_until_they_agree(WARM_WITHIN, |_| true);
    println!("a standby that began with nothing: {objects} objects agree after {:?}", begin.elapsed());
    println!("{}", pair.standby.verified());

    pair.standby.core.kill();
    // It never saved anything.
    let _ = std::fs::remove_file(pair.standby.core.retention_file());
    pair.standby.core.start();
    let begin = Instant::now();
    let objects = pair.wait_until_they_agree(WARM_WITHIN, |_| true);
    println!("a standby whose core started again: {objects} objects agree after {:?}", begin.elapsed());
}

/// Makes the master's core remember something.
fn prepare(pair: &Pair) {
    pair.check_all(|_| Some(0));
    pair.check_all(|number| Some(if is_problem(number) { 2 } else { 0 }));
    pair.master.shows("the master has notified", |book| {
        let mut told = (0..SERVICES).filter(|number| is_told(*number));
        told.all(|number| book.entry(&object(number)).is_some_and(|entry| entry.memory.notifications == 1))
    });
    let (second, mut lines) = (now() / 1000, String::new());
    let end = second + 3600;
    for number in 0..SERVICES {
        let (host, service) = names(number);
        if is_acknowledged(number) {
            writeln!(lines, "[{second}] ACKNOWLEDGE_SVC_PROBLEM;{host};{service};2;0;1;joe;I do it #{number}").unwrap();
        }
        if is_in_downtime(number) {
            writeln!(
                lines,
                "[{second}] SCHEDULE_SVC_DOWNTIME;{host};{service};{second};{end};1;0;0;ann;works #{number}"
            )
            .unwrap();
        }
    }
    pair.master.write(&lines);
    pair.master.shows("acknowledgements and downtimes", |book| {
        (0..SERVICES).all(|number| {
            book.entry(&object(number)).is_some_and(|entry| {
                entry.memory.acknowledgement.is_some() == is_acknowledged(number)
                    && (entry.memory.downtime_depth > 0) == is_in_downtime(number)
            })
        })
    });
}
