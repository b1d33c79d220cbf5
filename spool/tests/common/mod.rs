//! What several tests of the spool need.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::Instant;

use spool::disk::Disk;
use spool::disk::simulated::SimulatedDisk;
use spool::{Keep, NewRecord, NoShrink, Options, Reader, Recovery, Spool};

pub(crate) const ID: [u8; 16] = *b"0123456789abcdef";

pub(crate) fn options(max_size: u64, keep: Keep) -> Options {
    Options { max_size, keep, shrink: Box::new(NoShrink) }
}

pub(crate) fn open(disk: &SimulatedDisk) -> (Spool<SimulatedDisk>, Recovery) {
    Spool::open_on(disk.clone(), options(1 << 20, Keep::Unread), ID).unwrap()
}

pub(crate) fn new_record<'a>(key: &'a str, payload: &'a str) -> NewRecord<'a> {
    NewRecord { key: key.as_bytes(), payload: payload.as_bytes() }
}

/// Appends one record; gives its sequence.
pub(crate) fn append<D: Disk>(spool: &mut Spool<D>, key: &str, payload: &str) -> u64 {
    spool.append([new_record(key, payload)], Instant::now()).unwrap().start
}

/// (sequence, key, payload) of all records from `sequence` on.
pub(crate) fn read_from<D: Disk>(spool: &Spool<D>, sequence: u64) -> Vec<(u64, String, String)> {
    let mut reader = Reader::from(sequence);
    let mut read = Vec::new();
    loop {
        let batch = reader.next_batch(spool).unwrap();
        if batch.is_empty() {
            return read;
        }
        read.extend(batch.iter().map(|record| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (record.sequence, text(record.key), text(record.payload))
        }));
    }
}

/// The payloads of all records.
pub(crate) fn payloads<D: Disk>(spool: &Spool<D>) -> Vec<String> {
    read_from(spool, 0).into_iter().map(|(_, _, payload)| payload).collect()
}
