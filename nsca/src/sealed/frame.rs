//! Frames: what is said inside of an established session. Those that carry results are in `result` and `shown`, those
//! about what a core remembers in `books`.
//!
//! The layout is in ARCHITECTURE.md, "Frames".

use super::wire::Reader;
use super::{Credit, Reason};

/// The longest content of a frame.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Length and kind.
pub(super) const HEADER_BYTES: usize = 5;

pub(super) const RESULT: u8 = 1;
pub(super) const HEARTBEAT: u8 = 2;
pub(super) const ACK: u8 = 3;
pub(super) const GOODBYE: u8 = 4;
pub(super) const HEADING: u8 = 5;
pub(super) const RECORD: u8 = 6;
pub(super) const WANT: u8 = 7;
pub(super) const SHOWN: u8 = 8;
pub(super) const ANSWERED: u8 = 9;

/// A sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// The peer's clock when it was sent, in µs since the Unix epoch.
    pub time_us: i64,
    pub(super) echo_us: i64,
    pub(super) held_us: u32,
    /// How the peer's core is.
    pub core: CoreVerdict,
    /// What the peer does at this moment.
    pub duty: Duty,
    /// Whether its core knows what it has to know to do that rightly.
    pub warmth: Warmth,
}

/// How a node's core is, as the node itself sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CoreVerdict {
    /// The node does not watch its core, or cannot tell.
    #[default]
    Unknown,
    /// It runs, and takes commands.
    Alive,
    /// It is gone, and left things behind: it was killed, or fell.
    DeadCrash,
    /// It is gone, and tidied up: it was stopped, or is being restarted.
    DeadClean,
}

/// Whether a node is the one that checks and notifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duty {
    /// The node does not take part in failover, or does not know yet.
    #[default]
    Unknown,
    /// It leaves that to the other one.
    StandingBy,
    /// It checks and notifies.
    Active,
}

/// Whether a node's core knows what the other one's does: states, notifications sent, acknowledgements and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Warmth {
    /// The node does not tell, or does not know.
    #[default]
    Unknown,
    /// It is not up to date yet.
    Cold,
    /// It is.
    Warm,
}

/// What the receiver has committed, and what more may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) committed: u64,
    pub(super) credit: Credit,
}

impl Heartbeat {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_header(HEARTBEAT, 23, out);
        out.extend_from_slice(&self.time_us.to_be_bytes());
        out.extend_from_slice(&self.echo_us.to_be_bytes());
        out.extend_from_slice(&self.held_us.to_be_bytes());
        out.extend_from_slice(&[self.core.code(), self.duty.code(), self.warmth.code()]);
    }

    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let mut reader = Reader(content);
        Some(Heartbeat {
            time_us: reader.i64()?,
            echo_us: reader.i64()?,
            held_us: reader.u32()?,
            core: CoreVerdict::from_code(reader.u8()?),
            duty: Duty::from_code(reader.u8()?),
            // Older versions end here.
            warmth: reader.u8().map_or(Warmth::Unknown, Warmth::from_code),
        })
    }
}

impl Ack {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_header(ACK, 24, out);
        for number in [self.committed, self.credit.results, self.credit.bytes] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let mut reader = Reader(content);
        let committed = reader.u64()?;
        let credit = Credit { results: reader.u64()?, bytes: reader.u64()? };
        Some(Ack { committed, credit })
    }
}

pub(super) fn encode_goodbye(reason: Reason, out: &mut Vec<u8>) {
    put_header(GOODBYE, 1, out);
    out.push(reason.code());
}

pub(super) fn decode_goodbye(content: &[u8]) -> Option<Reason> {
    content.first().copied().map(Reason::from_code)
}

impl CoreVerdict {
    fn code(self) -> u8 {
        match self {
            CoreVerdict::Unknown => 0,
            CoreVerdict::Alive => 1,
            CoreVerdict::DeadCrash => 2,
            CoreVerdict::DeadClean => 3,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => CoreVerdict::Alive,
            2 => CoreVerdict::DeadCrash,
            3 => CoreVerdict::DeadClean,
            _ => CoreVerdict::Unknown,
        }
    }
}

impl Duty {
    fn code(self) -> u8 {
        match self {
            Duty::Unknown => 0,
            Duty::StandingBy => 1,
            Duty::Active => 2,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Duty::StandingBy,
            2 => Duty::Active,
            _ => Duty::Unknown,
        }
    }
}

impl Warmth {
    fn code(self) -> u8 {
        match self {
            Warmth::Unknown => 0,
            Warmth::Cold => 1,
            Warmth::Warm => 2,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Warmth::Cold,
            2 => Warmth::Warm,
            _ => Warmth::Unknown,
        }
    }
}

pub(super) fn put_header(kind: u8, content_bytes: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(content_bytes).expect("a frame has up to MAX_FRAME_BYTES");
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_frames_are_laid_out_as_documented() {
        let mut out = Vec::new();
        let (core, duty, warmth) = (CoreVerdict::DeadCrash, Duty::StandingBy, Warmth::Warm);
        let heartbeat = Heartbeat { time_us: 1, echo_us: -1, held_us: 256, core, duty, warmth };
        heartbeat.encode(&mut out);
        let mut expected = vec![0, 0, 0, 23, 2, 0, 0, 0, 0, 0, 0, 0, 1];
        expected.extend([0xff; 8]);
        expected.extend([0, 0, 1, 0, 2, 1, 2]);
        assert_eq!(out, expected);
        assert_eq!(Heartbeat::decode(&out[5..]), Some(heartbeat));

        out.clear();
        let ack = Ack { committed: 7, credit: Credit { results: 8, bytes: 9 } };
        ack.encode(&mut out);
        let mut expected = vec![0, 0, 0, 24, 3];
        [7, 8, 9].iter().for_each(|number| expected.extend([0, 0, 0, 0, 0, 0, 0, *number]));
        assert_eq!(out, expected);
        assert_eq!(Ack::decode(&out[5..]), Some(ack));

        out.clear();
        encode_goodbye(Reason::Stopping, &mut out);
        assert_eq!(out, [0, 0, 0, 1, 4, 1]);
        assert_eq!(decode_goodbye(&out[5..]), Some(Reason::Stopping));
    }

    #[test]
    fn what_is_too_short_is_refused() {
        for end in 0..22 {
            assert_eq!(Heartbeat::decode(&vec![1; end]), None);
            assert_eq!(Ack::decode(&vec![1; end]), None);
        }
        assert_eq!(decode_goodbye(&[]), None);
    }

    #[test]
    fn later_additions_are_ignored() {
        let mut out = Vec::new();
        let (core, duty, warmth) = (CoreVerdict::Alive, Duty::Active, Warmth::Cold);
        let heartbeat = Heartbeat { time_us: 1, echo_us: 2, held_us: 3, core, duty, warmth };
        heartbeat.encode(&mut out);
        out.extend(b"more");
        assert_eq!(Heartbeat::decode(&out[5..]), Some(heartbeat));
        out[25..28].fill(99);
        let unknown =
            Heartbeat { core: CoreVerdict::Unknown, duty: Duty::Unknown, warmth: Warmth::Unknown, ..heartbeat };
        assert_eq!(Heartbeat::decode(&out[5..]), Some(unknown));
        assert_eq!(Heartbeat::decode(&out[5..27]), Some(unknown), "an older version");
        assert_eq!(decode_goodbye(&[200, 1]), Some(Reason::Other(200)));
    }
}
