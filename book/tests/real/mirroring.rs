//! What operators did on the master appears on the standby, once.

use book::mirror::{Charge, Mirror, SETTLE, Sight};
use book::{Book, verify};
use nagios::memory::{Acknowledgement, Switches};
use nix::sys::signal::Signal;

use crate::core::{Core, FLAVOUR, Picture, now, object};

/// Tells `standby` what it lacks until it lacks nothing, and says how many commands that took.
fn settle(mirror: &mut Mirror, master: &Core, standby: &Core) -> usize {
    let mut told = 0;
    let mut latest = master.picture().unwrap().created;
    loop {
        // Pictures of later seconds show what was done before.
        let wanted = after(master, latest);
        let own = after(standby, latest);
        let (created, program_start) = (own.created, own.program_start);
        let sight = Sight { wanted: &wanted.book, shown: &own.book, created, program_start };
        let commands = mirror.handle_sight(sight, Charge::Peer, created);
        if commands.is_empty() {
            return told;
        }
        let mut lines = Vec::new();
        commands.iter().for_each(|command| command.encode(FLAVOUR, &mut lines));
        standby.write(&lines);
        mirror.handle_written(now());
        told += commands.len();
        latest = now() + 1;
    }
}

fn after(core: &Core, time: i64) -> Picture {
    let mut picture = None;
    crate::core::wait_for("a later status file", || {
        picture = core.picture().filter(|picture| picture.created > time);
        picture.is_some()
    });
    picture.unwrap()
}

/// A mirror that has waited for what an earlier one may have told.
fn settled(carried: &Book) -> Mirror {
    Mirror::new(carried.clone(), now() - SETTLE)
}

/// What people said of a service: texts of comments, and of downtimes with the text of what triggers them.
fn remarks(picture: &Picture, service: &str) -> (Vec<String>, Vec<String>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let entry = picture.entry(service);
    let users = entry.comments.iter().filter(|comment| comment.kind == nagios::remark::CommentKind::User);
    let all = picture.book.entries().flat_map(|(_, entry)| &entry.downtimes).collect::<Vec<_>>();
    let trigger = |id| all.iter().find(|other| other.id == id).map_or(String::new(), |it| text(it.text.as_bytes()));
    let downtime = |it: &nagios::Downtime| format!("{}<{}", text(it.text.as_bytes()), trigger(it.triggered_by));
    let mut downtimes: Vec<String> = entry.downtimes.iter().map(downtime).collect();
    downtimes.sort();
    (users.map(|comment| text(comment.text.as_bytes())).collect(), downtimes)
}

#[test]
fn what_operators_do_appears_once_and_goes_again() {
    let (master, mut standby, time) = (Core::master(), Core::standby(), now());
    for core in [&master, &standby] {
        core.result("once", 2, time);
        core.shows_result("once", 2, time);
    }
    // Numbers of both cores are to differ.
    standby.command("ADD_SVC_COMMENT;web;other;1;eve;made here");
    standby.command(&format!("SCHEDULE_SVC_DOWNTIME;web;other;{};{};1;0;0;eve;here", time + 5000, time + 6000));
    master.command("ACKNOWLEDGE_SVC_PROBLEM;web;once;2;0;1;joe;mine; at last");
    master.command("ADD_SVC_COMMENT;web;other;1;joe;first; with more");
    master.command("ADD_SVC_COMMENT;web;other;0;joe;second");
    master.command(&format!("SCHEDULE_SVC_DOWNTIME;web;other;{};{};1;0;0;joe;trigger", time + 1000, time + 2000));
    master.command("DISABLE_SVC_NOTIFICATIONS;web;slow");
    let shown = master.shows("the trigger", |book| book.entry(&object("other")).unwrap().downtimes.len() == 1);
    let id = shown.entry("other").downtimes[0].id;
    master.command(&format!("SCHEDULE_SVC_DOWNTIME;web;slow;{};{};0;{id};60;joe;child", time + 1000, time + 2000));
    master.command(&format!("SCHEDULE_SVC_DOWNTIME;web;slow;{};{};0;0;60;joe;flexible", time + 1000, time + 2000));
    master.shows("the downtimes", |book| book.entry(&object("slow")).unwrap().downtimes.len() == 2);

    let mut mirror = settled(&Book::default());
    assert_eq!(settle(&mut mirror, &master, &standby), 7);
    let picture = standby.picture().unwrap();
    let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected = (texts(&["made here", "first; with more", "second"]), texts(&["here<", "trigger<"]));
    assert_eq!(remarks(&picture, "other"), expected);
    assert_eq!(remarks(&picture, "slow"), (vec![], texts(&["child<trigger", "flexible<"])));
    assert_eq!(picture.entry("once").memory.acknowledgement, Some(Acknowledgement::Sticky));
    assert_eq!(picture.entry("once").comments[0].text.as_bytes(), b"mine; at last");
    assert!(!picture.entry("slow").memory.switches.contains(Switches::NOTIFICATIONS));

    // Again, with and without a memory of what was done.
    assert_eq!(settle(&mut settled(mirror.carried()), &master, &standby), 0, "once is enough");
    assert_eq!(settle(&mut settled(&Book::default()), &master, &standby), 0);
    // A restart takes the comment that is not persistent, and nothing else.
    standby.stop(Signal::SIGTERM);
    standby.start();
    let mut mirror = settled(mirror.carried());
    assert_eq!(settle(&mut mirror, &master, &standby), 1);
    assert_eq!(remarks(&standby.picture().unwrap(), "slow").1, texts(&["child<trigger", "flexible<"]));
    let own = standby.picture().unwrap();
    let memories = own.book.entries().map(|(object, entry)| (object, &entry.memory));
    let report = verify::compare(&master.picture().unwrap().book, memories);
    // Its memory of notifications is not what goes over by command.
    let differing: Vec<_> = report.differing.into_iter().map(|(object, it)| (object, it.aspects)).collect();
    assert_eq!(differing, [(object("once"), vec![verify::Aspect::Notifications])]);

    let wanted = master.picture().unwrap();
    for comment in &wanted.entry("other").comments {
        master.command(&format!("DEL_SVC_COMMENT;{}", comment.id));
    }
    for downtime in wanted.entry("other").downtimes.iter().chain(&wanted.entry("slow").downtimes) {
        master.command(&format!("DEL_SVC_DOWNTIME;{}", downtime.id));
    }
    master.command("REMOVE_SVC_ACKNOWLEDGEMENT;web;once");
    master.command("ENABLE_SVC_NOTIFICATIONS;web;slow");
    master.shows("the end", |book| {
        let slow = book.entry(&object("slow")).unwrap();
        slow.downtimes.is_empty() && slow.memory.switches.contains(Switches::NOTIFICATIONS)
    });
    settle(&mut mirror, &master, &standby);
    let picture = standby.picture().unwrap();
    assert_eq!(remarks(&picture, "other"), (texts(&["made here"]), texts(&["here<"])), "what was made here stays");
    assert_eq!(remarks(&picture, "slow"), (vec![], vec![]));
    assert_eq!(picture.entry("once").memory.acknowledgement, None);
    assert!(picture.entry("slow").memory.switches.contains(Switches::NOTIFICATIONS));
}
