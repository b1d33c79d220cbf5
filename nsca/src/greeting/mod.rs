//! Which kind of session a connection gets: classic, as every `send_nsca` and `nsca` speaks it, or
//! [sealed](crate::sealed).
//!
//! | policy | a receiver | a sender |
//! | --- | --- | --- |
//! | `off` | offers nothing | looks for no offer |
//! | `auto` | offers sealed sessions, takes classic ones | accepts an offer; without one begins a classic session, unless this peer made one before |
//! | `require` | offers sealed sessions, refuses classic ones | accepts an offer, refuses to go on without one |
//!
//! Both sides begin undecided. [`ServerGreeting`] reads up to 32 bytes, of which it keeps none: as long as they are
//! those of the upgrade request they are known, and the first other one decides for a classic session.
//!
//! Whoever sits in between can strip the offer and so turn `auto` into a classic session, but only until the first sealed
//! one: the sender remembers it ([`PeerAbility`]). `require` leaves no such gap.
//!
//! **Invariants:** no byte of a classic session is lost or changed; a failed sealed session never becomes a classic
//! one.

mod client;
mod server;
#[cfg(test)]
mod tests;

pub use client::{ClientGreeted, ClientGreeting, PeerAbility};
pub use server::{RANDOM_BYTES, ServerGreeted, ServerGreeting};

use crate::sealed::Psk;

/// Whether sessions are sealed, and with which key.
#[derive(Debug, Clone)]
pub enum Policy {
    /// Never.
    Off,
    /// When the peer can.
    Auto(Psk),
    /// Always.
    Require(Psk),
}

impl Policy {
    fn psk(&self) -> Option<&Psk> {
        match self {
            Policy::Off => None,
            Policy::Auto(psk) | Policy::Require(psk) => Some(psk),
        }
    }
}
