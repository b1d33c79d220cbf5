//! One record of a segment, to the byte; everything is little-endian.
//!
//! ```text
//!  0  magic           u32   b"Rec\xd1": where a search for the next whole record stops
//!  4  header checksum u32   CRC-32 (IEEE) of the spool's id, then of bytes 8..28
//!  8  sequence        u64   greater than the one before; gaps are legal
//! 16  payload length  u32   at most MAX_PAYLOAD_BYTES
//! 20  key length      u16   at most MAX_KEY_BYTES
//! 22  flags           u8    bit 0 LOST_HISTORY, bit 1 CUT; the others are zero
//! 23  zero            u8
//! 24  body checksum   u32   CRC-32 (IEEE) of key and payload
//! 28  key, then payload
//! ```
//!
//! **Invariant:** a payload cannot pass for a record, whatever it holds, when the record around it is damaged: header
//! checksums begin with the spool's random id, which whoever writes payloads does not know, and sequences only grow.
//!
//! **Invariant:** finding records costs time linear in the bytes, however hostile they are: a length is believed only
//! after its header's checksum.

use memchr::memmem;

/// Length of what precedes a record's key.
pub const RECORD_HEADER_BYTES: usize = 28;
/// The longest key.
pub const MAX_KEY_BYTES: usize = 4096;
/// The longest payload.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// The longest record: header, key and payload.
pub const MAX_RECORD_BYTES: usize = RECORD_HEADER_BYTES + MAX_KEY_BYTES + MAX_PAYLOAD_BYTES;

const MAGIC: [u8; 4] = *b"Rec\xd1";

const _: () = assert!(MAX_KEY_BYTES <= u16::MAX as usize, "the key's length is a u16");
const _: () = assert!(MAX_RECORD_BYTES <= u32::MAX as usize, "the payload's length is a u32");
const _: () = assert!(RECORD_HEADER_BYTES == 4 + 4 + 8 + 4 + 2 + 1 + 1 + 4);

/// What became of a record since it was appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// Nothing: as it was appended.
    pub const NONE: Self = Self(0);
    /// Older records of this key were dropped, for want of room, before every reader had them.
    pub const LOST_HISTORY: Self = Self(1);
    /// The payload was cut for want of room.
    pub const CUT: Self = Self(2);

    const KNOWN: u8 = 3;

    /// Whether all of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A record as it is in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number, from 1.
    pub sequence: u64,
    /// What became of it.
    pub flags: Flags,
    /// What compaction keeps the newest of.
    pub key: &'a [u8],
    /// What is to be delivered.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// How many bytes it takes in a segment.
    pub fn encoded_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + self.key.len() + self.payload.len()
    }
}

/// Where the checksums of one spool begin: its id.
#[derive(Clone, Debug)]
pub(crate) struct Salt(crc32fast::Hasher);

impl Salt {
    pub(crate) fn new(id: [u8; 16]) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&id);
        Self(hasher)
    }

    fn checksum(&self, header: &[u8]) -> u32 {
        let mut hasher = self.0.clone();
        hasher.update(header);
        hasher.finalize()
    }
}

/// Appends the record's bytes to `out`. The caller has checked the lengths.
pub(crate) fn encode(record: &Record<'_>, salt: &Salt, out: &mut Vec<u8>) {
    let key_bytes = u16::try_from(record.key.len()).expect("checked by the caller");
    let payload_bytes = u32::try_from(record.payload.len()).expect("checked by the caller");
    let mut body = crc32fast::Hasher::new();
    body.update(record.key);
    body.update(record.payload);

    let mut header = [0; RECORD_HEADER_BYTES];
    header[0..4].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&record.sequence.to_le_bytes());
    header[16..20].copy_from_slice(&payload_bytes.to_le_bytes());
    header[20..22].copy_from_slice(&key_bytes.to_le_bytes());
    header[22] = record.flags.0;
    header[24..28].copy_from_slice(&body.finalize().to_le_bytes());
    let checksum = salt.checksum(&header[8..]);
    header[4..8].copy_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(record.key);
    out.extend_from_slice(record.payload);
}

/// What a stretch of bytes holds.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A whole record at this offset of the bytes.
    Record(usize, Record<'a>),
    /// So many bytes from this offset are no record. The sequence is known if only the record's body is damaged.
    Damage { offset: usize, bytes: usize, sequence: Option<u64> },
}

/// How far [`find`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// So many bytes were visited; what follows them is incomplete.
    pub(crate) consumed: usize,
    /// So many bytes after those are needed to go on; 0 if nothing is left.
    pub(crate) wanted: usize,
}

/// Visits what `bytes` hold in order, records with a sequence above `last` only (and keeps it up to date).
///
/// If `whole`, nothing follows the bytes, and an incomplete record at their end is damage.
///
/// # Errors
/// The visitor's.
pub(crate) fn find<E>(
    bytes: &[u8],
    whole: bool,
    salt: &Salt,
    last: &mut u64,
    visit: &mut dyn FnMut(Found<'_>) -> Result<(), E>,
) -> Result<Progress, E> {
    let mut offset = 0;
    while offset < bytes.len() {
        let rest = &bytes[offset..];
        match step(rest, whole, salt, *last) {
            Step::Record(record) => {
                *last = record.sequence;
                visit(Found::Record(offset, record))?;
                offset += record.encoded_bytes();
            }
            Step::Skip { bytes, sequence } => {
                visit(Found::Damage { offset, bytes, sequence })?;
                offset += bytes;
            }
            Step::Wants(wanted) => {
                return Ok(Progress { consumed: offset, wanted });
            }
        }
    }
    Ok(Progress { consumed: offset, wanted: 0 })
}

enum Step<'a> {
    Record(Record<'a>),
    /// No record begins here, nor before so many bytes further on.
    Skip {
        bytes: usize,
        sequence: Option<u64>,
    },
    /// So many bytes are needed to tell.
    Wants(usize),
}

/// What `bytes`, which are not empty, begin with.
fn step<'a>(bytes: &'a [u8], whole: bool, salt: &Salt, last: u64) -> Step<'a> {
    let Some(header) = bytes.first_chunk::<RECORD_HEADER_BYTES>() else {
        return if whole { skip(bytes, 1, whole, None) } else { Step::Wants(RECORD_HEADER_BYTES) };
    };
    let Some(header) = Header::decode(header, salt) else {
        return skip(bytes, 1, whole, None);
    };
    let length = RECORD_HEADER_BYTES + header.key_bytes + header.payload_bytes;
    let Some(body) = bytes.get(RECORD_HEADER_BYTES..length) else {
        return if whole {
            skip(bytes, RECORD_HEADER_BYTES, whole, Some(header.sequence))
        } else {
            Step::Wants(length)
        };
    };
    if crc32fast::hash(body) != header.body_checksum || header.sequence <= last {
        return skip(bytes, RECORD_HEADER_BYTES, whole, Some(header.sequence));
    }
    let (key, payload) = body.split_at(header.key_bytes);
    Step::Record(Record { sequence: header.sequence, flags: header.flags, key, payload })
}

/// Passes over `least` bytes and on to where the next record may begin.
fn skip<'a>(bytes: &[u8], least: usize, whole: bool, sequence: Option<u64>) -> Step<'a> {
    let least = least.min(bytes.len());
    let skipped = match memmem::find(&bytes[least..], &MAGIC) {
        Some(found) => least + found,
        None if whole => bytes.len(),
        // The magic may have begun in the last bytes.
        None => (bytes.len() + 1).saturating_sub(MAGIC.len()).max(least),
    };
    Step::Skip { bytes: skipped, sequence }
}

/// A header whose checksum fits.
struct Header {
    sequence: u64,
    flags: Flags,
    key_bytes: usize,
    payload_bytes: usize,
    body_checksum: u32,
}

impl Header {
    fn decode(bytes: &[u8; RECORD_HEADER_BYTES], salt: &Salt) -> Option<Self> {
        let u32_at = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("within the header"));
        if bytes[0..4] != MAGIC || u32_at(4) != salt.checksum(&bytes[8..]) {
            return None;
        }
        let header = Self {
            sequence: u64::from_le_bytes(*bytes[8..].first_chunk().expect("within the header")),
            flags: Flags(bytes[22]),
            key_bytes: usize::from(u16::from_le_bytes([bytes[20], bytes[21]])),
            payload_bytes: usize::try_from(u32_at(16)).ok()?,
            body_checksum: u32_at(24),
        };
        let valid = header.key_bytes <= MAX_KEY_BYTES
            && header.payload_bytes <= MAX_PAYLOAD_BYTES
            && header.flags.0 & !Flags::KNOWN == 0
            && bytes[23] == 0;
        valid.then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salt() -> Salt {
        Salt::new(*b"0123456789abcdef")
    }

    fn encoded(sequence: u64, payload: &[u8]) -> Vec<u8> {
        let record = Record { sequence, flags: Flags::NONE, key: b"web1;http", payload };
        let mut out = Vec::new();
        encode(&record, &salt(), &mut out);
        out
    }

    /// (sequences found, bytes that are damage)
    fn found(bytes: &[u8]) -> (Vec<u64>, usize) {
        let mut sequences = Vec::new();
        let mut damage = 0;
        let progress = find::<()>(bytes, true, &salt(), &mut 0, &mut |found| {
            match found {
                Found::Record(_, record) => sequences.push(record.sequence),
                Found::Damage { bytes, .. } => damage += bytes,
            }
            Ok(())
        })
        .unwrap();
        assert_eq!((progress.consumed, progress.wanted), (bytes.len(), 0));
        (sequences, damage)
    }

    #[test]
    fn known_answer() {
        let record = Record {
            sequence: 0x0102_0304_0506_0708,
            flags: Flags::LOST_HISTORY.with(Flags::CUT),
            key: b"key",
            payload: b"payload",
        };
        let mut out = Vec::new();
        encode(&record, &salt(), &mut out);
        // The checksums were computed with Python's zlib.crc32.
        let mut expected = Vec::from(*b"Rec\xd1");
        expected.extend(KNOWN_HEADER_CHECKSUM);
        expected.extend(b"\x08\x07\x06\x05\x04\x03\x02\x01\x07\0\0\0\x03\0\x03\0");
        expected.extend(KNOWN_BODY_CHECKSUM);
        expected.extend(b"keypayload");
        assert_eq!(out, expected);
    }

    const KNOWN_BODY_CHECKSUM: [u8; 4] = [0xca, 0x6c, 0x26, 0xb0];
    const KNOWN_HEADER_CHECKSUM: [u8; 4] = [0x12, 0xab, 0xa0, 0xca];

    #[test]
    fn damage_to_any_byte_costs_its_record_only() {
        let bytes: Vec<u8> = (1..=3).flat_map(|s| encoded(s, b"OK - all is well")).collect();
        let each = bytes.len() / 3;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let survivors: Vec<u64> = (1..=3).filter(|s| s - 1 != (at / each) as u64).collect();
                assert_eq!(found(&damaged), (survivors, each), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_cut_at_any_byte_leaves_the_records_before_it() {
        let bytes: Vec<u8> = (1..=3).flat_map(|s| encoded(s, b"OK")).collect();
        let each = bytes.len() / 3;
        for end in 0..bytes.len() {
            let whole = (1..=(end / each) as u64).collect::<Vec<_>>();
            assert_eq!(found(&bytes[..end]), (whole, end % each), "cut at {end}");
        }
    }

    #[test]
    fn a_record_inside_of_a_damaged_ones_payload_is_not_believed_without_the_id() {
        let mut forged = Vec::new();
        let record = Record { sequence: 7, flags: Flags::NONE, key: b"web1", payload: b"forged" };
        encode(&record, &Salt::new([0; 16]), &mut forged);
        let mut bytes = encoded(1, &forged);
        bytes[30] ^= 1;
        assert_eq!(found(&bytes), (Vec::new(), bytes.len()));
    }

    #[test]
    fn a_sequence_that_does_not_grow_is_damage() {
        let mut bytes = encoded(5, b"new");
        let end = bytes.len();
        bytes.extend(encoded(5, b"again"));
        bytes.extend(encoded(4, b"older"));
        assert_eq!(found(&bytes), (vec![5], bytes.len() - end));
    }

    #[test]
    fn incomplete_bytes_say_how_many_are_wanted() {
        let bytes = encoded(1, b"payload");
        let ask = |end: usize| {
            find::<()>(&bytes[..end], false, &salt(), &mut 0, &mut |_| panic!("nothing is whole")).unwrap().wanted
        };
        assert_eq!(ask(3), RECORD_HEADER_BYTES);
        assert_eq!(ask(RECORD_HEADER_BYTES), bytes.len());
        assert_eq!(ask(bytes.len() - 1), bytes.len());
    }
}
