//! What a receiver shares with the rest of its node.

use std::sync::{Arc, Mutex};

use nagios::Attributed;
use nagios::echo::Echoes;

use crate::books::Books;

/// Passes accepted results on to this node's sender. Blocks; says how many of the first were taken.
pub type Relay = Box<dyn FnMut(&[Attributed]) -> Result<usize, String> + Send>;

/// What there is around a receiver; by default nothing.
#[derive(Default)]
pub struct Surroundings {
    /// Where this node has a sender: what its core will tell only because the receiver gave it to the core.
    pub echoes: Option<Arc<Mutex<Echoes>>>,
    /// Where this node has a sender that relays.
    pub relay: Option<Relay>,
    /// Where this node keeps what the cores of others remember. Without it, sessions take no books.
    pub books: Option<Arc<dyn Books>>,
}
