//! A master that comes and goes.

use crate::core::SWITCHES;
use crate::node::Node;
use crate::script::Script;

#[test]
fn a_master_that_flaps_moves_the_standby_a_few_times_only() {
    let probe = Script::new();
    let one = "failures_to_take_over = 1\nsuccesses_to_hand_back = 1\n";
    let standby = Node::standby(&(one.to_owned() + &probe.section("probe", "")));
    standby.wait_for("a probe that is well", |failover| failover.probes[0].state.as_deref() == Some("OK"));
    standby.core.wait_for(false);

    // The first time is nothing special: as soon as the master is well, it has the stage again.
    probe.says("2");
    standby.wait_for_state("active");
    probe.says("0");
    standby.wait_for_state("standby");

    // From the second time on the standby stays for minutes, whatever the master does.
    probe.says("2");
    let transitions = standby.wait_for_state("active").transitions;
    for answer in ["0", "2", "0", "2", "0", "2", "0"] {
        probe.says(answer);
        probe.wait_for_runs(2);
    }
    let failover = standby.failover();
    assert_eq!((failover.state.as_str(), failover.transitions.len()), ("active", transitions.len()), "{failover:?}");
    assert!(failover.waits_for.as_ref().unwrap().contains("too often"), "{failover:?}");
    assert!(standby.core.are(&SWITCHES, true));
    let whole_story = ["suspect", "active", "handing-back", "standby", "suspect", "active"];
    let seen: Vec<_> = failover.transitions.iter().rev().map(|transition| transition.to.as_str()).collect();
    assert_eq!(seen, whole_story);

    // The operator knows better.
    standby.does(&["hand-back"]);
    standby.wait_for_state("standby");
    standby.core.wait_for(false);
}
