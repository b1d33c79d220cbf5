//! Recoveries in the seconds of a take-over, and of a hand-back: whoever knows of the problem is told, and once.

use std::time::Duration;

use crate::cast::{Actor, Cast};
use crate::objects::{MAX_ATTEMPTS, Watched};
use crate::support::wait::{SOON, until, until_within};

/// Between the recoveries of two services: some come before the core is given its memory, some meanwhile, and some afterwards.
const DURING_TAKE_OVER: Duration = Duration::from_millis(10);
const DURING_HAND_BACK: Duration = Duration::from_millis(100);

/// What was missed in these seconds is told late.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn recoveries_during_a_take_over_are_told_once() {
    let mut cast = Cast::enter();
    cast.wait_until_up_to_date();
    let services = services();
    fail(&mut cast.master.actor, &services);
    cast.both_show_all();

    cast.master.actor.kill();
    until("the standby's checks", || {
        cast.poll();
        let mut lines = cast.standby.actor.witness.lines.iter();
        lines.any(|line| line.text.starts_with("EXTERNAL COMMAND: START_EXECUTING_SVC_CHECKS")).then_some(())
    });
    for service in &services {
        cast.standby.actor.check(service, 0);
        std::thread::sleep(DURING_TAKE_OVER);
    }
    assert_recoveries_are_told_once(&mut cast, &services);
}

#[test]
fn recoveries_during_a_hand_back_are_told_once() {
    let mut cast = Cast::enter();
    cast.wait_until_up_to_date();
    cast.master.actor.kill();
    cast.wait_until_notifies("the take-over", SOON, |cast| cast.standby.actor.witness.notifies);
    let services = services();
    fail(&mut cast.standby.actor, &services);
    cast.standby.actor.shows_all();

    cast.master.actor.core.start_again();
    for service in &services {
        // Whoever notifies, or else the one that did, checks.
        cast.poll();
        let checks = if cast.master.actor.witness.notifies { &cast.master } else { &cast.standby };
        checks.actor.check(service, 0);
        std::thread::sleep(DURING_HAND_BACK);
    }
    cast.wait_until_notifies("the hand-back", TOLD_WITHIN, |cast| cast.master.actor.witness.notifies);
    assert_recoveries_are_told_once(&mut cast, &services);
    assert!(!cast.master.actor.notified(services.last().unwrap()).is_empty(), "all was over before the hand-back");
}

fn services() -> Vec<String> {
    Watched::all().filter(|watched| watched.is_told_at_once()).map(Watched::name).collect()
}

/// All services become critical, and somebody is told.
fn fail(actor: &mut Actor, services: &[String]) {
    for _ in 0..MAX_ATTEMPTS {
        services.iter().for_each(|service| drop(actor.check(service, 2)));
    }
    until("the problems", || {
        services.iter().all(|service| actor.notified(service).contains(&"CRITICAL".to_owned())).then_some(())
    });
}

fn assert_recoveries_are_told_once(cast: &mut Cast, services: &[String]) {
    let mut recoveries = |service: &String| {
        let both = [&mut cast.master.actor, &mut cast.standby.actor];
        both.into_iter().flat_map(|actor| actor.notified(service)).filter(|state| state == "OK").count()
    };
    let told_by_then = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until_within(TOLD_WITHIN, "all recoveries", || {
            services.iter().all(|service| recoveries(service) > 0).then_some(())
        });
    }));
    let counts: Vec<usize> = services.iter().map(&mut recoveries).collect();
    let is_wrong = |(_, count): &(&String, &usize)| **count != 1;
    let wrong: Vec<_> = services.iter().zip(&counts).filter(is_wrong).collect();
    let said = [cast.master.said(), cast.standby.said()].join("\n");
    assert!(wrong.is_empty() && told_by_then.is_ok(), "of {}: {wrong:?}\n{said}", services.len());
}
