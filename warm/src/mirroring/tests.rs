//! Who has the say.

use book::shelf::Heading;
use book::{Activity, Authority};

use super::*;

fn own() -> Own {
    Own { created: 100, ..Own::default() }
}

/// A peer whose core notifies, or not, and may have before.
fn shelf(notifies: bool, has_notified: bool) -> Shelf {
    let heading = Heading { program_start: 1, created: 100, notifies: Some(notifies) };
    let mut shelf = Shelf::default();
    shelf.restore(heading, has_notified.then_some(Activity { since: 1, until: 2 }), true);
    shelf.begin();
    shelf.end();
    shelf
}

#[test]
fn one_of_two_has_the_say_and_never_the_one_that_does_not_notify_over_one_that_does() {
    let standby = Some(Role::Standby);
    let charge = |shelf: &Shelf, authority, is_on_stage, role| charge(&own(), shelf, authority, is_on_stage, role);
    let (loud, silent, never) = (shelf(true, true), shelf(false, true), shelf(false, false));
    for role in [None, Some(Role::Master), standby] {
        assert_eq!(charge(&loud, Authority::Inherit, false, role), Some(Charge::Peer));
        assert_eq!(charge(&silent, Authority::Inherit, false, role), Some(Charge::Peer));
        assert_eq!(charge(&silent, Authority::Nothing, true, role), Some(Charge::Own));
        assert_eq!(charge(&silent, Authority::Nothing, false, role), Some(Charge::Own));
        assert_eq!(charge(&loud, Authority::Inherit, true, role), None, "a core that notifies is left alone");
        assert_eq!(charge(&loud, Authority::Union, true, role), Some(Charge::Own));
        assert_eq!(charge(&loud, Authority::Union, false, role), Some(Charge::Peer));
        assert_eq!(charge(&silent, Authority::Union, false, role), None, "both would do as the other does");
    }
    assert_eq!(charge(&never, Authority::Inherit, false, None), None, "both would do as the other does");
    assert_eq!(charge(&never, Authority::Inherit, false, standby), Some(Charge::Peer));
}

#[test]
fn before_both_have_shown_something_nobody_has_the_say() {
    let role = Some(Role::Standby);
    assert_eq!(charge(&Own::default(), &shelf(true, true), Authority::Inherit, false, role), None);
    assert_eq!(charge(&own(), &Shelf::default(), Authority::Inherit, false, role), None);
}

#[test]
fn by_what_a_peer_said_to_the_daemon_before_this_core_never_has_the_say() {
    let heading = Heading { program_start: 1, created: 100, notifies: Some(false) };
    let mut shelf = Shelf::default();
    shelf.restore(heading, Some(Activity { since: 1, until: 2 }), true);
    assert_eq!(charge(&own(), &shelf, Authority::Nothing, true, Some(Role::Master)), None);
    assert_eq!(charge(&own(), &shelf, Authority::Inherit, false, Some(Role::Standby)), Some(Charge::Peer));
    shelf.begin();
    shelf.end();
    assert_eq!(charge(&own(), &shelf, Authority::Nothing, true, Some(Role::Master)), Some(Charge::Own));
}

#[test]
fn what_was_carried_over_outlives_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("books")).unwrap();
    let peer = NodeName::try_from("m").unwrap();
    let path = carried::path(directory.path(), &peer);
    assert!(carried::read(&path).is_empty());
    let mut book = book::Book::default();
    let object = nagios::Object::Host(nagios::HostName::try_from("a").unwrap());
    book.apply(book::Record::Whole(object.clone(), book::Change::whole(&book::Entry::default()))).unwrap();
    carried::write(&path, &peer, &book).unwrap();
    assert!(carried::read(&path).entry(&object).is_some());
    std::fs::write(&path, "x").unwrap();
    assert!(carried::read(&path).is_empty(), "it is damaged");
}
