//! A pair whose standby hears the master's heartbeat in its sealed session.

use std::time::{Duration, Instant};

use failover::machine::Flag;

use crate::SOON;
use crate::core::{NOTIFYING, STATUS_INTERVAL};
use crate::node::Node;
use crate::support::wait::until_within;

/// What a standby has that listens to the heartbeat.
const HEARTBEAT: &str = "successes_to_hand_back = 2\n[failover.heartbeat]\nnode = \"master\"\n";

/// What a master has that keeps silent while the standby is active.
const ROLE: &str = "[failover]\nrole = \"master\"\n";

#[test]
fn a_core_that_is_killed_is_noticed_at_once_and_nobody_notifies_beside_another() {
    let standby = Node::standby(HEARTBEAT);
    let mut master = Node::master(standby.address.unwrap(), NOTIFYING, ROLE);
    master.core.start();
    master.start();
    let notifies = |node: &Node| node.core.are(&[Flag::Notifications], true).then_some(());
    until_within(SOON, "the master's notifications: the standby says that it is not active", || notifies(&master));
    standby.wait_for("a live master", |failover| failover.heartbeat.as_deref() == Some("alive"));
    standby.core.wait_for(false);

    master.core.kill();
    let killed = Instant::now();
    standby.core.wait_for(true);
    assert!(killed.elapsed() < Duration::from_secs(5) + 2 * STATUS_INTERVAL, "{:?}", killed.elapsed());
    let status = standby.status();
    assert!(status.warnings.iter().any(|warning| warning.contains("active")), "{:?}", status.warnings);

    // The master's daemon learns that the standby is active, and keeps its core silent until it is not.
    master.core.start();
    standby.core.wait_for(false);
    until_within(SOON, "the master's notifications: the standby handed back", || notifies(&master));
    standby.wait_for_state("standby");
}
