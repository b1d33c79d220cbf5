//! Who sends to this node in sealed sessions: who is connected, and which of their results the journal has committed.
//!
//! Results are identified by (node, spool id, epoch, sequence). For each of the last spools and epochs of a node, the
//! last sequence that is committed is remembered, and told when a session begins: the sender goes on behind it.
//!
//! | who comes | what happens |
//! | --- | --- |
//! | a name that is not connected | welcome |
//! | a name that is connected, with the same spool | welcome; the older session is superseded: nothing of it is taken any more, nothing acknowledged |
//! | a name that is connected, with another spool | refused: two machines have one name |
//! | a spool or an epoch that is not remembered | everything that it has is new |
//!
//! **Invariant:** what is remembered as committed is committed. What is remembered on disk is at most as much, and what
//! is forgotten is sent again: duplicates, never loss.
//!
//! **Invariant:** what one session sent is never acknowledged to another one: a state directory that was cloned gives two
//! spools of one identity, whose new results have the same numbers and are not the same.
//!
//! **Invariant:** what the journal has got is not taken again while this process runs, provided that a new session is
//! welcomed when what came before is [settled](Peers::is_settled).
//!
//! **Invariant:** memory is bounded by [`MAX_NODES`] and [`MAX_SPOOLS`].

mod file;
mod keeper;

use std::collections::{BTreeMap, BTreeSet};

use nsca::sealed::{Hello, NodeName, Reason, SpoolId};

pub(crate) use keeper::Keeper;

/// How many nodes are remembered. Those that were not heard of for longest go first.
pub const MAX_NODES: usize = 1024;

/// How many spools and epochs are remembered of each node. The one that began its session longest ago goes first.
pub const MAX_SPOOLS: usize = 8;

/// Within one of these, the sequence alone tells what is new.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Who sends.
    pub node: NodeName,
    /// The spool that it sends from.
    pub spool: SpoolId,
    /// The epoch of that spool.
    pub epoch: u64,
}

/// Tells the sessions of one process apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionNumber(u64);

/// A session may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The session's own.
    pub number: SessionNumber,
    /// The last sequence that is committed; 0: none.
    pub accepted: u64,
    /// The session that this one replaces. It has to end.
    pub supersedes: Option<SessionNumber>,
}

/// What a node has sent, as the status tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) source: Source,
    pub(crate) accepted: u64,
    pub(crate) is_connected: bool,
}

/// What is known of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    nodes: BTreeMap<NodeName, Node>,
    live: BTreeMap<NodeName, Live>,
    /// Counts sessions: the order in which nodes were heard of.
    turn: u64,
    /// What was appended since the last commit began.
    uncommitted: BTreeSet<Source>,
    /// Whether the file holds something else.
    changed: bool,
}

#[derive(Clone, Debug, Default)]
struct Node {
    heard: u64,
    /// In the order of their last sessions.
    spools: Vec<Known>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    spool: SpoolId,
    epoch: u64,
    /// Committed up to here.
    accepted: u64,
    /// Appended up to here.
    taken: u64,
    /// The last session.
    session: SessionNumber,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    number: SessionNumber,
    spool: SpoolId,
}

/// What has been appended when a commit begins.
#[derive(Debug, Default)]
#[must_use = "Peers::committed or Peers::not_committed takes it back"]
pub struct Uncommitted(Vec<(Source, Known)>);

/// Sessions.
impl Peers {
    /// Somebody who knows the key wants to send.
    ///
    /// # Errors
    /// Why not.
    pub fn begin(&mut self, hello: &Hello) -> Result<Begun, Reason> {
        let before = self.live.get(&hello.node);
        if before.is_some_and(|live| live.spool != hello.spool) {
            return Err(Reason::NameInUse);
        }
        let supersedes = before.map(|live| live.number);
        if !self.nodes.contains_key(&hello.node) && !self.make_room() {
            return Err(Reason::Unavailable);
        }
        self.turn += 1;
        let number = SessionNumber(self.turn);
        let node = self.nodes.entry(hello.node.clone()).or_default();
        node.heard = self.turn;
        let accepted = node.begin(hello.spool, hello.epoch, number);
        self.live.insert(hello.node.clone(), Live { number, spool: hello.spool });
        self.changed = true;
        Ok(Begun { number, accepted, supersedes })
    }

    /// A session has ended.
    pub fn end(&mut self, node: &NodeName, number: SessionNumber) {
        if self.live.get(node).is_some_and(|live| live.number == number) {
            self.live.remove(node);
        }
        self.turn += 1;
        if let Some(node) = self.nodes.get_mut(node) {
            node.heard = self.turn;
            self.changed = true;
        }
    }

    /// Sees to it that one more node can be remembered.
    fn make_room(&mut self) -> bool {
        if self.nodes.len() < MAX_NODES {
            return true;
        }
        let silent = self.nodes.iter().filter(|(name, _)| !self.live.contains_key(*name));
        let Some(longest) = silent.min_by_key(|(_, node)| node.heard).map(|(name, _)| name.clone()) else {
            return false;
        };
        self.nodes.remove(&longest);
        true
    }
}

impl Node {
    /// A session from this spool begins, and goes on behind what is committed.
    fn begin(&mut self, spool: SpoolId, epoch: u64, session: SessionNumber) -> u64 {
        let found = self.spools.iter().position(|known| known.is(spool, epoch));
        let accepted = found.map_or(0, |at| self.spools.remove(at).accepted);
        if self.spools.len() >= MAX_SPOOLS {
            self.spools.remove(0);
        }
        self.spools.push(Known { spool, epoch, accepted, taken: accepted, session });
        accepted
    }
}

impl Known {
    fn is(&self, spool: SpoolId, epoch: u64) -> bool {
        self.spool == spool && self.epoch == epoch
    }
}

/// Results.
impl Peers {
    /// Whether everything that was taken of this spool is committed. It is best to wait for that before the session begins:
    /// what is taken and not committed is taken once more in it.
    pub fn is_settled(&self, hello: &Hello) -> bool {
        let spools = self.nodes.get(&hello.node).map_or(&[][..], |node| &node.spools);
        spools.iter().all(|known| !known.is(hello.spool, hello.epoch) || known.accepted == known.taken)
    }

    /// The last sequence that is committed, in this session or before it. `None`: the session was superseded.
    pub fn accepted(&self, source: &Source, session: SessionNumber) -> Option<u64> {
        self.known(source, session).map(|known| known.accepted)
    }

    /// The last sequence that was appended to the journal, in this session or before it. `None`: the session was superseded.
    pub fn taken(&self, source: &Source, session: SessionNumber) -> Option<u64> {
        self.known(source, session).map(|known| known.taken)
    }

    /// Everything up to this sequence is appended to the journal, or was left out for good. To be called in the order of
    /// the journal.
    pub fn take(&mut self, source: &Source, session: SessionNumber, sequence: u64) {
        if let Some(known) = self.known_mut(source, session)
            && sequence > known.taken
        {
            known.taken = sequence;
            self.uncommitted.insert(source.clone());
        }
    }

    /// Whether something was taken since the last commit began.
    pub fn is_uncommitted(&self) -> bool {
        !self.uncommitted.is_empty()
    }

    /// A commit of everything that was appended so far begins.
    pub fn begin_commit(&mut self) -> Uncommitted {
        let sources = std::mem::take(&mut self.uncommitted).into_iter();
        let known = sources.filter_map(|source| {
            let known = *self.spools(&source)?.iter().find(|known| known.is(source.spool, source.epoch))?;
            Some((source, known))
        });
        Uncommitted(known.collect())
    }

    /// That commit has succeeded.
    pub fn committed(&mut self, commit: Uncommitted) {
        for (source, then) in commit.0 {
            if let Some(known) = self.known_mut(&source, then.session)
                && then.taken > known.accepted
            {
                known.accepted = then.taken;
                self.changed = true;
            }
        }
    }

    /// That commit has failed: the next one is about the same.
    pub fn not_committed(&mut self, commit: Uncommitted) {
        self.uncommitted.extend(commit.0.into_iter().map(|(source, _)| source));
    }

    /// Everything that is remembered, by name and in the order of the last sessions.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = Remembered> {
        self.nodes.iter().flat_map(|(name, node)| {
            let newest = node.spools.len() - 1;
            let is_connected = self.live.contains_key(name);
            node.spools.iter().enumerate().map(move |(at, known)| Remembered {
                source: Source { node: name.clone(), spool: known.spool, epoch: known.epoch },
                accepted: known.accepted,
                is_connected: is_connected && at == newest,
            })
        })
    }

    fn spools(&self, source: &Source) -> Option<&Vec<Known>> {
        self.nodes.get(&source.node).map(|node| &node.spools)
    }

    fn known(&self, source: &Source, session: SessionNumber) -> Option<&Known> {
        self.spools(source)?.iter().find(|known| known.is(source.spool, source.epoch) && known.session == session)
    }

    fn known_mut(&mut self, source: &Source, session: SessionNumber) -> Option<&mut Known> {
        let mut spools = self.nodes.get_mut(&source.node)?.spools.iter_mut();
        spools.find(|known| known.is(source.spool, source.epoch) && known.session == session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn hello(node: &str, spool: u8, epoch: u64) -> Hello {
        Hello { node: NodeName::try_from(node).unwrap(), spool: SpoolId([spool; 16]), epoch, oldest: 1, newest: 9 }
    }

    pub(super) fn source(node: &str, spool: u8, epoch: u64) -> Source {
        Source { node: NodeName::try_from(node).unwrap(), spool: SpoolId([spool; 16]), epoch }
    }

    fn commit(peers: &mut Peers) {
        let commit = peers.begin_commit();
        peers.committed(commit);
    }

    fn begin(peers: &mut Peers, hello: &Hello) -> Begun {
        peers.begin(hello).unwrap()
    }

    #[test]
    fn a_sender_goes_on_behind_what_is_committed_not_behind_what_is_appended() {
        let (mut peers, hello, source) = (Peers::default(), hello("m", 1, 1), source("m", 1, 1));
        let Begun { number, accepted, supersedes } = begin(&mut peers, &hello);
        assert_eq!((accepted, supersedes), (0, None));
        peers.take(&source, number, 5);
        let under_way = peers.begin_commit();
        peers.take(&source, number, 8);
        assert_eq!(peers.accepted(&source, number), Some(0));
        peers.committed(under_way);
        assert_eq!((peers.accepted(&source, number), peers.taken(&source, number)), (Some(5), Some(8)));
        assert!(!peers.is_settled(&hello));
        commit(&mut peers);
        assert!(peers.is_settled(&hello));
        assert_eq!(begin(&mut peers, &hello).accepted, 8);
    }

    #[test]
    fn what_a_superseded_session_sent_is_neither_taken_nor_acknowledged_to_the_next() {
        let (mut peers, hello, source) = (Peers::default(), hello("m", 1, 1), source("m", 1, 1));
        let older = begin(&mut peers, &hello).number;
        peers.take(&source, older, 50);
        let under_way = peers.begin_commit();
        let newer = begin(&mut peers, &hello);
        assert_eq!(newer.accepted, 0);
        peers.committed(under_way);
        peers.take(&source, older, 60);
        commit(&mut peers);
        assert_eq!((peers.taken(&source, older), peers.accepted(&source, older)), (None, None));
        assert_eq!((peers.taken(&source, newer.number), peers.accepted(&source, newer.number)), (Some(0), Some(0)));
    }

    #[test]
    fn what_a_session_that_ended_had_sent_counts_for_the_next() {
        let (mut peers, hello, source) = (Peers::default(), hello("m", 1, 1), source("m", 1, 1));
        let number = begin(&mut peers, &hello).number;
        peers.take(&source, number, 50);
        peers.end(&source.node, number);
        assert!(!peers.is_settled(&hello));
        commit(&mut peers);
        assert_eq!(begin(&mut peers, &hello).accepted, 50);
    }

    #[test]
    fn a_commit_that_failed_is_made_good_by_the_next() {
        let (mut peers, source) = (Peers::default(), source("m", 1, 1));
        let number = begin(&mut peers, &hello("m", 1, 1)).number;
        peers.take(&source, number, 5);
        let failed = peers.begin_commit();
        assert!(!peers.is_uncommitted());
        peers.not_committed(failed);
        assert_eq!(peers.accepted(&source, number), Some(0));
        commit(&mut peers);
        assert_eq!(peers.accepted(&source, number), Some(5));
    }

    #[test]
    fn another_spool_or_epoch_is_another_history() {
        let (mut peers, first) = (Peers::default(), source("m", 1, 1));
        let number = begin(&mut peers, &hello("m", 1, 1)).number;
        peers.take(&first, number, 100);
        commit(&mut peers);
        let number = begin(&mut peers, &hello("m", 1, 2));
        assert_eq!(number.accepted, 0, "the same spool began a new epoch");
        peers.end(&first.node, number.number);
        let lost = begin(&mut peers, &hello("m", 2, 1));
        assert_eq!(lost.accepted, 0, "the state directory was lost");
        peers.end(&first.node, lost.number);
        assert_eq!(begin(&mut peers, &hello("m", 1, 1)).accepted, 100, "and comes back from a copy");
    }

    #[test]
    fn one_name_with_two_spools_is_refused_while_the_first_is_connected() {
        let mut peers = Peers::default();
        let first = peers.begin(&hello("m", 1, 1)).unwrap();
        assert_eq!(peers.begin(&hello("m", 2, 1)), Err(Reason::NameInUse));
        let second = peers.begin(&hello("m", 1, 1)).unwrap();
        assert_eq!(second.supersedes, Some(first.number));
        let node = source("m", 1, 1).node;
        peers.end(&node, first.number);
        assert_eq!(peers.begin(&hello("m", 2, 1)), Err(Reason::NameInUse), "the second session goes on");
        peers.end(&node, second.number);
        assert!(peers.begin(&hello("m", 2, 1)).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_what_is_connected_is_kept() {
        let mut peers = Peers::default();
        peers.begin(&hello("connected", 1, 1)).unwrap();
        for n in 0..2 * MAX_NODES {
            let (name, n) = (format!("n{n}"), u64::try_from(n).unwrap());
            let number = peers.begin(&hello(&name, 1, n)).unwrap().number;
            peers.end(&source(&name, 1, n).node, number);
        }
        assert_eq!(peers.nodes.len(), MAX_NODES);
        assert!(peers.nodes.contains_key(&source("connected", 1, 1).node));
        assert!(!peers.nodes.contains_key(&source("n0", 1, 1).node));
        (0..20).for_each(|epoch| assert!(peers.begin(&hello("connected", 1, epoch)).is_ok()));
        assert_eq!(peers.remembered().filter(|r| r.source.node.as_str() == "connected").count(), MAX_SPOOLS);
    }

    #[test]
    fn with_everybody_connected_one_more_is_turned_away() {
        let mut peers = Peers::default();
        for n in 0..MAX_NODES {
            peers.begin(&hello(&format!("n{n}"), 1, 1)).unwrap();
        }
        assert_eq!(peers.begin(&hello("one more", 1, 1)), Err(Reason::Unavailable));
    }
}
