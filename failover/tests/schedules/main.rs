//! The machine under random schedules: one standby, one beside a master that flaps for hours, and a standby and a master
//! with a link between them that fails.
//!
//! A failure prints its seed; `SEED=… SCHEDULES=1 cargo test -p failover --test schedules` repeats it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "in a test binary nothing can be reached from outside")]

mod core;
mod flapping;
mod node;
mod pair;
mod random;
mod standby;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many schedules are tried unless the environment's `SCHEDULES` says otherwise.
const SCHEDULES: u64 = 100_000;

/// Those that last for hours cost as much each as many of the others.
const LONG_SCHEDULES: u64 = 2000;

/// Runs `schedule` with one seed after the other, on all processors.
fn try_all(schedule: fn(u64), schedules: u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (first, count) = (number("SEED").unwrap_or(1), number("SCHEDULES").unwrap_or(schedules));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (first + thread..first + count).step_by(usize::try_from(threads).unwrap()) {
                    if catch_unwind(AssertUnwindSafe(|| schedule(seed))).is_err() {
                        panic!("repeat this with SEED={seed} SCHEDULES=1");
                    }
                }
            });
        }
    });
}

#[test]
fn one_standby() {
    try_all(standby::schedule, SCHEDULES);
}

#[test]
fn a_standby_beside_a_master_that_flaps() {
    try_all(flapping::schedule, LONG_SCHEDULES);
}

#[test]
fn a_standby_and_a_master() {
    try_all(pair::schedule, SCHEDULES);
}
