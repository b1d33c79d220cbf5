//! A check result that the sender's core shows, for a receiver that asked for it.
//!
//! The layout is in ARCHITECTURE.md, "Frames". Unlike a [`ResultFrame`] it is no news, so that it has
//! no number, uses no credit, and is not acknowledged.
//!
//! **Invariant:** nothing is copied when one is read.

use super::frame::{HEADER_BYTES, MAX_FRAME_BYTES, SHOWN, put_header};
use super::packet::{self, Packet};
use super::wire::Reader;
use super::{CheckType, ResultFrame, StateType};

/// One without its packet.
const FIXED_BYTES: usize = 8 + 1 + 1 + 4;

/// What a core shows of an object's last check, borrowed from where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownFrame<'a> {
    /// When the check was done, in µs since the Unix epoch.
    pub check_time_us: i64,
    /// Whether the state is confirmed, if that is known.
    pub state_type: Option<StateType>,
    /// Who ran the check, if that is known.
    pub check_type: Option<CheckType>,
    /// Which attempt it was, from 1; 0 when that is not known.
    pub attempt: u32,
    /// The plugin's return code.
    pub code: i16,
    /// The host's name.
    pub host: &'a [u8],
    /// The service's description; empty for a host check.
    pub service: &'a [u8],
    /// The plugin's text with real newlines, of any length that fits into a frame.
    pub output: &'a [u8],
}

impl<'a> ShownFrame<'a> {
    /// Length of the frame with its header, or `None` when it is longer than a frame may be.
    pub fn frame_bytes(&self) -> Option<usize> {
        let content = self.packet().bytes()?.saturating_add(FIXED_BYTES);
        (content <= MAX_FRAME_BYTES).then_some(HEADER_BYTES + content)
    }

    /// Appends the frame, whose length [`frame_bytes`](Self::frame_bytes) has said.
    pub(super) fn encode(&self, frame_bytes: usize, timestamp: u32, out: &mut Vec<u8>) {
        put_header(SHOWN, frame_bytes - HEADER_BYTES, out);
        out.extend_from_slice(&self.check_time_us.to_be_bytes());
        out.push(StateType::code(self.state_type));
        out.push(CheckType::code(self.check_type));
        out.extend_from_slice(&self.attempt.to_be_bytes());
        self.packet().encode(timestamp, out);
    }

    /// Reads a frame's content; the packet must be sound, and one of this session, whose init packet says
    /// `timestamp`.
    pub(super) fn decode(content: &'a [u8], timestamp: u32) -> Option<Self> {
        let (shown, packet) = ShownFrame::parse(content)?;
        packet::is_genuine(packet, timestamp).then_some(shown)
    }

    /// Reads a frame's content and says where its packet lies, whose CRC and timestamp are not looked at.
    pub(super) fn parse(content: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader(content);
        let check_time_us = reader.i64()?;
        let state_type = StateType::from_code(reader.u8()?);
        let check_type = CheckType::from_code(reader.u8()?);
        let attempt = reader.u32()?;
        let Packet { code, host, service, output } = Packet::parse(reader.0)?;
        let shown = ShownFrame { check_time_us, state_type, check_type, attempt, code, host, service, output };
        Some((shown, reader.0))
    }

    fn packet(&self) -> Packet<'a> {
        Packet { code: self.code, host: self.host, service: self.service, output: self.output }
    }
}

/// What is told of a result wherever it comes from; without its number and origin.
impl<'a> From<&ResultFrame<'a>> for ShownFrame<'a> {
    #[inline]
    fn from(result: &ResultFrame<'a>) -> Self {
        let ResultFrame { check_time_us, state_type, check_type, attempt, code, host, service, output, .. } = *result;
        ShownFrame { check_time_us, state_type, check_type, attempt, code, host, service, output }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMESTAMP: u32 = 1_800_000_000;

    fn shown() -> ShownFrame<'static> {
        ShownFrame {
            check_time_us: -2,
            state_type: Some(StateType::Hard),
            check_type: Some(CheckType::Passive),
            attempt: 3,
            code: 2,
            host: b"web",
            service: b"http",
            output: b"CRITICAL\nmore",
        }
    }

    fn encoded(shown: &ShownFrame<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let frame_bytes = shown.frame_bytes().unwrap();
        shown.encode(frame_bytes, TIMESTAMP, &mut out);
        assert_eq!(out.len(), frame_bytes);
        out
    }

    #[test]
    fn it_is_laid_out_as_documented() {
        let mut packet = vec![0, 4, 0, 0, 0, 0, 0x6b, 0x49, 0xd2, 0, 0, 2];
        packet.extend(b"\x00\x03web\x00\x04http\x00\x00\x00\x0dCRITICAL\nmore");
        let crc = crc32fast::hash(&packet);
        packet[2..6].copy_from_slice(&crc.to_be_bytes());
        let mut expected = vec![0, 0, 0, 54, 8];
        expected.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
        expected.extend([2, 2, 0, 0, 0, 3]);
        expected.extend(&packet);
        assert_eq!(encoded(&shown()), expected);
        assert_eq!(ShownFrame::decode(&expected[5..], TIMESTAMP), Some(shown()));
    }

    #[test]
    fn what_is_not_whole_or_not_of_this_session_is_refused() {
        let mut frame = encoded(&shown());
        for end in 5..frame.len() {
            assert_eq!(ShownFrame::decode(&frame[5..end], TIMESTAMP), None);
        }
        assert_eq!(ShownFrame::decode(&frame[5..], TIMESTAMP + 1), None);
        let packet_at = 5 + FIXED_BYTES;
        for bit in 8 * packet_at..8 * frame.len() {
            let mut frame = frame.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ShownFrame::decode(&frame[5..], TIMESTAMP), None, "bit {bit}");
        }
        frame.push(0);
        assert_eq!(ShownFrame::decode(&frame[5..], TIMESTAMP), None);
    }

    #[test]
    fn what_no_frame_can_hold_has_no_length() {
        let output = vec![b'x'; MAX_FRAME_BYTES];
        let fixed = encoded(&ShownFrame { output: b"", ..shown() }).len() - HEADER_BYTES;
        let longest = ShownFrame { output: &output[fixed..], ..shown() };
        assert_eq!(longest.frame_bytes(), Some(HEADER_BYTES + MAX_FRAME_BYTES));
        assert_eq!(ShownFrame { output: &output[fixed - 1..], ..shown() }.frame_bytes(), None);
        assert_eq!(ShownFrame { host: &output[..65_536], ..shown() }.frame_bytes(), None);
    }

    proptest! {
        #[test]
        fn every_one_arrives_as_it_was(
            (check_time_us, attempt, code) in any::<(i64, u32, i16)>(),
            (state, check) in (0u8..3, 0u8..3),
            (host, service, output) in any::<(Vec<u8>, Vec<u8>, Vec<u8>)>(),
        ) {
            let (state_type, check_type) = (StateType::from_code(state), CheckType::from_code(check));
            let (host, service, output) = (&host[..], &service[..], &output[..]);
            let shown = ShownFrame { check_time_us, state_type, check_type, attempt, code, host, service, output };
            let frame = encoded(&shown);
            prop_assert_eq!(ShownFrame::decode(&frame[5..], TIMESTAMP), Some(shown));
        }

        #[test]
        fn no_content_makes_a_reader_panic(content: Vec<u8>) {
            let _ = ShownFrame::decode(&content, TIMESTAMP);
        }
    }
}
