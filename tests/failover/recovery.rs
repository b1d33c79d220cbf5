//! What is right in the end, whoever was away meanwhile.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::SOON;
use crate::core::{self, NOTIFYING};
use crate::node::Node;
use crate::support::core::Core;
use crate::support::wait::until_within;

/// Settings of a core that begins with the switches that it had at its end.
const KEEPING: &str = "retain_state_information=1\nuse_retained_program_state=1\n";

/// Its switches in the retention file.
const SWITCHES: [&str; 3] = ["enable_notifications", "active_service_checks_enabled", "active_host_checks_enabled"];

#[test]
fn a_core_that_restarts_is_switched_again_whatever_it_begins_with() {
    let both = format!("{NOTIFYING}{KEEPING}");
    std::thread::scope(|scope| {
        for settings in ["", NOTIFYING, KEEPING, &both] {
            for active in [false, true] {
                scope.spawn(move || restart(settings, active));
            }
        }
    });
}

fn restart(settings: &str, active: bool) {
    let mut node = Node::standby_that_waits(settings, "");
    node.core.start();
    node.start();
    if active {
        node.does(&["takeover"]);
    }
    node.core.wait_for(active);
    for end in [Core::stop, Core::kill] {
        end(&mut node.core);
        node.wait_for("the core's end", |failover| failover.core == "gone");
        node.core.start_again();
        node.core.wait_for(active);
        node.wait_for("what it is to be", |failover| failover.in_force && failover.core == "running");
    }
}

#[test]
fn switches_that_a_core_kept_are_turned_off_before_it_starts() {
    std::thread::scope(|scope| {
        for end in [Core::stop, Core::kill] {
            scope.spawn(move || start_with_what_was_kept(end));
        }
    });
}

fn start_with_what_was_kept(end: fn(&mut Core)) {
    let mut node = Node::standby_that_waits(KEEPING, "");
    node.core.start();
    node.start();
    node.does(&["takeover"]);
    node.core.wait_for(true);
    let file = node.core.retention_file();
    until_within(SOON, "the core's saving", || fs::read_to_string(&file).ok().filter(|kept| are_on(kept)));
    end(&mut node.core);
    node.wait_for("the core's end", |failover| failover.core == "gone");
    let kept = fs::read_to_string(&file).unwrap();
    assert!(are_on(&kept), "an active node's core may begin with them");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();

    node.does(&["hand-back"]);
    let turned_off =
        SWITCHES.iter().fold(kept, |text, switch| text.replacen(&format!("\n{switch}=1"), &format!("\n{switch}=0"), 1));
    until_within(SOON, "the switches off", || (fs::read_to_string(&file).unwrap() == turned_off).then_some(()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
    // So nobody commands the core.
    node.kill();
    node.core.start();
    assert!(node.core.are(&core::SWITCHES, false), "{:?}", node.core.shown());
    assert!(!node.core.log().contains("DISABLE_NOTIFICATIONS"), "{}", node.core.log());
}

/// Whether the core would begin with its switches on.
fn are_on(kept: &str) -> bool {
    SWITCHES.iter().all(|switch| kept.contains(&format!("\n{switch}=1")))
}

#[test]
fn a_core_that_never_ran_before_the_take_over_is_switched_when_it_lives() {
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
