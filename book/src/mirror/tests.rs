//! A core that does what it is told, beside a book.

use super::*;
use nagios::HostName;
use nagios::memory::Switches;
use proptest::prelude::*;

const NOW: i64 = 1000;

fn host(name: &str) -> Object {
    Object::Host(HostName::try_from(name).unwrap())
}

fn text(text: &str) -> RemarkText {
    RemarkText::new(text.as_bytes())
}

fn comment(id: u64, words: &str) -> Comment {
    Comment {
        id,
        kind: CommentKind::User,
        entered: 900,
        persistent: true,
        expires: 0,
        author: text("joe"),
        text: text(words),
    }
}

fn downtime(id: u64, words: &str) -> Downtime {
    Downtime {
        id,
        entered: 900,
        start: 950,
        end: 2000,
        fixed: true,
        duration: 1050,
        triggered_by: 0,
        in_effect: false,
        began: 0,
        author: text("joe"),
        text: text(words),
    }
}

fn problem() -> Memory {
    Memory { checked: true, last_check: 950, state: 2, ..Memory::default() }
}

fn book(entries: &[(&str, Entry)]) -> Book {
    let mut book = Book::default();
    for (name, entry) in entries {
        book.apply(Record::Whole(host(name), Change::whole(entry))).unwrap();
    }
    book
}

fn one(entry: Entry) -> Book {
    book(&[("a", entry)])
}

/// What a core that knows `book` shows after it was told `commands`.
fn obey(book: &Book, commands: &[ObjectCommand], next_id: &mut u64) -> Book {
    let mut after = book.clone();
    for ObjectCommand { object, entered, order } in commands {
        let mut entry = after.entry(object).unwrap().clone();
        *next_id += 1;
        let (id, entered) = (*next_id, *entered);
        match order.clone() {
            Order::Acknowledge { kind, .. } => entry.memory.acknowledgement = Some(kind),
            Order::RemoveAcknowledgement => entry.memory.acknowledgement = None,
            Order::ScheduleDowntime { start, end, fixed, triggered_by, duration, author, text } => {
                let duration = if fixed { end - start } else { duration };
                let (in_effect, began) = (false, 0);
                let new =
                    Downtime { id, entered, start, end, fixed, duration, triggered_by, in_effect, began, author, text };
                entry.downtimes.push(new);
            }
            Order::DeleteDowntime(id) => entry.downtimes.retain(|downtime| downtime.id != id),
            Order::AddComment { persistent, author, text } => {
                entry.comments.push(Comment {
                    id,
                    kind: CommentKind::User,
                    entered,
                    persistent,
                    expires: 0,
                    author,
                    text,
                });
            }
            Order::DeleteComment(id) => entry.comments.retain(|comment| comment.id != id),
            Order::Switch(switch, on) => entry.memory.switches = entry.memory.switches.with(switch.switch(), on),
        }
        after.apply(Record::Whole(object.clone(), Change::whole(&entry))).unwrap();
    }
    after
}

/// Brings `shown` up to date with `wanted`, and checks that a second time changes nothing.
fn settle(wanted: &Book, shown: &Book, carried: &mut Book) -> (Book, Vec<ObjectCommand>) {
    let (mut shown, mut all, mut next_id) = (shown.clone(), Vec::new(), 1000);
    for round in 0.. {
        let plan = Plan::new(wanted, &shown, carried, NOW);
        plan.carried.into_iter().for_each(|record| carried.apply(record).unwrap());
        if plan.commands.is_empty() {
            return (shown, all);
        }
        assert!(round < 4, "it does not come to an end: {:?}", plan.commands);
        shown = obey(&shown, &plan.commands, &mut next_id);
        all.extend(plan.commands);
    }
    unreachable!("it ends before");
}

#[test]
fn comments_come_and_go() {
    let wanted = one(Entry { comments: vec![comment(1, "x"), comment(2, "x"), comment(3, "y")], ..Entry::default() });
    let own = one(Entry { comments: vec![comment(7, "made here")], ..Entry::default() });
    let mut carried = Book::default();
    let (shown, commands) = settle(&wanted, &own, &mut carried);
    assert_eq!(commands.len(), 2, "of two that are alike, one");
    assert!(commands.iter().all(|command| command.entered == 900));
    let (shown, commands) = settle(&one(Entry::default()), &shown, &mut carried);
    assert_eq!(commands.len(), 2);
    assert_eq!(shown.entry(&host("a")).unwrap().comments, [comment(7, "made here")]);
    assert!(carried.is_empty());
}

#[test]
fn without_what_was_carried_over_nothing_is_made_twice() {
    let wanted = one(Entry { comments: vec![comment(1, "x")], downtimes: vec![downtime(1, "d")], memory: problem() });
    let (shown, _) = settle(&wanted, &one(Entry { memory: problem(), ..Entry::default() }), &mut Book::default());
    let mut lost = Book::default();
    assert_eq!(settle(&wanted, &shown, &mut lost).1, []);
    let none = one(Entry { memory: problem(), ..Entry::default() });
    assert_eq!(settle(&none, &shown, &mut lost).1.len(), 2, "it is known again, and ends");
}

#[test]
fn what_a_core_has_twice_it_has_once() {
    let wanted = one(Entry { comments: vec![comment(1, "x")], downtimes: vec![downtime(1, "d")], ..Entry::default() });
    let comments = vec![comment(5, "x"), comment(6, "x")];
    let twice = one(Entry { comments, downtimes: vec![downtime(3, "d"), downtime(4, "d")], ..Entry::default() });
    let (shown, _) = settle(&wanted, &twice, &mut Book::default());
    let entry = shown.entry(&host("a")).unwrap();
    assert_eq!((&entry.comments[..], &entry.downtimes[..]), (&[comment(5, "x")][..], &[downtime(3, "d")][..]));
}

#[test]
fn acknowledgements_come_and_go() {
    let acknowledged = Memory { acknowledgement: Some(Acknowledgement::Sticky), ..problem() };
    let remark = Comment { kind: CommentKind::Acknowledgement, ..comment(1, "mine") };
    let wanted = one(Entry { memory: acknowledged.clone(), comments: vec![remark], ..Entry::default() });
    let own = one(Entry { memory: problem(), ..Entry::default() });
    let mut carried = Book::default();
    let (shown, commands) = settle(&wanted, &own, &mut carried);
    let [ObjectCommand { entered: 900, order: Order::Acknowledge { text: words, persistent: true, .. }, .. }] =
        &commands[..]
    else {
        panic!("{commands:?}")
    };
    assert_eq!(*words, text("mine"));
    let (after, commands) = settle(&own, &shown, &mut carried);
    assert_eq!(commands.len(), 1);
    assert_eq!(after.entry(&host("a")).unwrap().memory.acknowledgement, None);

    let made_here = one(Entry { memory: acknowledged, ..Entry::default() });
    assert_eq!(settle(&own, &made_here, &mut Book::default()).1, [], "what was made here stays");
}

#[test]
fn an_acknowledgement_waits_for_its_problem() {
    let acknowledged = Memory { acknowledgement: Some(Acknowledgement::Normal), ..problem() };
    let wanted = one(Entry { memory: acknowledged.clone(), ..Entry::default() });
    for state in [0, 1] {
        let behind = one(Entry { memory: Memory { state, ..problem() }, ..Entry::default() });
        assert_eq!(settle(&wanted, &behind, &mut Book::default()).1, []);
    }
    let other_kind = Memory { acknowledgement: Some(Acknowledgement::Sticky), ..problem() };
    let (_, commands) = settle(&wanted, &one(Entry { memory: other_kind, ..Entry::default() }), &mut Book::default());
    assert_eq!(commands.len(), 2, "removed, and made again");
}

#[test]
fn a_triggered_downtime_gets_the_number_of_its_trigger_here() {
    let child = Downtime { triggered_by: 5, ..downtime(6, "child") };
    let wanted = book(&[
        ("a", Entry { downtimes: vec![child], ..Entry::default() }),
        ("b", Entry { downtimes: vec![downtime(5, "trigger")], ..Entry::default() }),
    ]);
    let own = book(&[("a", Entry::default()), ("b", Entry::default())]);
    let mut carried = Book::default();
    let (shown, commands) = settle(&wanted, &own, &mut carried);
    assert_eq!(commands.len(), 2);
    let trigger = &shown.entry(&host("b")).unwrap().downtimes[0];
    assert_eq!(shown.entry(&host("a")).unwrap().downtimes[0].triggered_by, trigger.id);

    let child = Downtime { triggered_by: 99, ..downtime(6, "its trigger is over") };
    let orphan = one(Entry { downtimes: vec![child], ..Entry::default() });
    assert_eq!(settle(&orphan, &one(Entry::default()), &mut Book::default()).1, []);
}

#[test]
fn what_is_in_effect_goes_over_as_what_is_left_of_it() {
    let flexible = Downtime { fixed: false, duration: 600, ..downtime(1, "flexible") };
    let waiting = one(Entry { downtimes: vec![flexible.clone()], ..Entry::default() });
    let begun = Downtime { in_effect: true, began: 960, ..flexible };
    let wanted = one(Entry { downtimes: vec![begun], ..Entry::default() });
    let (shown, _) = settle(&wanted, &one(Entry::default()), &mut Book::default());
    let rest = &shown.entry(&host("a")).unwrap().downtimes[0];
    assert_eq!((rest.fixed, rest.start, rest.end), (true, 960, 1560));
    // One that went over before it began is left alone: this core began it too.
    let mut carried = Book::default();
    let (shown, commands) = settle(&waiting, &one(Entry::default()), &mut carried);
    assert_eq!(commands.len(), 1);
    assert_eq!(settle(&wanted, &shown, &mut carried).1, []);
    assert_eq!(settle(&one(Entry::default()), &shown, &mut carried).1.len(), 1);
}

#[test]
fn what_is_over_is_not_made() {
    let over = Downtime { end: NOW, ..downtime(1, "over") };
    let wanted = one(Entry { downtimes: vec![over], ..Entry::default() });
    assert_eq!(settle(&wanted, &one(Entry::default()), &mut Book::default()).1, []);
}

#[test]
fn switches_follow_what_operators_changed() {
    let off = Switches::ALL.with(Switches::NOTIFICATIONS, false).with(Switches::PASSIVE_CHECKS, false);
    let changed = Memory { switches: off, modified: Switches::from_bits(1 | 4), ..Memory::default() };
    let wanted = one(Entry { memory: changed.clone(), ..Entry::default() });
    let (shown, commands) = settle(&wanted, &one(Entry::default()), &mut Book::default());
    assert_eq!(commands.len(), 1, "passive checks stay on");
    assert!(!shown.entry(&host("a")).unwrap().memory.switches.contains(Switches::NOTIFICATIONS));
    let configured = Memory { modified: Switches::default(), ..changed };
    let wanted = one(Entry { memory: configured, ..Entry::default() });
    assert_eq!(settle(&wanted, &one(Entry::default()), &mut Book::default()).1, [], "configurations may differ");
}

#[test]
fn a_slow_core_is_not_told_twice() {
    let wanted = one(Entry { comments: vec![comment(1, "x")], ..Entry::default() });
    let own = one(Entry::default());
    let mut mirror = Mirror::new(Book::default(), NOW);
    assert_eq!(
        mirror.handle_picture(&wanted, &own, NOW + SETTLE - 1, NOW + SETTLE),
        [],
        "an earlier run may have told it"
    );
    assert_eq!(mirror.handle_picture(&wanted, &own, NOW + SETTLE, NOW + SETTLE).len(), 1);
    assert_eq!(mirror.handle_picture(&wanted, &own, NOW + 60, NOW + 60), [], "it is still on its way");
    assert_eq!(mirror.handle_picture(&wanted, &own, NOW + 600, NOW + 600).len(), 1, "it was lost");
    assert_eq!(mirror.carried().len(), 1);
}

#[test]
fn much_comes_in_pieces() {
    let names: Vec<String> = (0..MAX_COMMANDS + 5).map(|number| format!("h{number}")).collect();
    let entry = Entry { comments: vec![comment(1, "x")], ..Entry::default() };
    let wanted = book(&names.iter().map(|name| (name.as_str(), entry.clone())).collect::<Vec<_>>());
    let own = book(&names.iter().map(|name| (name.as_str(), Entry::default())).collect::<Vec<_>>());
    let mut mirror = Mirror::new(Book::default(), NOW - SETTLE);
    let first = mirror.handle_picture(&wanted, &own, NOW, NOW);
    assert_eq!(first.len(), MAX_COMMANDS);
    let shown = obey(&own, &first, &mut 0);
    assert_eq!(mirror.handle_picture(&wanted, &shown, NOW + 1, NOW + 1).len(), 5);
}

/// Entries of few remarks, so that many agree.
fn few() -> impl Strategy<Value = Entry> {
    let kinds = [None, Some(Acknowledgement::Normal), Some(Acknowledgement::Sticky)];
    let memory = (0..3_u8, 0..3_usize, 0..4_u32, 0..4_u32).prop_map(move |(state, kind, on, modified)| Memory {
        state,
        acknowledgement: kinds[kind].filter(|_| state > 0),
        switches: Switches::from_bits(on),
        modified: Switches::from_bits(modified),
        ..problem()
    });
    let words = || proptest::sample::select(vec!["x", "y", "z"]);
    let comments = proptest::collection::vec((1..100_u64, words()).prop_map(|(id, words)| comment(id, words)), 0..4);
    let flags = any::<(bool, bool, bool)>();
    let downtimes =
        (1..100_u64, words(), flags, 0..3_u64).prop_map(|(id, words, (fixed, in_effect, began), trigger)| Downtime {
            fixed,
            in_effect,
            began: if began { 960 } else { 0 },
            duration: if fixed { 1050 } else { 600 },
            triggered_by: trigger,
            ..downtime(id, words)
        });
    let downtimes = proptest::collection::vec(downtimes, 0..4);
    (memory, comments, downtimes).prop_map(|(memory, comments, downtimes)| Entry { memory, comments, downtimes })
}

proptest! {
    /// It comes to an end, and what was made here and has no like on the master is left alone.
    #[test]
    fn every_core_settles(first in few(), second in few(), own in few(), own_words in 0..2_u8) {
        let mut own = own;
        if own_words == 1 {
            own.comments.push(comment(500, "made here"));
            own.downtimes.push(downtime(501, "made here"));
        }
        let (mut carried, before) = (Book::default(), one(own));
        let (shown, _) = settle(&one(first), &before, &mut carried);
        prop_assert_eq!(settle(&one(Entry::default()), &shown, &mut Book::default()).1, []);
        let (shown, _) = settle(&one(second.clone()), &shown, &mut carried);
        let entry = shown.entry(&host("a")).unwrap();
        for wanted in &second.comments {
            prop_assert_eq!(entry.comments.iter().filter(|comment| is_same_comment(comment, wanted)).count(), 1);
        }
        prop_assert_eq!(entry.comments.iter().any(|comment| comment.text == text("made here")), own_words == 1);
        prop_assert_eq!(entry.downtimes.iter().any(|downtime| downtime.text == text("made here")), own_words == 1);
        let again = settle(&one(second), &shown, &mut carried);
        prop_assert_eq!(again.1, []);
    }
}
