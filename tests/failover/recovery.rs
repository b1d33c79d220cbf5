//! What is right in the end, whoever was away meanwhile.

use crate::SOON;
use crate::core::NOTIFYING;
use crate::node::Node;
use crate::support::wait::until_within;

#[test]
fn a_standby_core_that_starts_with_its_switches_on_is_corrected() {
    let mut node = Node::standby_that_waits(NOTIFYING, "");
    node.core.start();
    node.start();
    node.core.wait_for(false);
    node.core.kill();
    node.core.launch();
    until_within(SOON, "the next run", || node.core.shown().filter(|shown| shown.created > shown.program_start));
    node.core.wait_for(false);
}

#[test]
fn a_core_that_restarts_while_active_is_switched_again() {
    let mut node = Node::standby("");
    node.does(&["takeover"]);
    node.core.wait_for(true);
    let run = node.core.shown().unwrap().program_start;
    node.core.kill();
    node.wait_for("the core's death", |failover| failover.core == "gone");
    node.core.launch();
    until_within(SOON, "another run", || node.core.shown().filter(|shown| shown.program_start != run));
    node.core.wait_for(true);
    node.wait_for("what it is to be", |failover| failover.in_force);
}

#[test]
fn a_core_that_is_dead_at_the_take_over_is_switched_when_it_lives() {
    let mut node = Node::standby_that_waits("", "");
    node.start();
    node.wait_for("a first look", |failover| failover.core == "gone");
    let said = node.does(&["takeover"]);
    assert!(said.contains("does not run: start it"), "{said}");
    node.core.launch();
    node.core.wait_for(true);
}

#[test]
fn a_killed_daemon_goes_on_where_it_was() {
    let mut node = Node::standby("");
    node.does(&["takeover", "works"]);
    node.kill();
    node.start();
    let failover = node.failover();
    assert_eq!((failover.state.as_str(), failover.hold.unwrap().reason.as_str()), ("active", "works"));
    node.core.wait_for(true);
    node.does(&["hand-back"]);
    node.kill();
    node.start();
    node.core.wait_for(false);
    assert!(node.wait_for_state("standby").hold.is_some());
}
