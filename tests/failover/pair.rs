//! A pair with `[failover]` on both sides: one notifies, and the other one does not.
//!
//! Both cores are told of the same new problems all the time; what their contacts were notified of is compared.

use std::time::{Duration, Instant};

use crate::feed::{Feed, notified};
use crate::linked::{HEARTBEAT, Linked};
use crate::node::Node;
use crate::support::proxy::Weather;

/// The longest time without a notification, in any cycle.
const SILENCE: Duration = Duration::from_secs(5);

/// The longest time in which both notify although they hear each other.
const BOTH: Duration = Duration::from_secs(3);

/// What the master's core has: it checks, and its daemon says when it notifies.
const CHECKING: &str = "execute_service_checks=1\nexecute_host_checks=1\n";

/// A pair whose master notifies, and the problems that both are told of.
#[track_caller]
fn start(seconds_to_hand_back: u32) -> (Linked, Feed) {
    let lines = format!("successes_to_hand_back = {seconds_to_hand_back}\n{HEARTBEAT}");
    let standby = Node::standby_that_waits("", &lines);
    let linked = Linked::start(standby, CHECKING, "[failover]\nrole = \"master\"\n");
    linked.master.wait_for_state("active");
    let feed = Feed::start([&linked.master.core, &linked.standby.core]);
    feed.wait_for(&linked.master.core);
    (linked, feed)
}

/// The standby notifies, because the master's core was killed.
#[track_caller]
fn kill_the_core(linked: &mut Linked, feed: &Feed) {
    linked.master.core.kill();
    linked.standby.wait_for_state("active");
    feed.wait_for(&linked.standby.core);
}

/// The master notifies again.
#[track_caller]
fn bring_it_back(linked: &mut Linked, feed: &Feed) {
    linked.master.core.launch();
    linked.standby.wait_for_state("standby");
    linked.master.wait_for_state("active");
    feed.wait_for(&linked.master.core);
}

/// They were not silent together for too long. The times of what both notified of.
#[track_caller]
fn both_notified(linked: &Linked, feed: &Feed) -> Vec<Instant> {
    let times = feed.times();
    let [master, standby] = [&linked.master, &linked.standby].map(|node| notified(&node.core));
    let mut last = *master.first().expect("the master notified");
    for number in master.union(&standby) {
        let silence = times[*number] - times[last];
        assert!(silence <= SILENCE, "{silence:?} between {last} and {number}: {master:?} {standby:?}");
        last = *number;
    }
    master.intersection(&standby).map(|number| times[*number]).collect()
}

#[test]
fn in_a_whole_cycle_one_notifies_at_any_time() {
    let (mut linked, feed) = start(2);
    kill_the_core(&mut linked, &feed);
    bring_it_back(&mut linked, &feed);
    assert_eq!(both_notified(&linked, &feed), []);
    let states: Vec<_> = linked.standby.failover().transitions.into_iter().map(|transition| transition.to).collect();
    assert_eq!(states, ["standby", "handing-back", "active", "suspect"], "newest first");
}

#[test]
fn daemons_that_die_and_come_back_change_nothing() {
    let (mut linked, feed) = start(2);
    linked.master.stop();
    linked.master.start();
    linked.master.wait_for_state("active");
    feed.wait_for(&linked.master.core);
    linked.master.kill();
    linked.master.start();
    linked.master.wait_for_state("active");
    feed.wait_for(&linked.master.core);

    kill_the_core(&mut linked, &feed);
    linked.standby.kill();
    feed.wait_for(&linked.standby.core);
    linked.standby.start();
    linked.master.kill();
    linked.master.start();
    feed.wait_for(&linked.standby.core);
    assert_eq!(linked.standby.failover().state, "active");
    bring_it_back(&mut linked, &feed);
    assert_eq!(both_notified(&linked, &feed), []);
}

#[test]
fn a_cut_makes_both_notify_and_its_end_one() {
    let (linked, feed) = start(8);
    let cut = Instant::now();
    linked.network.set(Weather::Stalled);
    linked.standby.wait_for_state("active");
    feed.wait_for(&linked.standby.core);
    feed.wait_for(&linked.master.core);

    linked.network.set(Weather::Clear);
    linked.wait_for("alive");
    let heard = Instant::now();
    linked.standby.wait_for_state("standby");
    linked.master.wait_for_state("active");
    feed.wait_for(&linked.master.core);
    let both = both_notified(&linked, &feed);
    assert!(both.first().is_some_and(|first| *first >= cut), "availability before uniqueness");
    let last = *both.last().unwrap();
    assert!(last < heard + BOTH, "both notified {:?} after they had heard each other", last - heard);
}
