//! What a spool is told when it is opened.

use crate::record::{MAX_KEY_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES};
use crate::segment::SEGMENT_HEADER_BYTES;

/// The least that [`Options::max_size`] may be, in bytes. Records of full length need 32 MiB.
pub const MIN_MAX_SIZE: u64 = 64 * 1024;

/// Segments are this part of `max_size`, so that dropping one frees a small part…
const SEGMENTS: u64 = 16;
/// …but no longer than this…
const MAX_SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// …unless that made more of them than this, since each is an open file.
const MAX_SEGMENTS: u64 = 64;

/// How a spool works.
pub struct Options {
    /// Most bytes on disk, from [`MIN_MAX_SIZE`]; one part in sixteen is the reserve for compaction. Positions and identity
    /// take some kilobytes more.
    pub max_size: u64,
    /// What is kept when all readers are done with it.
    pub keep: Keep,
    /// Cuts payloads when even the newest record of each key is too much.
    pub shrink: Box<dyn Shrink>,
}

/// What is kept when all readers are done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: whole segments are deleted.
    Unread,
    /// The newest record of each key. Older ones are dropped when the size limit is reached; if that is not enough even
    /// when payloads are cut, the oldest read ones go too.
    NewestOfEachKey,
}

/// Cuts payloads in stages, the least important parts first.
pub trait Shrink: Send {
    /// How many stages there are.
    fn stages(&self) -> u8;

    /// Writes what is left of a payload after this stage, from 1, to `out`, which is empty. False if it stays as it is; so
    /// it does if what is left is no shorter. The payload may have been through this stage before.
    fn shrink(&self, stage: u8, key: &[u8], payload: &[u8], out: &mut Vec<u8>) -> bool;
}

/// Cuts nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoShrink;

impl Shrink for NoShrink {
    fn stages(&self) -> u8 {
        0
    }

    fn shrink(&self, _stage: u8, _key: &[u8], _payload: &[u8], _out: &mut Vec<u8>) -> bool {
        false
    }
}

/// The bounds that follow from `max_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// A segment takes no more.
    pub(crate) segment: u64,
    /// All segments together take no more.
    pub(crate) budget: u64,
    /// Compaction that leaves no more than this has done enough.
    pub(crate) goal: u64,
    /// Key and payload of one record take no more.
    pub(crate) key_and_payload: usize,
}

impl Sizes {
    pub(crate) fn of(max_size: u64) -> Self {
        let segment = (max_size / SEGMENTS).min(MAX_SEGMENT_BYTES).max(max_size / MAX_SEGMENTS);
        let budget = max_size - segment;
        let headers = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES;
        let room = usize::try_from(segment).unwrap_or(usize::MAX).saturating_sub(headers);
        Self { segment, budget, goal: budget / 4 * 3, key_and_payload: room.min(MAX_KEY_BYTES + MAX_PAYLOAD_BYTES) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_from_the_limit() {
        let segment = |max_size| Sizes::of(max_size).segment;
        assert_eq!(segment(MIN_MAX_SIZE), 4096);
        assert_eq!(segment(256 << 20), 8 << 20);
        assert_eq!(segment(64 << 30), 1 << 30);
        assert_eq!(Sizes::of(32 << 20).key_and_payload, MAX_KEY_BYTES + MAX_PAYLOAD_BYTES);
    }
}
