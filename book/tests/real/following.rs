//! The book follows a real core.

use nagios::log::{LogEvent, LogFollower};
use nagios::memory::{Acknowledgement, States};
use nagios::status::StatusReader;
use nix::sys::signal::Signal;

use crate::core::{Core, now, object, wait_for};

/// What a status file says of an object is what the retention file of the same core says.
#[test]
fn both_files_tell_the_same_memory() {
    let core = Core::master();
    let time = now();
    core.result("once", 2, time);
    core.result("slow", 1, time);
    core.result("slow", 1, time + 1);
    core.shows_result("slow", 1, time + 1);
    core.command("ACKNOWLEDGE_SVC_PROBLEM;web;once;2;0;1;joe;mine");
    core.command("DISABLE_SVC_NOTIFICATIONS;web;other");
    core.command("ADD_SVC_COMMENT;web;other;1;joe;a; b");
    core.command("SAVE_STATE_INFORMATION");
    let picture = core.shows("the comment", |book| !book.entry(&object("other")).unwrap().comments.is_empty());

    let once = &picture.entry("once").memory;
    assert_eq!((once.notified_on, once.notifications), (States::only(2), 1));
    assert_eq!(once.acknowledgement, Some(Acknowledgement::Sticky));
    assert_eq!((picture.entry("slow").memory.attempt, picture.entry("slow").memory.notifications), (2, 0));
    assert_eq!(picture.entry("other").comments[0].text.as_bytes(), b"a; b");
    assert_eq!(picture.entry("other").memory.modified.bits(), 1);

    wait_for("the retention file", || core.path("retention.dat").exists());
    let file = std::fs::File::open(core.path("retention.dat")).unwrap();
    let (mut reader, mut compared) = (StatusReader::new(file), 0);
    while let Some(block) = reader.next_block().unwrap() {
        let Some(mut memory) = block.memory() else { continue };
        let shown = &picture.book.entry(&block.object().unwrap()).unwrap().memory;
        // What only the status file tells.
        (memory.next_notification, memory.downtime_depth) = (shown.next_notification, shown.downtime_depth);
        assert_eq!(memory, *shown);
        compared += 1;
    }
    assert_eq!(compared, 4);
}

/// The log tells of a notification before the status file does, and goes on after the core was killed.
#[test]
fn the_log_tells_what_the_status_file_does_not_show_yet() {
    let mut core = Core::master();
    let mut book = core.picture().unwrap().book;
    let mut follower = LogFollower::from_end(core.path("nagios.log"));
    let (mut told, mut starts) = (Vec::new(), 0);
    let mut poll = |wanted: usize| {
        wait_for("the notification", || {
            let mut take = |line: &[u8]| match LogEvent::parse(line) {
                Some(LogEvent::Notification(notification)) => {
                    book.handle_notification(&notification);
                    told.push((notification.object.to_string(), notification.state));
                }
                Some(LogEvent::Started { .. }) => starts += 1,
                None => {}
            };
            while follower.poll(&mut take).unwrap() {}
            told.len() >= wanted
        });
    };
    let time = now();
    core.result("once", 2, time);
    poll(1);
    core.shows_result("once", 2, time);
    core.command("SAVE_STATE_INFORMATION");
    wait_for("the retention file", || core.path("retention.dat").exists());
    core.stop(Signal::SIGKILL);
    core.start();
    core.result("once", 0, time + 1);
    poll(2);
    assert_eq!(told, [("web;once".to_owned(), 2), ("web;once".to_owned(), 0)]);
    assert_eq!(starts, 1);
    let memory = &book.entry(&object("once")).unwrap().memory;
    assert_eq!((memory.notifications, memory.notified_on), (0, States::default()));
}
