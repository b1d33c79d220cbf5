//! Two minutes in which everything dies that can die: what was delivered to the sender reaches the cores.
//!
//! ```text
//! 2,000 results/s ─▶ ┐                  ┌═ proxy ═▶ receiver ─▶ Nagios 4
//!                    ├ sender ─ spool ─ ┤
//! Nagios 4 ─ ocsp ─▶ ┘                  └═ proxy ═▶ receiver ─▶ a core that writes down what it is told
//! ```
//!
//! A result that was spilled was delivered too. Disks are full for seconds only, and never by what is in the queues: that
//! costs no result.
//!
//! `SEED=n` repeats a run's script. `SOAK_SECONDS=n` shortens it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "in a test binary nothing can be reached from outside")]

mod cast;
mod feed;
mod recorder;
mod script;
#[path = "../support/mod.rs"]
mod support;
mod verdict;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cast::Cast;
use feed::{Fed, Numbered, Object};
use script::{Act, Script};
use support::nagios4::{Nagios4, Shown};
use support::random::Random;
use support::wait;
use verdict::{Bound, Told};

/// How long it goes on unless the environment says otherwise.
const LENGTH: Duration = Duration::from_secs(120);

/// How long everything may take to arrive when nothing is broken any more: the longest pause between two attempts to
/// connect, and what has piled up.
const ALL_WITHIN: Duration = Duration::from_secs(90);

/// How often the script and the daemons are looked after.
const TICK: Duration = Duration::from_millis(10);

#[test]
fn nothing_that_was_delivered_is_lost_whatever_dies() {
    let mut random = Random::seeded();
    let length = std::env::var("SOAK_SECONDS").map_or(LENGTH, |n| Duration::from_secs(n.parse().unwrap()));
    let script = Script::new(&mut random, length);
    let mut cast = Cast::enter();

    let fed = play(&mut cast, &script, length);
    println!("{} results delivered, {} of them spilled", fed.results(), fed.spilled);
    println!("{}", summary(&script));

    let told = wait_for_all(&mut cast, &fed);
    let missing = told.missing(&fed);
    assert!(missing.is_empty(), "{} results are lost, such as {:?}", missing.len(), missing[0]);

    settle(&cast, &fed);
    let told = wait_for_agreement(&cast);
    told.assert_newest_is_last();
    let bound = Bound::new(&cast.events, &cast.recorder.lines());
    println!("{} lines told something again, at most {} are explained: {bound:?}", told.again, bound.total());
    assert!(told.again <= bound.total());
    for said in cast.leave() {
        println!("{}", said.lines().last().unwrap_or_default());
    }
    let least = length.as_secs() * 2_000 * 3 / 4;
    assert!(fed.results() >= least, "{} results are no load", fed.results());
}

/// Hands results over while the script is carried out.
fn play(cast: &mut Cast, script: &Script, length: Duration) -> Fed {
    let begin = Instant::now();
    // The feeders use the sender's socket and spill directory, which stay where they are.
    let master = cast.master.clone();
    std::thread::scope(|scope| {
        let feeding = scope.spawn(move || feed::feed(&master, begin + length));
        for (at, act) in &script.0 {
            while begin.elapsed() < *at {
                cast.tend();
                std::thread::sleep(TICK);
            }
            println!("{:7.3} {act:?}", begin.elapsed().as_secs_f64());
            cast.perform(*act);
        }
        feeding.join().unwrap()
    })
}

fn summary(script: &Script) -> String {
    let kills = script.count(|act| matches!(act, Act::Kill(_)));
    let cores = script.count(|act| matches!(act, Act::KillCore | Act::RestartRecorder));
    let full = script.count(|act| matches!(act, Act::FillDisk(_)));
    let stops = script.count(|act| matches!(act, Act::StopReading));
    let network = script.count(|act| matches!(act, Act::Reset(_) | Act::Weather(..)));
    format!(
        "{kills} daemons and {cores} cores killed, {full} disks and {stops} command files full, {network} network faults"
    )
}

/// Waits until the recording core was told the newest result of every object.
fn wait_for_all(cast: &mut Cast, fed: &Fed) -> Told {
    let mut seen = 0;
    wait::until_within(ALL_WITHIN, "the newest result of every object in the command file", || {
        cast.tend();
        let lines = cast.recorder.count();
        let is_new = std::mem::replace(&mut seen, lines) != lines;
        // Reading everything takes a while.
        is_new.then(|| Told::of(&cast.recorder.lines())).filter(|told| told.is_over(fed))
    })
}

/// Stops the master's checks and waits until the standby's core shows what was fed, and what the master's core shows.
fn settle(cast: &Cast, fed: &Fed) {
    cast.master_core.command("STOP_EXECUTING_SVC_CHECKS");
    cast.master_core.command("STOP_EXECUTING_HOST_CHECKS");
    let core = cast.core.as_ref().expect("the script ends with a core");
    let deadline = Instant::now() + ALL_WITHIN;
    loop {
        let expected = expected(&cast.master_core, fed);
        let shown = shown(core);
        if expected == shown {
            return;
        }
        let differing = expected.iter().find(|(object, expected)| shown.get(object) != Some(expected));
        if let Some((object, expected)) = differing {
            let shown = shown.get(object);
            assert!(Instant::now() < deadline, "{object:?} should be {expected:#?}, but the standby shows {shown:#?}");
        }
        std::thread::sleep(TICK * 20);
    }
}

/// Waits until the recording core was told what the master's core shows.
fn wait_for_agreement(cast: &Cast) -> Told {
    let deadline = Instant::now() + wait::SOON;
    loop {
        let told = Told::of(&cast.recorder.lines());
        let is_told = |(object, shown): &(Object, Shown)| {
            let said = told.last().get(object);
            said.is_some_and(|said| said.code == shown.state && said.text.starts_with(&shown.output))
        };
        let Some((object, shown)) = shown(&cast.master_core).into_iter().find(|state| !is_told(state)) else {
            return told;
        };
        let said = told.last().get(&object);
        assert!(Instant::now() < deadline, "{object:?}: the master's core shows {shown:?}, the last told is {said:?}");
        std::thread::sleep(TICK * 20);
    }
}

/// The last state of everything.
fn expected(master: &Nagios4, fed: &Fed) -> BTreeMap<Object, Shown> {
    let newest = |(object, count): (&Object, &u64)| {
        let Numbered { code, output, perfdata, long_output } = Numbered::of(object, count - 1);
        let shown = Shown { state: code, output, performance_data: perfdata, long_output };
        (object.clone(), shown)
    };
    shown(master).into_iter().chain(fed.counts.iter().map(newest)).collect()
}

fn shown(core: &Nagios4) -> BTreeMap<Object, Shown> {
    let object = |object: nagios::Object| match object {
        nagios::Object::Host(host) => Object { host: host.to_string(), service: None },
        nagios::Object::Service(host, service) => Object { host: host.to_string(), service: Some(service.to_string()) },
    };
    core.shown().into_iter().map(|(key, shown)| (object(key), shown)).collect()
}
