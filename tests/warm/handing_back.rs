//! The master's core gets the work back with what the standby remembers of the meantime.

use std::time::Duration;

use crate::cast::{Actor, Cast};
use crate::support::wait::until;

/// Both notify at their second result, and once of each problem; between them the one in charge changes.
const TOLD_BY_MASTER: &str = "host-00;service-1";
const TOLD_BY_STANDBY: &str = "host-02;service-1";

/// From the return of the master's core to its notifications: its results and its memory, then the hand-back.
const BACK_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn what_the_standby_told_is_not_told_again_and_its_end_is() {
    let mut cast = Cast::enter();
    cast.wait_until_up_to_date();
    fail(&mut cast.master.actor, TOLD_BY_MASTER);
    cast.both_show_all();

    cast.master.actor.kill();
    cast.wait_until_notifies("the take-over", Duration::from_secs(20), |cast| cast.standby.actor.witness.notifies);
    let standby = &mut cast.standby.actor;
    fail(standby, TOLD_BY_STANDBY);
    standby.result(TOLD_BY_MASTER, 0);
    until("the recovery", || (standby.notified(TOLD_BY_MASTER) == ["OK"]).then_some(()));
    // By a status file that was written before, the core would go back to it.
    cast.standby.actor.shows_all();

    cast.master.actor.core.start_again();
    cast.wait_until_notifies("the hand-back", BACK_WITHIN, |cast| cast.master.actor.witness.notifies);
    assert!(!cast.standby.actor.witness.notifies, "one of them notifies");
    let master = &mut cast.master.actor;
    master.result(TOLD_BY_STANDBY, 2);
    master.result(TOLD_BY_STANDBY, 0);
    until("the recovery", || master.notified(TOLD_BY_STANDBY).contains(&"OK".to_owned()).then_some(()));
    assert_eq!(master.notified(TOLD_BY_STANDBY), ["OK"], "{}", cast.master.said());
    let master = &mut cast.master.actor;
    master.result(TOLD_BY_MASTER, 0);
    assert_eq!(master.notified(TOLD_BY_MASTER), ["CRITICAL"], "the standby has told the rest: {}", cast.master.said());
    assert!(cast.master.said().contains("this core is up to date"), "{}", cast.master.said());
    let why = cast.standby.status();
    assert!(why.contains("from active to handing-back: the master's core lives\n"), "{why}");
}

/// Two results make the problem HARD, and then it is told.
fn fail(actor: &mut Actor, service: &str) {
    actor.result(service, 2);
    actor.result(service, 2);
    until("the notification", || (actor.notified(service) == ["CRITICAL"]).then_some(()));
}
