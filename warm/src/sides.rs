//! What this node's core shows beside the book of the peer, and whose memory counts.
//!
//! **Invariant:** whoever needs both at once reads them with [`Sides::compare`], which locks the own book first: two that
//! locked them the other way round would wait for each other for ever.

use std::sync::Arc;

use book::authority::authority;
use book::{Authority, Shelf};
use chronicle::{Chronicle, Own};
use nsca::sealed::NodeName;
use tokio::sync::watch;

use crate::settings::Settings;
use crate::shelves::Shelves;

/// This node's core, and the books of others.
pub struct Sides {
    /// Whom this node is warm for.
    pub settings: Settings,
    /// What this node's core remembers.
    pub chronicle: Chronicle,
    /// What others told of theirs.
    pub shelves: Arc<Shelves>,
    on_stage: watch::Sender<bool>,
}

impl Sides {
    /// Nobody has said yet that this core notifies.
    pub fn new(settings: Settings, chronicle: Chronicle, shelves: Arc<Shelves>) -> Self {
        Self { settings, chronicle, shelves, on_stage: watch::Sender::new(false) }
    }

    /// Whose book counts: the configured node's, else that of the only one that has sent one.
    pub fn peer(&self) -> Option<NodeName> {
        if self.settings.peer.is_some() {
            return self.settings.peer.clone();
        }
        let mut nodes = self.shelves.nodes().into_iter();
        match (nodes.next(), nodes.next()) {
            (only, None) => only,
            // It cannot be known whose.
            (_, Some(_)) => None,
        }
    }

    /// Gives `compare` what this core shows, the peer's book, and whose memory counts. None if there is no such book. It is to
    /// be short: sessions and the chronicle wait for it.
    pub fn compare<T>(&self, compare: impl FnOnce(&Own, &Shelf, Authority) -> T) -> Option<T> {
        let peer = self.peer()?;
        self.chronicle.read(|own| {
            self.shelves.read(&peer, |shelf| {
                let authority = authority(shelf.activity(), own.activity, self.settings.is_standby());
                compare(own, shelf, authority)
            })
        })
    }

    /// Whose memory counts. None if there is no peer, or none that has sent a book.
    pub fn authority(&self) -> Option<Authority> {
        self.compare(|_, _, authority| authority)
    }

    /// This core notifies, or is about to; or it does not any more.
    pub fn set_on_stage(&self, on_stage: bool) {
        self.on_stage.send_if_modified(|known| std::mem::replace(known, on_stage) != on_stage);
    }

    /// Whether this core notifies, as it shows itself or as it is about to.
    pub fn is_on_stage(&self) -> bool {
        *self.on_stage.borrow() || self.chronicle.read(|own| own.notifies == Some(true))
    }

    /// What was said last by [`Sides::set_on_stage`].
    pub fn on_stage(&self) -> watch::Receiver<bool> {
        self.on_stage.subscribe()
    }
}
