//! What was last heard of each node in sealed sessions, for whoever watches over it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nsca::sealed::{CoreVerdict, Duty, Reason, Warmth};
use tokio::sync::watch;

use crate::peers::{MAX_NODES, SessionNumber};

/// How a node is, as it says itself in its heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// How its core is.
    pub core: CoreVerdict,
    /// What it does.
    pub duty: Duty,
    /// Whether its core is up to date.
    pub warmth: Warmth,
}

/// The last signs of life of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// When it last said something authentic. `None`: not since this process started.
    pub at: Option<Instant>,
    /// How its core is, as its last heartbeat told.
    pub core: CoreVerdict,
    /// What it does, as its last heartbeat told.
    pub duty: Duty,
    /// Whether its core is up to date, as its last heartbeat told.
    pub warmth: Warmth,
    /// Whether it is connected, and if not, how that ended.
    pub contact: Contact,
    /// The session that this is about.
    number: Option<SessionNumber>,
}

/// Whether a node is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contact {
    /// It was not since this process started.
    #[default]
    Never,
    /// It is.
    Connected,
    /// It ended the session in order, and said why.
    Goodbye(Reason),
    /// The connection ended without a word, or the node was silent for too long, or did something wrong.
    Cut,
}

/// What was heard of all nodes.
#[derive(Default)]
pub(crate) struct Hearing {
    nodes: Mutex<BTreeMap<String, watch::Sender<Heard>>>,
    arrivals: watch::Sender<u64>,
}

/// What one session tells of its node.
pub(crate) struct Bond {
    number: SessionNumber,
    heard: watch::Sender<Heard>,
}

impl Hearing {
    /// Follows a node.
    pub(crate) fn subscribe(&self, node: &str) -> watch::Receiver<Heard> {
        self.of(node).subscribe()
    }

    /// Counts sessions as they begin.
    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// A session of a node begins.
    pub(crate) fn begin(&self, node: &str, number: SessionNumber, now: Instant) -> Bond {
        let heard = self.of(node);
        heard.send_modify(|heard| {
            // What it said in another session says nothing of now.
            *heard = Heard { at: Some(now), contact: Contact::Connected, number: Some(number), ..Heard::default() };
        });
        self.arrivals.send_modify(|arrivals| *arrivals += 1);
        Bond { number, heard }
    }

    fn of(&self, node: &str) -> watch::Sender<Heard> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.len() >= MAX_NODES && !nodes.contains_key(node) {
            nodes.retain(|_, heard| heard.receiver_count() > 0 || heard.borrow().contact == Contact::Connected);
        }
        nodes.entry(node.to_owned()).or_default().clone()
    }
}

impl Bond {
    /// The node lives.
    pub(crate) fn hear(&self, at: Option<Instant>) {
        self.heard.send_if_modified(|heard| {
            let is_news = self.is_about(heard) && at > heard.at;
            if is_news {
                heard.at = at;
            }
            is_news
        });
    }

    /// The node says how it is.
    pub(crate) fn hear_heartbeat(&self, condition: Condition) {
        let Condition { core, duty, warmth } = condition;
        self.heard.send_if_modified(|heard| {
            let is_news = self.is_about(heard) && (heard.core, heard.duty, heard.warmth) != (core, duty, warmth);
            if is_news {
                (heard.core, heard.duty, heard.warmth) = (core, duty, warmth);
            }
            is_news
        });
    }

    /// The node says goodbye.
    pub(crate) fn part(&self, reason: Reason) {
        self.end(Contact::Goodbye(reason));
    }

    fn end(&self, contact: Contact) {
        self.heard.send_if_modified(|heard| {
            let is_news = self.is_about(heard) && heard.contact == Contact::Connected;
            if is_news {
                heard.contact = contact;
            }
            is_news
        });
    }

    /// Not if a newer session has begun.
    fn is_about(&self, heard: &Heard) -> bool {
        heard.number == Some(self.number)
    }
}

impl Drop for Bond {
    fn drop(&mut self) {
        self.end(Contact::Cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Peers;
    use nsca::sealed::{Hello, NodeName, SpoolId};

    /// Two numbers of one node.
    fn numbers() -> [SessionNumber; 2] {
        let mut peers = Peers::default();
        let node = NodeName::try_from("m").unwrap();
        let hello = Hello { node, spool: SpoolId([1; 16]), epoch: 1, oldest: 1, newest: 0 };
        [(), ()].map(|()| peers.begin(&hello).unwrap().number)
    }

    #[test]
    fn goodbye_and_a_cut_are_told_apart() {
        let (hearing, [number, _]) = (Hearing::default(), numbers());
        let heard = hearing.subscribe("m");
        assert_eq!(heard.borrow().contact, Contact::Never);
        let bond = hearing.begin("m", number, Instant::now());
        bond.hear_heartbeat(Condition { core: CoreVerdict::DeadCrash, duty: Duty::Active, warmth: Warmth::Cold });
        assert_eq!((heard.borrow().contact, heard.borrow().core), (Contact::Connected, CoreVerdict::DeadCrash));
        assert_eq!((heard.borrow().duty, heard.borrow().warmth), (Duty::Active, Warmth::Cold));
        drop(bond);
        assert_eq!(heard.borrow().contact, Contact::Cut);
        let bond = hearing.begin("m", number, Instant::now());
        bond.part(Reason::Stopping);
        drop(bond);
        assert_eq!(heard.borrow().contact, Contact::Goodbye(Reason::Stopping));
        assert!(heard.borrow().at.is_some());
    }

    #[test]
    fn the_end_of_an_older_session_says_nothing_about_the_newer_one() {
        let (hearing, [first, second]) = (Hearing::default(), numbers());
        let older = hearing.begin("m", first, Instant::now());
        let _newer = hearing.begin("m", second, Instant::now());
        drop(older);
        assert_eq!(hearing.subscribe("m").borrow().contact, Contact::Connected);
    }

    #[test]
    fn nodes_that_nobody_follows_are_forgotten() {
        let (hearing, [number, _]) = (Hearing::default(), numbers());
        let followed = hearing.subscribe("followed");
        for n in 0..3 * MAX_NODES {
            drop(hearing.begin(&format!("n{n}"), number, Instant::now()));
        }
        let nodes = hearing.nodes.lock().unwrap();
        assert!(nodes.len() <= MAX_NODES && nodes.contains_key("followed"));
        drop(followed);
    }
}
