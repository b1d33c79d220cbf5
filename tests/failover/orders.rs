//! The operator's orders.

use std::path::PathBuf;
use std::process::Command;

use crate::SOON;
use crate::node::Node;
use crate::support::process::UNDERSTUDY;
use crate::support::site::run;
use crate::support::standby;
use crate::support::wait::until_within;

#[test]
fn taking_over_and_handing_back_switch_the_core_and_tell_the_operator() {
    let hooks = "on_takeover = [\"/bin/sh\", \"-c\", \"echo $UNDERSTUDY_EVENT $UNDERSTUDY_WHY >> $HOOKS\"]\n\
                 on_hand_back = [\"/bin/sh\", \"-c\", \"echo $UNDERSTUDY_EVENT >> $HOOKS\"]\n";
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told");
    let node = Node::standby(&hooks.replace("$HOOKS", told.to_str().unwrap()));
    node.core.wait_for(false);
    let refused = node.understudy(&["release"]);
    assert!(refused.code == Some(1), "there is nothing to release: {refused:?}");

    let said = node.does(&["takeover", "a new disk for the master"]);
    assert!(said.contains("held"), "{said}");
    node.core.wait_for(true);
    let status = node.status();
    assert!(status.warnings.iter().any(|warning| warning.contains("a new disk")), "{:?}", status.warnings);
    let again = node.understudy(&["takeover"]);
    assert!(again.code == Some(1) && again.err.contains("held already"), "{again:?}");
    let before = node.core.checks();
    until_within(SOON, "an active check", || (node.core.checks() > before).then_some(()));
    node.core.command("PROCESS_SERVICE_CHECK_RESULT;web1;passive;2;a new problem");
    let problem = "PROBLEM/web1/passive/CRITICAL/a new problem";
    until_within(SOON, "a notification", || node.core.notifications().contains(problem).then_some(()));

    node.does(&["hand-back"]);
    node.core.wait_for(false);
    let failover = node.wait_for_state("standby");
    assert!(failover.hold.is_some() && failover.transitions.len() == 3, "{failover:?}");
    let said = until_within(SOON, "both hooks", || {
        std::fs::read_to_string(&told).ok().filter(|text| text.lines().count() == 2)
    });
    assert_eq!(said, "takeover ordered to take over: a new disk for the master\nhand-back\n");
    node.does(&["release"]);
    assert_eq!(node.failover().hold, None);
}

#[test]
fn a_hold_is_broken_by_nothing_but_a_release() {
    let mut node = Node::standby("");
    node.does(&["hold", "let me see"]);
    node.does(&["event", "service", "CRITICAL", "HARD"]);
    assert_eq!(node.failover().state, "standby", "it is held");
    let text = node.does(&["status"]);
    assert!(text.contains("held") && text.contains("let me see"), "{text}");
    node.stop();
    node.start();
    assert_eq!(node.failover().hold.unwrap().reason, "let me see");
    node.does(&["release"]);
}

#[test]
fn a_daemon_without_failover_refuses_orders_and_says_why() {
    let standby = standby::Standby::start(&standby::Options::default());
    let config: PathBuf = standby.directory.path().join("standby.toml");
    let said = run(Command::new(UNDERSTUDY).arg("takeover").arg("--config").arg(config), b"");
    assert!(said.code == Some(1) && said.err.contains("[failover]"), "{said:?}");
}
