//! What is known of a core that is two files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use book::{Activity, Shelf};
use chronicle::{Chronicle, Part};

use common::{Site, memory, object, service, tell, told, until};

const NOTIFIES: &str = "\tprogram_start=50\n\tenable_notifications=1\n";
const FINE: &str = "\tcurrent_state=0\n\tlast_check=90\n";
const BAD: &str =
    "\tcurrent_state=2\n\tlast_check=95\n\tlast_time_ok=80\n\tcurrent_notification_number=1\n\tlast_notification=95\n";

#[test]
fn the_log_is_ahead_of_the_status_file() {
    let site = Site::new();
    site.show(100, NOTIFIES, &[service("a", FINE), service("b", BAD)].concat());
    let chronicle = site.start();
    until("the status file is read", &chronicle, |own| own.created == 100);
    chronicle.read(|own| {
        assert_eq!((own.program_start, own.notifies), (50, Some(true)));
        assert_eq!(own.activity, Some(Activity { since: 100, until: 100 }));
        assert_eq!(told(own, "b", 2), (1, true));
    });
    site.notify(105, "a", "CRITICAL");
    until("the notification is known", &chronicle, |own| told(own, "a", 2) == (1, true));
    assert_eq!(chronicle.read(|own| memory(own, "a").state), 2);
    site.show(110, NOTIFIES, &[service("a", BAD), service("b", FINE)].concat());
    until("the next status file is read", &chronicle, |own| own.created == 110);
    assert_eq!(chronicle.read(|own| (told(own, "a", 2), told(own, "b", 2))), ((1, true), (0, false)));
    assert_eq!(chronicle.pictures().borrow().number, 2);
}

#[test]
fn a_peer_is_told_everything_once_and_then_what_changes() {
    let site = Site::new();
    let chronicle = site.start();
    let subscription = chronicle.subscribe();
    assert_eq!(subscription.poll(), None, "an empty book is no news");
    site.show(100, NOTIFIES, &[service("a", FINE), service("b", FINE)].concat());
    until("the status file is read", &chronicle, |own| own.created == 100);
    let mut peer = Shelf::default();
    assert_eq!(tell(&subscription, &mut peer), [Part::Begin, Part::End]);
    let knows_all =
        |peer: &Shelf| chronicle.read(|own| peer.is_whole() && peer.book().entries().eq(own.book.entries()));
    assert!(knows_all(&peer));

    site.notify(105, "a", "CRITICAL");
    until("the notification is known", &chronicle, |own| told(own, "a", 2) == (1, true));
    assert_eq!(tell(&subscription, &mut peer), [], "the heading is the same");
    assert!(knows_all(&peer));

    site.show(110, NOTIFIES, &service("a", BAD));
    until("the next status file is read", &chronicle, |own| own.created == 110);
    assert_eq!(tell(&subscription, &mut peer), [Part::News]);
    assert!(knows_all(&peer));
    assert_eq!((peer.heading().created, peer.book().len()), (110, 1));
    assert_eq!(tell(&subscription, &mut peer), []);

    subscription.restart();
    let mut other = Shelf::default();
    assert_eq!(tell(&subscription, &mut other), [Part::Begin, Part::End]);
    assert!(knows_all(&other));
}

#[tokio::test]
async fn a_peer_hears_of_news_at_once() {
    let site = Site::new();
    site.show(100, NOTIFIES, &service("a", FINE));
    let chronicle = site.start();
    until("the status file is read", &chronicle, |own| own.created == 100);
    let (subscription, mut peer) = (chronicle.subscribe(), Shelf::default());
    subscription.changed().await;
    tell(&subscription, &mut peer);
    // What was known before may have left a word.
    while tokio::time::timeout(Duration::from_millis(1), subscription.changed()).await.is_ok() {}
    site.notify(105, "a", "CRITICAL");
    tokio::time::timeout(Duration::from_secs(10), subscription.changed()).await.unwrap();
    tell(&subscription, &mut peer);
    assert_eq!(peer.book().entry(&object("a")).unwrap().memory.notifications, 1);

    let mut pictures = chronicle.pictures();
    pictures.mark_unchanged();
    drop((chronicle, subscription));
    assert!(pictures.changed().await.is_err(), "the thread has ended");
}

#[test]
fn what_was_logged_while_nobody_followed_is_known_and_not_counted_twice() {
    let site = Site::new();
    site.notify(85, "a", "WARNING");
    site.notify(95, "a", "CRITICAL");
    site.show(100, NOTIFIES, &[service("a", BAD), service("b", FINE)].concat());
    let chronicle = site.start();
    let both = |chronicle: &Chronicle| chronicle.read(|own| (told(own, "a", 1), told(own, "a", 2)));
    until("the log is read", &chronicle, |own| told(own, "a", 1).1);
    assert_eq!(both(&chronicle), ((1, true), (1, true)), "what the file counts is not counted again");
    drop(chronicle);

    site.notify(97, "a", "UNKNOWN");
    site.rotate("yesterday");
    site.notify(105, "b", "CRITICAL");
    let chronicle = site.start();
    until("the logs are read", &chronicle, |own| told(own, "b", 2) == (1, true));
    assert_eq!(both(&chronicle), ((1, false), (1, true)), "of an old log, what was read is not read again");
    assert_eq!(chronicle.read(|own| told(own, "a", 3)), (1, true), "what came later is");
    assert_eq!(chronicle.read(|own| own.activity), Some(Activity { since: 100, until: 100 }));
    site.rotate("today");
    site.notify(106, "b", "WARNING");
    until("the next log is read", &chronicle, |own| told(own, "b", 1) == (2, true));
}

#[test]
fn what_the_core_saved_of_a_problem_that_lasts_is_known() {
    let site = Site::new();
    let saved = "info {\ncreated=90\n}\nservice {\nhost_name=web\nservice_description=a\nhas_been_checked=1\ncurrent_state=1\n\
                 last_time_ok=80\nnotified_on_warning=1\n}\n";
    fs::write(site.path("retention.dat"), saved).unwrap();
    site.show(100, NOTIFIES, &service("a", BAD));
    let chronicle = site.start();
    until("all files are read", &chronicle, |own| told(own, "a", 1) == (1, true));
    assert_eq!(chronicle.read(|own| told(own, "a", 2)), (1, true));
}

#[test]
fn a_core_that_restarts_is_the_same_core() {
    let site = Site::new();
    site.show(100, NOTIFIES, &service("a", BAD));
    let chronicle = site.start();
    until("the status file is read", &chronicle, |own| own.created == 100);
    fs::remove_file(site.path("status.dat")).unwrap();
    site.notify(105, "a", "OK");
    until("the notification is known", &chronicle, |own| told(own, "a", 2) == (0, false));
    assert_eq!(chronicle.read(|own| own.book.len()), 1, "what it knew is kept");
    assert!(chronicle.results(&BTreeSet::from([object("a")])).is_err());
    // It comes back with what it last saved.
    site.show(120, "\tprogram_start=110\n\tenable_notifications=0\n", &service("a", BAD));
    until("the next status file is read", &chronicle, |own| own.program_start == 110);
    chronicle.read(|own| {
        assert_eq!((told(own, "a", 2), own.notifies), ((1, true), Some(false)));
        assert_eq!(own.activity, Some(Activity { since: 100, until: 100 }));
    });
    assert_eq!(chronicle.results(&BTreeSet::from([object("a")])).unwrap().len(), 1);
}

#[test]
fn a_file_that_is_not_whole_is_waited_for() {
    let site = Site::new();
    site.show(100, NOTIFIES, &[service("a", FINE), service("b", FINE)].concat());
    let chronicle = site.start();
    until("the status file is read", &chronicle, |own| own.created == 100);
    let mut half = fs::read(site.path("status.dat")).unwrap();
    half.truncate(half.len() - 10);
    fs::write(site.path("status.dat"), &half).unwrap();
    // The log shows that it was looked at since.
    site.notify(105, "b", "CRITICAL");
    until("the log is read", &chronicle, |own| told(own, "b", 2) == (1, true));
    fs::write(site.path("status.dat"), "no status file").unwrap();
    site.notify(106, "b", "WARNING");
    until("the log is read", &chronicle, |own| told(own, "b", 1) == (2, true));
    assert_eq!(chronicle.read(|own| (own.created, own.book.len())), (100, 2));
    site.show(110, NOTIFIES, &service("a", FINE));
    until("a whole one is read", &chronicle, |own| own.created == 110 && own.book.len() == 1);
}
