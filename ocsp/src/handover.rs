//! One check result on its way from `understudy-ocsp` to the sender, and the sender's answer.
//!
//! The same bytes travel as a datagram and lie in a spill file. All numbers are little-endian.
//!
//! ```text
//! header, 32 bytes
//!  0  magic     [4]   "USHO"
//!  4  version   u8    1
//!  5  kind      u8    1 hand-over, 2 answer
//!  6  zero      u16
//!  8  length    u32   of the whole message, header included
//! 12  crc32     u32   IEEE, of the whole message without these four bytes
//! 16  id        [16]  the hand-over's; an answer repeats it
//!
//! hand-over
//! 32  check time  i64  microseconds since the Unix epoch
//! 40  code        i16
//! 42  object      u8   0 host, 1 service
//! 43  state type  u8   0 not told, 1 soft, 2 hard
//! 44  check type  u8   0 not told, 1 active, 2 passive
//! 45  attempt     u8   0 not told, 1 told
//! 46  zero        u16
//! 48  attempt     u32  0 when not told
//! 52  five texts, each u32 length and that many bytes:
//!     host, service (empty for a host), output, perfdata, long output
//!
//! answer
//! 32  status  u8     0 taken, 1 full, 2 refused
//! 33  reason  [..]   UTF-8, to the end of the message; empty unless refused
//! ```
//!
//! Invariants: a message that was cut, lengthened or changed anywhere is refused, never read in part.
//! One value has one encoding: whatever decodes encodes to the same bytes again.
//!
//! **Duplicates.** When the answer comes later than the client waits, the client spills a result that the sender
//! has taken as well. Both copies carry the same [`HandOver::id`]; the sender drops the second.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::crc32::crc32;

/// The longest hand-over. Linux hands at most 128 KiB per argument to a program, and at most five arguments
/// of `understudy-ocsp` are kept, so that none that a core executes comes near.
pub const MAX_HANDOVER_BYTES: usize = 1 << 20;

/// The longest reason of a refusal; the rest is cut off.
pub const MAX_REASON_BYTES: usize = 1024;

/// The longest answer.
pub const MAX_ANSWER_BYTES: usize = HEADER_BYTES + 1 + MAX_REASON_BYTES;

const MAGIC: [u8; 4] = *b"USHO";
const VERSION: u8 = 1;
const KIND_HANDOVER: u8 = 1;
const KIND_ANSWER: u8 = 2;
const CRC_OFFSET: usize = 12;
const HEADER_BYTES: usize = 32;

/// What tells one hand-over from every other: process id, time and a counter of the client.
pub type Id = [u8; 16];

/// One check result, as the core's macros told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// The same in the datagram and in the spill file of one result. See [`new_id`].
    pub id: Id,
    /// `$HOSTNAME$`; not checked here.
    pub host: Vec<u8>,
    /// `$SERVICEDESC$`, or nothing for a host check; not checked here.
    pub service: Option<Vec<u8>>,
    /// 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; for hosts 0 UP, 1 DOWN, 2 UNREACHABLE. Other numbers are kept.
    pub code: i16,
    /// `$SERVICEOUTPUT$`: the first line.
    pub output: Vec<u8>,
    /// `$SERVICEPERFDATA$`.
    pub perfdata: Vec<u8>,
    /// `$LONGSERVICEOUTPUT$` as the core gives it: newline escaped as `\n`, backslash as `\\`.
    pub long_output: Vec<u8>,
    /// Microseconds since the Unix epoch.
    pub check_time_us: i64,
    /// `$SERVICESTATETYPE$`, when told.
    pub state_type: Option<StateType>,
    /// `$SERVICEATTEMPT$`, when told.
    pub attempt: Option<u32>,
    /// `$SERVICECHECKTYPE$`, when told.
    pub check_type: Option<CheckType>,
}

/// Whether a problem has been confirmed by enough attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateType {
    /// Still being tried again.
    Soft,
    /// Confirmed.
    Hard,
}

/// Who ran the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckType {
    /// The core itself.
    Active,
    /// Something else, which told the core.
    Passive,
}

/// What the sender says to a hand-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The result is in the sender's queue; the client's work is done.
    Taken,
    /// The queue is full at this moment; the client spills.
    Full,
    /// The result will never be taken, for this reason; the client tells the core and does not spill.
    Refused(String),
}

/// An id that no other hand-over of this machine has.
#[must_use]
pub fn new_id() -> Id {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    // A clock before 1970 or after 2554 costs uniqueness across restarts of a process id, nothing else.
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
    let mut id = [0; 16];
    id[..4].copy_from_slice(&std::process::id().to_le_bytes());
    id[4..12].copy_from_slice(&nanos.to_le_bytes());
    id[12..].copy_from_slice(&COUNTER.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    id
}

impl HandOver {
    /// The message, as the module describes it.
    ///
    /// # Panics
    ///
    /// When the texts are longer than 4 GiB, which no argument list can be.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let service = self.service.as_deref();
        let texts = [&self.host, service.unwrap_or_default(), &self.output, &self.perfdata, &self.long_output];
        let mut message = header(KIND_HANDOVER, self.id);
        message.extend_from_slice(&self.check_time_us.to_le_bytes());
        message.extend_from_slice(&self.code.to_le_bytes());
        message.push(u8::from(service.is_some()));
        message.push(match self.state_type {
            None => 0,
            Some(StateType::Soft) => 1,
            Some(StateType::Hard) => 2,
        });
        message.push(match self.check_type {
            None => 0,
            Some(CheckType::Active) => 1,
            Some(CheckType::Passive) => 2,
        });
        message.push(u8::from(self.attempt.is_some()));
        message.extend_from_slice(&[0; 2]);
        message.extend_from_slice(&self.attempt.unwrap_or(0).to_le_bytes());
        for text in texts {
            message.extend_from_slice(&length_u32(text).to_le_bytes());
            message.extend_from_slice(text);
        }
        seal(message)
    }

    /// Reads a message whole, or says what is wrong with it.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`].
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        if message.len() > MAX_HANDOVER_BYTES {
            return Err(DecodeError::TooLong { bytes: message.len() });
        }
        let (id, mut body) = open(message, KIND_HANDOVER)?;
        let body = &mut body;
        let check_time_us = i64::from_le_bytes(array(body)?);
        let code = i16::from_le_bytes(array(body)?);
        let [object, state_type, check_type, attempt_told] = array(body)?;
        let zero: [u8; 2] = array(body)?;
        let attempt = u32::from_le_bytes(array(body)?);
        let [host, service, output, perfdata, long_output] =
            [text(body)?, text(body)?, text(body)?, text(body)?, text(body)?];
        let handover = Self {
            id,
            host,
            service: match object {
                0 if service.is_empty() => None,
                1 => Some(service),
                _ => return Err(DecodeError::Malformed),
            },
            code,
            output,
            perfdata,
            long_output,
            check_time_us,
            state_type: match state_type {
                0 => None,
                1 => Some(StateType::Soft),
                2 => Some(StateType::Hard),
                _ => return Err(DecodeError::Malformed),
            },
            attempt: match (attempt_told, attempt) {
                (0, 0) => None,
                (1, attempt) => Some(attempt),
                _ => return Err(DecodeError::Malformed),
            },
            check_type: match check_type {
                0 => None,
                1 => Some(CheckType::Active),
                2 => Some(CheckType::Passive),
                _ => return Err(DecodeError::Malformed),
            },
        };
        if !body.is_empty() || zero != [0; 2] {
            return Err(DecodeError::Malformed);
        }
        Ok(handover)
    }
}

impl Answer {
    /// The answer to the hand-over with this id. A reason longer than [`MAX_REASON_BYTES`] is cut.
    #[must_use]
    pub fn encode(&self, id: Id) -> Vec<u8> {
        let (status, reason) = match self {
            Self::Taken => (0, ""),
            Self::Full => (1, ""),
            Self::Refused(reason) => (2, reason.as_str()),
        };
        let mut message = header(KIND_ANSWER, id);
        message.push(status);
        message.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON_BYTES)]);
        seal(message)
    }

    /// The answer, and the id of the hand-over that it belongs to.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`].
    pub fn decode(message: &[u8]) -> Result<(Id, Self), DecodeError> {
        if message.len() > MAX_ANSWER_BYTES {
            return Err(DecodeError::TooLong { bytes: message.len() });
        }
        let (id, mut body) = open(message, KIND_ANSWER)?;
        let [status] = array(&mut body)?;
        let reason = std::str::from_utf8(body).map_err(|_| DecodeError::Malformed)?;
        let answer = match (status, reason) {
            (0, "") => Self::Taken,
            (1, "") => Self::Full,
            (2, reason) => Self::Refused(reason.to_owned()),
            _ => return Err(DecodeError::Malformed),
        };
        Ok((id, answer))
    }
}

/// Why bytes are not a hand-over, or not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The message does not begin as one of ours.
    Foreign,
    /// Another version of the format: programs of two releases meet.
    Version {
        /// The version that the message names.
        theirs: u8,
    },
    /// Cut off, or something follows.
    Length {
        /// What the header says.
        said: u32,
        /// What arrived.
        bytes: usize,
    },
    /// Longer than any message may be.
    TooLong {
        /// What arrived.
        bytes: usize,
    },
    /// Changed on the way or on disk.
    Checksum,
    /// Intact, but not what this version writes.
    Malformed,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => write!(f, "not written by understudy-ocsp"),
            Self::Version { theirs } => {
                write!(f, "format {theirs} instead of {VERSION}: install understudy and understudy-ocsp of one release")
            }
            Self::Length { said, bytes } => write!(f, "{bytes} bytes instead of {said}: cut off, or torn"),
            Self::TooLong { bytes } => write!(f, "{bytes} bytes are more than any message has"),
            Self::Checksum => write!(f, "wrong checksum: changed on the way or on disk"),
            Self::Malformed => write!(f, "not a message that understudy-ocsp writes"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// A header whose length and checksum [`seal`] fills in.
fn header(kind: u8, id: Id) -> Vec<u8> {
    let mut message = Vec::with_capacity(512);
    message.extend_from_slice(&MAGIC);
    message.extend_from_slice(&[VERSION, kind]);
    message.resize(16, 0);
    message.extend_from_slice(&id);
    debug_assert_eq!(message.len(), HEADER_BYTES);
    message
}

fn seal(mut message: Vec<u8>) -> Vec<u8> {
    let length = length_u32(&message);
    message[8..12].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(&message);
    message[CRC_OFFSET..16].copy_from_slice(&checksum.to_le_bytes());
    message
}

/// Checks the header; gives the id and what follows the header.
fn open(message: &[u8], expected: u8) -> Result<(Id, &[u8]), DecodeError> {
    let mut rest = message;
    let cursor = &mut rest;
    if array(cursor)? != MAGIC {
        return Err(DecodeError::Foreign);
    }
    let [theirs, kind] = array(cursor)?;
    if theirs != VERSION {
        return Err(DecodeError::Version { theirs });
    }
    let zero: [u8; 2] = array(cursor)?;
    let said = u32::from_le_bytes(array(cursor)?);
    if usize::try_from(said) != Ok(message.len()) {
        return Err(DecodeError::Length { said, bytes: message.len() });
    }
    let crc = u32::from_le_bytes(array(cursor)?);
    let id = array(cursor)?;
    if crc != checksum(message) {
        return Err(DecodeError::Checksum);
    }
    if kind != expected || zero != [0; 2] {
        return Err(DecodeError::Malformed);
    }
    Ok((id, rest))
}

/// Over a message of at least 16 bytes.
fn checksum(message: &[u8]) -> u32 {
    crc32(&[&message[..CRC_OFFSET], &message[CRC_OFFSET + 4..]])
}

/// The next `N` bytes.
fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(DecodeError::Malformed)?;
    *rest = tail;
    Ok(*head)
}

/// The next length and that many bytes.
fn text(rest: &mut &[u8]) -> Result<Vec<u8>, DecodeError> {
    let length = u32::from_le_bytes(array(rest)?);
    let length = usize::try_from(length).map_err(|_| DecodeError::Malformed)?;
    let (head, tail) = rest.split_at_checked(length).ok_or(DecodeError::Malformed)?;
    *rest = tail;
    Ok(head.to_vec())
}

fn length_u32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("an argument list is shorter than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> HandOver {
        HandOver {
            id: *b"0123456789abcdef",
            host: b"web1".to_vec(),
            service: Some(b"disk /".to_vec()),
            code: 2,
            output: b"DISK CRITICAL - \xfc".to_vec(),
            perfdata: b"/=90%".to_vec(),
            long_output: b"first\\nsecond".to_vec(),
            check_time_us: 1_700_000_000_000_001,
            state_type: Some(StateType::Hard),
            attempt: Some(3),
            check_type: Some(CheckType::Active),
        }
    }

    fn host() -> HandOver {
        HandOver {
            service: None,
            code: -1,
            output: Vec::new(),
            perfdata: Vec::new(),
            long_output: Vec::new(),
            check_time_us: -1,
            state_type: None,
            attempt: None,
            check_type: None,
            ..service()
        }
    }

    #[test]
    fn round_trips() {
        let soft_passive = HandOver {
            service: Some(Vec::new()),
            state_type: Some(StateType::Soft),
            check_type: Some(CheckType::Passive),
            attempt: Some(0),
            ..service()
        };
        for handover in [service(), host(), soft_passive] {
            assert_eq!(HandOver::decode(&handover.encode()), Ok(handover));
        }
        for answer in [Answer::Taken, Answer::Full, Answer::Refused("no such host: wéb1".into())] {
            assert_eq!(Answer::decode(&answer.encode([7; 16])), Ok(([7; 16], answer)));
        }
    }

    #[test]
    fn known_bytes() {
        let mut handover = host();
        handover.host = b"h".to_vec();
        let bytes = handover.encode();
        assert_eq!(&bytes[..12], b"USHO\x01\x01\0\0\x49\0\0\0");
        assert_eq!(&bytes[16..32], b"0123456789abcdef");
        assert_eq!(&bytes[32..40], &[0xff; 8]);
        assert_eq!(&bytes[40..52], &[0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[52..57], b"\x01\0\0\0h");
        assert_eq!(&bytes[57..], &[0; 16]);
    }

    #[test]
    fn every_truncation_and_every_addition_is_refused() {
        for bytes in [service().encode(), host().encode()] {
            for end in 0..bytes.len() {
                assert!(HandOver::decode(&bytes[..end]).is_err(), "cut at {end}");
            }
            assert!(HandOver::decode(&[&bytes[..], b"\0"].concat()).is_err());
        }
        let bytes = Answer::Refused("why".into()).encode([1; 16]);
        assert!((0..bytes.len()).all(|end| Answer::decode(&bytes[..end]).is_err()));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bytes = service().encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(HandOver::decode(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn intact_messages_with_meaningless_fields_are_refused() {
        for (offset, value) in [(5, 2), (6, 1), (42, 2), (43, 3), (44, 3), (45, 2), (46, 1)] {
            let mut bytes = service().encode();
            bytes[offset] = value;
            assert_eq!(HandOver::decode(&seal(bytes)), Err(DecodeError::Malformed), "offset {offset}");
        }
        let mut lying_length = service().encode();
        lying_length[55] = 0xff;
        assert_eq!(HandOver::decode(&seal(lying_length)), Err(DecodeError::Malformed));
    }

    #[test]
    fn an_answer_is_no_handover() {
        assert_eq!(HandOver::decode(&Answer::Taken.encode([0; 16])), Err(DecodeError::Malformed));
        assert_eq!(Answer::decode(&host().encode()), Err(DecodeError::Malformed));
        assert_eq!(HandOver::decode(b"[123] PROCESS_HOST_CHECK_RESULT;a;0;x"), Err(DecodeError::Foreign));
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        let long = "ü".repeat(MAX_REASON_BYTES);
        let bytes = Answer::Refused(format!("x{long}")).encode([0; 16]);
        assert!(bytes.len() <= MAX_ANSWER_BYTES);
        assert!(Answer::decode(&bytes).is_ok());
    }

    #[test]
    fn ids_differ() {
        assert_ne!(new_id(), new_id());
    }
}
