//! Downtimes, and which one begins with which.
//!
//! A downtime that is triggered by another one needs the number that this core gave to that one, and so comes a round later. A
//! core begins it when its trigger begins, never afterwards; so one that is already in effect on the master goes over as a
//! fixed one of its own, and so does a flexible one, which would begin only with the next problem.

use nagios::command::Order;
use nagios::remark::Downtime;

use super::plan::{Page, Triggers};
use crate::book::Book;

/// The number of this core for each downtime of the master, if it has it.
pub(super) fn triggers(wanted: &Book, shown: &Book) -> Triggers {
    let mut triggers = Triggers::new();
    for (object, entry) in wanted.entries().filter(|(_, entry)| !entry.downtimes.is_empty()) {
        let shown = shown.entry(object).map_or(&[][..], |shown| &shown.downtimes);
        for downtime in &entry.downtimes {
            triggers.insert(downtime.id, shown.iter().find(|other| is_it(downtime, other)).map(|other| other.id));
        }
    }
    triggers
}

/// Orders what is missing and what is over, and says which were carried over.
pub(super) fn carry(page: &mut Page<'_>, triggers: &Triggers) -> Vec<Downtime> {
    let (wanted, shown, before) = (&page.wanted.downtimes, &page.shown.downtimes, &page.before.downtimes);
    let mut carried: Vec<Downtime> = Vec::new();
    for downtime in wanted {
        let is_known = shown.iter().any(|other| is_it(downtime, other));
        let is_twin = carried.iter().any(|other| is_it(downtime, other));
        let Some((made, triggered_by)) = to_make(downtime, triggers) else { continue };
        if is_twin || (!is_known && made.end <= page.now) {
            continue;
        }
        if !is_known {
            page.order(made.entered, schedule(&made, triggered_by));
        }
        remember(&mut carried, &made);
    }
    for (at, downtime) in shown.iter().enumerate() {
        let is_wanted = wanted.iter().any(|other| is_it(other, downtime));
        let is_ours = is_wanted || before.iter().any(|other| is_same(other, downtime));
        let is_twin = shown[..at].iter().any(|other| is_same(other, downtime));
        if is_ours && (!is_wanted || is_twin) {
            page.order(page.now, Order::DeleteDowntime(downtime.id));
        }
        if is_ours {
            remember(&mut carried, downtime);
        }
    }
    carried
}

/// What this core is to be told, and by which of its downtimes it is triggered; none as long as that is not known.
fn to_make(downtime: &Downtime, triggers: &Triggers) -> Option<(Downtime, u64)> {
    if let Some(rest) = rest_of(downtime) {
        return Some((rest, 0));
    }
    if downtime.triggered_by == 0 {
        return Some((downtime.clone(), 0));
    }
    // A trigger that the master does not have any more is over, and triggers nothing.
    let trigger = (*triggers.get(&downtime.triggered_by)?)?;
    Some((downtime.clone(), trigger))
}

/// A fixed downtime for what is left of one that is in effect, and that this core would not begin by itself.
fn rest_of(downtime: &Downtime) -> Option<Downtime> {
    let begins_by_itself = downtime.fixed && downtime.triggered_by == 0;
    if !downtime.in_effect || begins_by_itself {
        return None;
    }
    let start = if downtime.fixed || downtime.began == 0 { downtime.start } else { downtime.began };
    let end = if downtime.fixed { downtime.end } else { start.saturating_add(downtime.duration) };
    Some(Downtime { start, end, fixed: true, triggered_by: 0, ..downtime.clone() })
}

/// Those of `shown` that both have, as they are remembered.
pub(super) fn both_have(wanted: &[Downtime], shown: &[Downtime]) -> Vec<Downtime> {
    let mut both = Vec::new();
    for downtime in shown.iter().filter(|downtime| wanted.iter().any(|other| is_it(other, downtime))) {
        remember(&mut both, downtime);
    }
    both
}

/// Whether `downtime` is one of `shown`, or what became of one.
pub(super) fn has(shown: &[Downtime], downtime: &Downtime) -> bool {
    shown.iter().any(|other| is_it(other, downtime))
}

/// Whether one is what became of the other, on whichever node it was made first.
fn is_it(a: &Downtime, b: &Downtime) -> bool {
    is_same(a, b) || is_rest(a, b) || is_rest(b, a)
}

/// Whether `rest` can be what [`rest_of`] made of `flexible` when that was in effect.
fn is_rest(flexible: &Downtime, rest: &Downtime) -> bool {
    !flexible.fixed
        && rest.fixed
        && (flexible.start..=flexible.end).contains(&rest.start)
        && rest.end.saturating_sub(rest.start) == flexible.duration
        && is_same_remark(flexible, rest)
}

fn is_same(a: &Downtime, b: &Downtime) -> bool {
    (a.start, a.end, a.fixed) == (b.start, b.end, b.fixed)
        && (a.fixed || a.duration == b.duration)
        && is_same_remark(a, b)
}

fn is_same_remark(a: &Downtime, b: &Downtime) -> bool {
    (a.entered, &a.author, &a.text) == (b.entered, &b.author, &b.text)
}

fn schedule(downtime: &Downtime, triggered_by: u64) -> Order {
    let Downtime { start, end, fixed, duration, author, text, .. } = downtime.clone();
    Order::ScheduleDowntime { start, end, fixed, triggered_by, duration, author, text }
}

/// Without what says nothing on another core, and changes.
pub(super) fn remember(carried: &mut Vec<Downtime>, downtime: &Downtime) {
    if !carried.iter().any(|other| is_same(other, downtime)) {
        carried.push(Downtime { id: 0, triggered_by: 0, in_effect: false, began: 0, ..downtime.clone() });
    }
}
