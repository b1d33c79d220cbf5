//! The nodes cannot hear each other for a while, and both notify. What was told then is one memory afterwards.

use std::time::{Duration, Instant};

use crate::cast::{Actor, Cast};
use crate::support::proxy::{Proxy, Weather};
use crate::support::wait::{until, until_within};

/// It notifies at its third result, and of a problem that lasts at results that come six seconds later.
const SERVICE: &str = "host-00;service-7";
const ATTEMPTS: usize = 3;
const INTERVAL: Duration = Duration::from_secs(6);

/// For how long both notify: what takes less could be clocks that differ.
const TOGETHER: Duration = Duration::from_secs(18);

const CHANGES_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn what_both_told_while_they_were_cut_off_is_joined() {
    let mut network = Vec::new();
    let mut cast = Cast::connected(|listener| {
        let proxy = Proxy::start();
        proxy.lead_to(listener);
        network.push(proxy);
        network.last().unwrap().address()
    });
    cast.wait_until_up_to_date();

    network.iter().for_each(|proxy| proxy.set(Weather::Stalled));
    cast.wait_until_notifies("the standby's notifications", CHANGES_WITHIN, |cast| cast.standby.actor.witness.notifies);
    assert!(cast.master.actor.witness.notifies, "nobody has told the master");
    let begin = Instant::now();
    fail(&mut cast.standby.actor);
    assert_eq!(cast.standby.actor.numbers(SERVICE), [1]);
    fail(&mut cast.master.actor);
    again(&mut cast.master.actor, 2);
    again(&mut cast.master.actor, 3);
    std::thread::sleep(TOGETHER.saturating_sub(begin.elapsed()));

    network.iter().for_each(|proxy| proxy.set(Weather::Clear));
    cast.wait_until_notifies("the hand-back", CHANGES_WITHIN, |cast| {
        !cast.standby.actor.witness.notifies && cast.master.actor.witness.notifies
    });
    cast.both_show_all();
    let by_master = cast.master.actor.numbers(SERVICE);
    let by_standby = cast.standby.actor.numbers(SERVICE);
    assert!(by_master.starts_with(&[1, 2, 3]) && by_standby.len() < by_master.len(), "{by_master:?}, {by_standby:?}");
    cast.master.actor.kill();
    cast.wait_until_notifies("the take-over", CHANGES_WITHIN, |cast| cast.standby.actor.witness.notifies);
    // Whoever told it last, and however often: the next time is one more.
    let next = by_master.last().unwrap() + 1;
    again(&mut cast.standby.actor, next);
    assert_eq!(cast.standby.actor.numbers(SERVICE), [by_standby, vec![next]].concat(), "{}", cast.standby.said());
    cast.standby.actor.result(SERVICE, 0);
    until("the recovery", || cast.standby.actor.notified(SERVICE).contains(&"OK".to_owned()).then_some(()));
}

fn fail(actor: &mut Actor) {
    (0..ATTEMPTS).for_each(|_| actor.result(SERVICE, 2));
    until("the problem", || (actor.numbers(SERVICE) == [1]).then_some(()));
}

/// Gives it results of the problem until it tells of it once more, and says that it is time number `number`.
fn again(actor: &mut Actor, number: u32) {
    until_within(2 * INTERVAL, "the next time", || {
        actor.result(SERVICE, 2);
        (actor.numbers(SERVICE).last() == Some(&number)).then_some(())
    });
}
