//! What travels inside of the handshake: who wants to send what, and where to go on.
//!
//! The layout is in ARCHITECTURE.md, "The handshake's payloads".

use std::fmt;
use std::sync::Arc;

use super::wire::{Reader, put_short_text};
use super::{Credit, Reason};

/// The version of the protocol that this crate speaks.
const VERSION: u8 = 1;

const WELCOME: u8 = 1;
const REFUSAL: u8 = 2;

/// What a side can do beyond the first version, as bits. What both sides have is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Features(pub(super) u32);

impl Features {
    /// It tells, or takes, what a core remembers.
    const BOOKS: u32 = 1;

    pub(super) fn new(books: bool) -> Self {
        Features(if books { Self::BOOKS } else { 0 })
    }

    /// Whether both sides know of books.
    pub(super) fn share_books(self, peer: Features) -> bool {
        self.0 & peer.0 & Self::BOOKS != 0
    }
}

/// The longest name of a node.
pub const MAX_NODE_NAME_BYTES: usize = 255;

/// What a node calls itself: 1 to 255 bytes of UTF-8 without control characters. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

/// A name that no node may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a node's name has 1 to {MAX_NODE_NAME_BYTES} bytes of UTF-8 without control characters: set another one in [node]"
)]
pub struct InvalidNodeName;

/// The random identity of a spool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpoolId(pub [u8; 16]);

/// What a sender says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Who it is.
    pub node: NodeName,
    /// The spool that it sends from.
    pub spool: SpoolId,
    /// The epoch of that spool: within one, the sequence alone orders.
    pub epoch: u64,
    /// The sequence number of the oldest result that it can send.
    pub oldest: u64,
    /// The sequence number of the newest one; 0 when there never was any.
    pub newest: u64,
}

/// What a receiver answers whom it takes results from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Who it is.
    pub node: NodeName,
    /// The last result of this spool and epoch that it has committed; 0 when there is none. Send what follows.
    pub accepted: u64,
    /// How much may be sent before the first acknowledgement.
    pub credit: Credit,
}

/// The receiver's part of the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Welcome(Welcome, Features),
    Refusal(NodeName, Reason),
}

impl Hello {
    pub(super) fn encode(&self, features: Features) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&features.0.to_be_bytes());
        out.extend_from_slice(&self.spool.0);
        for number in [self.epoch, self.oldest, self.newest] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        put_short_text(self.node.as_bytes(), &mut out);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, Features)> {
        let mut reader = Reader(bytes);
        let features = reader.version_and_features()?;
        let hello = Hello {
            spool: SpoolId(reader.array()?),
            epoch: reader.u64()?,
            oldest: reader.u64()?,
            newest: reader.u64()?,
            node: reader.node_name()?,
        };
        Some((hello, features))
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let node = match self {
            Answer::Welcome(welcome, features) => {
                out.extend_from_slice(&[WELCOME, VERSION]);
                out.extend_from_slice(&features.0.to_be_bytes());
                for number in [welcome.accepted, welcome.credit.results, welcome.credit.bytes] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                &welcome.node
            }
            Answer::Refusal(node, reason) => {
                out.extend_from_slice(&[REFUSAL, reason.code()]);
                node
            }
        };
        put_short_text(node.as_bytes(), &mut out);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            WELCOME => {
                let features = reader.version_and_features()?;
                let accepted = reader.u64()?;
                let credit = Credit { results: reader.u64()?, bytes: reader.u64()? };
                let node = reader.node_name()?;
                Some(Answer::Welcome(Welcome { node, accepted, credit }, features))
            }
            REFUSAL => {
                let reason = Reason::from_code(reader.u8()?);
                Some(Answer::Refusal(reader.node_name()?, reason))
            }
            _ => None,
        }
    }
}

impl Reader<'_> {
    /// This version goes on as version 1 with every other one.
    fn version_and_features(&mut self) -> Option<Features> {
        let version = self.u8()?;
        let features = Features(self.u32()?);
        (version >= VERSION).then_some(features)
    }

    fn node_name(&mut self) -> Option<NodeName> {
        let name = str::from_utf8(self.short_text()?).ok()?;
        NodeName::try_from(name).ok()
    }
}

impl NodeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl TryFrom<&str> for NodeName {
    type Error = InvalidNodeName;

    fn try_from(name: &str) -> Result<Self, InvalidNodeName> {
        let valid = (1..=MAX_NODE_NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control);
        valid.then(|| NodeName(name.into())).ok_or(InvalidNodeName)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpoolId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKS: Features = Features(1);

    fn name(name: &str) -> NodeName {
        NodeName::try_from(name).unwrap()
    }

    fn hello() -> Hello {
        Hello { node: name("master"), spool: SpoolId([0xab; 16]), epoch: 3, oldest: 17, newest: 1 << 40 }
    }

    #[test]
    fn hello_is_laid_out_as_documented() {
        let bytes = hello().encode(BOOKS);
        let mut expected = vec![1, 0, 0, 0, 1];
        expected.extend([0xab; 16]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 3]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 17]);
        expected.extend([0, 0, 1, 0, 0, 0, 0, 0]);
        expected.extend(b"\x06master");
        assert_eq!(bytes, expected);
        assert_eq!(Hello::decode(&bytes), Some((hello(), BOOKS)));
    }

    #[test]
    fn answers_are_laid_out_as_documented() {
        let credit = Credit { results: 258, bytes: 65_536 };
        let welcome = Answer::Welcome(Welcome { node: name("standby"), accepted: 9, credit }, BOOKS);
        let mut expected = vec![1, 1, 0, 0, 0, 1];
        expected.extend([0, 0, 0, 0, 0, 0, 0, 9]);
        expected.extend([0, 0, 0, 0, 0, 0, 1, 2]);
        expected.extend([0, 0, 0, 0, 0, 1, 0, 0]);
        expected.extend(b"\x07standby");
        assert_eq!(welcome.encode(), expected);
        assert_eq!(Answer::decode(&expected), Some(welcome));

        let refusal = Answer::Refusal(name("standby"), Reason::NameInUse);
        assert_eq!(refusal.encode(), b"\x02\x03\x07standby");
        assert_eq!(Answer::decode(b"\x02\x03\x07standby"), Some(refusal));
    }

    #[test]
    fn books_are_told_where_both_sides_know_of_them() {
        assert_eq!((Features::new(true), Features::new(false)), (BOOKS, Features(0)));
        for (own, peers, shared) in [(1, 1, true), (1, 0, false), (0, 1, false), (1, 0xff, true), (1, 0xfe, false)] {
            assert_eq!(Features(own).share_books(Features(peers)), shared, "{own} {peers}");
        }
    }

    #[test]
    fn a_later_version_with_more_fields_is_understood() {
        let mut bytes = hello().encode(BOOKS);
        bytes[0] = 2;
        bytes[4] = 0xff;
        bytes.extend(b"more");
        assert_eq!(Hello::decode(&bytes), Some((hello(), Features(0xff))));
        bytes[0] = 0;
        assert_eq!(Hello::decode(&bytes), None);
    }

    #[test]
    fn what_is_too_short_is_refused_at_every_length() {
        let credit = Credit::default();
        let bytes = hello().encode(BOOKS);
        (0..bytes.len()).for_each(|end| assert_eq!(Hello::decode(&bytes[..end]), None));
        let welcome = Welcome { node: name("standby"), accepted: 9, credit };
        for answer in [Answer::Welcome(welcome, BOOKS), Answer::Refusal(name("standby"), Reason::OwnName)] {
            let bytes = answer.encode();
            (0..bytes.len()).for_each(|end| assert_eq!(Answer::decode(&bytes[..end]), None));
        }
        assert_eq!(Answer::decode(b"\x03\x03\x07standby"), None);
    }

    #[test]
    fn names_are_checked_where_they_enter() {
        for invalid in ["", "two\nlines", "\u{85}", &"x".repeat(256)] {
            assert_eq!(NodeName::try_from(invalid), Err(InvalidNodeName), "{invalid:?}");
        }
        let mut bytes = hello().encode(BOOKS);
        let end = bytes.len();
        bytes[end - 1] = b'\n';
        assert_eq!(Hello::decode(&bytes), None);
        assert_eq!(name("höst.example").to_string(), "höst.example");
    }

    #[test]
    fn every_reason_has_its_number() {
        for code in 0..=255 {
            assert_eq!(Reason::from_code(code).code(), code);
        }
    }
}
