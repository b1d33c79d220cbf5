//! What of the book a core is to take over.
//!
//! The book is what the master's core remembers, `own` what this node's core shows. Results come first: what is behind them
//! here has to be injected, and shown, before anything is inherited.
//!
//! | newest result | the book | this core | inherited |
//! | --- | --- | --- | --- |
//! | the same | problem or not | the same state | notifications, acknowledgement, and the course: attempt, state type, times |
//! | the same, of which the log told more | problem that somebody was told of | fine | the state itself: its result was lost |
//! | this core's | problem | problem | notifications; an acknowledgement if it outlives the change of state |
//! | this core's | problem that somebody was told of | fine | the state itself, so that the recovery can be told: inject the result again |
//! | any | fine, and nobody was told so: a recovery that is owed | fine | the same |
//! | the book's | | | nothing yet: [`Inheritance::Behind`] |
//!
//! After a partition in which both were active, the two memories are joined ([`union`]): notified is what either notified,
//! numbers and times are the greater ones, and states are those of the newer result.

use nagios::memory::{Acknowledgement, Memory, States};
use nagios::retention::{Patch, Scope};
use nagios::{Flavour, StateType};

/// What is to be done with one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inheritance {
    /// The core knows all that matters.
    Nothing,
    /// The core is to be given this.
    Patch(Patch),
    /// The core lacks a result: inject it first.
    Behind,
    /// A recovery that nobody was told of: give this to the core, enable notifications, and inject its newest result again.
    RecoveryOwed(Patch),
}

/// What `own` inherits from `book`, while this core did not notify.
pub fn inherit(book: &Memory, own: &Memory) -> Inheritance {
    if !book.checked {
        return Inheritance::Nothing;
    }
    if !own.checked || own.last_check < book.last_check {
        return Inheritance::Behind;
    }
    let same_result = own.last_check == book.last_check && own.state == book.state;
    match (book.is_problem(), own.is_problem()) {
        (false, false) if owes_recovery(book) => Inheritance::RecoveryOwed(set_back(&problem_told(book), own)),
        (_, _) if same_result => patch(heir_of_result(book, own), own, Scope::Course),
        (true, true) => patch(heir_of_problem(book, own), own, Scope::Notifications),
        (true, false) if !book.notified_on.is_empty() => {
            let patch = set_back(book, own);
            // The log told of a result that came with no picture, and did not get here.
            let is_lost = own.last_check == book.last_check;
            if is_lost { Inheritance::Patch(patch) } else { Inheritance::RecoveryOwed(patch) }
        }
        (true | false, false) | (false, true) => Inheritance::Nothing,
    }
}

/// What `own` inherits from `book` if this core notified too.
pub fn inherit_union(book: &Memory, own: &Memory) -> Inheritance {
    if !book.checked {
        return Inheritance::Nothing;
    }
    if !own.checked || own.last_check < book.last_check {
        return Inheritance::Behind;
    }
    patch(Memory { flapping: own.flapping, ..union(book, own) }, own, Scope::Notifications)
}

/// Whether somebody was told of the problem that is over, and nobody that it is. Of the core that this node runs, the book
/// knows that better than the core itself, which has forgotten it.
fn owes_recovery(book: &Memory) -> bool {
    !book.is_problem() && !book.notified_on.is_empty()
}

/// The problem as it was told, whose end nobody was told of.
fn problem_told(book: &Memory) -> Memory {
    let state = (1..=3).rev().find(|state| book.notified_on.contains(*state)).unwrap_or(book.state);
    Memory { state, last_hard_state: state, state_type: StateType::Hard, ..book.clone() }
}

/// What sets a core that shows `own` back to a problem, so that the result that ended it, injected again, ends it once more.
pub fn set_back(problem: &Memory, own: &Memory) -> Patch {
    let memory = Memory { flapping: own.flapping, last_check: own.last_check, ..problem.clone() };
    Patch { memory, scope: Scope::State }
}

/// Whether a core that shows `own` has taken what it was given, or has gone on from there.
pub fn is_taken(given: &Memory, own: &Memory) -> bool {
    // A result that came since may have changed everything, and a notification its number.
    let same_result = own.last_check <= given.last_check;
    let told = own.notifications >= given.notifications && own.last_notification >= given.last_notification;
    !same_result || (told && own.soft_attempt() == given.soft_attempt() && own.acknowledgement == given.acknowledgement)
}

/// One memory of two cores that were both active. Of results of the same second, that of `b` is the newer one.
pub fn union(a: &Memory, b: &Memory) -> Memory {
    let (older, newer) = if a.last_check > b.last_check { (b, a) } else { (a, b) };
    let mut memory = newer.clone();
    if owes_recovery(newer) {
        // Whoever of the two notifies now may have told it.
        (memory.notified_on, memory.notifications) = (States::default(), 0);
    }
    memory.last_notification = older.last_notification.max(newer.last_notification);
    if !newer.is_problem() || !older.is_problem() {
        // What somebody was told of a problem that is over, or was not seen by the other, concerns nobody.
        return memory;
    }
    memory.notified_on = older.notified_on.union(newer.notified_on);
    memory.notifications = older.notifications.max(newer.notifications);
    memory.next_notification = older.next_notification.max(newer.next_notification);
    memory.no_more_notifications |= older.no_more_notifications;
    memory.acknowledgement = newer.acknowledgement.or(outliving(older, newer));
    memory
}

/// The way out where a core keeps `notified_on_*` through a recovery, and would tell a second one: for an object that is fine
/// and, by the core's own retention file, has such leftovers.
pub fn silence_leftovers(own: &Memory) -> Option<Patch> {
    let has_leftovers = own.checked && !own.is_problem() && !own.notified_on.is_empty();
    let acknowledged = || Memory { acknowledgement: Some(Acknowledgement::Normal), ..own.clone() };
    has_leftovers.then(|| Patch { memory: acknowledged(), scope: Scope::Notifications })
}

/// Whether a core of this version, `4.5.7` for example, needs [`silence_leftovers`].
pub fn keeps_leftovers(flavour: Flavour, version: &str) -> bool {
    let mut numbers = version.trim().split('.').map(|part| {
        let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse::<u32>().unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    flavour == Flavour::Nagios4 && (next(), next(), next()) >= (4, 5, 7)
}

/// Both have the same newest result: the book knows more of it.
fn heir_of_result(book: &Memory, own: &Memory) -> Memory {
    Memory { flapping: own.flapping, ..book.clone() }
}

/// This core has a newer result of the problem.
fn heir_of_problem(book: &Memory, own: &Memory) -> Memory {
    Memory {
        notified_on: book.notified_on,
        notifications: book.notifications,
        last_notification: book.last_notification,
        acknowledgement: outliving(book, own),
        ..own.clone()
    }
}

/// The acknowledgement of `older` as far as it counts in the state of `newer`.
fn outliving(older: &Memory, newer: &Memory) -> Option<Acknowledgement> {
    older.acknowledgement.filter(|kind| *kind == Acknowledgement::Sticky || older.state == newer.state)
}

fn patch(heir: Memory, own: &Memory, scope: Scope) -> Inheritance {
    let told = |memory: &Memory| {
        // Of a recovery that is owed the core knows nothing any more.
        let told = if owes_recovery(memory) { Default::default() } else { (memory.notified_on, memory.notifications) };
        (told, memory.acknowledgement)
    };
    let course = |memory: &Memory| (memory.soft_attempt(), memory.last_hard_state);
    // Of a problem it matters when it began, for delays and escalations, and when somebody was told.
    let times = |memory: &Memory| (memory.last_times[0], memory.last_state_change, memory.last_hard_state_change);
    let problem = heir.is_problem();
    let is_same = told(&heir) == told(own)
        && (!problem || heir.last_notification == own.last_notification)
        && (scope < Scope::Course || course(&heir) == course(own))
        && (scope < Scope::Course || !problem || times(&heir) == times(own));
    if is_same { Inheritance::Nothing } else { Inheritance::Patch(Patch { memory: heir, scope }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::entry;
    use proptest::prelude::*;

    fn at(last_check: i64, state: u8) -> Memory {
        Memory { checked: true, last_check, state, ..Memory::default() }
    }

    fn told(memory: Memory) -> Memory {
        Memory {
            notified_on: States::only(memory.state),
            notifications: 3,
            last_notification: 90,
            attempt: 5,
            acknowledgement: Some(Acknowledgement::Normal),
            ..memory
        }
    }

    fn patch_of(inheritance: Inheritance) -> Patch {
        match inheritance {
            Inheritance::Patch(patch) => patch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_the_same_result_everything_is_inherited() {
        let (book, own) = (told(at(100, 2)), Memory { flapping: true, ..at(100, 2) });
        let patch = patch_of(inherit(&book, &own));
        assert_eq!(patch, Patch { memory: Memory { flapping: true, ..book.clone() }, scope: Scope::Course });
        assert_eq!(inherit(&book, &patch.memory), Inheritance::Nothing, "once is enough");
    }

    #[test]
    fn of_an_older_result_only_what_somebody_was_told() {
        let patch = patch_of(inherit(&told(at(100, 2)), &at(101, 1)));
        assert_eq!(patch.scope, Scope::Notifications);
        assert_eq!((patch.memory.notified_on, patch.memory.notifications), (States::only(2), 3));
        assert_eq!((patch.memory.state, patch.memory.attempt), (1, 1), "the course is this core's own");
        assert_eq!(patch.memory.acknowledgement, None, "it ended with the state");
        let sticky = Memory { acknowledgement: Some(Acknowledgement::Sticky), ..told(at(100, 2)) };
        assert_eq!(patch_of(inherit(&sticky, &at(101, 1))).memory.acknowledgement, Some(Acknowledgement::Sticky));
        let same_state = patch_of(inherit(&told(at(100, 2)), &at(101, 2)));
        assert_eq!(same_state.memory.acknowledgement, Some(Acknowledgement::Normal));
    }

    #[test]
    fn a_recovery_that_nobody_was_told_of_is_owed() {
        let Inheritance::RecoveryOwed(patch) = inherit(&told(at(100, 2)), &at(101, 0)) else { panic!("it is owed") };
        assert_eq!((patch.scope, patch.memory.state, patch.memory.last_check), (Scope::State, 2, 101));
        assert_eq!(inherit(&at(100, 2), &at(101, 0)), Inheritance::Nothing, "nobody was told of the problem");
        assert_eq!(inherit(&at(100, 0), &at(101, 2)), Inheritance::Nothing, "the problem is new");
    }

    #[test]
    fn a_recovery_that_no_core_told_is_owed_until_the_next_problem() {
        let over = Memory { state: 0, acknowledgement: None, ..told(at(100, 2)) };
        for last_check in [100, 101] {
            let Inheritance::RecoveryOwed(patch) = inherit(&over, &at(last_check, 0)) else { panic!("it is owed") };
            let Patch { memory, scope } = patch;
            assert_eq!((scope, memory.state, memory.last_check), (Scope::State, 2, last_check));
            assert_eq!((memory.notified_on, memory.notifications), (States::only(2), 3));
        }
        assert_eq!(inherit(&over, &at(101, 1)), Inheritance::Nothing, "the problem is another one");
        assert_eq!(inherit(&at(100, 0), &over), Inheritance::Nothing, "the other one has told it");
        assert_eq!(inherit_union(&over, &at(100, 0)), Inheritance::Nothing);
    }

    #[test]
    fn results_come_first() {
        assert_eq!(inherit(&told(at(100, 2)), &at(99, 2)), Inheritance::Behind);
        assert_eq!(inherit(&told(at(100, 2)), &Memory::default()), Inheritance::Behind);
        assert_eq!(inherit_union(&told(at(100, 2)), &at(99, 2)), Inheritance::Behind);
        assert_eq!(inherit(&Memory::default(), &at(100, 2)), Inheritance::Nothing);
    }

    #[test]
    fn what_was_taken_is_seen() {
        let (given, own) = (told(at(100, 2)), at(100, 2));
        assert!(!is_taken(&given, &own) && is_taken(&given, &given));
        assert!(
            is_taken(&given, &Memory { notifications: 4, last_notification: 95, ..given.clone() }),
            "it has notified since"
        );
        assert!(is_taken(&given, &at(101, 0)), "it was checked since");
        assert!(!is_taken(&given, &Memory { acknowledgement: None, ..given.clone() }));
    }

    #[test]
    fn a_healed_partition_joins_what_was_told() {
        let a = Memory { notified_on: States::only(1), notifications: 5, last_notification: 80, ..at(100, 1) };
        let b =
            Memory { notified_on: States::only(2), notifications: 2, last_notification: 90, attempt: 4, ..at(101, 2) };
        let joined = union(&a, &b);
        assert_eq!((joined.state, joined.attempt), (2, 4), "the newer result");
        assert_eq!(joined.notified_on, States::only(1).union(States::only(2)));
        assert_eq!((joined.notifications, joined.last_notification), (5, 90));
        assert_eq!(patch_of(inherit_union(&a, &b)).scope, Scope::Notifications);
        let over = union(&told(at(100, 2)), &at(101, 0));
        assert!(over.notified_on.is_empty() && over.notifications == 0, "the problem is over");
    }

    #[test]
    fn leftovers_are_silenced_where_they_are_kept() {
        let leftover = Memory { notified_on: States::only(2), ..at(100, 0) };
        let patch = silence_leftovers(&leftover).unwrap();
        assert_eq!(patch.memory.acknowledgement, Some(Acknowledgement::Normal));
        assert_eq!(silence_leftovers(&told(at(100, 2))), None);
        assert_eq!(silence_leftovers(&at(100, 0)), None);
        for (version, expected) in
            [("4.4.6", false), ("4.5.6", false), ("4.5.7", true), ("4.5.12-rc1", true), ("5", true)]
        {
            assert_eq!(keeps_leftovers(Flavour::Nagios4, version), expected, "{version}");
        }
        assert!(!keeps_leftovers(Flavour::Naemon, "4.5.7") && !keeps_leftovers(Flavour::Nagios4, "x"));
    }

    proptest! {
        #[test]
        fn to_inherit_twice_is_to_inherit_once(book in entry(), own in entry()) {
            if let Inheritance::Patch(patch) = inherit(&book.memory, &own.memory) {
                prop_assert_eq!(inherit(&book.memory, &patch.memory), Inheritance::Nothing);
            }
            if let Inheritance::Patch(patch) = inherit_union(&book.memory, &own.memory) {
                prop_assert_eq!(inherit_union(&book.memory, &patch.memory), Inheritance::Nothing);
            }
        }

        #[test]
        fn a_union_forgets_nothing_that_was_told(a in entry(), b in entry()) {
            let joined = union(&a.memory, &b.memory);
            if a.memory.is_problem() && b.memory.is_problem() {
                for state in 1..4 {
                    let told = a.memory.notified_on.contains(state) || b.memory.notified_on.contains(state);
                    prop_assert_eq!(joined.notified_on.contains(state), told);
                }
                prop_assert!(joined.notifications >= a.memory.notifications.max(b.memory.notifications));
            }
            prop_assert_eq!(joined.last_check, a.memory.last_check.max(b.memory.last_check));
            prop_assert_eq!(union(&joined, &joined), joined);
        }
    }
}
