//! A standby that hears the master's heartbeat, and has no probe: what is a failure, how soon that is noticed, and what is none.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::SOON;
use crate::core::NOTIFYING;
use crate::linked::{ENABLE, HEARTBEAT, Linked};
use crate::node::Node;
use crate::support::core::Core;
use crate::support::master::handover;
use crate::support::process::Running;
use crate::support::proxy::{Direction, Weather};
use crate::support::wait::until_within;

/// How long after the master's core was killed the standby's core has its commands.
const KILLED: Duration = Duration::from_secs(5);

/// By default.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// How long after the last sign of life the standby's core has its commands.
const CUT_OFF: Duration = STALE_AFTER.saturating_add(Duration::from_secs(5));

/// How long a core may be away for a new configuration.
const RESTART: Duration = Duration::from_secs(20);

/// A second that is slow.
const SLOW: Duration = Duration::from_secs(2);

/// A `stale_after` that is shorter than by default.
const IMPATIENCE: Duration = Duration::from_secs(2);

/// A pair with all settings as they are by default, that of the cores too.
fn at_defaults() -> Linked {
    const STATUS: &str = "status_update_interval=10\n";
    Linked::start(Node::standby_at_defaults(STATUS, HEARTBEAT), &format!("{NOTIFYING}{STATUS}"), "")
}

/// How long the standby's core has waited for its commands since `began`.
#[track_caller]
fn commanded_after(linked: &Linked, began: Instant) -> Duration {
    until_within(SOON, "commands to notify", || linked.standby.core.log().contains(ENABLE).then(|| began.elapsed()))
}

#[track_caller]
fn a_killed_core_is_noticed(kill: impl FnOnce(&mut Core) -> Running) {
    let mut linked = at_defaults();
    let killed = Instant::now();
    let _left_behind = kill(&mut linked.master.core);
    let after = commanded_after(&linked, killed);
    assert!(after < KILLED, "{after:?}");
    let failover = linked.standby.wait_for_state("active");
    assert_eq!(failover.heartbeat.as_deref(), Some("dead (crash)"));
}

#[test]
fn a_killed_core_is_noticed_within_5_seconds() {
    a_killed_core_is_noticed(Core::kill_main_process);
}

#[test]
fn a_killed_core_whose_worker_reads_on_is_noticed_within_5_seconds() {
    a_killed_core_is_noticed(Core::kill_uncollected);
}

#[test]
fn a_master_that_is_cut_off_is_noticed() {
    let linked = at_defaults();
    linked.network.set(Weather::Swallows(Direction::Up));
    let after = commanded_after(&linked, Instant::now());
    assert!(after < CUT_OFF, "{after:?}");
    assert_eq!(linked.standby.wait_for_state("active").heartbeat.as_deref(), Some("silent"));
}

#[test]
fn a_core_that_restarts_for_a_new_configuration_is_no_failure() {
    let mut linked = at_defaults();
    linked.master.core.stop();
    let stopped = Instant::now();
    linked.wait_for("dead (clean)");
    sleep(RESTART.saturating_sub(stopped.elapsed()));
    linked.master.core.launch();
    linked.wait_for("alive");
    linked.assert_nothing_happened();
}

#[test]
fn a_slow_second_an_upgrade_and_a_daemon_that_is_killed_are_no_failure() {
    let mut linked = at_defaults();
    linked.network.set(Weather::Stalled);
    sleep(SLOW);
    linked.network.set(Weather::Clear);

    let before = linked.sessions();
    linked.master.stop();
    linked.wait_for("said goodbye");
    assert_eq!(before, 1, "the slow second cut no session");
    linked.master.start();
    linked.wait_for_session_after(before);

    let before = linked.sessions();
    linked.master.kill();
    linked.master.start();
    linked.wait_for_session_after(before);
    linked.assert_nothing_happened();
}

/// A pair whose standby misses heartbeats sooner than by default: what follows has to last for longer.
fn impatient() -> Linked {
    let lines = format!("{HEARTBEAT}stale_after = \"{}s\"\n", IMPATIENCE.as_secs());
    Linked::start(Node::standby_at_defaults("", &lines), NOTIFYING, "")
}

/// Results that fill a FIFO, and what reads it.
fn deliver_results(linked: &Linked) {
    for _ in 0..2000 {
        linked.master.deliver(&handover("web1", "passive", &"x".repeat(1000)));
    }
}

/// The standby hears the master for longer than it would miss it.
#[track_caller]
fn hears_on(linked: &Linked) {
    let began = Instant::now();
    while began.elapsed() < 2 * IMPATIENCE {
        let failover = linked.standby.failover();
        assert_eq!(failover.heartbeat.as_deref(), Some("alive"), "{failover:?}");
    }
}

#[test]
fn a_standby_whose_core_takes_nothing_hears_the_master_on() {
    let linked = impatient();
    linked.standby.core.pause();
    deliver_results(&linked);
    until_within(SOON, "results that wait for the core", || {
        linked.standby.status().receiver?.waiting.filter(|waiting| *waiting > 0)
    });
    hears_on(&linked);
    linked.standby.core.resume();
    linked.assert_nothing_happened();
}

#[test]
fn a_standby_whose_disk_is_full_hears_the_master_on() {
    let mut linked = impatient();
    linked.standby.stop();
    linked.standby.start_without_room();
    linked.wait_for("alive");
    deliver_results(&linked);
    linked.standby.daemon.as_ref().expect("it runs").wait_for("the journal takes no results");
    hears_on(&linked);
    linked.assert_nothing_happened();
}

#[test]
fn a_core_that_hangs_has_not_crashed() {
    let linked = Linked::start(Node::standby_at_defaults("", HEARTBEAT), NOTIFYING, "");
    linked.master.core.pause();
    // The status file is stale after three intervals of a second, and five seconds.
    linked.wait_for("there, core unknown");
    linked.master.core.resume();
    linked.wait_for("alive");
    linked.assert_nothing_happened();
}
