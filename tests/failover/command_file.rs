//! The command file is not what it should be when this node takes over: the operator is told, and the commands wait.

use std::fs;

use crate::node::Node;
use crate::support::core::Core;

#[test]
fn a_core_that_takes_no_commands_is_told_and_waited_for() {
    let mut node = Node::standby_that_waits("check_external_commands=0\n", "");
    node.core.start();
    node.start();
    node.does(&["takeover"]);
    told(&node, "check_external_commands=1");
    node.core.stop();
    node.core.configure("");
    node.core.launch();
    switched(&node);
    let log = node.daemon.as_ref().unwrap().said();
    assert_eq!(log.matches("cannot switch the core").count(), 1, "{log}");
}

#[test]
fn a_command_file_that_was_removed_under_the_core() {
    let mut node = Node::standby("");
    node.core.wait_for(false);
    fs::remove_file(node.core.command_file()).unwrap();
    node.does(&["takeover"]);
    told(&node, "does not exist");
    node.core.stop();
    node.core.launch();
    switched(&node);
}

#[test]
fn a_file_in_place_of_the_command_file() {
    let mut node = Node::standby("");
    node.core.wait_for(false);
    let path = node.core.command_file();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine\n").unwrap();
    node.does(&["takeover"]);
    told(&node, "is not a FIFO: remove it");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n", "nothing is written into it");
    node.core.stop();
    told(&node, "is not a FIFO: remove it");
    fs::remove_file(&path).unwrap();
    node.core.launch();
    switched(&node);
}

#[test]
fn whatever_a_core_that_ended_leaves_of_it() {
    let ends: [fn(&mut Core); 3] = [Core::kill, Core::stop, |core| {
        core.stop();
        fs::remove_file(core.command_file()).unwrap();
    }];
    std::thread::scope(|scope| {
        for end in ends {
            scope.spawn(move || {
                let mut node = Node::standby("");
                node.core.wait_for(false);
                end(&mut node.core);
                node.wait_for("the core's end", |failover| failover.core == "gone");
                let said = node.does(&["takeover"]);
                assert!(said.contains("does not run: start it"), "{said}");
                let warnings = node.status().warnings;
                assert!(warnings.iter().any(|warning| warning.contains("nobody notifies")), "{warnings:?}");
                node.core.launch();
                switched(&node);
            });
        }
    });
}

/// The status says why the core cannot be switched.
#[track_caller]
fn told(node: &Node, reason: &str) {
    node.wait_for(reason, |failover| failover.trouble.as_ref().is_some_and(|trouble| trouble.contains(reason)));
    let warnings = node.status().warnings;
    let of_switching = warnings.iter().find(|warning| warning.contains("cannot be switched"));
    assert!(of_switching.is_some_and(|warning| warning.contains(reason)), "{warnings:?}");
}

/// The core's switches are on, and nothing is wrong any more.
#[track_caller]
fn switched(node: &Node) {
    node.core.wait_for(true);
    node.wait_for("no trouble", |failover| failover.trouble.is_none() && failover.in_force);
}
