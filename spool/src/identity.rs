//! Who a spool is, and which sequences it may have given; everything is little-endian.
//!
//! ```text
//!  0  magic    b"spool id"
//!  8  version  u32  1
//! 12  checksum u32  CRC-32 (IEEE) of the whole with these four bytes zero
//! 16  id       16 bytes, random, never changed
//! 32  epoch    u64  from 1
//! 40  ceiling  u64  no sequence from this on was ever given
//! 48
//! ```
//!
//! **Invariant:** the file is replaced as a whole, and on the disk before a sequence below its ceiling is given. So after a
//! power cut that lost records, the next sequence is one that was never given: nobody can take a new record for a lost one.

use std::io;

use crate::disk::{Disk, read_file, replace_file};

/// Name of the file.
pub(crate) const IDENTITY: &str = "identity";

/// How many sequences are granted at a time: one write with its syncs for so many records, and at most so large a gap
/// after a restart.
pub(crate) const GRANT: u64 = 1 << 20;

const MAGIC: [u8; 8] = *b"spool id";
const VERSION: u32 = 1;
const BYTES: usize = 48;

const _: () = assert!(BYTES == 8 + 4 + 4 + 16 + 8 + 8);

/// The contents of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: [u8; 16],
    pub(crate) epoch: u64,
    pub(crate) ceiling: u64,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Whole(Identity),
    Missing,
    Damaged,
}

impl Identity {
    pub(crate) fn new(id: [u8; 16]) -> Self {
        Self { id, epoch: 1, ceiling: 1 }
    }

    pub(crate) fn read<D: Disk>(disk: &D) -> io::Result<Found> {
        Ok(match read_file(disk, IDENTITY, BYTES + 1)? {
            None => Found::Missing,
            Some(bytes) => Self::decode(&bytes).map_or(Found::Damaged, Found::Whole),
        })
    }

    pub(crate) fn write<D: Disk>(&self, disk: &D) -> io::Result<()> {
        replace_file(disk, IDENTITY, &self.encode())
    }

    fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id);
        bytes[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.ceiling.to_le_bytes());
        let checksum = crc32fast::hash(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let u64_at = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("within the file"));
        let identity =
            Self { id: *bytes[16..].first_chunk().expect("within the file"), epoch: u64_at(32), ceiling: u64_at(40) };
        (identity.encode() == *bytes).then_some(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::SimulatedDisk;

    const IDENTITY_HERE: Identity = Identity { id: *b"0123456789abcdef", epoch: 2, ceiling: 0x0102 };

    #[test]
    fn known_answer() {
        let mut expected = Vec::from(*b"spool id\x01\0\0\0");
        // Computed with Python's zlib.crc32.
        expected.extend([0x97, 0x07, 0xa1, 0x75]);
        expected.extend(b"0123456789abcdef\x02\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0");
        assert_eq!(IDENTITY_HERE.encode().as_slice(), expected);
    }

    #[test]
    fn a_file_cut_at_any_byte_or_with_any_byte_changed_is_damaged() {
        let disk = SimulatedDisk::new();
        assert_eq!(Identity::read(&disk).unwrap(), Found::Missing);
        IDENTITY_HERE.write(&disk).unwrap();
        assert_eq!(Identity::read(&disk).unwrap(), Found::Whole(IDENTITY_HERE));
        let bytes = disk.contents(IDENTITY);
        for at in 0..bytes.len() {
            disk.tamper(IDENTITY, |file| *file = bytes[..at].to_vec());
            assert_eq!(Identity::read(&disk).unwrap(), Found::Damaged, "cut at {at}");
            disk.tamper(IDENTITY, |file| {
                *file = bytes.clone();
                file[at] ^= 0x10;
            });
            assert_eq!(Identity::read(&disk).unwrap(), Found::Damaged, "byte {at} changed");
        }
        disk.tamper(IDENTITY, |file| {
            *file = bytes.clone();
            file.push(0);
        });
        assert_eq!(Identity::read(&disk).unwrap(), Found::Damaged, "a byte too many");
    }
}
