//! What is remembered of peers, on disk; everything is little-endian.
//!
//! ```text
//!  0  magic     b"peers\0\0\0"
//!  8  version   u32  1
//! 12  checksum  u32  CRC-32 (IEEE) of the whole with these four bytes zero
//! 16  nodes     u32  at most 1,024
//! 20  node …         one after the other, the one that was not heard of for longest first
//!
//! node
//!  0  length    u8
//!  1  name      text
//! ..  spools    u8   at most 8
//! ..  spool …        one after the other, in the order of their last sessions
//!
//! spool
//!  0  id        16 bytes
//! 16  epoch     u64
//! 24  accepted  u64  the last sequence that is committed
//! 32
//! ```
//!
//! **Invariant:** the file is replaced as a whole. One that is damaged anywhere is not used.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use nsca::sealed::{MAX_NODE_NAME_BYTES, NodeName, SpoolId};

use super::{Known, MAX_NODES, MAX_SPOOLS, Node, Peers, SessionNumber};

const MAGIC: [u8; 8] = *b"peers\0\0\0";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 20;
const CHECKSUM: std::ops::Range<usize> = 12..16;
const SPOOL_BYTES: usize = 32;
const MAX_BYTES: usize = HEADER_BYTES + MAX_NODES * (1 + MAX_NODE_NAME_BYTES + 1 + MAX_SPOOLS * SPOOL_BYTES);
const _: () = assert!(MAX_SPOOLS <= u8::MAX as usize);
const _: () = assert!(MAX_NODE_NAME_BYTES <= u8::MAX as usize);

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    Whole(Peers),
    Missing,
    Damaged,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> io::Result<Found> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(decode(&bytes).map_or(Found::Damaged, Found::Whole))
}

pub(super) fn encode(peers: &Peers) -> Vec<u8> {
    let mut nodes: Vec<_> = peers.nodes.iter().collect();
    nodes.sort_by_key(|(_, node)| node.heard);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + nodes.len() * 128);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&u32::try_from(nodes.len()).expect("at most MAX_NODES").to_le_bytes());
    for (name, node) in nodes {
        bytes.push(u8::try_from(name.as_bytes().len()).expect("at most MAX_NODE_NAME_BYTES"));
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(u8::try_from(node.spools.len()).expect("at most MAX_SPOOLS"));
        for known in &node.spools {
            bytes.extend_from_slice(&known.spool.0);
            bytes.extend_from_slice(&known.epoch.to_le_bytes());
            bytes.extend_from_slice(&known.accepted.to_le_bytes());
        }
    }
    let checksum = crc32fast::hash(&bytes);
    bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<Peers> {
    let (header, mut rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let count = u32::from_le_bytes(*header[16..].first_chunk()?);
    let mut peers = Peers::default();
    for _ in 0..count {
        let (name, node);
        (name, node, rest) = decode_node(rest, peers.turn + 1)?;
        peers.turn += 1;
        peers.nodes.insert(name, node);
    }
    // Also compares magic, version and checksum, and refuses what follows.
    (peers.nodes.len() <= MAX_NODES && encode(&peers) == bytes).then_some(peers)
}

fn decode_node(bytes: &[u8], heard: u64) -> Option<(NodeName, Node, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let name = NodeName::try_from(str::from_utf8(name).ok()?).ok()?;
    let (count, rest) = rest.split_first()?;
    let (spools, rest) = rest.split_at_checked(usize::from(*count) * SPOOL_BYTES)?;
    let spools: Vec<Known> = spools.chunks_exact(SPOOL_BYTES).map(decode_spool).collect();
    (1..=MAX_SPOOLS).contains(&spools.len()).then_some((name, Node { heard, spools }, rest))
}

fn decode_spool(bytes: &[u8]) -> Known {
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    Known {
        spool: SpoolId(bytes[..16].try_into().expect("16 bytes")),
        epoch: number(16),
        accepted: number(24),
        taken: number(24),
        session: SessionNumber::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hello, source};
    use super::*;
    use tempfile::TempDir;

    fn peers() -> Peers {
        let mut peers = Peers::default();
        for (node, spool, epoch, sequence) in [("b", 1, 7, 0x0102), ("a", 2, 1, 3)] {
            let number = peers.begin(&hello(node, spool, epoch)).unwrap().number;
            peers.take(&source(node, spool, epoch), number, sequence);
            let commit = peers.begin_commit();
            peers.committed(commit);
            let is_last = node == "a";
            peers.take(&source(node, spool, epoch), number, if is_last { 0xffff } else { 0 });
        }
        peers
    }

    #[test]
    fn known_answer() {
        let mut expected = Vec::from(*b"peers\0\0\0\x01\0\0\0");
        // Computed with Python's zlib.crc32.
        expected.extend([0xa5, 0x41, 0xa6, 0xe6]);
        expected.extend([2, 0, 0, 0]);
        expected.extend(b"\x01b\x01");
        expected.extend([1; 16]);
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
        expected.extend(b"\x01a\x01");
        expected.extend([2; 16]);
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encode(&peers()), expected, "what is not committed is not in the file");
    }

    #[test]
    fn what_was_written_is_found_again() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("journal.peers");
        assert!(matches!(read(&path).unwrap(), Found::Missing));
        spool::disk::replace(&path, &encode(&peers())).unwrap();
        let Found::Whole(found) = read(&path).unwrap() else { panic!("not whole") };
        let accepted: Vec<u64> = found.remembered().map(|known| known.accepted).collect();
        assert_eq!(accepted, [3, 0x0102]);
        assert_eq!(encode(&found), encode(&peers()));
    }

    #[test]
    fn a_file_cut_at_any_byte_or_with_any_byte_changed_is_not_used() {
        let bytes = encode(&peers());
        for at in 0..bytes.len() {
            assert!(decode(&bytes[..at]).is_none(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(decode(&changed).is_none(), "byte {at} changed");
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_none());
    }
}
