//! Documents and their text, side by side in `status/`; and what is worth a warning.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use control::Status;
use control::status::{Destination, Failover, Hold, LastError, Queue, Receiver, ReceiverSession, Sender, SessionKind};

const GOLDEN: [(&str, &str); 4] = [
    (include_str!("status/master.json"), include_str!("status/master.txt")),
    (include_str!("status/standby.json"), include_str!("status/standby.txt")),
    (include_str!("status/trouble.json"), include_str!("status/trouble.txt")),
    (include_str!("status/active.json"), include_str!("status/active.txt")),
];

fn read(json: &str) -> Status {
    serde_json::from_str(json).unwrap()
}

#[test]
fn documents_are_shown_as_their_text() {
    for (json, text) in GOLDEN {
        let shown = read(json).judged().to_text();
        assert_eq!(shown, text, "\n{shown}");
    }
}

#[test]
fn lines_have_at_most_100_columns_and_no_control_character() {
    for (json, _) in GOLDEN {
        let shown = read(json).judged().to_text();
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown}");
    }
}

/// Nothing is left out and nothing renamed: who reads the document relies on the names.
#[test]
fn documents_survive_being_written_again() {
    for (json, _) in &GOLDEN[..2] {
        assert_eq!(serde_json::to_string_pretty(&read(json)).unwrap(), json.trim_end());
    }
}

#[test]
fn an_older_or_newer_document_is_shown_as_far_as_it_is_known() {
    let status = read("{\"node\":\"old\",\"sender\":{},\"not_yet_invented\":[1]}").judged();
    assert!(status.to_text().starts_with("OK: old: nothing to look at\n"), "{}", status.to_text());
}

#[test]
fn a_crowd_of_classic_clients_is_counted() {
    let mut sessions = vec![ReceiverSession { address: "192.0.2.7:1".into(), ..ReceiverSession::default() }; 1000];
    sessions.push(ReceiverSession { session: SessionKind::Sealed, node: Some("master".into()), ..Default::default() });
    let text = Status { receiver: Some(Receiver { sessions, ..Receiver::default() }), ..Status::default() }.to_text();
    assert!(
        text.contains("from         master") && text.contains("from         992 more in classic sessions"),
        "{text}"
    );
    assert!(text.lines().count() < 50, "{text}");
}

/// The warnings of a sender with one destination, which is sealed and well but for `change`.
fn warnings(change: impl FnOnce(&mut Sender)) -> Vec<String> {
    let destination =
        Destination { name: "standby".into(), session: Some(SessionKind::Sealed), ..Destination::default() };
    let mut sender = Sender { destinations: vec![destination], ..Sender::default() };
    change(&mut sender);
    Status { sender: Some(sender), ..Status::default() }.judged().warnings
}

#[test]
fn only_what_is_so_now_is_worth_a_warning() {
    let failed = || Some(LastError { message: "reset".into(), age_seconds: Some(7) });
    assert_eq!(warnings(|_| ()), [""; 0]);
    assert_eq!(warnings(|sender| sender.destinations[0].session = None), [""; 0], "a classic link rests");
    assert_eq!(warnings(|sender| sender.destinations[0].last_error = failed()), [""; 0], "there is a session again");
    assert_eq!(warnings(|sender| sender.spool.superseded = 1), [""; 0], "that is over");
    assert_eq!(warnings(|sender| sender.destinations[0].oldest_waiting_seconds = Some(59)), [""; 0]);
    assert_eq!(warnings(|sender| sender.destinations[0].clock_offset_ms = Some(-999)), [""; 0]);
    let nearly = |bytes| warnings(|sender| sender.spool = Queue { bytes, max_bytes: 100, ..Queue::default() });
    assert_eq!(nearly(79), [""; 0]);

    let of =
        |warnings: Vec<String>, says: &str| assert!(warnings.len() == 1 && warnings[0].contains(says), "{warnings:?}");
    of(nearly(80), "nearly full");
    of(warnings(|sender| sender.spool.trouble = Some("disk full".into())), "takes no results: disk full");
    of(warnings(|sender| sender.destinations[0].oldest_waiting_seconds = Some(60)), "slow");
    of(warnings(|sender| sender.destinations[0].clock_offset_ms = Some(1000)), "1.0 s ahead");
    of(
        warnings(|sender| (sender.destinations[0].session, sender.destinations[0].last_error) = (None, failed())),
        "nothing reaches \"standby\"",
    );
}

#[test]
fn a_receiver_warns_of_a_core_that_takes_nothing_and_of_clocks() {
    let session = ReceiverSession { node: Some("master".into()), clock_offset_ms: Some(2000), ..Default::default() };
    let receiver =
        Receiver { waiting: Some(5), oldest_waiting_seconds: Some(60), sessions: vec![session], ..Receiver::default() };
    let warnings = Status { receiver: Some(receiver), ..Status::default() }.judged().warnings;
    assert!(warnings[0].contains("5 results waiting for the core, the oldest for 1 min"), "{warnings:?}");
    assert!(warnings[1].contains("\"master\" is 2.0 s ahead"), "{warnings:?}");
}

#[test]
fn a_failover_warns_of_what_is_not_as_usual() {
    let warnings = |change: fn(&mut Failover)| {
        let (role, state) = ("standby".to_owned(), "standby".to_owned());
        let core = "running".to_owned();
        let mut failover = Failover { role, state, core, in_force: true, state_seconds: 60, ..Failover::default() };
        change(&mut failover);
        Status { uptime_seconds: 60, failover: Some(failover), ..Status::default() }.judged().warnings
    };
    assert_eq!(warnings(|_| ()), Vec::<String>::new());
    assert!(warnings(|f| f.state = "active".into())[0].contains("active for 1 min"));
    assert!(warnings(|f| f.role = "master".into())[0].contains("standing by"));
    assert!(warnings(|f| f.hold = Some(Hold { reason: "work".into(), seconds: 1 }))[0].contains("work"));
    assert!(warnings(|f| f.in_force = false)[0].contains("not known to be off"));
    assert!(warnings(|f| (f.in_force, f.state_seconds) = (false, 5)).is_empty(), "it takes a moment");
    assert!(warnings(|f| (f.state, f.core) = ("active".into(), "gone".into()))[1].contains("nobody notifies"));
    assert!(warnings(|f| f.trouble = Some("full".into()))[0].contains("cannot be switched: full"));
}
