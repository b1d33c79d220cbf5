//! The receiving side.

use std::time::Duration;

use super::Policy;
use crate::Secret;
use crate::classic::{ServerSession, SessionError};
use crate::packet::{INIT_BYTES, IV_BYTES, Init};
use crate::sealed::{
    Ephemeral, MARKED_RANDOM_BYTES, Now, SealedError, Server, ServerSettings, marked_iv, upgrade_request,
};

/// How much randomness a connection needs.
pub const RANDOM_BYTES: usize = IV_BYTES + 32;

/// A connection of which it is not known yet what the client wants.
#[derive(Debug)]
pub struct ServerGreeting {
    init: Init,
    policy: Policy,
    settings: ServerSettings,
    ephemeral: Ephemeral,
    classic: ServerSession,
    /// How many bytes have come; all were those of the upgrade request.
    matched: usize,
}

/// What is known after some bytes.
#[derive(Debug)]
pub enum ServerGreeted<'a> {
    /// Nothing yet, more bytes are needed.
    Undecided(Box<ServerGreeting>),
    /// A classic session has begun, and these bytes come next in it.
    Classic(Box<ServerSession>, &'a [u8]),
    /// A sealed session has begun, and these bytes come next in it.
    Sealed(Box<Server>, &'a [u8]),
}

impl ServerGreeting {
    /// A connection that was accepted at `timestamp` (Unix time in seconds). `random` comes from the operating
    /// system's random source and is used for this connection only. `secret` and `max_packet_age` are those of
    /// [classic sessions](ServerSession::new).
    pub fn new(
        secret: Secret,
        max_packet_age: Option<Duration>,
        policy: Policy,
        settings: ServerSettings,
        random: &[u8; RANDOM_BYTES],
        timestamp: u32,
    ) -> Box<Self> {
        let (iv, ephemeral) = split(random);
        let iv = match &policy {
            Policy::Off => iv,
            Policy::Auto(_) | Policy::Require(_) => {
                marked_iv(iv.first_chunk::<MARKED_RANDOM_BYTES>().expect("an IV is longer than its random part"))
            }
        };
        Box::new(ServerGreeting {
            init: Init { iv, timestamp },
            policy,
            settings,
            ephemeral,
            classic: ServerSession::new(secret, iv, timestamp, max_packet_age),
            matched: 0,
        })
    }

    /// What must be sent first.
    pub fn init_packet(&self) -> [u8; INIT_BYTES] {
        self.init.encode()
    }

    /// Takes bytes that have arrived.
    ///
    /// # Errors
    ///
    /// [`SealedError::ClassicRefused`] when a classic session began and the policy requires sealed ones.
    pub fn handle_bytes(mut self: Box<Self>, bytes: &[u8], now: Now) -> Result<ServerGreeted<'_>, SealedError> {
        let request = upgrade_request(&self.init.iv);
        let Some(psk) = self.policy.psk() else {
            return self.begin_classic(bytes, &[]);
        };
        let expected = &request[self.matched..];
        let common = expected.iter().zip(bytes).take_while(|(expected, byte)| expected == byte).count();
        self.matched += common;
        let rest = &bytes[common..];
        if self.matched == request.len() {
            let server = Server::new(psk, &self.init, self.settings, self.ephemeral, now);
            return Ok(ServerGreeted::Sealed(Box::new(server), rest));
        }
        if rest.is_empty() {
            return Ok(ServerGreeted::Undecided(self));
        }
        let replayed = &request[..self.matched];
        self.begin_classic(rest, replayed)
    }

    /// Says that the client closed the connection.
    ///
    /// # Errors
    ///
    /// As in a classic session, when it had begun to send something.
    pub fn handle_eof(mut self) -> Result<(), SessionError> {
        let request = upgrade_request(&self.init.iv);
        let _all = self.classic.handle_bytes(&request[..self.matched]);
        self.classic.handle_eof()
    }

    /// How many bytes have come.
    pub fn buffered(&self) -> usize {
        self.matched
    }

    fn begin_classic<'a>(mut self, rest: &'a [u8], replayed: &[u8]) -> Result<ServerGreeted<'a>, SealedError> {
        if matches!(self.policy, Policy::Require(_)) {
            return Err(SealedError::ClassicRefused);
        }
        let taken = self.classic.handle_bytes(replayed);
        debug_assert_eq!(taken, replayed.len(), "a session that begins has room for a packet");
        Ok(ServerGreeted::Classic(Box::new(self.classic), rest))
    }
}

fn split(random: &[u8; RANDOM_BYTES]) -> ([u8; IV_BYTES], Ephemeral) {
    let (iv, ephemeral) = random.split_first_chunk().expect("RANDOM_BYTES is the sum");
    (*iv, Ephemeral::new(*ephemeral.first_chunk().expect("RANDOM_BYTES is the sum")))
}
