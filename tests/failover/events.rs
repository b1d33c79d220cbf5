//! Scenario 1: a real core on the standby watches the master, and its event handlers call `understudy event`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use failover::machine::Flag;
use nix::sys::signal::Signal;

use crate::SOON;
use crate::core::{Core, NOTIFYING};
use crate::node::Node;
use crate::nrpe::PLUGINS;
use crate::support::process::UNDERSTUDY;
use crate::support::wait::until_within;

/// A standby that checks all the time: only its notifications are switched.
const REDUNDANT: &str = "mode = \"redundant\"\n";

/// Its core's settings.
const CHECKING: &str =
    "execute_service_checks=1\nexecute_host_checks=1\nenable_event_handlers=1\nlog_event_handlers=1\n";

/// The longest time that a handler may take beside a daemon that hangs. A core gives it 30 s.
const HANDLED_WITHIN: Duration = Duration::from_secs(15);

/// A standby whose core checks the host and the process of "the master", each of which is as a file says.
struct Site {
    node: Node,
}

impl Site {
    /// Neither core nor daemon run. `check_process` is the command line that checks the process.
    fn new(check_process: Option<String>) -> Self {
        let mut node = Node::standby_that_waits(CHECKING, REDUNDANT);
        let site = |name: &str| node.path(name).display().to_string();
        let by_file = |name: &str| format!("/bin/sh -c 'exit `cat {}`'", site(name));
        let handler = |kind: &str, of: &str| {
            format!(
                "/bin/sh -c 'echo \"{kind} ${of}STATE$ ${of}STATETYPE$: \"`{UNDERSTUDY} event {kind} \"${of}STATE$\" \
                 \"${of}STATETYPE$\" --config {} 2>&1` >> {}'",
                site("understudy.toml"),
                site("told")
            )
        };
        let commands = [
            ("check_host_a", by_file("host")),
            ("check_process", check_process.unwrap_or_else(|| by_file("process"))),
            ("tell_host", handler("host", "HOST")),
            ("tell_process", handler("service", "SERVICE")),
        ];
        let commands: String = commands
            .iter()
            .map(|(name, line)| format!("define command {{\n command_name {name}\n command_line {line}\n}}\n"))
            .collect();
        let common = " check_interval 1\n retry_interval 1\n max_check_attempts 2\n check_period always\n \
                      notification_period always\n notification_interval 0\n contacts somebody\n";
        let objects = format!(
            "{commands}define host {{\n host_name host-a\n address 127.0.0.1\n check_command check_host_a\n \
             event_handler tell_host\n{common}}}\n\
             define service {{\n host_name host-a\n service_description core\n check_command check_process\n \
             event_handler tell_process\n{common}}}\n"
        );
        node.core = Core::with_objects(&node.path("core"), CHECKING, &objects);
        let site = Site { node };
        site.set("host", 0);
        site.set("process", 0);
        site
    }

    /// What a check says from now on.
    fn set(&self, name: &str, code: u8) {
        let new = self.node.path("new");
        std::fs::write(&new, code.to_string()).unwrap();
        std::fs::rename(new, self.node.path(name)).unwrap();
    }

    /// Waits until a handler was called with these words and has ended. What `understudy event` said.
    #[track_caller]
    fn told(&self, words: &str) -> String {
        let file: PathBuf = self.node.path("told");
        until_within(SOON, words, || {
            let told = std::fs::read_to_string(&file).unwrap_or_default();
            told.lines().rev().find_map(|line| line.strip_prefix(words)?.strip_prefix(": ").map(str::to_owned))
        })
    }

    /// Waits until a status file that is written after this call shows notifications on, or off.
    #[track_caller]
    fn shows(&self, notifications: bool) {
        let before = self.node.core.shown().map_or(0, |shown| shown.created);
        until_within(SOON, &format!("notifications {notifications}"), || {
            let shown = self.node.core.shown()?;
            (shown.created > before && shown.flags[&Flag::Notifications] == notifications).then_some(())
        });
        assert!(self.node.core.are(&[Flag::ServiceChecks, Flag::HostChecks], true), "checks are never switched");
    }
}

#[test]
fn a_real_core_s_handlers_feed_the_daemon_and_a_host_that_is_up_is_no_live_core() {
    let directory = tempfile::tempdir().unwrap();
    let mut master = Core::new(&directory.path().join("master"), NOTIFYING);
    master.start();
    let (status_file, main_config) = (master.status_file(), master.main_config());
    let mut site = Site::new(Some(format!(
        "{PLUGINS}/check_nagios -F {} -e 1 -C {}",
        status_file.display(),
        main_config.display()
    )));
    site.node.core.start();
    site.node.start();
    site.shows(false);

    master.kill();
    let soft = site.told("service CRITICAL SOFT");
    assert!(soft.contains("nothing to do"), "{soft}");
    let hard = site.told("service CRITICAL HARD");
    assert!(hard.contains("Active"), "{hard}");
    site.shows(true);
    site.set("host", 2);
    site.told("host DOWN HARD");

    // The documentation's special case: the host is back, and nobody started its core.
    site.set("host", 0);
    let up = site.told("host UP HARD");
    assert!(up.contains("not handed back"), "{up}");
    site.shows(true);
    assert_eq!(site.node.failover().state, "active");

    master.start();
    site.told("service OK HARD");
    site.shows(false);
    let states: Vec<_> =
        site.node.wait_for_state("standby").transitions.into_iter().map(|transition| transition.to).collect();
    assert_eq!(states, ["standby", "handing-back", "active", "suspect"], "once there and back");
}

#[test]
fn without_a_daemon_the_handlers_switch_the_core_and_the_next_daemon_knows() {
    let mut site = Site::new(None);
    site.node.core.start();
    site.shows(false);
    for (code, word) in [(1, "WARNING"), (3, "UNKNOWN")] {
        site.set("process", code);
        let said = site.told(&format!("service {word} HARD"));
        assert!(said.contains("nothing to do"), "{said}");
    }
    site.shows(false);
    site.set("process", 2);
    // From one problem to another it is HARD already; from OK it would be SOFT first.
    let said = site.told("service CRITICAL HARD");
    assert!(said.contains("no daemon answers") && said.contains("ENABLE_NOTIFICATIONS"), "{said}");
    site.shows(true);

    site.set("host", 2);
    site.told("host DOWN HARD");
    site.set("host", 0);
    let up = site.told("host UP HARD");
    assert!(up.contains("nothing written"), "{up}");
    site.shows(true);

    // It would switch the notifications off if it did not know why they are on.
    site.node.start();
    site.node.wait_for_state("active");
    site.node.wait_for("its switches", |failover| failover.in_force);
    site.shows(true);
    site.node.stop();

    site.set("process", 0);
    let said = site.told("service OK HARD");
    assert!(said.contains("DISABLE_NOTIFICATIONS"), "{said}");
    site.shows(false);
    site.node.start();
    // The daemon before it was active, and no daemon was told that the master's core lives.
    site.node.wait_for_state("standby");
    site.node.wait_for("its switches", |failover| failover.in_force);
    site.shows(false);
}

#[test]
fn a_daemon_that_hangs_costs_neither_the_event_nor_the_handler_s_time() {
    let mut node = Node::standby("");
    node.core.wait_for(false);
    node.daemon.as_ref().unwrap().signal(Signal::SIGSTOP);
    let called = Instant::now();
    let said = node.does(&["event", "service", "CRITICAL", "HARD"]);
    assert!(called.elapsed() < HANDLED_WITHIN, "{:?}", called.elapsed());
    assert!(said.contains("has not answered") && said.contains("ENABLE_NOTIFICATIONS"), "{said}");
    node.core.wait_for(true);

    // The daemon that wakes up finds the event in its socket; the one that comes after a watchdog's kill, on the disk.
    node.daemon.as_ref().unwrap().signal(Signal::SIGCONT);
    node.wait_for_state("active");
    node.does(&["event", "service", "OK", "HARD"]);
    node.core.wait_for(false);
    node.daemon.as_ref().unwrap().signal(Signal::SIGSTOP);
    node.does(&["event", "host", "DOWN", "HARD"]);
    node.kill();
    node.start();
    node.wait_for_state("active");
    node.core.wait_for(true);
}

#[test]
fn a_hold_outlives_the_daemon_for_event_handlers_too() {
    let mut node = Node::standby("");
    node.core.wait_for(false);
    node.does(&["hold", "a new disk for the master"]);
    node.stop();
    let refused = node.understudy(&["event", "service", "CRITICAL", "HARD"]);
    assert!(
        refused.code == Some(1) && refused.err.contains("held") && refused.err.contains("a new disk"),
        "{refused:?}"
    );
    assert!(!node.core.log().contains("EXTERNAL COMMAND: ENABLE_NOTIFICATIONS"), "nothing was written");
    node.start();
    assert_eq!(node.failover().state, "standby");
    // What was told meanwhile counts as soon as the node may decide again.
    node.does(&["release"]);
    node.wait_for_state("active");
    node.core.wait_for(true);
}

#[test]
fn words_that_mean_nothing_are_refused_with_a_daemon_and_without() {
    let mut node = Node::standby("");
    let nonsense = |node: &Node| node.understudy(&["event", "host", "SIDEWAYS", "HARD"]);
    let said = nonsense(&node);
    assert!(said.code == Some(64) && said.err.contains("UP"), "{said:?}");
    node.stop();
    let said = nonsense(&node);
    assert!(said.code == Some(64) && said.err.contains("UP"), "{said:?}");
    let refused = node.understudy(&["takeover"]);
    assert!(refused.code == Some(1) && refused.err.contains("is it running"), "{refused:?}");
}
