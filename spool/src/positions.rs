//! How far each reader came, and how far each may have shown the records to somebody else: two files of one layout;
//! everything is little-endian.
//!
//! ```text
//!  0  magic    b"spoolpos"
//!  8  version  u32  1
//! 12  checksum u32  CRC-32 (IEEE) of the whole with these four bytes zero
//! 16  count    u32  at most MAX_POSITIONS
//! 20  count times: sequence u64, name length u8, name in UTF-8
//! ```
//!
//! A position is the last sequence that a reader is done with; 0: none. It only grows. A position that is on the disk may lag
//! behind (records are then read again), never run ahead.
//!
//! An exposure is the last sequence that a reader's peer may have got to know; 0: none. On the disk it may run ahead, and lags
//! behind only when the disk could not take it: then a peer that knows more is taken for one that knows another history.

use std::collections::BTreeMap;
use std::io;

use crate::disk::{Disk, read_file};

/// Name of the file of positions.
pub(crate) const POSITIONS: &str = "positions";
/// Name of the file of exposures.
pub(crate) const EXPOSED: &str = "exposed";

/// How many readers a spool may have.
pub const MAX_POSITIONS: usize = 256;
/// The longest name of a reader, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

const MAGIC: [u8; 8] = *b"spoolpos";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 20;
const MAX_BYTES: usize = HEADER_BYTES + MAX_POSITIONS * (8 + 1 + MAX_NAME_BYTES);

const _: () = assert!(MAX_NAME_BYTES <= u8::MAX as usize);

/// Positions by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions(BTreeMap<String, u64>);

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Whole(Positions),
    Missing,
    Damaged,
}

impl Positions {
    pub(crate) fn read<D: Disk>(disk: &D, file: &str) -> io::Result<Found> {
        Ok(match read_file(disk, file, MAX_BYTES + 1)? {
            None => Found::Missing,
            Some(bytes) => Self::decode(&bytes).map_or(Found::Damaged, Found::Whole),
        })
    }

    pub(crate) fn of(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// What all readers are done with; `None` if there is no reader.
    pub(crate) fn lowest(&self) -> Option<u64> {
        self.0.values().min().copied()
    }

    pub(crate) fn highest(&self) -> u64 {
        self.0.values().max().copied().unwrap_or(0)
    }

    /// Keeps these names alone; new ones begin at 0. Says whether that changed anything.
    ///
    /// # Errors
    /// The offending name, or that there are too many.
    pub(crate) fn keep(&mut self, names: &[&str]) -> Result<bool, NameError> {
        if names.len() > MAX_POSITIONS {
            return Err(NameError::TooMany { count: names.len() });
        }
        if let Some(name) = names.iter().find(|name| name.len() > MAX_NAME_BYTES) {
            return Err(NameError::TooLong { name: (*name).to_owned() });
        }
        let kept = names.iter().map(|name| ((*name).to_owned(), self.of(name).unwrap_or(0))).collect();
        let changed = self.0 != kept;
        self.0 = kept;
        Ok(changed)
    }

    /// All begin at 0 again.
    pub(crate) fn reset(&mut self) {
        self.0.values_mut().for_each(|position| *position = 0);
    }

    /// Moves a position forward. Says whether it moved.
    pub(crate) fn advance(&mut self, name: &str, up_to: u64) -> bool {
        match self.0.get_mut(name) {
            Some(position) if *position < up_to => {
                *position = up_to;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.0.len()).expect("at most MAX_POSITIONS");
        let mut bytes = Vec::with_capacity(MAX_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&count.to_le_bytes());
        for (name, sequence) in &self.0 {
            bytes.extend_from_slice(&sequence.to_le_bytes());
            bytes.push(u8::try_from(name.len()).expect("at most MAX_NAME_BYTES"));
            bytes.extend_from_slice(name.as_bytes());
        }
        let checksum = crc32fast::hash(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut positions = BTreeMap::new();
        let (header, mut rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let count = u32::from_le_bytes(*header[16..].first_chunk()?);
        for _ in 0..count {
            let (sequence, after) = rest.split_first_chunk()?;
            let (length, after) = after.split_first()?;
            let (name, after) = after.split_at_checked(usize::from(*length))?;
            positions.insert(String::from_utf8(name.to_vec()).ok()?, u64::from_le_bytes(*sequence));
            rest = after;
        }
        let positions = Self(positions);
        // Also compares magic, version and checksum, and refuses what follows.
        (positions.0.len() <= MAX_POSITIONS && positions.encode() == bytes).then_some(positions)
    }
}

/// Why readers were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// More than [`MAX_POSITIONS`].
    #[error("{count} readers of one spool are too many: at most {MAX_POSITIONS}")]
    TooMany {
        /// How many there were.
        count: usize,
    },
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("the name {name:?} is too long: at most {MAX_NAME_BYTES} bytes")]
    TooLong {
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::replace_file;
    use crate::disk::simulated::SimulatedDisk;

    fn positions() -> Positions {
        let mut positions = Positions::default();
        positions.keep(&["b", "a"]).unwrap();
        positions.advance("a", 0x0102);
        positions
    }

    #[test]
    fn known_answer() {
        let mut expected = Vec::from(*b"spoolpos\x01\0\0\0");
        // Computed with Python's zlib.crc32.
        expected.extend([0xfa, 0x4a, 0x24, 0x1a]);
        expected.extend(b"\x02\0\0\0\x02\x01\0\0\0\0\0\0\x01a\0\0\0\0\0\0\0\0\x01b");
        assert_eq!(positions().encode(), expected);
    }

    #[test]
    fn a_file_cut_at_any_byte_or_with_any_byte_changed_is_damaged() {
        let disk = SimulatedDisk::new();
        assert_eq!(Positions::read(&disk, POSITIONS).unwrap(), Found::Missing);
        replace_file(&disk, POSITIONS, &positions().encode()).unwrap();
        assert_eq!(Positions::read(&disk, POSITIONS).unwrap(), Found::Whole(positions()));
        let bytes = disk.contents(POSITIONS);
        for at in 0..bytes.len() {
            disk.tamper(POSITIONS, |file| *file = bytes[..at].to_vec());
            assert_eq!(Positions::read(&disk, POSITIONS).unwrap(), Found::Damaged, "cut at {at}");
            disk.tamper(POSITIONS, |file| {
                *file = bytes.clone();
                file[at] ^= 0x10;
            });
            assert_eq!(Positions::read(&disk, POSITIONS).unwrap(), Found::Damaged, "byte {at} changed");
        }
    }

    #[test]
    fn names_that_are_not_kept_are_forgotten() {
        let mut positions = positions();
        assert!(positions.keep(&["b", "c"]).unwrap());
        assert_eq!((positions.of("a"), positions.of("b"), positions.of("c")), (None, Some(0), Some(0)));
        assert!(!positions.advance("a", 9), "a dropped reader moves nothing");
        assert!(!positions.keep(&["c", "b"]).unwrap());
    }

    #[test]
    fn positions_only_grow() {
        let mut positions = positions();
        assert!(!positions.advance("a", 1));
        assert!(positions.advance("b", 7));
        assert_eq!((positions.lowest(), positions.highest()), (Some(7), 0x0102));
    }

    #[test]
    fn limits() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let mut positions = Positions::default();
        assert!(matches!(positions.keep(&[&long]), Err(NameError::TooLong { .. })));
        let names: Vec<String> = (0..=MAX_POSITIONS).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(matches!(positions.keep(&names), Err(NameError::TooMany { .. })));
        positions.keep(&names[1..]).unwrap();
        assert_eq!(Positions::decode(&positions.encode()), Some(positions));
    }
}
