//! What people do on the core in charge is done on the other one, in both directions, once. And what `understudy verify`
//! says of both.

use std::fs::File;
use std::time::Duration;

use book::{Book, Entry};
use nagios::remark::{CommentKind, RemarkText};
use nagios::status::StatusReader;
use nagios::{HostName, Object, ServiceDescription};

use crate::cast::{Actor, Cast, Node};
use crate::clock::now;
use crate::support::wait::until_within;

const SERVICE: &str = "host-00;service-1";

/// How soon it is on the other core: two status files, one on each side, which are written every second, and some more for a
/// machine that does much else.
const SOON: Duration = Duration::from_secs(40);

/// How soon somebody else is in charge.
const IN_CHARGE_WITHIN: Duration = Duration::from_secs(60);

/// What people said of [`SERVICE`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Remarks {
    comments: Vec<String>,
    downtimes: Vec<String>,
    acknowledged: bool,
}

#[test]
fn what_people_do_goes_over_in_both_directions_once() {
    let mut cast = Cast::enter();
    let (start, end) = (now() / 1000 + 5000, now() / 1000 + 6000);
    let downtime = |text: &str| format!("SCHEDULE_SVC_DOWNTIME;{SERVICE};{start};{end};1;0;0;joe;{text}");
    let master = &cast.master.actor;
    command(master, &format!("PROCESS_SERVICE_CHECK_RESULT;{SERVICE};2;down"));
    shows(&cast.standby, "the problem", |entry| entry.memory.state == 2);
    command(master, &format!("ACKNOWLEDGE_SVC_PROBLEM;{SERVICE};2;0;0;joe;mine"));
    for text in ["stays", "ends"] {
        command(master, &format!("ADD_SVC_COMMENT;{SERVICE};1;joe;{text}"));
        command(master, &downtime(text));
    }
    let both = remarks(&["ends", "stays"], &["ends", "stays"], true);
    has(&cast.master, &both);
    has(&cast.standby, &both);

    // The master comes back with all that it had, and the standby has ended some of it.
    command(&cast.master.actor, "SAVE_STATE_INFORMATION");
    has_saved(&cast.master.actor);
    cast.master.actor.kill();
    in_charge(&mut cast, |cast| cast.standby.actor.witness.notifies);
    let shown = entry(&cast.standby).unwrap();
    let standby = &cast.standby.actor;
    let comment = shown.comments.iter().find(|comment| text(&comment.text) == "ends").unwrap();
    let ending = shown.downtimes.iter().find(|downtime| text(&downtime.text) == "ends").unwrap();
    command(standby, &format!("DEL_SVC_COMMENT;{}", comment.id));
    command(standby, &format!("DEL_SVC_DOWNTIME;{}", ending.id));
    command(standby, &format!("REMOVE_SVC_ACKNOWLEDGEMENT;{SERVICE}"));
    command(standby, &format!("ADD_SVC_COMMENT;{SERVICE};1;joe;new"));
    let both = remarks(&["new", "stays"], &["stays"], false);
    has(&cast.standby, &both);

    cast.master.actor.core.start_again();
    has(&cast.master, &both);
    in_charge(&mut cast, |cast| cast.master.actor.witness.notifies);

    // Nothing comes again, whoever is started again.
    cast.master.kill_daemon();
    cast.standby.kill_daemon();
    cast.master.start_daemon();
    cast.standby.start_daemon();
    command(&cast.master.actor, &format!("ADD_SVC_COMMENT;{SERVICE};1;joe;last"));
    let both = remarks(&["last", "new", "stays"], &["stays"], false);
    has(&cast.standby, &both);
    has(&cast.master, &both);
    let made_on_the_standby = entry(&cast.master).unwrap();
    let new = made_on_the_standby.comments.iter().find(|comment| text(&comment.text) == "new").unwrap();
    command(&cast.master.actor, &format!("DEL_SVC_COMMENT;{}", new.id));
    has(&cast.standby, &remarks(&["last", "stays"], &["stays"], false));
}

#[test]
fn verify_says_what_differs_and_who_cannot_be_asked() {
    let cast = Cast::enter();
    let agrees = || {
        let said = cast.standby.ask(&["verify", "--at-once"]);
        (said.code == Some(0)).then_some(said.out)
    };
    let line = until_within(SOON, "both to agree", agrees);
    assert!(line.starts_with("OK: 220 objects agree with the master's book|objects=220;"), "{line}");
    let said = cast.master.ask(&["verify"]);
    assert_eq!((said.code, said.out.starts_with("UNKNOWN: this node's core is the one in charge")), (Some(3), true));

    // Nobody else knows of this.
    command(&cast.standby.actor, &format!("DISABLE_SVC_NOTIFICATIONS;{SERVICE}"));
    let differs = || {
        let said = cast.standby.ask(&["verify", "--at-once"]);
        (said.code == Some(1)).then_some(said.out)
    };
    let text = until_within(SOON, "the difference", differs);
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("WARNING: 1 of 220 objects differ") && first.contains("|objects=220;"), "{first}");
    assert_eq!(lines.collect::<Vec<_>>(), [format!("{SERVICE}: notifications enabled: master yes, here no")]);
    let patient = cast.standby.ask(&["verify"]);
    assert_eq!((patient.code, patient.out.lines().count()), (Some(1), 2), "it lasts: {}", patient.out);

    let resynced = cast.standby.ask(&["resync"]);
    assert_eq!(resynced.code, Some(0), "{}{}", resynced.out, resynced.err);
    let refused = cast.master.ask(&["resync"]);
    assert!(refused.code == Some(1) && refused.err.contains("notif"), "{}{}", refused.out, refused.err);
    let status = cast.standby.status();
    assert!(status.contains("of master: 220 objects") && status.contains("in charge    the other core"), "{status}");
}

fn remarks(comments: &[&str], downtimes: &[&str], acknowledged: bool) -> Remarks {
    let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect();
    Remarks { comments: texts(comments), downtimes: texts(downtimes), acknowledged }
}

/// Waits until the core of `node` has exactly this, and still has in its next status file.
#[track_caller]
fn has(node: &Node, expected: &Remarks) {
    let mut last = None;
    let mut since = None;
    let wait = std::panic::AssertUnwindSafe(|| {
        until_within(SOON, "the remarks", || {
            let (created, book) = picture(node)?;
            last = book.entry(&object()).map(of);
            if last.as_ref() != Some(expected) {
                since = None;
                return None;
            }
            (created > *since.get_or_insert(created)).then_some(())
        });
    });
    if std::panic::catch_unwind(wait).is_err() {
        panic!(
            "{expected:?} is expected on {}, which has {last:?}\n{}\n{}",
            node.actor.name,
            node.status(),
            node.said()
        );
    }
}

fn of(entry: &Entry) -> Remarks {
    let users = entry.comments.iter().filter(|comment| comment.kind == CommentKind::User);
    let mut comments: Vec<String> = users.map(|comment| text(&comment.text)).collect();
    let mut downtimes: Vec<String> = entry.downtimes.iter().map(|downtime| text(&downtime.text)).collect();
    comments.sort();
    downtimes.sort();
    Remarks { comments, downtimes, acknowledged: entry.memory.acknowledgement.is_some() }
}

fn text(text: &RemarkText) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

#[track_caller]
fn shows(node: &Node, what: &str, condition: impl Fn(&Entry) -> bool) {
    until_within(SOON, what, || entry(node).filter(|entry| condition(entry)).map(|_| ()));
}

fn entry(node: &Node) -> Option<Entry> {
    picture(node)?.1.entry(&object()).cloned()
}

fn object() -> Object {
    let (host, service) = SERVICE.split_once(';').unwrap();
    Object::Service(HostName::try_from(host).unwrap(), ServiceDescription::try_from(service).unwrap())
}

/// What the status file of its core shows, and when it was written.
fn picture(node: &Node) -> Option<(i64, Book)> {
    let mut reader = StatusReader::new(File::open(node.actor.core.status_file()).ok()?);
    let (mut created, mut book) = (0, Book::default());
    while let Some(block) = reader.next_block().unwrap() {
        if let Some(info) = block.info_status() {
            created = info.created()?.seconds();
            book.begin_picture(created);
        }
        book.handle_block(&block);
    }
    book.end_picture();
    Some((created, book))
}

fn command(actor: &Actor, command: &str) {
    actor.write(&format!("[{}] {command}\n", now() / 1000));
}

#[track_caller]
fn has_saved(actor: &Actor) {
    until_within(SOON, "its retention file", || {
        let saved = std::fs::read_to_string(actor.core.retention_file()).ok()?;
        (saved.contains("comment_data=stays") && saved.contains("comment=stays")).then_some(())
    });
}

#[track_caller]
fn in_charge(cast: &mut Cast, notifies: impl Fn(&Cast) -> bool) {
    until_within(IN_CHARGE_WITHIN, "the other one to be in charge", || {
        cast.poll();
        notifies(cast).then_some(())
    });
}
