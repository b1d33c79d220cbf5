//! The sending side.

use super::Policy;
use crate::classic::{ClientSession, SessionError};
use crate::packet::{INIT_BYTES, Init};
use crate::sealed::{Client, ClientSettings, Ephemeral, Now, SealedError, is_marked};

/// What is remembered of a peer.
///
/// **A peer is remembered as able when a sealed session with it was welcomed**
/// ([`ClientEvent::Welcome`](crate::sealed::ClientEvent::Welcome)), before the first result is sent. A mark alone is
/// not enough: anybody can send one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PeerAbility {
    /// There was no sealed session with it yet.
    #[default]
    Unknown,
    /// There was one: without an offer, something is wrong.
    CanSeal,
}

/// A connection whose init packet has not arrived yet.
#[derive(Debug)]
pub struct ClientGreeting {
    classic: ClientSession,
    policy: Policy,
    ability: PeerAbility,
    settings: ClientSettings,
    ephemeral: Ephemeral,
    init: [u8; INIT_BYTES],
    received: usize,
}

/// What is known after some bytes.
#[derive(Debug)]
pub enum ClientGreeted<'a> {
    /// Nothing yet, more bytes are needed.
    Undecided(Box<ClientGreeting>),
    /// A classic session can begin: it has its init packet. These bytes come next in it.
    Classic(ClientSession, &'a [u8]),
    /// A sealed session can begin, and has something to transmit. These bytes come next in it.
    Sealed(Box<Client>, &'a [u8]),
}

impl ClientGreeting {
    /// A connection that will become what `policy` and the peer's offer say: `classic`, or a sealed session with
    /// `settings`.
    pub fn new(
        classic: ClientSession,
        policy: Policy,
        ability: PeerAbility,
        settings: ClientSettings,
        ephemeral: Ephemeral,
    ) -> Box<Self> {
        let init = [0; INIT_BYTES];
        Box::new(ClientGreeting { classic, policy, ability, settings, ephemeral, init, received: 0 })
    }

    /// Takes bytes that have arrived.
    ///
    /// # Errors
    ///
    /// When the peer offers no sealed session, and a classic one is not allowed.
    pub fn handle_bytes(mut self: Box<Self>, bytes: &[u8], now: Now) -> Result<ClientGreeted<'_>, SealedError> {
        let (taken, rest) = bytes.split_at(bytes.len().min(INIT_BYTES - self.received));
        self.init[self.received..][..taken.len()].copy_from_slice(taken);
        self.received += taken.len();
        if self.received < INIT_BYTES {
            return Ok(ClientGreeted::Undecided(self));
        }
        let init = Init::decode(&self.init);
        match (&self.policy, is_marked(&init.iv), self.ability) {
            (Policy::Auto(psk) | Policy::Require(psk), true, _) => {
                let client = Client::new(psk, &init, self.settings, self.ephemeral, now);
                Ok(ClientGreeted::Sealed(Box::new(client), rest))
            }
            (Policy::Require(_), false, _) => Err(SealedError::NotOffered),
            (Policy::Auto(_), false, PeerAbility::CanSeal) => Err(SealedError::MarkStripped),
            (Policy::Auto(_), false, PeerAbility::Unknown) | (Policy::Off, _, _) => {
                let mut classic = self.classic;
                classic.handle_bytes(&self.init, now.instant)?;
                Ok(ClientGreeted::Classic(classic, rest))
            }
        }
    }

    /// Says that the peer closed the connection, and what that means.
    pub fn handle_eof(&self) -> SealedError {
        SessionError::NoInit { bytes: self.received }.into()
    }
}
