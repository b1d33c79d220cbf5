//! Which of two results of one object is newer, when they come from different nodes.
//!
//! Within one origin, the order in which its results come is their order, whatever its clock says: one that ran ahead and
//! was corrected does no harm. Across origins check times decide, in whole seconds, as a core does: an older result is
//! left out, an equally old one passes. No check time is later than this node's clock at acceptance.
//!
//! **Invariant:** what is decided here is in the order of the journal; it is what will be injected.
//!
//! **Invariant:** memory is bounded by [`MAX_OBJECTS`], 16 bytes and the table's slack for each. An object beyond it is not
//! remembered, and all its results pass.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;

/// How many objects are remembered at most: 18 MiB.
const MAX_OBJECTS: usize = 448 << 10;

/// How many origins are told apart. Those beyond it count as one.
const MAX_ORIGINS: usize = 4096;

/// An object, as 64 bits of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u64);

/// Makes fingerprints, without any lock.
#[derive(Clone, Debug, Default)]
pub(super) struct Fingerprints(RandomState);

/// The newest result of each object.
#[derive(Debug, Default)]
pub(super) struct Ages {
    fingerprints: Fingerprints,
    newest: HashMap<Fingerprint, Newest, BuildHasherDefault<AlreadyHashed>>,
    origins: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Newest {
    /// Whole seconds since the Unix epoch, until 2106.
    second: u32,
    /// Where in `origins`.
    origin: u32,
}

/// What takes a decision back.
#[derive(Debug)]
#[must_use = "a result that was let pass and not appended must be taken back"]
pub(super) struct Undo {
    object: Fingerprint,
    before: Option<Newest>,
}

impl Fingerprints {
    /// What an object is recognised by: from the journal's key.
    pub(super) fn of(&self, key: &[u8]) -> Fingerprint {
        Fingerprint(self.0.hash_one(key))
    }
}

impl Ages {
    /// What makes the fingerprints of these objects.
    pub(super) fn fingerprints(&self) -> Fingerprints {
        self.fingerprints.clone()
    }

    /// Where results come from, for the next calls.
    pub(super) fn origin(&mut self, name: &Arc<str>) -> Origin {
        let found = self.origins.iter().position(|known| Arc::ptr_eq(known, name) || known == name);
        let at = found.unwrap_or_else(|| {
            if self.origins.len() < MAX_ORIGINS {
                self.origins.push(name.clone());
            }
            self.origins.len() - 1
        });
        Origin(u32::try_from(at).expect("at most MAX_ORIGINS"))
    }

    /// Whether a result that was checked at `second` passes, while it is `now`. `None`: it is older than what another
    /// origin has told.
    pub(super) fn pass(&mut self, object: Fingerprint, origin: Origin, second: i64, now: i64) -> Option<Undo> {
        let (second, now) = (seconds(second), seconds(now));
        let before = self.newest.get(&object).copied();
        // What is later than now was accepted before this node's clock was set back, and says nothing.
        if before.is_some_and(|b| b.origin != origin.0 && second < b.second && b.second <= now) {
            return None;
        }
        self.remember(object, origin, second.into());
        Some(Undo { object, before })
    }

    /// This is the newest result of an object.
    pub(super) fn remember(&mut self, object: Fingerprint, origin: Origin, second: i64) {
        let newest = Newest { second: seconds(second), origin: origin.0 };
        if self.newest.len() < MAX_OBJECTS {
            self.newest.insert(object, newest);
        } else if let Some(known) = self.newest.get_mut(&object) {
            *known = newest;
        }
    }

    /// The result was not appended. To be called in reverse order.
    pub(super) fn undo(&mut self, undo: Undo) {
        match undo.before {
            Some(before) => self.newest.insert(undo.object, before),
            None => self.newest.remove(&undo.object),
        };
    }
}

/// An origin, as a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin(u32);

fn seconds(second: i64) -> u32 {
    u32::try_from(second.max(0)).unwrap_or(u32::MAX)
}

/// Fingerprints are hashes already.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("a fingerprint is one number");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ages, and the results that come.
    #[derive(Default)]
    struct Stage {
        ages: Ages,
        now: i64,
    }

    impl Stage {
        fn passes(&mut self, object: &str, origin: &str, second: i64) -> bool {
            let object = self.ages.fingerprints.of(object.as_bytes());
            let origin = self.ages.origin(&origin.into());
            self.ages.pass(object, origin, second, self.now).is_some()
        }
    }

    #[test]
    fn across_origins_the_older_is_left_out_and_the_equal_passes() {
        let mut stage = Stage { now: 1000, ..Stage::default() };
        assert!(stage.passes("h;s", "master", 500));
        assert!(!stage.passes("h;s", "other", 499));
        assert!(stage.passes("h;s", "other", 500));
        assert!(!stage.passes("h;s", "master", 499));
        assert!(stage.passes("h;s", "", 501));
        assert!(stage.passes("h", "other", 1), "another object");
    }

    #[test]
    fn within_one_origin_a_clock_that_is_set_back_does_no_harm() {
        let mut stage = Stage { now: 1000, ..Stage::default() };
        assert!(stage.passes("h;s", "master", 1000));
        assert!(stage.passes("h;s", "master", 400));
        assert!(stage.passes("h;s", "other", 400), "the newest is the last one of its origin");
    }

    #[test]
    fn when_this_nodes_clock_is_set_back_nothing_is_shut_out() {
        let mut stage = Stage { now: 5000, ..Stage::default() };
        assert!(stage.passes("h;s", "master", 5000));
        stage.now = 1000;
        assert!(stage.passes("h;s", "other", 999));
    }

    #[test]
    fn what_was_not_appended_is_as_if_it_had_never_come() {
        let mut stage = Stage { now: 1000, ..Stage::default() };
        assert!(stage.passes("h", "a", 100));
        let (object, b) = (stage.ages.fingerprints.of(b"h"), stage.ages.origin(&"b".into()));
        let undo = stage.ages.pass(object, b, 900, 1000).unwrap();
        stage.ages.undo(undo);
        assert!(stage.passes("h", "c", 100));
        let fresh = stage.ages.fingerprints.of(b"fresh");
        let undo = stage.ages.pass(fresh, b, 900, 1000).unwrap();
        stage.ages.undo(undo);
        assert!(stage.passes("fresh", "c", 1));
    }

    #[test]
    fn a_hundred_thousand_objects_are_small_and_more_than_the_limit_pass() {
        let mut stage = Stage { now: 1000, ..Stage::default() };
        for n in 0..MAX_OBJECTS + 10 {
            assert!(stage.passes(&format!("host{n}"), "a", 900));
        }
        assert_eq!(stage.ages.newest.len(), MAX_OBJECTS);
        assert!(stage.ages.newest.capacity() * (size_of::<(Fingerprint, Newest)>() + 1) <= 18 << 20);
        assert!(!stage.passes("host7", "b", 899));
        assert!(stage.passes(&format!("host{}", MAX_OBJECTS + 5), "b", 899));
    }

    #[test]
    fn origins_are_bounded() {
        let mut ages = Ages::default();
        let first = ages.origin(&"first".into());
        for n in 0..2 * MAX_ORIGINS {
            let _ = ages.origin(&format!("o{n}").into());
        }
        assert_eq!(ages.origins.len(), MAX_ORIGINS);
        assert_eq!(ages.origin(&"first".into()), first);
    }
}
