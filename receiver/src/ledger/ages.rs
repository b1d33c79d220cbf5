//! Which of two results of one object is newer, when they come from different nodes, or over different paths.
//!
//! A result has an origin, the node that was told it first, and a path, the neighbour that it came from: the origin itself
//! or a node that relays. Check times are compared in whole seconds, as a core does, and none is later than this node's clock
//! at acceptance.
//!
//! | than the last one that passed, it has | it passes |
//! | --- | --- |
//! | the same origin and path | always: a path keeps their order, so a clock that ran ahead and was corrected does no harm |
//! | another origin; the same path, or straight from its origin | if it is not older |
//! | otherwise: a copy, perhaps of what this node itself sent on | if it is newer than everything that passed before |
//!
//! The last line ends loops. In a ring of relays, what comes round comes over another path than it came first, and is not
//! newer than itself. When the better path breaks, the next second's results pass over the other one.
//!
//! What a core is asked for once more is no news: it passes if it is not older than the last one that passed, wherever that
//! came from, and says nothing about the way on which results of its object come.
//!
//! The journal knows no paths. After a start, what comes straight from its origin continues what is there, and what was relayed
//! has to be newer once: it could be what this node sent on before.
//!
//! **Invariant:** what is decided here is in the order of the journal; it is what will be injected.
//!
//! **Invariant:** memory is bounded by [`MAX_OBJECTS`], 24 bytes and the table's slack for each. An object beyond it is not
//! remembered, and all its results pass.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;

/// How many objects are remembered at most: 13 MiB, and half as much again for a moment while the table grows.
const MAX_OBJECTS: usize = 448 << 10;

/// How many nodes are told apart. Those beyond it count as one.
const MAX_NODES: usize = 4096;

/// An object, as 64 bits of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u64);

/// Makes fingerprints, without any lock.
#[derive(Clone, Debug, Default)]
pub struct Fingerprints(RandomState);

/// The last result of each object that passed.
#[derive(Debug, Default)]
pub(super) struct Ages {
    fingerprints: Fingerprints,
    last: HashMap<Fingerprint, Last, BuildHasherDefault<AlreadyHashed>>,
    nodes: Vec<Arc<str>>,
}

/// The last result of an object that passed. Whole seconds since the Unix epoch, until 2106.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    second: u32,
    /// The latest of this one and those before it.
    latest: u32,
    way: Way,
}

/// A node, as a small number: where in `nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node(u16);

/// How a result came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) origin: Node,
    /// The neighbour that sent it. [`Node::UNKNOWN`] in the journal.
    pub(super) path: Node,
}

/// What takes a decision back.
#[derive(Debug)]
#[must_use = "a result that was let pass and not appended must be taken back"]
pub(super) struct Undo {
    object: Fingerprint,
    before: Option<Last>,
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

    /// The node with this name, for the next calls. A classic client, and who relays for none, is "".
    pub(super) fn node(&mut self, name: &str) -> Node {
        let found = self.nodes.iter().position(|known| **known == *name);
        let at = found.unwrap_or_else(|| {
            if self.nodes.len() < MAX_NODES {
                self.nodes.push(name.into());
            }
            self.nodes.len() - 1
        });
        Node(u16::try_from(at).expect("at most MAX_NODES"))
    }

    /// Whether a result that was checked at `second` passes, while it is `now`. `None`: it is left out.
    pub(super) fn pass(&mut self, object: Fingerprint, way: Way, second: i64, now: i64) -> Option<Undo> {
        let before = self.last.get(&object).copied();
        // What is later than now was accepted before this node's clock was set back, and says nothing.
        let said = before.filter(|last| last.latest <= seconds(now));
        if said.is_some_and(|last| !last.lets_pass(way, seconds(second))) {
            return None;
        }
        self.insert(object, Last::after(said, way, second));
        Some(Undo { object, before })
    }

    /// As [`pass`](Self::pass), for a result that is no news: it was asked for.
    pub(super) fn pass_again(&mut self, object: Fingerprint, origin: Node, second: i64, now: i64) -> Option<Undo> {
        let before = self.last.get(&object).copied();
        let said = before.filter(|last| last.latest <= seconds(now));
        if said.is_some_and(|last| seconds(second) < last.second) {
            return None;
        }
        let way = said.map_or(Way { origin, path: Node::UNKNOWN }, |last| last.way);
        self.insert(object, Last::after(said, way, second));
        Some(Undo { object, before })
    }

    /// This result passed, after those before it.
    pub(super) fn remember(&mut self, object: Fingerprint, origin: Node, second: i64) {
        let before = self.last.get(&object).copied();
        self.insert(object, Last::after(before, Way { origin, path: Node::UNKNOWN }, second));
    }

    fn insert(&mut self, object: Fingerprint, last: Last) {
        if self.last.len() < MAX_OBJECTS {
            self.last.insert(object, last);
        } else if let Some(known) = self.last.get_mut(&object) {
            *known = last;
        }
    }

    /// The result was not appended. To be called in reverse order.
    pub(super) fn undo(&mut self, undo: Undo) {
        match undo.before {
            Some(before) => self.last.insert(undo.object, before),
            None => self.last.remove(&undo.object),
        };
    }
}

impl Node {
    /// Nobody remembers which.
    const UNKNOWN: Node = Node(u16::MAX);
}

const _: () = assert!(MAX_NODES <= Node::UNKNOWN.0 as usize);

impl Way {
    fn is_straight(self) -> bool {
        self.path == self.origin
    }
}

impl Last {
    fn after(before: Option<Last>, way: Way, second: i64) -> Self {
        let second = seconds(second);
        Last { second, latest: before.map_or(second, |last| last.latest.max(second)), way }
    }

    fn lets_pass(self, way: Way, second: u32) -> bool {
        let is_same_path = self.way.path == way.path;
        if self.way.origin == way.origin {
            let is_continued = is_same_path || self.way.path == Node::UNKNOWN && way.is_straight();
            is_continued || second > self.latest
        } else if is_same_path || way.is_straight() {
            second >= self.second
        } else {
            second > self.latest
        }
    }
}

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
        /// Straight from its origin.
        fn passes(&mut self, object: &str, origin: &str, second: i64) -> bool {
            self.relayed(object, origin, origin, second)
        }

        /// An origin's result that came from this neighbour.
        fn relayed(&mut self, object: &str, origin: &str, path: &str, second: i64) -> bool {
            let object = self.ages.fingerprints.of(object.as_bytes());
            let way = Way { origin: self.ages.node(origin), path: self.ages.node(path) };
            self.ages.pass(object, way, second, self.now).is_some()
        }

        /// What the journal tells after a start.
        fn remember(&mut self, object: &str, origin: &str, second: i64) {
            let (object, origin) = (self.ages.fingerprints.of(object.as_bytes()), self.ages.node(origin));
            self.ages.remember(object, origin, second);
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
    fn what_comes_round_over_another_path_is_left_out() {
        let mut stage = Stage { now: 1000, ..Stage::default() };
        assert!(stage.passes("h;s", "master", 500));
        assert!(!stage.relayed("h;s", "master", "relay", 500), "the copy");
        assert!(stage.passes("h;s", "master", 500), "the next one, within the same second");
        assert!(!stage.relayed("h;s", "master", "relay", 500));
        assert!(stage.relayed("h;s", "master", "relay", 501), "the other path is ahead, or the only one that works");
        assert!(stage.relayed("h;s", "master", "relay", 501));
        assert!(!stage.passes("h;s", "master", 501), "now this is the copy");
        assert!(stage.passes("h;s", "master", 502));
    }

    #[test]
    fn what_comes_round_after_its_origins_clock_was_set_back_is_left_out_too() {
        let mut stage = Stage { now: 1000, ..Stage::default() };
        assert!(stage.passes("h;s", "master", 1000));
        assert!(stage.passes("h;s", "master", 400));
        assert!(!stage.relayed("h;s", "master", "relay", 1000));
        assert!(!stage.relayed("h;s", "master", "relay", 400));
        assert!(stage.passes("h;s", "master", 401));
    }

    #[test]
    fn two_origins_that_tell_of_one_second_do_not_take_turns() {
        let mut stage = Stage { now: 1000, ..Stage::default() };
        assert!(stage.passes("h;s", "master", 500));
        assert!(stage.passes("h;s", "other", 500));
        assert!(!stage.relayed("h;s", "master", "relay", 500), "what comes round");
        assert!(stage.relayed("h;s", "master", "other", 500), "the same neighbour tells it after its own");
    }

    #[test]
    fn after_a_start_what_was_relayed_has_to_be_newer_once() {
        let mut stage = Stage { now: 1000, ..Stage::default() };
        for object in ["h;s", "h;t"] {
            stage.remember(object, "master", 900);
            stage.remember(object, "master", 500);
        }
        assert!(!stage.relayed("h;s", "master", "relay", 500), "it may be what this node sent on before");
        assert!(!stage.relayed("h;s", "master", "relay", 900));
        assert!(stage.relayed("h;s", "master", "relay", 901));
        assert!(stage.relayed("h;s", "master", "relay", 901));
        assert!(stage.passes("h;t", "master", 500));
    }

    /// What was asked for.
    fn passes_again(stage: &mut Stage, object: &str, second: i64) -> bool {
        let (object, origin) = (stage.ages.fingerprints.of(object.as_bytes()), stage.ages.node("master"));
        stage.ages.pass_again(object, origin, second, stage.now).is_some()
    }

    #[test]
    fn what_was_asked_for_passes_unless_it_is_older_and_leaves_the_way_as_it_was() {
        let mut stage = Stage { now: 1000, ..Stage::default() };
        assert!(stage.relayed("h;s", "far", "relay", 500));
        assert!(!passes_again(&mut stage, "h;s", 499));
        assert!(passes_again(&mut stage, "h;s", 500), "as often as somebody asks");
        assert!(passes_again(&mut stage, "h;s", 501));
        assert!(!passes_again(&mut stage, "h;s", 500));
        assert!(stage.relayed("h;s", "far", "relay", 501), "the same way goes on");
        assert!(!stage.relayed("h;s", "far", "another", 501), "and others are copies");
        assert!(passes_again(&mut stage, "h", 700), "an object that nobody told of");
        assert!(stage.passes("h", "master", 700));
        assert!(passes_again(&mut stage, "t", 700));
        assert!(!stage.passes("t", "other", 699), "older than what the core has");
        stage.now = 600;
        assert!(passes_again(&mut stage, "h", 599), "this node's clock was set back");
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
        let (object, b) = (stage.ages.fingerprints.of(b"h"), stage.ages.node("b"));
        let b = Way { origin: b, path: b };
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
        assert_eq!(stage.ages.last.len(), MAX_OBJECTS);
        assert_eq!(size_of::<(Fingerprint, Last)>(), 24);
        // An eighth of the table's places is never used; each has a byte beside.
        assert!(stage.ages.last.capacity() / 7 * 8 * (24 + 1) <= 13 << 20);
        assert!(!stage.passes("host7", "b", 899));
        assert!(stage.passes(&format!("host{}", MAX_OBJECTS + 5), "b", 899));
    }

    #[test]
    fn nodes_are_bounded() {
        let mut ages = Ages::default();
        let first = ages.node("first");
        for n in 0..2 * MAX_NODES {
            let _ = ages.node(&format!("n{n}"));
        }
        assert_eq!(ages.nodes.len(), MAX_NODES);
        assert_eq!(ages.node("first"), first);
    }
}
