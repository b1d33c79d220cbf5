//! One file of records in order, to the byte; everything is little-endian.
//!
//! ```text
//!  0  magic     b"spoolseg"
//!  8  version   u32  1
//! 12  checksum  u32  CRC-32 (IEEE) of the header with these four bytes zero
//! 16  id        16 bytes: the spool's when the file was made; the records' checksums begin with it
//! 32  base      u64  no record has a lower sequence; the file's name is this number, 20 digits, and ".segment"
//! 40  through   u64  0, or set by compaction: segments with a base up to this are contained in this one
//! 48  records, see record.rs, to the end of the file
//! ```
//!
//! **Invariant:** bytes before `end` are whole records (or damage that was found and reported); bytes after it, left by
//! a write that failed, are cut before the next record is written.

mod file;

use crate::record::{self, Found, Record, Salt};

pub(crate) use file::{Fallback, Segment};

/// Length of what precedes a segment's first record.
pub const SEGMENT_HEADER_BYTES: usize = 48;

const MAGIC: [u8; 8] = *b"spoolseg";
const VERSION: u32 = 1;
const SUFFIX: &str = ".segment";
const NAME_DIGITS: usize = 20;

const _: () = assert!(SEGMENT_HEADER_BYTES == 8 + 4 + 4 + 16 + 8 + 8);
const _: () = assert!(u64::MAX.ilog10() as usize + 1 == NAME_DIGITS, "names sort as their numbers");

/// What a segment's file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The id of the spool that made it.
    pub id: [u8; 16],
    /// No record has a lower sequence.
    pub base: u64,
    /// 0, or: segments with a base up to this are contained in this one.
    pub through: u64,
}

impl SegmentHeader {
    /// The bytes.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id);
        bytes[32..40].copy_from_slice(&self.base.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.through.to_le_bytes());
        let checksum = crc32fast::hash(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header that `bytes` begin with, unless it is cut, damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<SEGMENT_HEADER_BYTES>()?;
        let u64_at = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("within the header"));
        let header =
            Self { id: *bytes[16..].first_chunk().expect("within the header"), base: u64_at(32), through: u64_at(40) };
        (header.encode() == *bytes).then_some(header)
    }
}

/// What [`scan`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The header, if it is whole.
    pub header: Option<SegmentHeader>,
    /// The sequences of all whole records.
    pub sequences: Vec<u64>,
    /// How many bytes are whole records.
    pub record_bytes: usize,
    /// How many bytes are neither header nor whole record.
    pub damaged_bytes: usize,
}

/// Takes any bytes for a segment's and finds its records, those of `id` if the header is damaged.
///
/// Every byte is accounted for: header, records and damage add up to the length, and sequences grow.
pub fn scan(bytes: &[u8], id: [u8; 16]) -> Scan {
    let header = SegmentHeader::decode(bytes);
    let salt = Salt::new(header.map_or(id, |header| header.id));
    let mut scan = Scan { header, ..Scan::default() };
    let start = SEGMENT_HEADER_BYTES.min(bytes.len());
    if header.is_none() {
        scan.damaged_bytes = start;
    }
    let mut last = first_possible(header.map_or(0, |header| header.base));
    let visited = record::find::<std::convert::Infallible>(&bytes[start..], true, &salt, &mut last, &mut |found| {
        match found {
            Found::Record(_, record) => {
                scan.sequences.push(record.sequence);
                scan.record_bytes += record.encoded_bytes();
            }
            Found::Damage { bytes, .. } => scan.damaged_bytes += bytes,
        }
        Ok(())
    });
    let Ok(_) = visited;
    scan
}

/// The sequence after which records of a segment with this base begin.
fn first_possible(base: u64) -> u64 {
    base.saturating_sub(1)
}

/// A segment's file name.
pub(crate) fn file_name(base: u64) -> String {
    format!("{base:0NAME_DIGITS$}{SUFFIX}")
}

/// The base of the segment with this file name.
pub(crate) fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let base = digits.parse().ok()?;
    (file_name(base) == name).then_some(base)
}

/// A record and where it lies in its file.
pub(crate) type Placed<'a> = (u64, Record<'a>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Flags;

    const ID: [u8; 16] = *b"0123456789abcdef";

    #[test]
    fn known_answer() {
        let header = SegmentHeader { id: ID, base: 0x0102, through: 0x0304 };
        let mut expected = Vec::from(*b"spoolseg\x01\0\0\0");
        // Computed with Python's zlib.crc32.
        expected.extend([0x9f, 0xdd, 0xd6, 0x38]);
        expected.extend(b"0123456789abcdef\x02\x01\0\0\0\0\0\0\x04\x03\0\0\0\0\0\0");
        assert_eq!(header.encode().as_slice(), expected);
        assert_eq!(SegmentHeader::decode(&expected), Some(header));
    }

    #[test]
    fn names_are_numbers() {
        assert_eq!(file_name(17), "00000000000000000017.segment");
        assert_eq!(base_of(&file_name(u64::MAX)), Some(u64::MAX));
        for other in ["17.segment", "lock", "+0000000000000000017.segment", ".segment"] {
            assert_eq!(base_of(other), None, "{other}");
        }
    }

    /// A segment with records from 5 on.
    fn segment(payloads: &[Vec<u8>]) -> Vec<u8> {
        let header = SegmentHeader { id: ID, base: 5, through: 0 };
        let mut bytes = header.encode().to_vec();
        for (sequence, payload) in (5..).zip(payloads) {
            let record = Record { sequence, flags: Flags::NONE, key: b"key", payload };
            record::encode(&record, &Salt::new(ID), &mut bytes);
        }
        bytes
    }

    fn check(bytes: &[u8]) -> Scan {
        let scan = scan(bytes, ID);
        let header = if scan.header.is_some() { SEGMENT_HEADER_BYTES } else { 0 };
        assert_eq!(header + scan.record_bytes + scan.damaged_bytes, bytes.len());
        assert!(scan.sequences.is_sorted_by(|a, b| a < b));
        scan
    }

    proptest! {
        #[test]
        fn every_byte_of_anything_is_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(check(&bytes).sequences, Vec::<u64>::new());
        }

        #[test]
        fn damage_costs_the_records_that_it_touches(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..20),
            place in any::<prop::sample::Index>(),
            noise in prop::collection::vec(1..=255u8, 1..40),
        ) {
            let mut bytes = segment(&payloads);
            let start = place.index(bytes.len());
            let end = (start + noise.len()).min(bytes.len());
            for (byte, noise) in bytes[start..end].iter_mut().zip(&noise) {
                *byte ^= noise;
            }
            let mut at = SEGMENT_HEADER_BYTES;
            let mut untouched = Vec::new();
            for (sequence, payload) in (5..).zip(&payloads) {
                let next = at + record::RECORD_HEADER_BYTES + 3 + payload.len();
                if end <= at || next <= start {
                    untouched.push(sequence);
                }
                at = next;
            }
            prop_assert_eq!(check(&bytes).sequences, untouched);
        }
    }
}
