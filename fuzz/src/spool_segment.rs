//! A spool's directory, whatever lies in it.

use std::collections::BTreeSet;
use std::time::Instant;

use spool::disk::simulated::SimulatedDisk;
use spool::disk::{Disk, DiskFile};
use spool::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, scan};
use spool::{Keep, NewRecord, NoShrink, Options, RECORD_HEADER_BYTES, Reader, Spool};

const ID: [u8; 16] = *b"0123456789abcdef";
const RECORD_MAGIC: [u8; 4] = *b"Rec\xd1";
/// What follows a record's header checksum.
const CHECKED: std::ops::Range<usize> = 8..RECORD_HEADER_BYTES;

/// The names that files get.
const NAMES: [&str; 7] = [
    "00000000000000000001.segment",
    "00000000000000000002.segment",
    "00000000000000001000.segment",
    "18446744073709551615.segment",
    "identity",
    "positions",
    "something else",
];

/// `data`: one byte of options (1: mend the segments' checksums; 2: keep the newest of each key), then files, each as
/// the number of its name (u8), its length (u16, little-endian) and its bytes.
///
/// Every byte of a segment is header, record or damage. The spool opens; its records ascend; what is appended comes after
/// them; and everything is there when it is opened again, but for what readers may be done with, and after a compaction at least the newest of each key.
pub fn spool_segment(data: &[u8]) {
    let Some((options, mut rest)) = data.split_first() else { return };
    let disk = SimulatedDisk::new();
    while let Some(([name, low, high], tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (contents, tail) = tail.split_at(length);
        rest = tail;
        let name = NAMES[usize::from(*name) % NAMES.len()];
        let mut contents = contents.to_vec();
        if options & 1 != 0 && name.ends_with(".segment") {
            mend(&mut contents);
        }
        check_scan(&contents);
        disk.create(name).and_then(|file| file.write_at(&contents, 0)).expect("this disk has no faults");
    }
    let keep = if options & 2 != 0 { Keep::NewestOfEachKey } else { Keep::Unread };
    check_spool(&disk, keep);
}

fn check_scan(bytes: &[u8]) {
    let scan = scan(bytes, ID);
    let header = if scan.header.is_some() { SEGMENT_HEADER_BYTES } else { 0 };
    assert_eq!(header + scan.record_bytes + scan.damaged_bytes, bytes.len(), "a byte is nothing");
    assert!(scan.sequences.is_sorted_by(|a, b| a < b), "{:?}", scan.sequences);
}

/// Everything that a spool does with what it found.
fn check_spool(disk: &SimulatedDisk, keep: Keep) {
    let readers_are_known = disk.names().expect("this disk has no faults").iter().any(|name| name == "positions");
    let mut spool = open(disk, keep);
    let found = records(&spool);
    assert_eq!(found.len() as u64, spool.records(), "as many as it says");
    let new = NewRecord { key: b"key", payload: b"payload" };
    let appended = spool.append([new], Instant::now()).expect("there is room");
    assert!(found.last().is_none_or(|(newest, _)| *newest < appended.start), "a sequence was given twice");
    drop(spool);
    let mut spool = open(disk, keep);
    let again = records(&spool);
    assert_eq!(again.last(), Some(&(appended.start, b"key".to_vec())));
    assert!(found.ends_with(&again[..again.len() - 1]), "not the newest of them when opened again");
    if keep == Keep::NewestOfEachKey || !readers_are_known {
        assert_eq!(again.len(), found.len() + 1, "not all of them when opened again");
        spool.compact().expect("this disk has no faults");
        let keys = |records: &[(u64, Vec<u8>)]| records.iter().map(|(_, key)| key.clone()).collect::<BTreeSet<_>>();
        assert_eq!(keys(&records(&spool)), keys(&again), "a key is gone");
    }
}

fn open(disk: &SimulatedDisk, keep: Keep) -> Spool<SimulatedDisk> {
    let options = Options { max_size: 1 << 20, keep, shrink: Box::new(NoShrink) };
    Spool::open_on(disk.clone(), options, ID).expect("whatever lies there, a spool opens").0
}

/// Sequence and key of all of them.
fn records(spool: &Spool<SimulatedDisk>) -> Vec<(u64, Vec<u8>)> {
    let (mut reader, mut records) = (Reader::from(0), Vec::new());
    loop {
        let batch = reader.next_batch(spool).expect("this disk has no faults");
        if batch.is_empty() {
            break;
        }
        records.extend(batch.iter().map(|record| (record.sequence, record.key.to_vec())));
    }
    assert!(records.is_sorted_by(|a, b| a.0 < b.0), "out of order");
    records
}

/// Makes a segment's header, and the headers of as many records as there is room for, what they must be.
fn mend(bytes: &mut [u8]) {
    let Some((header, mut rest)) = bytes.split_first_chunk_mut::<SEGMENT_HEADER_BYTES>() else { return };
    // Only who knows the id could write a sequence that no spool ever reaches.
    header[38..40].fill(0);
    header[46..48].fill(0);
    let [base, through] = [32, 40].map(|at| u64::from_le_bytes(*header[at..].first_chunk().expect("in the header")));
    *header = SegmentHeader { id: ID, base, through }.encode();
    while let Some((header, body)) = rest.split_first_chunk_mut::<RECORD_HEADER_BYTES>() {
        let payload = usize::from(header[16]).min(body.len());
        let key = usize::from(header[20]).min(body.len() - payload);
        let (body, tail) = body.split_at_mut(payload + key);
        header[..4].copy_from_slice(&RECORD_MAGIC);
        header[14..16].fill(0);
        header[16..24].copy_from_slice(&[0; 8]);
        header[16] = u8::try_from(payload).expect("it was one byte");
        header[20] = u8::try_from(key).expect("it was one byte");
        header[24..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        let checksum = crc32fast::hash(&[&ID, &header[CHECKED]].concat());
        header[4..8].copy_from_slice(&checksum.to_le_bytes());
        rest = tail;
    }
}
