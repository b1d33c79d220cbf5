//! What the core is given before it notifies. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use book::inherit::{Inheritance, inherit, inherit_union, silence_leftovers};
use book::{Authority, Book};
use nagios::memory::States;
use nagios::retention::Patch;
use nagios::{Memory, Object};

/// What the core is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What it is to remember of each object.
    pub(crate) patches: BTreeMap<Object, Patch>,
    /// Those whose newest result it needs once more, so that it tells a recovery that nobody was told of.
    pub(crate) owed: BTreeSet<Object>,
    /// How many objects lack a result, so that nothing can be said of them.
    pub(crate) behind: usize,
    /// How many leftovers of earlier problems are silenced.
    pub(crate) silenced: usize,
}

impl Plan {
    /// What the book says that `own`, the core's memories, does not. Objects that this core does not have are passed over.
    pub(crate) fn of_book(book: &Book, own: &BTreeMap<Object, Memory>, authority: Authority) -> Self {
        let mut plan = Self::default();
        for (object, entry) in book.entries() {
            let Some(mut own) = own.get(object).cloned() else { continue };
            if !own.is_problem() {
                // The core's own file knows it, but no core can be made to forget it.
                own.notified_on = States::default();
            }
            let inheritance = match authority {
                Authority::Inherit => inherit(&entry.memory, &own),
                Authority::Union => inherit_union(&entry.memory, &own),
                Authority::Nothing => Inheritance::Nothing,
            };
            match inheritance {
                Inheritance::Nothing => {}
                Inheritance::Behind => plan.behind += 1,
                Inheritance::Patch(patch) => drop(plan.patches.insert(object.clone(), patch)),
                Inheritance::RecoveryOwed(patch) => {
                    plan.patches.insert(object.clone(), patch);
                    plan.owed.insert(object.clone());
                }
            }
        }
        plan
    }

    /// Leaves out what `is_in_vain`.
    pub(crate) fn leave_out(&mut self, is_in_vain: impl Fn(&Object, &Patch) -> bool) {
        self.patches.retain(|object, patch| !is_in_vain(object, patch));
        self.owed.retain(|object| self.patches.contains_key(object));
    }

    /// Silences what the core itself has kept of problems that are over, by its own retention file.
    pub(crate) fn silence(&mut self, own: &BTreeMap<Object, Memory>) {
        for (object, memory) in own {
            if let (false, Some(patch)) = (self.patches.contains_key(object), silence_leftovers(memory)) {
                self.patches.insert(object.clone(), patch);
                self.silenced += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::{Change, Entry, Record};
    use nagios::HostName;
    use nagios::memory::Acknowledgement;
    use nagios::retention::Scope;

    fn host(name: &str) -> Object {
        Object::Host(HostName::try_from(name).unwrap())
    }

    fn at(last_check: i64, state: u8) -> Memory {
        Memory { checked: true, last_check, state, ..Memory::default() }
    }

    fn notified(last_check: i64) -> Memory {
        Memory { notified_on: States::only(1), notifications: 1, last_notification: last_check, ..at(last_check, 1) }
    }

    fn book(entries: &[(&str, Memory)]) -> Book {
        let mut book = Book::default();
        for (name, memory) in entries {
            let entry = Entry { memory: memory.clone(), ..Entry::default() };
            book.apply(Record::Whole(host(name), Change::whole(&entry))).unwrap();
        }
        book
    }

    #[test]
    fn each_object_gets_what_the_book_says_more() {
        let book = book(&[
            ("same", notified(100)),
            ("owed", notified(100)),
            ("behind", notified(100)),
            ("unknown", notified(100)),
            ("fine", at(100, 0)),
        ]);
        let own = [("same", at(100, 1)), ("owed", at(101, 0)), ("behind", at(99, 0)), ("fine", at(100, 0))];
        let own: BTreeMap<_, _> = own.into_iter().map(|(name, memory)| (host(name), memory)).collect();
        let plan = Plan::of_book(&book, &own, Authority::Inherit);
        assert_eq!(plan.patches.keys().collect::<Vec<_>>(), [&host("owed"), &host("same")]);
        assert_eq!(plan.patches[&host("same")].memory.notifications, 1);
        assert_eq!(plan.patches[&host("owed")].scope, Scope::State);
        assert_eq!((plan.owed.iter().collect::<Vec<_>>(), plan.behind), (vec![&host("owed")], 1));
        assert_eq!(Plan::of_book(&book, &own, Authority::Nothing), Plan::default());
        let joined = Plan::of_book(&book, &own, Authority::Union);
        assert!(joined.owed.is_empty() && joined.patches.contains_key(&host("same")));
    }

    #[test]
    fn leftovers_are_silenced_where_nothing_else_is_said() {
        let leftover = Memory { notified_on: States::only(1), ..at(100, 0) };
        let own = BTreeMap::from([(host("a"), leftover.clone()), (host("b"), leftover), (host("c"), at(100, 0))]);
        let mut plan = Plan::of_book(&book(&[("a", notified(90))]), &own, Authority::Inherit);
        plan.silence(&own);
        assert_eq!(plan.silenced, 1);
        assert_eq!(plan.patches[&host("a")].scope, Scope::State, "its recovery is owed");
        assert_eq!(plan.patches[&host("b")].memory.acknowledgement, Some(Acknowledgement::Normal));
    }
}
