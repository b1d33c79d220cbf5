//! Why a sealed session ended, or was not begun.

use std::fmt;
use std::time::Duration;

use super::NodeName;
use crate::classic::SessionError;

/// Why a session is over. The messages are for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// `require` met a peer that does not offer sealed sessions.
    #[error(
        "the peer offers no sealed session, and sealed = \"require\" is set: is it Understudy, with sealed sessions \
         on, and does nothing between change what it sends?"
    )]
    NotOffered,
    /// `auto` met a peer that offered sealed sessions before and does not any more.
    #[error(
        "the peer offers no sealed session any more: somebody between strips its mark, or it was replaced or set to \
         sealed = \"off\". If that was you, run `understudy forget` with this destination's name; until then nothing \
         is sent there"
    )]
    MarkStripped,
    /// `require` met a sender that did not ask for a sealed session.
    #[error(
        "the peer opened a classic session, and sealed = \"require\" is set for this listener: give such senders a \
         listener of their own, or set sealed = \"auto\""
    )]
    ClassicRefused,
    /// The peer's first message was not made with our key.
    #[error(
        "the peer does not have this side's key: password or key_file differ between the two sides, or somebody \
         forged or replayed a session (they look alike)"
    )]
    WrongKey,
    /// The peer closed the connection instead of an answer.
    #[error(
        "the peer closed the connection instead of answering: password or key_file differ between the two sides, or \
         it has no room; its log says which"
    )]
    NoAnswer,
    /// The peer did not do its part of the handshake in time.
    #[error(
        "the peer did not finish the handshake within {} s: it hangs, or the network loses what is sent",
        .0.as_secs()
    )]
    HandshakeTimeout(Duration),
    /// The peer has this node's name.
    #[error(
        "the peer calls itself {0} too: give each node a name of its own in [node], or correct the address if this \
         node is connected to itself"
    )]
    OwnName(NodeName),
    /// The peer does not want this session.
    #[error("the peer refuses this node: {0}")]
    Refused(Reason),
    /// The peer has accepted what this spool never held.
    #[error(
        "the peer has accepted results up to {accepted} of this spool, which ends at {newest}: the spool was \
         restored from an older copy, or lost its end; it must go on with a new epoch"
    )]
    PeerAhead {
        /// The last sequence number that the peer has accepted.
        accepted: u64,
        /// The last one that this side's `Hello` named.
        newest: u64,
    },
    /// A message in an established session is not authentic.
    #[error("a message was damaged or forged on its way: the session is begun anew")]
    Forged,
    /// A message is longer than the protocol allows.
    #[error("{what} of {bytes} bytes, where {max} are allowed: the peer is not Understudy, or a broken version of it")]
    TooLong {
        /// The kind of message.
        what: &'static str,
        /// What its length field says.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// An authentic message that makes no sense.
    #[error("{0} that cannot be understood: the peer runs a broken or incompatible version")]
    InvalidMessage(&'static str),
    /// The peer broke a rule of the protocol.
    #[error("the peer {0}: it runs a broken version")]
    PeerMisbehaved(&'static str),
    /// Nothing authentic came for too long.
    #[error(
        "nothing was heard from the peer for {} s: it is stopped or overloaded, or the network is down",
        .0.as_secs_f32()
    )]
    Silent(Duration),
    /// The connection ended without a goodbye.
    #[error("the connection broke off: the peer was killed, or the network cut it")]
    CutOff,
    /// What comes before the handshake failed.
    #[error(transparent)]
    Classic(#[from] SessionError),
}

/// Why a peer ends a session, or does not begin one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was told to stop, in order. Not a failure.
    Stopping,
    /// The other side has its own name.
    OwnName,
    /// Another node of this name is connected, with another spool.
    NameInUse,
    /// The same node has begun a newer session.
    Superseded,
    /// It cannot take results at present: its disk is full, say.
    Unavailable,
    /// The other side broke the protocol.
    Misbehaved,
    /// It heard nothing for too long.
    Silent,
    /// Its spool went back to an older state: it comes again with a new epoch.
    NewEpoch,
    /// A reason that this version does not know.
    Other(u8),
}

impl SealedError {
    /// What the peer is told when this ends an established session.
    pub(super) fn parting_reason(&self) -> Option<Reason> {
        match self {
            SealedError::OwnName(_) => Some(Reason::OwnName),
            SealedError::PeerAhead { .. } => Some(Reason::NewEpoch),
            SealedError::Silent(_) => Some(Reason::Silent),
            SealedError::Forged
            | SealedError::TooLong { .. }
            | SealedError::InvalidMessage(_)
            | SealedError::PeerMisbehaved(_) => Some(Reason::Misbehaved),
            SealedError::NotOffered
            | SealedError::MarkStripped
            | SealedError::ClassicRefused
            | SealedError::WrongKey
            | SealedError::NoAnswer
            | SealedError::HandshakeTimeout(_)
            | SealedError::Refused(_)
            | SealedError::CutOff
            | SealedError::Classic(_) => None,
        }
    }
}

impl Reason {
    pub(super) fn code(self) -> u8 {
        match self {
            Reason::Stopping => 1,
            Reason::OwnName => 2,
            Reason::NameInUse => 3,
            Reason::Superseded => 4,
            Reason::Unavailable => 5,
            Reason::Misbehaved => 6,
            Reason::Silent => 7,
            Reason::NewEpoch => 8,
            Reason::Other(code) => code,
        }
    }

    pub(super) fn from_code(code: u8) -> Self {
        match code {
            1 => Reason::Stopping,
            2 => Reason::OwnName,
            3 => Reason::NameInUse,
            4 => Reason::Superseded,
            5 => Reason::Unavailable,
            6 => Reason::Misbehaved,
            7 => Reason::Silent,
            8 => Reason::NewEpoch,
            other => Reason::Other(other),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Stopping => "it is being stopped",
            Reason::OwnName => {
                "it has the same name as this node; give each node a name of its own in [node], or correct the address"
            }
            Reason::NameInUse => {
                "another node with this node's name but another spool is connected there; is this a copy of that \
                 machine? Give it a name of its own, and an empty state directory"
            }
            Reason::Superseded => "this node has begun a newer session there",
            Reason::Unavailable => "it cannot take results at present; its log says why",
            Reason::Misbehaved => "it was sent something against the protocol; its log says what",
            Reason::Silent => "it heard nothing from this side for too long",
            Reason::NewEpoch => "its spool was restored from an older copy; it comes again with a new epoch",
            Reason::Other(code) => {
                return write!(f, "reason {code}, which this version does not know; its log says more");
            }
        })
    }
}
