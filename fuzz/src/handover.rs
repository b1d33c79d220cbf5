//! The message from `understudy-ocsp` to the sender, and the answer.

use ocsp::handover::{Answer, HandOver, MAX_ANSWER_BYTES, MAX_HANDOVER_BYTES};

const HEADER: &[u8] = b"USHO\x01";
const LENGTH: std::ops::Range<usize> = 8..12;
const CRC: std::ops::Range<usize> = 12..16;

/// `data`: a message of either kind.
///
/// As it is and with its header mended: it is refused, or encodes to the very same bytes again; and a message with
/// any one byte changed or missing is refused.
pub fn handover(data: &[u8]) {
    check(data);
    let mut message = data.to_vec();
    if message.len() >= CRC.end {
        mend(&mut message);
        check(&message);
    }
}

fn check(message: &[u8]) {
    if let Ok(handover) = HandOver::decode(message) {
        assert!(message.len() <= MAX_HANDOVER_BYTES);
        assert!(handover.encode() == message, "two encodings of one hand-over");
        assert!(Answer::decode(message).is_err(), "a hand-over is an answer");
        damage(message, |damaged| HandOver::decode(damaged).is_err());
    }
    if let Ok((id, answer)) = Answer::decode(message) {
        assert!(message.len() <= MAX_ANSWER_BYTES);
        assert!(answer.encode(id) == message, "two encodings of one answer");
        damage(message, |damaged| Answer::decode(damaged).is_err());
    }
}

/// Changes some bytes one after the other, and cuts: each must be noticed. About 32 of them, not all: speed finds more.
fn damage(message: &[u8], refused: impl Fn(&[u8]) -> bool) {
    let mut damaged = message.to_vec();
    for at in (0..message.len()).step_by(message.len() / 32 + 1) {
        damaged[at] ^= 0x20;
        assert!(refused(&damaged), "byte {at} was changed");
        damaged[at] ^= 0x20;
        assert!(refused(&message[..at]), "cut at {at}");
    }
}

/// Makes magic, version, length and CRC what they must be.
fn mend(message: &mut [u8]) {
    message[..HEADER.len()].copy_from_slice(HEADER);
    let length = u32::try_from(message.len()).expect("a fuzzer's input is short");
    message[LENGTH].copy_from_slice(&length.to_le_bytes());
    let crc = crc32fast::hash(&[&message[..CRC.start], &message[CRC.end..]].concat());
    message[CRC].copy_from_slice(&crc.to_le_bytes());
}
