//! How warm a core is, as text.

use super::super::{Book, Event, Warm};
use super::Page;
use crate::status::number::{count, duration};

pub(super) fn of_warm(warm: &Warm, page: &mut Page) {
    page.gap();
    let of = warm.peer.as_ref().map(|peer| format!(", beside {peer}")).unwrap_or_default();
    page.field(0, "warmth", &format!("{}{of}", warm.warmth));
    match warm.in_charge.as_deref() {
        Some("own") => page.field(1, "in charge", "this core"),
        Some(_) => page.field(1, "in charge", "the other core"),
        None => page.field(1, "in charge", "not known"),
    }
    warm.books.iter().for_each(|book| of_book(book, page));
    if warm.remarks_told > 0 || warm.objects_with_remarks > 0 {
        let (told, objects) = (count(warm.remarks_told), count(warm.objects_with_remarks));
        page.field(1, "remarks", &format!("on {objects} objects on both nodes; {told} commands to this core"));
    }
    if let Some(reason) = &warm.remarks_wait {
        page.field(2, "waiting", reason);
    }
    for (label, event) in [("resync", &warm.last_resync), ("take-over", &warm.last_takeover)] {
        if let Some(Event { age_seconds, ended, .. }) = event {
            page.field(1, label, &format!("{} ago: {ended}", duration(*age_seconds)));
        }
    }
}

fn of_book(book: &Book, page: &mut Page) {
    let Book { node, objects, whole, age_seconds, notifies } = book;
    let age = age_seconds.map(|age| format!(", {} old", duration(age))).unwrap_or_default();
    let part = if *whole { "" } else { ", not all of it" };
    let notifies = match notifies {
        Some(true) => "; its core notifies",
        Some(false) => "; its core does not notify",
        None => "",
    };
    page.field(1, "book", &format!("of {node}: {} objects{part}{age}{notifies}", count(*objects)));
}
