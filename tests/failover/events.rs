//! Scenario 1: event handlers.

use crate::node::Node;

#[test]
fn event_handlers_move_a_standby_with_its_daemon_and_without() {
    let mut node = Node::standby("");
    node.core.wait_for(false);
    for (kind, state, state_type) in
        [("service", "CRITICAL", "SOFT"), ("service", "WARNING", "HARD"), ("service", "UNKNOWN", "HARD")]
    {
        node.does(&["event", kind, state, state_type]);
        assert_eq!(node.failover().state, "standby", "{kind} {state} {state_type}");
    }
    node.does(&["event", "service", "CRITICAL", "HARD"]);
    node.core.wait_for(true);
    node.does(&["event", "service", "OK", "HARD"]);
    node.core.wait_for(false);
    let nonsense = node.understudy(&["event", "host", "SIDEWAYS", "HARD"]);
    assert!(nonsense.code == Some(64) && nonsense.err.contains("UP"), "{nonsense:?}");

    node.stop();
    let said = node.does(&["event", "host", "DOWN", "HARD"]);
    assert!(said.contains("no daemon runs") && said.contains("ENABLE_NOTIFICATIONS"), "{said}");
    node.core.wait_for(true);
    node.does(&["event", "host", "UP", "HARD"]);
    node.core.wait_for(false);
    let refused = node.understudy(&["takeover"]);
    assert!(refused.code == Some(1) && refused.err.contains("is it running"), "{refused:?}");
}
