use super::*;
use nagios::log::LogEvent;
use nagios::status::StatusReader;

fn service(name: &str, fields: &str) -> String {
    format!("servicestatus {{\n\thost_name=web\n\tservice_description={name}\n\thas_been_checked=1\n{fields}\t}}\n")
}

fn critical(number: u32, notified_at: i64) -> String {
    let fields = "\tcurrent_state=2\n\tcurrent_notification_number=";
    service("http", &format!("{fields}{number}\n\tlast_notification={notified_at}\n"))
}

/// Shows a status file to `book`, and its records to `mirror`.
fn show(book: &mut Book, mirror: &mut Book, created: i64, file: &str) -> usize {
    let mut reader = StatusReader::new(file.as_bytes());
    let mut records = Vec::new();
    book.begin_picture(created);
    while let Some(block) = reader.next_block().unwrap() {
        records.extend(book.handle_block(&block));
    }
    records.extend(book.end_picture());
    apply(mirror, records)
}

fn tell(book: &mut Book, mirror: &mut Book, line: &str) -> usize {
    let Some(LogEvent::Notification(told)) = LogEvent::parse(line.as_bytes()) else { panic!("{line}") };
    let record = book.handle_notification(&told);
    apply(mirror, record)
}

fn apply(mirror: &mut Book, records: impl IntoIterator<Item = Record>) -> usize {
    records.into_iter().map(|record| mirror.apply(record).unwrap()).count()
}

fn only(book: &Book) -> &Entry {
    assert_eq!(book.len(), 1);
    book.entries().next().unwrap().1
}

#[test]
fn a_picture_tells_what_is_new_changed_and_gone() {
    let (mut book, mut mirror) = (Book::default(), Book::default());
    let comment =
        "servicecomment {\n\thost_name=web\n\tservice_description=http\n\tcomment_id=1\n\tcomment_data=x\n\t}\n";
    let both = [service("http", ""), service("ftp", ""), comment.to_owned()].concat();
    assert_eq!(show(&mut book, &mut mirror, 1, &both), 3, "two services, and a comment");
    assert_eq!(show(&mut book, &mut mirror, 2, &both), 0, "nothing new");
    assert_eq!(
        show(&mut book, &mut mirror, 3, &[critical(1, 2), comment.to_owned()].concat()),
        2,
        "one changed, one gone"
    );
    assert_eq!(only(&mirror), only(&book));
    assert_eq!((only(&mirror).comments.len(), only(&mirror).memory.notified_on), (1, States::only(2)));
    assert_eq!(show(&mut book, &mut mirror, 4, &critical(1, 2)), 1, "the comment is gone");
    assert!(only(&mirror).comments.is_empty());
}

#[test]
fn an_interrupted_picture_takes_nothing_away() {
    let (mut book, mut mirror) = (Book::default(), Book::default());
    show(&mut book, &mut mirror, 1, &[service("http", ""), service("ftp", "")].concat());
    book.begin_picture(2);
    assert_eq!(show(&mut book, &mut mirror, 3, &[service("http", ""), service("ftp", "")].concat()), 0);
    assert_eq!(book.len(), 2);
}

#[test]
fn a_recovery_while_the_core_is_silent_is_owed_until_it_notifies_again_or_another_problem_begins() {
    let picture =
        |notifies: u8, shown: &str| format!("programstatus {{\n\tenable_notifications={notifies}\n\t}}\n{shown}");
    let (problem, fine) = (critical(3, 90), service("http", "\tcurrent_state=0\n"));
    let owed = |book: &Book| (only(book).memory.notified_on, only(book).memory.notifications);
    let (mut book, mut mirror) = (Book::default(), Book::default());
    show(&mut book, &mut mirror, 100, &picture(1, &problem));
    show(&mut book, &mut mirror, 110, &picture(0, &fine));
    assert_eq!((owed(&book), only(&book).memory.state), ((States::only(2), 3), 0));
    assert_eq!(owed(&mirror), owed(&book));
    assert_eq!(show(&mut book, &mut mirror, 120, &picture(0, &fine)), 0, "it stays so");

    let another = service("http", "\tcurrent_state=2\n");
    let mut later = book.clone();
    show(&mut later, &mut mirror.clone(), 130, &picture(0, &another));
    assert_eq!(owed(&later), (States::default(), 0), "nobody was told of this one");

    let mut told = book.clone();
    tell(&mut told, &mut mirror.clone(), "[109] SERVICE NOTIFICATION: admin;web;http;OK;mail;fine");
    assert_eq!(owed(&told), (States::default(), 0), "before it was silent");

    show(&mut book, &mut mirror, 140, &picture(1, &fine));
    assert_eq!((owed(&book), owed(&mirror)), ((States::default(), 0), (States::default(), 0)));

    show(&mut book, &mut mirror, 150, &picture(1, &problem));
    show(&mut book, &mut mirror, 160, &picture(1, &fine));
    assert_eq!(owed(&book), (States::default(), 0), "it has told");
}

#[test]
fn the_log_is_ahead_of_the_status_file() {
    let (mut book, mut mirror) = (Book::default(), Book::default());
    show(&mut book, &mut mirror, 100, &critical(0, 0));
    let line = "[105] SERVICE NOTIFICATION: admin;web;http;CRITICAL;mail;bad";
    assert_eq!(tell(&mut book, &mut mirror, line), 1);
    assert_eq!((only(&mirror).memory.notifications, only(&mirror).memory.last_notification), (1, 105));
    assert_eq!(tell(&mut book, &mut mirror, &line.replace("admin", "other")), 0, "another contact");
    // Written in the same second, perhaps before.
    assert_eq!(show(&mut book, &mut mirror, 105, &critical(0, 0)), 0);
    assert_eq!(show(&mut book, &mut mirror, 106, &critical(3, 105)), 1, "the file corrects");
    assert_eq!(only(&mirror).memory.notifications, 3);
    assert_eq!(tell(&mut book, &mut mirror, "[107] SERVICE NOTIFICATION: admin;web;http;OK;mail;good"), 1);
    assert_eq!((only(&mirror).memory.notifications, only(&mirror).memory.notified_on), (0, States::default()));
}

#[test]
fn earlier_states_of_a_problem_are_remembered() {
    let (mut book, mut mirror) = (Book::default(), Book::default());
    show(&mut book, &mut mirror, 100, &critical(0, 0));
    tell(&mut book, &mut mirror, "[105] SERVICE NOTIFICATION: admin;web;http;WARNING;mail;bad");
    tell(&mut book, &mut mirror, "[105] SERVICE NOTIFICATION: admin;web;http;CRITICAL;mail;bad");
    assert_eq!(only(&mirror).memory.notifications, 2);
    show(&mut book, &mut mirror, 110, &critical(2, 105));
    assert_eq!(only(&mirror).memory.notified_on, States::only(1).union(States::only(2)));
    show(&mut book, &mut mirror, 120, &service("http", "\tcurrent_state=0\n"));
    assert!(only(&mirror).memory.notified_on.is_empty(), "the problem is over");
}

#[test]
fn what_is_no_number_changes_nothing() {
    let (mut book, mut mirror) = (Book::default(), Book::default());
    show(&mut book, &mut mirror, 100, &critical(1, 90));
    let line = "[105] SERVICE NOTIFICATION: admin;web;http;ACKNOWLEDGEMENT (CRITICAL);mail;bad;joe;mine";
    assert_eq!(tell(&mut book, &mut mirror, line), 0);
    assert_eq!(tell(&mut book, &mut mirror, "[105] HOST NOTIFICATION: admin;unknown;DOWN;mail;bad"), 0);
}

#[test]
fn a_book_can_be_told_as_a_whole() {
    let (mut book, mut mirror) = (Book::default(), Book::default());
    show(&mut book, &mut mirror, 1, &[critical(1, 90), service("ftp", "")].concat());
    let mut another = Book::default();
    assert_eq!(apply(&mut another, book.whole()), 2);
    assert!(another.entries().eq(book.entries()) && mirror.entries().eq(book.entries()));
    let change = Change::whole(only_of(&book));
    let unknown = Record::Changed(book.entries().next().unwrap().0.clone(), change);
    assert_eq!(Book::default().apply(unknown), Err(ApplyError::UnknownObject));
    assert_eq!((book.left_out(), Book::default().is_empty()), (0, true));
}

#[test]
fn what_the_log_told_is_a_state_too() {
    let (mut book, mut mirror) = (Book::default(), Book::default());
    let fine = service("http", "\tcurrent_state=0\n\tstate_type=1\n\tlast_check=95\n");
    let soft = fine.replace("state=0", "state=2").replace("type=1", "type=0");
    let is_told = |book: &Book, last_check| {
        let memory = &only(book).memory;
        let state = (memory.state, memory.last_hard_state, memory.state_type, memory.last_check);
        assert_eq!(state, (2, 2, StateType::Hard, last_check));
        assert_eq!((memory.notifications, memory.notified_on), (1, States::only(2)));
    };
    show(&mut book, &mut mirror, 100, &fine);
    tell(&mut book, &mut mirror, "[105] SERVICE NOTIFICATION: admin;web;http;CRITICAL;mail;bad");
    is_told(&mirror, 95);
    show(&mut book, &mut mirror, 105, &fine);
    is_told(&mirror, 95);
    show(&mut book, &mut mirror, 104, &soft.replace("check=95", "check=101"));
    is_told(&mirror, 101);
    show(&mut book, &mut mirror, 106, &fine.replace("check=95", "check=106"));
    assert_eq!((only(&mirror).memory.state, only(&mirror).memory.notifications), (0, 0), "the file corrects");
}

#[test]
fn a_standby_that_has_the_result_inherits_what_the_log_told() {
    use crate::inherit::{Inheritance, inherit};
    let (mut book, mut mirror) = (Book::default(), Book::default());
    show(&mut book, &mut mirror, 100, &service("http", "\tcurrent_state=0\n\tlast_check=95\n"));
    tell(&mut book, &mut mirror, "[105] SERVICE NOTIFICATION: admin;web;http;CRITICAL;mail;bad");
    let own = Memory { checked: true, state: 2, last_check: 104, ..Memory::default() };
    let Inheritance::Patch(patch) = inherit(&only(&mirror).memory, &own) else { panic!("it is told again") };
    assert_eq!((patch.memory.notified_on, patch.memory.notifications), (States::only(2), 1));
    // The result was lost with the master.
    let own = Memory { state: 0, last_check: 95, ..own };
    let Inheritance::Patch(patch) = inherit(&only(&mirror).memory, &own) else { panic!("no recovery is owed") };
    assert_eq!((patch.memory.state, patch.memory.notified_on), (2, States::only(2)));
}

#[test]
fn what_a_status_file_knows_is_not_counted_again() {
    let (mut book, mut mirror) = (Book::default(), Book::default());
    let fields = "\tcurrent_state=2\n\tlast_time_ok=50\n\tcurrent_notification_number=3\n\tlast_notification=100\n";
    show(&mut book, &mut mirror, 100, &service("http", fields));
    for line in [
        "[40] SERVICE NOTIFICATION: admin;web;http;UNKNOWN;mail;bad",
        "[45] SERVICE NOTIFICATION: admin;web;http;OK;mail;bad",
        "[60] SERVICE NOTIFICATION: admin;web;http;WARNING;mail;bad",
        "[100] SERVICE NOTIFICATION: admin;web;http;CRITICAL;mail;bad",
        "[100] SERVICE NOTIFICATION: other;web;http;CRITICAL;mail;bad",
    ] {
        tell(&mut book, &mut mirror, line);
    }
    let memory = &only(&mirror).memory;
    assert_eq!((memory.notifications, memory.state), (3, 2));
    assert_eq!(memory.notified_on, States::only(1).union(States::only(2)), "of this problem");
}

#[test]
fn the_retention_file_knows_earlier_states_of_the_same_problem() {
    let (mut book, mut mirror) = (Book::default(), Book::default());
    let fields = "\tcurrent_state=2\n\tlast_time_ok=50\n\tcurrent_notification_number=3\n\tlast_notification=90\n";
    show(&mut book, &mut mirror, 100, &service("http", fields));
    let object = book.entries().next().unwrap().0.clone();
    let both = States::only(1).union(States::only(3));
    let saved = |state, fine_at| Memory {
        checked: true,
        state,
        last_times: [fine_at, 0, 0, 0],
        notified_on: both,
        ..Memory::default()
    };
    for (state, fine_at) in [(1, 40), (0, 50)] {
        assert_eq!(book.recall(&object, &saved(state, fine_at)), None, "another problem");
    }
    let record = book.recall(&object, &saved(1, 50));
    assert_eq!(apply(&mut mirror, record), 1);
    assert_eq!(only(&mirror).memory.notified_on, both.union(States::only(2)));
    assert_eq!(only(&mirror), only(&book));
    assert_eq!(book.recall(&object, &saved(1, 50)), None, "once is enough");
}

fn only_of(book: &Book) -> &Entry {
    book.entries().next().unwrap().1
}
