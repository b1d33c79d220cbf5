//! A check result as bytes on a disk, for a queue that outlives the process.
//!
//! ```text
//! 0   version       u8   = 1
//! 1   object        u8   0 host, 1 service
//! 2   state type    u8   0 unknown, 1 soft, 2 hard
//! 3   check type    u8   0 unknown, 1 active, 2 passive
//! 4   return code   i16
//! 6   origin        u16  length in bytes
//! 8   check time    i64  microseconds since the Unix epoch
//! 16  attempt       u32  0: unknown
//! 20  host          u32  length in bytes
//! 24  service       u32  length in bytes, 0 for a host
//! 28  output        u32  length in bytes
//! 32  origin, host, service, output: bytes, one after the other, to the end
//! ```
//!
//! Little-endian. The output is in its escaped form. The origin is the name of the node that the result came from, empty
//! for one that was checked or taken here.
//!
//! **Invariant:** what [`decode`] takes, [`encode`] gives again, byte for byte.

use crate::result::{
    CheckResult, CheckType, HostName, NameError, Object, Outputs, PluginOutput, ReturnCode, ServiceDescription,
    StateType, Timestamp,
};

/// The version of this format.
const VERSION: u8 = 1;

/// The length of what comes before the texts.
const HEADER_BYTES: usize = 32;

/// A node's name is no longer than this, in bytes.
pub const MAX_ORIGIN_BYTES: usize = 255;
const _: () = assert!(MAX_ORIGIN_BYTES <= u16::MAX as usize);

/// Separates host and service in a [`key`]; no name holds it.
const KEY_SEPARATOR: u8 = b';';

/// Why stored bytes are no check result.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoredError {
    /// Written by a later version of this program, or not a result at all.
    #[error("a stored result of version {0}: it was written by another version of this program")]
    Version(u8),
    /// The lengths do not fit, or a value is out of its range.
    #[error("a stored result that is damaged")]
    Damaged,
    /// A name that no core can have.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// What a queue keeps the newest result of.
pub fn key(object: &Object, out: &mut Vec<u8>) {
    out.extend_from_slice(object.host().as_bytes());
    if let Some(service) = object.service() {
        out.push(KEY_SEPARATOR);
        out.extend_from_slice(service.as_bytes());
    }
}

/// Appends `result` to `out`. An origin longer than [`MAX_ORIGIN_BYTES`] is cut.
pub fn encode(result: &CheckResult, origin: &[u8], out: &mut Vec<u8>) {
    let origin = &origin[..origin.len().min(MAX_ORIGIN_BYTES)];
    let (host, service) = (result.object.host().as_bytes(), result.object.service());
    let output = result.output.escaped();
    let state_type = match result.state_type {
        None => 0,
        Some(StateType::Soft) => 1,
        Some(StateType::Hard) => 2,
    };
    let check_type = match result.check_type {
        None => 0,
        Some(CheckType::Active) => 1,
        Some(CheckType::Passive) => 2,
    };
    out.extend_from_slice(&[VERSION, u8::from(service.is_some()), state_type, check_type]);
    out.extend_from_slice(&result.code.get().to_le_bytes());
    out.extend_from_slice(&u16::try_from(origin.len()).expect("cut above").to_le_bytes());
    out.extend_from_slice(&result.check_time.micros().to_le_bytes());
    out.extend_from_slice(&result.attempt.unwrap_or(0).to_le_bytes());
    let service = service.map_or(&b""[..], ServiceDescription::as_bytes);
    for text in [host, service, output] {
        let length = u32::try_from(text.len()).expect("no text of a result is as long as 4 GiB");
        out.extend_from_slice(&length.to_le_bytes());
    }
    for text in [origin, host, service, output] {
        out.extend_from_slice(text);
    }
}

/// Reads what [`encode`] wrote: the result and its origin.
///
/// # Errors
/// Nothing of it can be used.
pub fn decode(bytes: &[u8]) -> Result<(CheckResult, &[u8]), StoredError> {
    decode_with(bytes, PluginOutput::from_escaped)
}

/// As [`decode`], into an output among others.
///
/// # Errors
/// Nothing of it can be used.
pub fn decode_among<'b>(bytes: &'b [u8], outputs: &mut Outputs) -> Result<(CheckResult, &'b [u8]), StoredError> {
    decode_with(bytes, |output| outputs.from_escaped(output))
}

fn decode_with(
    bytes: &[u8],
    from_escaped: impl FnOnce(&[u8]) -> PluginOutput,
) -> Result<(CheckResult, &[u8]), StoredError> {
    let version = *bytes.first().ok_or(StoredError::Damaged)?;
    if version != VERSION {
        return Err(StoredError::Version(version));
    }
    let (header, texts) = bytes.split_at_checked(HEADER_BYTES).ok_or(StoredError::Damaged)?;
    let mut texts = Texts(texts);
    let origin = texts.take(usize::from(u16::from_le_bytes([header[6], header[7]])))?;
    let host = texts.take(length(header, 20))?;
    let service = texts.take(length(header, 24))?;
    let output = texts.take(length(header, 28))?;
    let host = HostName::try_from(host)?;
    let object = match header[1] {
        0 if service.is_empty() => Object::Host(host),
        1 => Object::Service(host, ServiceDescription::try_from(service)?),
        _ => return Err(StoredError::Damaged),
    };
    let escaped = from_escaped(output);
    if !texts.0.is_empty() || origin.len() > MAX_ORIGIN_BYTES || escaped.escaped() != output {
        return Err(StoredError::Damaged);
    }
    let result = CheckResult {
        object,
        code: ReturnCode::new(i16::from_le_bytes([header[4], header[5]])),
        output: escaped,
        check_time: Timestamp::from_micros(i64::from_le_bytes(array(header, 8))),
        state_type: match header[2] {
            0 => None,
            1 => Some(StateType::Soft),
            2 => Some(StateType::Hard),
            _ => return Err(StoredError::Damaged),
        },
        attempt: Some(u32::from_le_bytes(array(header, 16))).filter(|attempt| *attempt != 0),
        check_type: match header[3] {
            0 => None,
            1 => Some(CheckType::Active),
            2 => Some(CheckType::Passive),
            _ => return Err(StoredError::Damaged),
        },
    };
    Ok((result, origin))
}

/// The texts that are left.
struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], StoredError> {
        let (text, rest) = self.0.split_at_checked(bytes).ok_or(StoredError::Damaged)?;
        self.0 = rest;
        Ok(text)
    }
}

fn length(header: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_le_bytes(array(header, at))).unwrap_or(usize::MAX)
}

fn array<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    header[at..at + N].try_into().expect("the slice has N bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn service() -> CheckResult {
        CheckResult {
            object: Object::Service("h".try_into().unwrap(), "sv".try_into().unwrap()),
            code: ReturnCode::new(-2),
            output: PluginOutput::from_text(b"out\nlong"),
            check_time: Timestamp::from_micros(0x0102_0304),
            state_type: Some(StateType::Hard),
            attempt: Some(3),
            check_type: Some(CheckType::Passive),
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut bytes = Vec::new();
        encode(&service(), b"n1", &mut bytes);
        let mut expected = vec![1, 1, 2, 2, 0xfe, 0xff, 2, 0, 4, 3, 2, 1, 0, 0, 0, 0, 3, 0, 0, 0];
        expected.extend([1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0]);
        expected.extend(b"n1hsvout\\nlong");
        assert_eq!(bytes, expected);
        assert_eq!(decode(&bytes), Ok((service(), &b"n1"[..])));
        let mut found = Vec::new();
        key(&service().object, &mut found);
        assert_eq!(found, b"h;sv");
    }

    #[test]
    fn a_host_has_no_service_and_what_is_unknown_stays_unknown() {
        let result = CheckResult::new(
            Object::Host("h".try_into().unwrap()),
            ReturnCode::new(1),
            PluginOutput::default(),
            Timestamp::from_micros(-1),
        );
        let mut bytes = Vec::new();
        encode(&result, b"", &mut bytes);
        assert_eq!(decode(&bytes), Ok((result.clone(), &b""[..])));
        let mut found = Vec::new();
        key(&result.object, &mut found);
        assert_eq!(found, b"h");
    }

    #[test]
    fn every_cut_and_a_byte_more_are_refused() {
        let mut bytes = Vec::new();
        encode(&service(), b"n1", &mut bytes);
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Err(StoredError::Damaged), "{cut}");
        }
        bytes.push(0);
        assert_eq!(decode(&bytes), Err(StoredError::Damaged));
        bytes[0] = 9;
        assert_eq!(decode(&bytes), Err(StoredError::Version(9)));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_given_again(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), flips in 0usize..3) {
            let mut good = Vec::new();
            encode(&service(), b"n1", &mut good);
            for at in bytes.iter().take(flips) {
                let at = usize::from(*at) % good.len();
                good[at] ^= 0x41;
            }
            for input in [&mut good, &mut bytes] {
                if let Ok((result, origin)) = decode(input) {
                    let mut again = Vec::new();
                    encode(&result, origin, &mut again);
                    prop_assert_eq!(&again, input);
                }
            }
        }
    }
}
