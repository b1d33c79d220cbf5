//! The daemon is killed in each state, held or not: the next one has the right role and flags in the end.

use std::fs;

use control::status::Failover;
use tempfile::TempDir;

use crate::SOON;
use crate::node::Node;
use crate::support::wait::until_within;

/// A standby whose probe and witness succeed while there are files.
struct Watching {
    node: Node,
    files: TempDir,
}

#[test]
fn a_daemon_that_is_killed_in_each_state() {
    at_once(&[standby, suspect, active, handing_back]);
}

#[test]
fn a_daemon_that_is_killed_in_each_state_while_it_is_held() {
    at_once(&[held_standby, held_suspect, held_active, held_handing_back]);
}

fn standby() {
    let mut watching = Watching::start();
    watching.kill_and_start();
    watching.master_is(false);
    watching.is("active", true);
}

fn suspect() {
    let mut watching = Watching::start();
    watching.gateway_is(false);
    watching.master_is(false);
    watching.is("suspect", false);
    watching.kill_and_start();
    watching.is("suspect", false);
    watching.look_again();
    watching.is("suspect", false);
    watching.gateway_is(true);
    watching.is("active", true);
}

fn active() {
    let mut watching = Watching::start();
    watching.master_is(false);
    watching.is("active", true);
    watching.node.kill();
    // Its core comes back silent, as it is configured, while nobody watches it.
    watching.node.core.kill();
    watching.node.core.start_again();
    watching.node.core.wait_for(false);
    watching.node.start();
    assert_eq!(watching.node.failover().state, "active", "it stays on stage until the master is proven to live");
    watching.is("active", true);
    watching.master_is(true);
    watching.is("standby", false);
}

fn handing_back() {
    let mut watching = Watching::start();
    watching.master_is(false);
    watching.is("active", true);
    watching.node.core.pause();
    watching.master_is(true);
    watching.node.wait_for_state("handing-back");
    let failover = watching.kill_and_start();
    assert_eq!(failover.state, "handing-back", "the core has not shown that it is silent");
    watching.node.core.resume();
    watching.is("standby", false);
}

fn held_standby() {
    let mut watching = Watching::start();
    watching.node.does(&["hold", "let me see"]);
    watching.stays_off_stage_until_released();
}

fn held_suspect() {
    let mut watching = Watching::start();
    watching.gateway_is(false);
    watching.master_is(false);
    watching.node.wait_for_state("suspect");
    watching.node.does(&["hold", "let me see"]);
    watching.gateway_is(true);
    watching.stays_off_stage_until_released();
}

fn held_active() {
    let mut watching = Watching::start();
    watching.master_is(false);
    watching.node.wait_for_state("active");
    watching.node.does(&["hold", "let me see"]);
    watching.master_is(true);
    let failover = watching.kill_and_start();
    assert_eq!((failover.state.as_str(), failover.hold.is_some()), ("active", true));
    watching.look_again();
    watching.is("active", true);
    watching.node.does(&["release"]);
    watching.is("standby", false);
}

fn held_handing_back() {
    let mut watching = Watching::start();
    watching.master_is(false);
    watching.is("active", true);
    watching.node.core.pause();
    watching.node.does(&["hand-back"]);
    let failover = watching.kill_and_start();
    assert_eq!((failover.state.as_str(), failover.hold.is_some()), ("handing-back", true));
    watching.node.core.resume();
    watching.stays_off_stage_until_released();
}

impl Watching {
    fn start() -> Self {
        let files = TempDir::new().unwrap();
        let plugin = |kind: &str, file: &str| {
            let script = format!("cd {}; echo >> looks-{file}; test -e {file}", files.path().display());
            format!("[[failover.{kind}]]\nname = \"{file}\"\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n")
        };
        let node = Node::standby_that_waits(
            "",
            &format!(
                "failures_to_take_over = 2\nsuccesses_to_hand_back = 2\n{}{}",
                plugin("probe", "master"),
                plugin("witness", "gateway")
            ),
        );
        let mut watching = Watching { node, files };
        watching.node.core.start();
        watching.master_is(true);
        watching.gateway_is(true);
        watching.node.start();
        watching.is("standby", false);
        watching
    }

    fn master_is(&self, well: bool) {
        self.put("master", well);
    }

    fn gateway_is(&self, well: bool) {
        self.put("gateway", well);
    }

    fn put(&self, file: &str, there: bool) {
        let path = self.files.path().join(file);
        if there {
            fs::write(path, "").unwrap();
        } else if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }

    /// What the next daemon says first.
    fn kill_and_start(&mut self) -> Failover {
        self.node.kill();
        self.node.start();
        self.node.failover()
    }

    /// Waits until probe and witness were run as often as would do to act.
    fn look_again(&self) {
        let looks = |file: &str| fs::read(self.files.path().join(file)).map_or(0, |bytes| bytes.len());
        for file in ["looks-master", "looks-gateway"] {
            let before = looks(file);
            until_within(SOON, "four looks", || (looks(file) >= before + 4).then_some(()));
        }
    }

    /// Its role, and its flags.
    fn is(&self, state: &str, on: bool) {
        self.node.wait_for(state, |failover| failover.state == state && failover.in_force);
        self.node.core.wait_for(on);
    }

    /// It is held off stage, and the master is about to be gone.
    fn stays_off_stage_until_released(&mut self) {
        self.master_is(false);
        let failover = self.kill_and_start();
        assert!(failover.hold.is_some(), "{failover:?}");
        self.look_again();
        self.is("standby", false);
        self.node.does(&["release"]);
        self.is("active", true);
    }
}

/// Each mostly waits.
fn at_once(cases: &[fn()]) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(*case);
        }
    });
}
