//! Scenario 2 by probe alone: check_nrpe asks the master's nrpe for check_nagios.

use std::time::{Duration, Instant};

use crate::core::{Core, NOTIFYING};
use crate::node::Node;
use crate::nrpe::{Nrpe, check_nrpe};

#[test]
fn a_killed_core_and_a_host_that_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut master = Core::new(&directory.path().join("master"), NOTIFYING);
    master.start();
    let mut nrpe = Nrpe::start(directory.path(), &master);
    let standby =
        Node::standby(&format!("failures_to_take_over = 2\nsuccesses_to_hand_back = 2\n{}", check_nrpe(nrpe.port)));
    standby.wait_for("a probe that is well", |failover| failover.probes[0].state.as_deref() == Some("OK"));

    master.kill();
    let killed = Instant::now();
    let failover = standby.wait_for_state("active");
    let bound = 2 * Duration::from_secs(2) + Duration::from_secs(2);
    assert!(killed.elapsed() < bound, "{:?}", killed.elapsed());
    assert!(failover.why.contains("probes"), "{}", failover.why);
    standby.core.wait_for(true);

    master.start();
    standby.wait_for_state("standby");
    standby.core.wait_for(false);

    nrpe.kill();
    standby.wait_for_state("active");
    standby.core.wait_for(true);
    let failover = standby.failover();
    assert!(failover.waits_for.is_some() && failover.probes[0].output.contains("onnect"), "{failover:?}");
}
