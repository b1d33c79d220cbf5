//! A real core is followed. Needs `nagios4` on PATH.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../../book/tests/real/core.rs"]
#[allow(dead_code, reason = "it is the stage of more tests than these")]
mod core;

use std::time::{Duration, Instant};

use chronicle::Chronicle;
use nix::sys::signal::Signal;

use crate::core::{Core, now, object};

/// A notification is known within half a second, long before the status file shows it.
#[test]
fn a_notification_is_known_before_the_status_file_shows_it() {
    let mut core = Core::new("enable_notifications=1\nstatus_update_interval=10\n", &[("once", 1)]);
    let state = tempfile::tempdir().unwrap();
    let chronicle = Chronicle::start(&common::core(core.path("nagios.log").parent().unwrap()), state.path()).unwrap();
    common::until("the first picture", &chronicle, |own| own.created > 0);
    let created = chronicle.read(|own| own.created);
    let notifications = |state| {
        chronicle.read(|own| own.book.entry(&object("once")).map(|e| (e.memory.notifications, e.memory.state)))
            == Some(state)
    };

    core.result("once", 2, now());
    core::wait_for("the core's log", || core.notified("once") == ["CRITICAL"]);
    let logged = Instant::now();
    while !notifications((1, 2)) {
        assert!(logged.elapsed() < Duration::from_millis(500), "it is in the log, and not known");
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("known within {:?}", logged.elapsed());
    assert_eq!(chronicle.read(|own| own.created), created, "the status file was not written in between");

    // A core that was killed, and comes back with nothing: its status file is the truth.
    core.stop(Signal::SIGKILL);
    core.start();
    common::until("the next picture", &chronicle, |own| own.created > created);
    assert!(notifications((0, 0)));
}
