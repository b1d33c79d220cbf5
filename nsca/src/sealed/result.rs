//! A check result on its way.
//!
//! The layout is in ARCHITECTURE.md, "Frames".
//!
//! **Invariant:** nothing is copied when one is read: a [`ResultFrame`] borrows its texts from the frame.

use super::frame::{HEADER_BYTES, MAX_FRAME_BYTES, RESULT, put_header};
use super::packet::{self, Packet};
use super::wire::{Reader, put_short_text};

/// A result without origin and packet.
const FIXED_BYTES: usize = 8 + 8 + 1 + 1 + 4 + 1;

/// Whether a state had been confirmed by retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateType {
    /// Not yet.
    Soft,
    /// It had.
    Hard,
}

/// Who ran the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckType {
    /// The core.
    Active,
    /// Somebody else, who submitted the result.
    Passive,
}

/// One check result on its way, borrowed from where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultFrame<'a> {
    /// Its number in the sender's spool and epoch, from 1. Numbers ascend within a session; gaps are legal.
    pub sequence: u64,
    /// When the check was done, in µs since the Unix epoch.
    pub check_time_us: i64,
    /// Whether the state was confirmed, if that is known.
    pub state_type: Option<StateType>,
    /// Who ran the check, if that is known.
    pub check_type: Option<CheckType>,
    /// Which attempt it was, from 1; 0 when that is not known.
    pub attempt: u32,
    /// The name of the node whose spool it entered first; empty for the sending node itself.
    pub origin: &'a [u8],
    /// The plugin's return code.
    pub code: i16,
    /// The host's name.
    pub host: &'a [u8],
    /// The service's description; empty for a host check.
    pub service: &'a [u8],
    /// The plugin's text with real newlines, of any length that fits into a frame.
    pub output: &'a [u8],
}

impl<'a> ResultFrame<'a> {
    /// Length of the frame with its header, or `None` when it is longer than a frame may be.
    pub fn frame_bytes(&self) -> Option<usize> {
        let fits = self.origin.len() <= usize::from(u8::MAX);
        let content = self.packet().bytes()?.saturating_add(FIXED_BYTES + self.origin.len());
        (fits && content <= MAX_FRAME_BYTES).then_some(HEADER_BYTES + content)
    }

    /// Appends the frame, whose length [`frame_bytes`](Self::frame_bytes) has said.
    pub(super) fn encode(&self, frame_bytes: usize, timestamp: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(frame_bytes);
        put_header(RESULT, frame_bytes - HEADER_BYTES, out);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.check_time_us.to_be_bytes());
        out.push(StateType::code(self.state_type));
        out.push(CheckType::code(self.check_type));
        out.extend_from_slice(&self.attempt.to_be_bytes());
        put_short_text(self.origin, out);
        self.packet().encode(timestamp, out);
        debug_assert_eq!(out.len() - start, frame_bytes);
    }

    fn packet(&self) -> Packet<'a> {
        Packet { code: self.code, host: self.host, service: self.service, output: self.output }
    }

    /// Reads a frame's content; the packet must be sound, and one of this session, whose init packet says
    /// `timestamp`.
    pub(super) fn decode(content: &'a [u8], timestamp: u32) -> Option<Self> {
        let (result, packet) = ResultFrame::parse(content)?;
        packet::is_genuine(packet, timestamp).then_some(result)
    }

    /// Reads a frame's content and says where its packet lies, whose CRC and timestamp are not looked at.
    pub(super) fn parse(content: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader(content);
        let sequence = reader.u64()?;
        let check_time_us = reader.i64()?;
        let state_type = StateType::from_code(reader.u8()?);
        let check_type = CheckType::from_code(reader.u8()?);
        let attempt = reader.u32()?;
        let origin = reader.short_text()?;
        let Packet { code, host, service, output } = Packet::parse(reader.0)?;
        let result = ResultFrame {
            sequence,
            check_time_us,
            state_type,
            check_type,
            attempt,
            origin,
            code,
            host,
            service,
            output,
        };
        Some((result, reader.0))
    }
}

impl StateType {
    /// 0: it is not known.
    pub(super) fn code(state_type: Option<Self>) -> u8 {
        match state_type {
            None => 0,
            Some(StateType::Soft) => 1,
            Some(StateType::Hard) => 2,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(StateType::Soft),
            2 => Some(StateType::Hard),
            _ => None,
        }
    }
}

impl CheckType {
    /// 0: it is not known.
    pub(super) fn code(check_type: Option<Self>) -> u8 {
        match check_type {
            None => 0,
            Some(CheckType::Active) => 1,
            Some(CheckType::Passive) => 2,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(CheckType::Active),
            2 => Some(CheckType::Passive),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMESTAMP: u32 = 1_800_000_000;

    fn result() -> ResultFrame<'static> {
        ResultFrame {
            sequence: 0x0102,
            check_time_us: -2,
            state_type: Some(StateType::Hard),
            check_type: Some(CheckType::Active),
            attempt: 3,
            origin: b"far",
            code: 2,
            host: b"web",
            service: b"http",
            output: b"CRITICAL\nmore",
        }
    }

    fn encoded(result: &ResultFrame<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        result.encode(result.frame_bytes().unwrap(), TIMESTAMP, &mut out);
        out
    }

    #[test]
    fn a_result_is_laid_out_as_documented() {
        let mut packet = vec![0, 4, 0, 0, 0, 0, 0x6b, 0x49, 0xd2, 0, 0, 2];
        packet.extend(b"\x00\x03web\x00\x04http\x00\x00\x00\x0dCRITICAL\nmore");
        let crc = crc32fast::hash(&packet);
        packet[2..6].copy_from_slice(&crc.to_be_bytes());
        let mut expected = vec![0, 0, 0, 66, 1];
        expected.extend([0, 0, 0, 0, 0, 0, 1, 2]);
        expected.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
        expected.extend([2, 1, 0, 0, 0, 3]);
        expected.extend(b"\x03far");
        expected.extend(&packet);
        assert_eq!(encoded(&result()), expected);
        assert_eq!(ResultFrame::decode(&expected[5..], TIMESTAMP), Some(result()));
    }

    #[test]
    fn what_is_too_short_or_too_long_is_refused() {
        let mut frame = encoded(&result());
        for end in 5..frame.len() {
            assert_eq!(ResultFrame::decode(&frame[5..end], TIMESTAMP), None);
        }
        frame.push(0);
        assert_eq!(ResultFrame::decode(&frame[5..], TIMESTAMP), None);
    }

    #[test]
    fn a_packet_of_another_session_or_version_is_refused() {
        let frame = encoded(&result());
        assert_eq!(ResultFrame::decode(&frame[5..], TIMESTAMP + 1), None);
        let packet_at = 5 + 22 + 4;
        for bit in 8 * packet_at..8 * frame.len() {
            let mut frame = frame.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ResultFrame::decode(&frame[5..], TIMESTAMP), None, "bit {bit}");
        }
    }

    #[test]
    fn the_longest_result_fills_a_frame() {
        let texts = 3 + 3 + 4;
        let mut output = vec![b'x'; MAX_FRAME_BYTES - FIXED_BYTES - 20 - texts];
        let longest = ResultFrame { output: &output, ..result() };
        assert_eq!(longest.frame_bytes(), Some(HEADER_BYTES + MAX_FRAME_BYTES));
        assert_eq!(encoded(&longest).len(), HEADER_BYTES + MAX_FRAME_BYTES);
        output.push(b'x');
        assert_eq!(ResultFrame { output: &output, ..result() }.frame_bytes(), None);
        assert_eq!(ResultFrame { origin: &[b'x'; 256], ..result() }.frame_bytes(), None);
        assert_eq!(ResultFrame { host: &[b'x'; 65_536], ..result() }.frame_bytes(), None);
        assert_eq!(ResultFrame { service: &[b'x'; 65_536], ..result() }.frame_bytes(), None);
    }

    proptest! {
        #[test]
        fn every_result_arrives_as_it_was(
            (sequence, check_time_us, attempt, code) in any::<(u64, i64, u32, i16)>(),
            (state, check) in (0u8..3, 0u8..3),
            origin in prop::collection::vec(any::<u8>(), 0..=255),
            (host, service, output) in any::<(Vec<u8>, Vec<u8>, Vec<u8>)>(),
        ) {
            let result = ResultFrame {
                sequence,
                check_time_us,
                state_type: StateType::from_code(state),
                check_type: CheckType::from_code(check),
                attempt,
                origin: &origin,
                code,
                host: &host,
                service: &service,
                output: &output,
            };
            let frame = encoded(&result);
            prop_assert_eq!(ResultFrame::decode(&frame[5..], TIMESTAMP), Some(result));
        }

        #[test]
        fn no_content_makes_a_reader_panic(content: Vec<u8>) {
            let _ = ResultFrame::decode(&content, TIMESTAMP);
        }
    }
}
