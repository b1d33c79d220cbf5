//! The master's core gets the work back with what the standby remembers of the meantime.

use std::time::Duration;

use crate::cast::{Actor, Cast};
use crate::clock::now;
use crate::support::wait::{until, until_within};

/// Both notify at their second result, and once of each problem; between them the one in charge changes.
const TOLD_BY_MASTER: &str = "host-00;service-1";
const TOLD_BY_STANDBY: &str = "host-02;service-1";

/// From the return of the master's core to its notifications: its results and its memory, then the hand-back.
const BACK_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn what_the_standby_told_is_not_told_again_and_its_end_is() {
    let mut cast = Cast::enter();
    until("the first resynchronisation", || cast.standby.said().contains("this core is up to date").then_some(()));
    fail(&mut cast.master.actor, TOLD_BY_MASTER);
    known_to_both(&mut cast);

    cast.master.actor.kill();
    notifies(&mut cast, |cast| cast.standby.actor.witness.notifies, Duration::from_secs(20));
    let standby = &mut cast.standby.actor;
    fail(standby, TOLD_BY_STANDBY);
    result(standby, TOLD_BY_MASTER, 0);
    until("the recovery", || (notified(standby, TOLD_BY_MASTER) == ["OK"]).then_some(()));
    // By a status file that was written before, the core would go back to it.
    known_to(&cast.standby.actor);

    cast.master.actor.core.start_again();
    notifies(&mut cast, |cast| cast.master.actor.witness.notifies, BACK_WITHIN);
    assert!(!cast.standby.actor.witness.notifies, "one of them notifies");
    let master = &mut cast.master.actor;
    result(master, TOLD_BY_STANDBY, 2);
    result(master, TOLD_BY_STANDBY, 0);
    until("the recovery", || notified(master, TOLD_BY_STANDBY).contains(&"OK".to_owned()).then_some(()));
    assert_eq!(notified(master, TOLD_BY_STANDBY), ["OK"], "{}", cast.master.said());
    let master = &mut cast.master.actor;
    result(master, TOLD_BY_MASTER, 0);
    assert_eq!(notified(master, TOLD_BY_MASTER), ["CRITICAL"], "the standby has told the rest: {}", cast.master.said());
    assert!(cast.master.said().contains("this core is up to date"), "{}", cast.master.said());
    let why = cast.standby.status();
    assert!(why.contains("from active to handing-back: the master's core lives\n"), "{why}");
}

/// Two results make the problem HARD, and then it is told.
fn fail(actor: &mut Actor, service: &str) {
    result(actor, service, 2);
    result(actor, service, 2);
    until("the notification", || (notified(actor, service) == ["CRITICAL"]).then_some(()));
}

/// Gives a result to the core, and waits until it has taken it.
fn result(actor: &mut Actor, service: &str, code: u8) {
    let first = actor.witness.poll();
    let command = format!("PROCESS_SERVICE_CHECK_RESULT;{service};{code};said {code}");
    actor.write(&format!("[{}] {command}\n", now() / 1_000));
    until("the result", || {
        actor.witness.poll();
        let mut new = actor.witness.lines[first..].iter();
        new.any(|line| line.text == format!("EXTERNAL COMMAND: {command}")).then_some(())
    });
}

/// The states of the service that the core has notified of, in their order.
fn notified(actor: &mut Actor, service: &str) -> Vec<String> {
    actor.witness.poll();
    let begin = format!("SERVICE NOTIFICATION: admin;{service};");
    let states = actor.witness.lines.iter().filter_map(|line| line.text.strip_prefix(&begin));
    states.map(|rest| rest.split(';').next().unwrap().to_owned()).collect()
}

fn known_to_both(cast: &mut Cast) {
    known_to(&cast.master.actor);
    known_to(&cast.standby.actor);
}

/// The core's status file is newer than what has happened.
fn known_to(actor: &Actor) {
    let happened = now() / 1_000;
    until("a newer status file", || {
        actor.core.shown().filter(|shown| shown.created > happened.cast_signed() + 1).map(|_| ())
    });
}

fn notifies(cast: &mut Cast, who: impl Fn(&Cast) -> bool, limit: Duration) {
    until_within(limit, "notifications", || {
        cast.poll();
        who(cast).then_some(())
    });
}
