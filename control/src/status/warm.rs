//! What keeps this node's core like the one in charge, in the document.

use serde::{Deserialize, Serialize};

/// How warm this node's core is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Warm {
    /// The node whose book counts; none if nobody sends one, or several do.
    pub peer: Option<String>,
    /// `warm`, or `cold`: it is not up to date yet.
    pub warmth: String,
    /// `own` or `peer`: whose core is in charge; none as long as that is not known.
    pub in_charge: Option<String>,
    /// The books of other nodes.
    pub books: Vec<Book>,
    /// Commands by which this core was told what people did on the other one.
    pub remarks_told: u64,
    /// Objects with comments, downtimes or acknowledgements that both cores have.
    pub objects_with_remarks: u64,
    /// Why such commands wait now.
    pub remarks_wait: Option<String>,
    /// The last time that this core was brought up to date.
    pub last_resync: Option<Event>,
    /// The last time that this core was given what the other one remembers, before it notified.
    pub last_takeover: Option<Event>,
}

/// What a node has told of its core.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Book {
    /// The node.
    pub node: String,
    /// Its hosts and services.
    pub objects: u64,
    /// Whether all of it has arrived.
    pub whole: bool,
    /// The age of the newest status file in it, by this node's clock; none if there is none.
    pub age_seconds: Option<u64>,
    /// Whether its core notifies, if that is known.
    pub notifies: Option<bool>,
}

/// Something that ended, or goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// When it began.
    pub age_seconds: u64,
    /// How it ended, in a sentence.
    pub ended: String,
    /// Whether it ended as it should.
    pub well: bool,
}
