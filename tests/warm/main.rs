//! The oracle: over a whole series of failures, take-overs and hand-backs, master and standby together notify of exactly what
//! a third core notifies of that never fails.
//!
//! ```text
//!                    ┌▶ master's core ── perfdata FIFO ─▶ understudy ┐
//! schedule ─▶ charge ┤        ╳ killed, comes back         ║ sealed, both ways
//!              │     └▶ standby's core ─ perfdata FIFO ─▶ understudy ┘
//!              └ what the core in charge has taken ─▶ oracle's core
//! ```
//!
//! Objects are checked passively, each once in [`plan::ROUND`]. The core **in charge** is the one that notifies: it gets the
//! results and what operators want. The other one of the pair knows what its daemon tells it, and nothing else. While
//! neither notifies, nobody checks, and operators cannot log in: the schedule stands still, and goes on at the same moment of a
//! round, so that the cores' intervals fall due alike. This is what a site does whose checks are made by the core that is in
//! charge. What a core has not taken when it is killed has not happened: the check is made again in the next round, by the
//! other node.
//!
//! Sometimes the core is killed, and sometimes its daemon with it, as when a machine dies.
//!
//! The oracle gets what the core in charge has taken, the moment that its log shows it. So all three have the same results and
//! the same orders, in the same order, with the same check times.
//!
//! Compared are contact, object, type, state and number of each notification; see [`verdict`] for the exceptions, which are
//! counted. At the end all three have the same comments and downtimes. What cannot be carried over is no part of the schedule:
//!
//! - what operators did in the last two seconds before a core is killed, which no status file showed;
//! - results of the last moment before a machine dies, of which its daemon could not tell;
//! - a core that was away and is started before its daemon knows what happened meanwhile: it believes to have told of a problem that
//!   it has told the beginning of, until it sees a recovery;
//! - a downtime that ends by itself while nobody is in charge, so that nobody could tell it;
//! - a service's problem that becomes hard because its host is down: see [`plan`].
//!
//! `SEED=n` repeats a run's schedule.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "what the tests share is whole")]
#![allow(unreachable_pub, reason = "in a test binary nothing can be reached from outside")]

mod attempts;
mod cast;
mod clock;
mod handing_back;
mod late_standby;
mod meanwhile;
mod mirroring;
mod objects;
mod pair;
mod partition;
mod plan;
mod play;
mod remarks;
mod resynchronisation;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
mod taking_over;
mod verdict;
mod witness;

use cast::Cast;
use plan::Plan;
use support::random::Random;

/// How many rounds are played while the master is killed three times, once with its daemon.
const ROUNDS: usize = 52;

#[test]
fn master_and_standby_together_notify_of_what_a_core_notifies_of_that_never_fails() {
    let plan = Plan::new(&mut Random::seeded(), ROUNDS, 3);
    let mut cast = Cast::enter();
    play::play(&mut cast, &plan);
    verdict::judge(&cast).assert_same();
    remarks::assert_same(&cast);
}

/// The proof that the comparison is fair.
#[test]
fn a_master_that_never_fails_notifies_of_what_the_oracle_notifies_of() {
    let plan = Plan::new(&mut Random::seeded(), 12, 0);
    let mut cast = Cast::enter();
    play::play(&mut cast, &plan);
    let verdict = verdict::judge(&cast);
    verdict.assert_same();
    assert!(verdict.has_no_exceptions());
}
