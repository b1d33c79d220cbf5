//! A standby's core is given what the master's core remembers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use book::Book;
use book::handover::{Action, Handover, Outcome, Settings};
use book::inherit::{Inheritance, inherit, is_taken};
use nagios::memory::{Acknowledgement, States};
use nagios::retention::{PartialFile, rewrite};
use nagios::{Memory, ModeCommand, Object, StateType, Timestamp};
use nix::sys::signal::Signal;

use crate::core::{Core, FLAVOUR, host, now, object, wait_for};

/// Gives `core` what it inherits from `book` and enables its notifications, as a daemon would.
pub(crate) fn hand_over(core: &Core, book: &Book) -> Outcome {
    let program_start = Timestamp::from_seconds(core.picture().unwrap().program_start);
    let settings = Settings {
        flavour: FLAVOUR,
        program_start: Some(program_start),
        save_interval: Some(Duration::from_secs(3600)),
        status_interval: Duration::from_secs(10),
        enables: true,
        latest: None,
    };
    let clock = || Timestamp::from(SystemTime::now());
    let mut handover = Handover::new(settings, clock());
    let mut given = BTreeMap::new();
    let mut outcome = None;
    wait_for("the handover", || {
        while let Some(action) = handover.poll_action() {
            match action {
                Action::Place => {
                    let mut file = PartialFile::new(FLAVOUR);
                    given = patches(core, book, &mut file);
                    let placed = core.retention().replace(&file.into_bytes());
                    handover.handle_placed(placed.is_ok(), clock());
                }
                Action::Issue(commands) => {
                    core.write(&lines(commands));
                    handover.handle_issued(clock());
                }
                Action::Withdraw => panic!("the core takes commands"),
                Action::PutBack => assert!(!core.retention().put_back().unwrap(), "the core has saved"),
                Action::Finish(how) => outcome = Some(how),
            }
        }
        if !core.retention().is_ours().unwrap() {
            handover.handle_saved();
        }
        let picture = core.picture().unwrap();
        let shown = given.iter().all(|(object, memory): (&Object, &Memory)| {
            picture.book.entry(object).is_some_and(|own| is_taken(memory, &own.memory))
        });
        handover.handle_status(Timestamp::from_seconds(picture.created), shown);
        handover.handle_timeout(clock());
        outcome.is_some()
    });
    outcome.unwrap()
}

fn lines(commands: &[ModeCommand]) -> Vec<u8> {
    let mut lines = Vec::new();
    commands.iter().for_each(|command| command.encode(Timestamp::from_seconds(now()), &mut lines));
    lines
}

fn patches(core: &Core, book: &Book, file: &mut PartialFile) -> BTreeMap<Object, Memory> {
    let own = core.picture().unwrap().book;
    let mut given = BTreeMap::new();
    for (object, entry) in book.entries() {
        if let Inheritance::Patch(patch) = inherit(&entry.memory, &own.entry(object).unwrap().memory) {
            file.push(object, &patch);
            given.insert(object.clone(), patch.memory);
        }
    }
    given
}

/// A core that has saved once has a retention file.
fn save(core: &Core) {
    core.command("SAVE_STATE_INFORMATION");
    wait_for("the retention file", || core.path("retention.dat").exists());
}

/// A master that has notified of a problem, a standby that has the same result, and when that was.
fn after_a_problem() -> (Core, Core, i64) {
    let (master, standby, time) = (Core::master(), Core::standby(), now());
    for core in [&master, &standby] {
        core.result("once", 2, time);
        core.shows_result("once", 2, time);
    }
    assert_eq!((master.notified("once"), standby.notified("once")), (vec!["CRITICAL".to_owned()], vec![]));
    save(&standby);
    (master, standby, time)
}

/// What FACTS say, without which the other tests would show nothing.
#[test]
fn a_core_that_inherits_nothing_notifies_again() {
    let (_, standby, time) = after_a_problem();
    standby.command("ENABLE_NOTIFICATIONS");
    standby.result("once", 2, time + 1);
    standby.shows_result("once", 2, time + 1);
    wait_for("the second notification", || standby.notified("once") == ["CRITICAL"]);
}

#[test]
fn no_problem_is_notified_twice_and_the_recovery_is() {
    let (master, standby, time) = after_a_problem();
    master.command("ACKNOWLEDGE_SVC_PROBLEM;web;once;2;0;0;joe;mine");
    let picture = master.shows("it", |book| book.entry(&object("once")).unwrap().memory.acknowledgement.is_some());
    assert_eq!(hand_over(&standby, &picture.book), Outcome::Confirmed);
    let inherited = standby.picture().unwrap().entry("once").memory.clone();
    assert_eq!((inherited.notifications, inherited.notified_on), (1, States::only(2)));
    assert_eq!(inherited.acknowledgement, Some(Acknowledgement::Sticky));
    let noted = picture.entry("once").memory.clone();
    assert_eq!(inherited.last_notification, noted.last_notification);
    assert_eq!(inherited.next_notification, noted.next_notification, "the core computes it");

    standby.result("once", 2, time + 1);
    standby.shows_result("once", 2, time + 1);
    standby.result("once", 0, time + 2);
    wait_for("the recovery", || standby.notified("once") == ["OK"]);
    let full = fs::read_to_string(standby.path("retention.dat")).unwrap();
    assert!(
        full.contains("\nprogram {\n") && full.contains("\nservice_description=other\n"),
        "the core's own file is back"
    );
    assert_eq!(
        fs::read_dir(standby.path(""))
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().contains("understudy") })
            .count(),
        0,
        "and nothing of ours is left"
    );
}

#[test]
fn hosts_inherit_too() {
    let (master, standby, time) = (Core::master(), Core::standby(), now());
    for core in [&master, &standby] {
        core.host_result(1, time);
        core.shows_result_of(&host(), 1, time);
    }
    assert_eq!((master.notified_of_host(), standby.notified_of_host()), (vec!["DOWN".to_owned()], vec![]));
    save(&standby);
    assert_eq!(hand_over(&standby, &master.picture().unwrap().book), Outcome::Confirmed);
    let entry = standby.picture().unwrap().book.entry(&host()).unwrap().clone();
    assert_eq!((entry.memory.notifications, entry.memory.notified_on), (1, States::only(1)));
    standby.host_result(1, time + 1);
    standby.shows_result_of(&host(), 1, time + 1);
    standby.host_result(0, time + 2);
    wait_for("the recovery", || standby.notified_of_host() == ["UP"]);
}

/// A standby that was started late has counted fewer attempts.
#[test]
fn attempts_go_over_and_comments_are_not_read_twice() {
    let (master, standby, time) = (Core::master(), Core::standby(), now());
    for attempt in 0..3 {
        master.result("slow", 1, time + attempt);
    }
    standby.result("slow", 1, time + 2);
    standby.command("ADD_SVC_COMMENT;web;slow;1;joe;made here");
    let picture = master.shows_result("slow", 1, time + 2);
    let own = standby.shows("the comment", |book| book.entry(&object("slow")).unwrap().comments.len() == 1);
    assert_eq!((picture.entry("slow").memory.attempt, own.entry("slow").memory.attempt), (3, 1));
    save(&standby);
    assert_eq!(hand_over(&standby, &picture.book), Outcome::Confirmed);
    let after = standby.picture().unwrap();
    assert_eq!((after.entry("slow").memory.attempt, after.entry("slow").memory.state_type), (3, StateType::Soft));
    assert_eq!(after.entry("slow").comments.len(), 1);
    standby.result("slow", 1, time + 3);
    standby.result("slow", 1, time + 4);
    wait_for("the notification of the fifth attempt", || standby.notified("slow") == ["WARNING"]);
}

/// The master fell between the result that all is well and its notification.
#[test]
fn an_owed_recovery_is_sent_late() {
    let (master, standby, time) = after_a_problem();
    let picture = master.shows_result("once", 2, time);
    standby.result("once", 0, time + 1);
    let own = standby.shows_result("once", 0, time + 1);
    let inheritance = inherit(&picture.entry("once").memory, &own.entry("once").memory);
    let Inheritance::RecoveryOwed(patch) = inheritance else { panic!("{inheritance:?}") };
    let mut file = PartialFile::new(FLAVOUR);
    file.push(&object("once"), &patch);
    standby.retention().replace(&file.into_bytes()).unwrap();
    use ModeCommand::{EnableNotifications, ReadStateInformation, SaveStateInformation};
    standby.write(&lines(&[ReadStateInformation, SaveStateInformation, EnableNotifications]));
    wait_for("the core to save", || !standby.retention().is_ours().unwrap());
    standby.retention().put_back().unwrap();
    standby.result("once", 0, time + 1);
    wait_for("the recovery", || standby.notified("once") == ["OK"]);
}

#[test]
fn a_stopped_core_inherits_through_its_full_file() {
    let (master, mut standby, time) = after_a_problem();
    let picture = master.shows_result("once", 2, time);
    standby.stop(Signal::SIGTERM);
    let mut full = Vec::new();
    rewrite(File::open(standby.path("retention.dat")).unwrap(), &mut full, |object, own| {
        match inherit(&picture.book.entry(object)?.memory, own) {
            Inheritance::Patch(patch) => Some(patch),
            Inheritance::Nothing | Inheritance::Behind | Inheritance::RecoveryOwed(_) => None,
        }
    })
    .unwrap();
    fs::write(standby.path("retention.dat"), full).unwrap();
    standby.start();
    standby.command("ENABLE_NOTIFICATIONS");
    standby.result("once", 2, time + 1);
    standby.shows_result("once", 2, time + 1);
    standby.result("once", 0, time + 2);
    wait_for("the recovery", || standby.notified("once") == ["OK"]);
}
