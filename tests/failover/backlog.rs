//! What has passed while the link was cut arrives at a standby that is on stage.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use ocsp::handover::HandOver;

use crate::SOON;
use crate::core::{Core, NOTIFYING};
use crate::linked::{HEARTBEAT, Linked};
use crate::node::Node;
use crate::support::master::handover;
use crate::support::proxy::Weather;
use crate::support::wait::until_within;

/// How many services change their states, and how often each does.
const SERVICES: usize = 60;
const CHANGES: usize = 60;

/// Every third service ends well, one had a problem that the standby has told and has it in the end, one has a new one.
const KINDS: usize = 3;

#[test]
fn nobody_is_notified_of_states_that_passed_meanwhile() {
    let mut standby = Node::standby_at_defaults("", HEARTBEAT);
    standby.core = Core::with_objects(&standby.path("core"), "", &services());
    let linked = Linked::start(standby, NOTIFYING, "");
    let standby = &linked.standby;
    standby.does(&["takeover", "to see the backlog come"]);
    standby.core.wait_for(true);
    for n in (0..SERVICES).filter(|n| n % KINDS == 1) {
        standby.core.command(&format!("PROCESS_SERVICE_CHECK_RESULT;web1;s{n};2;known"));
    }
    let notified = || standby.core.notifications().lines().filter(|line| !line.ends_with("/known")).count();
    let known = SERVICES / KINDS;
    until_within(SOON, "the problems that are known", || {
        (standby.core.notifications().lines().count() == known).then_some(())
    });

    linked.network.set(Weather::Stalled);
    let cut = linked.sessions();
    linked.wait_for("silent");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // An hour of it, in the order in which it happened.
    for change in 0..CHANGES {
        for n in 0..SERVICES {
            let check_time = now - 60 * u64::try_from(CHANGES - change).unwrap();
            linked.master.deliver(&result(n, change, check_time));
        }
    }
    linked.network.reset();
    linked.network.set(Weather::Clear);
    linked.wait_for_session_after(cut);
    until_within(SOON, "the last state of every service", || {
        let status = std::fs::read_to_string(standby.core.status_file()).ok()?;
        (status.matches("plugin_output=in the end").count() == SERVICES).then_some(())
    });
    until_within(SOON, "the new problems", || (notified() >= known).then_some(()));
    let told = standby.core.notifications();
    assert!(told.lines().all(|line| line.ends_with("/known") || line.ends_with("CRITICAL/in the end")), "{told}");
    assert_eq!((told.lines().count(), notified()), (2 * known, known), "{told}");
    assert_eq!(standby.failover().state, "active");
}

/// The result number `change` of a service: now well, now not.
fn result(n: usize, change: usize, check_time: u64) -> HandOver {
    let is_last = change == CHANGES - 1;
    let is_well = if is_last { n.is_multiple_of(KINDS) } else { change % 2 == 1 };
    let output = if is_last { "in the end".into() } else { format!("passed {change}") };
    HandOver {
        code: if is_well { 0 } else { 2 },
        check_time_us: i64::try_from(check_time * 1_000_000).unwrap(),
        ..handover("web1", &format!("s{n}"), &output)
    }
}

fn services() -> String {
    let mut text = String::new();
    for n in 0..SERVICES {
        write!(
            text,
            "define service {{\n host_name web1\n service_description s{n}\n check_command check\n check_interval 1\n \
             retry_interval 1\n max_check_attempts 1\n check_period always\n notification_period always\n \
             notification_interval 0\n contacts somebody\n active_checks_enabled 0\n}}\n"
        )
        .unwrap();
    }
    text
}
