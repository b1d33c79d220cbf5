//! A core that does what it is told, beside a book.

use nagios::memory::{Acknowledgement, Switches};
use nagios::remark::{Comment, CommentKind, Downtime, RemarkText};
use nagios::{HostName, Memory, Object};
use proptest::prelude::*;

use super::plan::is_same_comment;
use super::*;
use crate::entry::{Change, Entry};

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
}

#[test]
fn what_has_ended_and_comes_back_with_a_killed_core_ends_again() {
    let remarks = Entry { comments: vec![comment(1, "x")], downtimes: vec![downtime(1, "d")], ..Entry::default() };
    let (wanted, nothing) = (one(remarks), one(Entry::default()));
    for ends_here in [false, true] {
        let mut carried = Book::default();
        let (saved, _) = settle(&wanted, &nothing, &mut carried);
        if ends_here {
            // This core is in charge meanwhile, and the other one does as it does.
            for peer in [&wanted, &nothing] {
                let common = super::plan::common(peer, &nothing, &carried, NOW);
                common.into_iter().for_each(|record| carried.apply(record).unwrap());
            }
        } else {
            settle(&nothing, &saved, &mut carried);
        }
        let (shown, commands) = settle(&nothing, &saved, &mut carried);
        assert_eq!(commands.len(), 2, "{ends_here}");
        assert_eq!(shown.entry(&host("a")).unwrap().comments, []);
        assert_eq!(settle(&wanted, &shown, &mut carried).1.len(), 2, "what comes back there comes back here");
    }
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

/// What `mirror` has a core told that shows `shown` in a file of `created`, by a book that is in charge.
fn told(mirror: &mut Mirror, wanted: &Book, shown: &Book, created: i64) -> Vec<ObjectCommand> {
    mirror.handle_sight(Sight { wanted, shown, created, program_start: 1 }, Charge::Peer, created)
}

#[test]
fn a_slow_core_is_not_told_twice() {
    let wanted = one(Entry { comments: vec![comment(1, "x")], ..Entry::default() });
    let own = one(Entry::default());
    let mut mirror = Mirror::new(wanted.clone(), NOW);
    assert_eq!(told(&mut mirror, &wanted, &own, NOW + SETTLE - 1), [], "an earlier run may have told it");
    assert_eq!(told(&mut mirror, &wanted, &own, NOW + SETTLE).len(), 1);
    let mut mirror = Mirror::new(Book::default(), NOW);
    assert_eq!(told(&mut mirror, &wanted, &own, NOW - 1), [], "it may be of the run of the core before");
    assert_eq!(told(&mut mirror, &wanted, &own, NOW).len(), 1, "there was no earlier run");
    assert_eq!(told(&mut mirror, &wanted, &own, NOW + 600), [], "it is not written yet");
    assert!(mirror.is_waiting());
    mirror.handle_written(NOW + 600);
    assert_eq!(told(&mut mirror, &wanted, &own, NOW + 660), [], "it is still on its way");
    assert_eq!(told(&mut mirror, &wanted, &own, NOW + 600 + REISSUE).len(), 1, "it was lost");
    assert_eq!(mirror.carried().len(), 1);
}

#[test]
fn what_changes_its_mind_is_told_again() {
    let switched = |on| {
        let modified = Switches::NOTIFICATIONS;
        let switches = Switches::ALL.with(modified, on);
        one(Entry { memory: Memory { switches, modified, ..Memory::default() }, ..Entry::default() })
    };
    let (on, off) = (switched(true), switched(false));
    let mut mirror = Mirror::new(Book::default(), NOW - SETTLE);
    for (wanted, shown, time) in [(&off, &on, NOW), (&on, &off, NOW + SETTLE), (&off, &on, NOW + 2 * SETTLE)] {
        assert_eq!(told(&mut mirror, wanted, shown, time).len(), 1);
        mirror.handle_written(time);
        assert_eq!(told(&mut mirror, wanted, shown, time + 1).len(), 0);
    }
}

#[test]
fn what_a_core_took_with_it_is_told_the_next_one() {
    let wanted = one(Entry { comments: vec![comment(1, "x")], ..Entry::default() });
    let own = one(Entry::default());
    let mut mirror = Mirror::new(Book::default(), NOW - SETTLE);
    assert_eq!(told(&mut mirror, &wanted, &own, NOW).len(), 1);
    mirror.handle_written(NOW);
    let mut restarted = |created| {
        let sight = Sight { wanted: &wanted, shown: &own, created, program_start: NOW + 5 };
        mirror.handle_sight(sight, Charge::Peer, created).len()
    };
    assert_eq!(restarted(NOW + 6), 0, "it may have found it in its command file");
    assert_eq!(restarted(NOW + 6 + FINDS - 1), 0);
    assert_eq!(restarted(NOW + 6 + FINDS), 1);
}

#[test]
fn an_earlier_run_has_told_a_new_core_nothing_but_what_it_finds() {
    let wanted = one(Entry { comments: vec![comment(1, "x")], ..Entry::default() });
    let own = one(Entry::default());
    let mut mirror = Mirror::new(wanted.clone(), NOW);
    let mut told = |created| {
        let sight = Sight { wanted: &wanted, shown: &own, created, program_start: NOW + 1 };
        mirror.handle_sight(sight, Charge::Peer, created).len()
    };
    assert_eq!([told(NOW + 1), told(NOW + FINDS), told(NOW + 1 + FINDS)], [0, 0, 1]);
}

#[test]
fn what_was_refused_is_told_again_once_the_core_does_not_show_it() {
    let wanted = one(Entry { comments: vec![comment(1, "x")], ..Entry::default() });
    let own = one(Entry::default());
    let mut mirror = Mirror::new(Book::default(), NOW - SETTLE);
    assert_eq!(told(&mut mirror, &wanted, &own, NOW).len(), 1);
    mirror.handle_refused(NOW + 1);
    assert_eq!(told(&mut mirror, &wanted, &own, NOW + FINDS), [], "the core may have read it before");
    assert_eq!(told(&mut mirror, &wanted, &own, NOW + 1 + FINDS).len(), 1);
}

#[test]
fn much_comes_in_pieces() {
    let names: Vec<String> = (0..MAX_COMMANDS + 5).map(|number| format!("h{number}")).collect();
    let entry = Entry { comments: vec![comment(1, "x")], ..Entry::default() };
    let wanted = book(&names.iter().map(|name| (name.as_str(), entry.clone())).collect::<Vec<_>>());
    let own = book(&names.iter().map(|name| (name.as_str(), Entry::default())).collect::<Vec<_>>());
    let mut mirror = Mirror::new(Book::default(), NOW - SETTLE);
    let first = told(&mut mirror, &wanted, &own, NOW);
    assert_eq!(first.len(), MAX_COMMANDS);
    mirror.handle_written(NOW);
    let shown = obey(&own, &first, &mut 0);
    assert_eq!(told(&mut mirror, &wanted, &shown, NOW + 1).len(), 5);
}

/// Two cores, each beside a mirror that knows the other's book.
struct Pair {
    books: [Book; 2],
    mirrors: [Mirror; 2],
    next_id: u64,
    time: i64,
}

impl Pair {
    fn new() -> Self {
        let mirror = || Mirror::new(Book::default(), NOW - SETTLE);
        let empty = || one(Entry::default());
        Pair { books: [empty(), empty()], mirrors: [mirror(), mirror()], next_id: 100, time: NOW }
    }

    /// Both look until neither has anything to do, `in_charge` being in charge. How many commands that took.
    fn settle(&mut self, in_charge: usize) -> usize {
        let mut total = 0;
        for round in 0.. {
            assert!(round < 6, "it does not come to an end");
            let told: usize = [0, 1].into_iter().map(|node| self.look(node, in_charge)).sum();
            if told == 0 {
                return total;
            }
            total += told;
        }
        unreachable!("it ends before");
    }

    fn look(&mut self, node: usize, in_charge: usize) -> usize {
        self.time += 1;
        let charge = if node == in_charge { Charge::Own } else { Charge::Peer };
        let [wanted, shown] = [&self.books[1 - node], &self.books[node]];
        let sight = Sight { wanted, shown, created: self.time, program_start: 1 };
        let commands = self.mirrors[node].handle_sight(sight, charge, self.time);
        self.mirrors[node].handle_written(self.time);
        self.books[node] = obey(shown, &commands, &mut self.next_id);
        commands.len()
    }

    fn change(&mut self, node: usize, change: impl FnOnce(&mut Entry)) {
        let mut entry = self.entry(node).clone();
        change(&mut entry);
        self.books[node].apply(Record::Whole(host("a"), Change::whole(&entry))).unwrap();
    }

    fn entry(&self, node: usize) -> &Entry {
        self.books[node].entry(&host("a")).unwrap()
    }

    /// The texts of comments and downtimes, and whether there is an acknowledgement.
    fn seen(&self, node: usize) -> (Vec<String>, Vec<String>, bool) {
        let entry = self.entry(node);
        let words = |text: &RemarkText| String::from_utf8(text.as_bytes().to_vec()).unwrap();
        let mut comments: Vec<String> = entry.comments.iter().map(|comment| words(&comment.text)).collect();
        let mut downtimes: Vec<String> = entry.downtimes.iter().map(|downtime| words(&downtime.text)).collect();
        comments.sort();
        downtimes.sort();
        (comments, downtimes, entry.memory.acknowledgement.is_some())
    }

    fn restart_daemon(&mut self, node: usize) {
        self.mirrors[node] = Mirror::new(self.mirrors[node].carried().clone(), self.time - SETTLE);
    }
}

const MASTER: usize = 0;
const STANDBY: usize = 1;

fn all_of(comments: &[&str], downtimes: &[&str], acknowledged: bool) -> (Vec<String>, Vec<String>, bool) {
    let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect();
    (texts(comments), texts(downtimes), acknowledged)
}

/// A master that was in charge with two comments, a downtime and an acknowledgement, and fell.
fn fallen() -> Pair {
    let mut pair = Pair::new();
    for node in [MASTER, STANDBY] {
        pair.change(node, |entry| entry.memory = problem());
    }
    pair.change(MASTER, |entry| {
        entry.comments = vec![comment(1, "stays"), comment(2, "ends")];
        entry.downtimes = vec![downtime(3, "ends")];
        entry.memory.acknowledgement = Some(Acknowledgement::Normal);
    });
    assert_eq!(pair.settle(MASTER), 4);
    assert_eq!(pair.seen(STANDBY), pair.seen(MASTER));
    pair
}

#[test]
fn what_ended_on_the_active_standby_ends_on_the_master_when_it_is_back() {
    let mut pair = fallen();
    // Nobody looks on the master.
    pair.change(STANDBY, |entry| {
        entry.comments.retain(|comment| comment.text == text("stays"));
        entry.comments.push(comment(50, "new"));
        entry.downtimes.clear();
        entry.memory.acknowledgement = None;
    });
    pair.look(STANDBY, STANDBY);
    pair.restart_daemon(MASTER);
    // The master's core remembers what it had, and in the meantime somebody says something there.
    pair.change(MASTER, |entry| entry.comments.push(comment(60, "made on the master")));
    assert_eq!(pair.settle(STANDBY), 4);
    assert_eq!(pair.seen(MASTER), all_of(&["made on the master", "new", "stays"], &[], false));
    assert_eq!(pair.seen(STANDBY), all_of(&["new", "stays"], &[], false), "the one in charge is left alone");
    // It is handed back, and nothing comes again.
    assert_eq!(pair.settle(MASTER), 1);
    assert_eq!(pair.seen(STANDBY), pair.seen(MASTER));
    // What was made on the standby can be ended on the master.
    pair.change(MASTER, |entry| entry.comments.retain(|comment| comment.text != text("new")));
    assert_eq!(pair.settle(MASTER), 1);
    assert_eq!(pair.seen(STANDBY), all_of(&["made on the master", "stays"], &[], false));
    assert_eq!(pair.settle(STANDBY) + pair.settle(MASTER), 0);
}

#[test]
fn what_a_killed_master_forgot_comes_back_from_the_standby() {
    let mut pair = fallen();
    pair.change(MASTER, |entry| *entry = Entry { memory: problem(), ..Entry::default() });
    assert_eq!(pair.settle(STANDBY), 4);
    assert_eq!(pair.seen(MASTER), pair.seen(STANDBY));
    assert_eq!(pair.seen(MASTER), all_of(&["ends", "stays"], &["ends"], true));
}

#[test]
fn what_the_standby_never_had_is_not_ended_on_the_master() {
    let mut pair = fallen();
    // The standby does not hear of this, or loses what it had, and takes over.
    pair.change(MASTER, |entry| entry.comments.push(comment(70, "late")));
    pair.change(STANDBY, |entry| entry.comments.clear());
    pair.look(MASTER, MASTER);
    assert_eq!(pair.settle(STANDBY), 0);
    assert_eq!(pair.seen(MASTER).0, ["ends", "late", "stays"]);
    pair.time += REISSUE;
    assert_eq!(pair.settle(MASTER), 3);
    assert_eq!(pair.seen(STANDBY), pair.seen(MASTER));
}

#[test]
fn what_is_left_of_a_downtime_is_the_same_one_when_it_comes_back() {
    let mut pair = Pair::new();
    let flexible = Downtime { fixed: false, duration: 600, ..downtime(1, "flexible") };
    let begun = Downtime { in_effect: true, began: 960, ..flexible.clone() };
    pair.change(MASTER, |entry| entry.downtimes = vec![begun]);
    assert_eq!(pair.settle(MASTER), 1);
    // The master was killed, and does not know that it has begun.
    pair.change(MASTER, |entry| entry.downtimes = vec![flexible]);
    assert_eq!(pair.settle(STANDBY), 0);
    pair.change(STANDBY, |entry| entry.downtimes.clear());
    assert_eq!(pair.settle(STANDBY), 1);
    assert_eq!(pair.seen(MASTER).1, Vec::<String>::new());
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

/// What happens to two nodes.
#[derive(Clone, Debug)]
enum Happening {
    Comment(usize, &'static str),
    Downtime(usize, &'static str),
    /// The newest comment and downtime there.
    End(usize),
    Acknowledge(usize, bool),
    Look(usize),
    RestartDaemon(usize),
    HandOver,
}

fn happening() -> impl Strategy<Value = Happening> {
    let words = || proptest::sample::select(vec!["x", "y", "z"]);
    prop_oneof![
        2 => (0..2_usize, words()).prop_map(|(node, words)| Happening::Comment(node, words)),
        2 => (0..2_usize, words()).prop_map(|(node, words)| Happening::Downtime(node, words)),
        2 => (0..2_usize).prop_map(Happening::End),
        2 => (0..2_usize, any::<bool>()).prop_map(|(node, on)| Happening::Acknowledge(node, on)),
        4 => (0..2_usize).prop_map(Happening::Look),
        1 => (0..2_usize).prop_map(Happening::RestartDaemon),
        1 => Just(Happening::HandOver),
    ]
}

proptest! {
    /// Whatever people do on both, whoever is in charge: it comes to an end with everything that the one in charge has on the
    /// other one too, once.
    #[test]
    fn nothing_goes_to_and_fro(happenings in proptest::collection::vec(happening(), 0..40)) {
        let (mut pair, mut in_charge) = (Pair::new(), MASTER);
        for node in [MASTER, STANDBY] {
            pair.change(node, |entry| entry.memory = problem());
        }
        for (number, happening) in (1..).zip(happenings) {
            match happening {
                Happening::Comment(node, words) => pair.change(node, |entry| {
                    entry.comments.retain(|comment| comment.text != text(words));
                    entry.comments.push(comment(number, words));
                }),
                Happening::Downtime(node, words) => pair.change(node, |entry| {
                    entry.downtimes.retain(|downtime| downtime.text != text(words));
                    entry.downtimes.push(Downtime { end: 1_000_000, ..downtime(number, words) });
                }),
                Happening::End(node) => pair.change(node, |entry| {
                    entry.comments.pop();
                    entry.downtimes.pop();
                }),
                Happening::Acknowledge(node, on) => pair.change(node, |entry| {
                    entry.memory.acknowledgement = on.then_some(Acknowledgement::Normal);
                }),
                Happening::Look(node) => drop(pair.look(node, in_charge)),
                Happening::RestartDaemon(node) => pair.restart_daemon(node),
                Happening::HandOver => {
                    pair.time += REISSUE;
                    pair.settle(in_charge);
                    in_charge = 1 - in_charge;
                }
            }
        }
        pair.time += REISSUE;
        let before = pair.seen(in_charge);
        pair.settle(in_charge);
        prop_assert_eq!(&pair.seen(in_charge), &before, "the one in charge is left alone");
        let (comments, downtimes, acknowledged) = pair.seen(1 - in_charge);
        for (all, those) in [(&comments, &before.0), (&downtimes, &before.1)] {
            for words in those {
                prop_assert_eq!(all.iter().filter(|other| *other == words).count(), 1);
            }
        }
        prop_assert!(acknowledged || !before.2);
        pair.time += REISSUE;
        prop_assert_eq!(pair.settle(in_charge), 0);
        pair.settle(1 - in_charge);
        let settled = [pair.seen(0), pair.seen(1)];
        prop_assert_eq!(&settled[0], &settled[1], "each has everything that the other has");
        prop_assert_eq!(pair.settle(in_charge) + pair.settle(1 - in_charge), 0);
    }
}
