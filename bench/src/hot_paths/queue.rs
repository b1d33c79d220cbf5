//! The queue on disk.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use nagios::stored;
use spool::{Keep, NewRecord, NoShrink, Options, Reader, Spool};

use super::{BATCH, HotPath, services};
use crate::stage::results::Service;

const MAX_SIZE: u64 = 64 << 20;

pub(super) fn paths() -> Vec<HotPath> {
    vec![
        HotPath::new(format!("spool, appending {BATCH} records"), append),
        HotPath::new(format!("spool, reading {BATCH} records"), read),
    ]
}

fn append(times: u32) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let (mut spool, records) = (open(directory.path()), records());
    for _ in 0..times {
        append_to(&mut spool, black_box(&records));
    }
}

fn read(times: u32) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let spool = filled(directory.path());
    let mut reader = Reader::from(0);
    for _ in 0..times {
        reader.seek(0);
        let batch = reader.next_batch(&spool).expect("the spool is readable");
        assert_eq!(black_box(batch).iter().count(), BATCH);
    }
}

/// A spool with one reader.
pub(super) fn open(directory: &Path) -> Spool {
    let options = Options { max_size: MAX_SIZE, keep: Keep::Unread, shrink: Box::new(NoShrink) };
    let (mut spool, _) = Spool::open(&directory.join("spool"), options, [1; 16]).expect("the directory is new");
    spool.keep_positions(&[super::sealed::DESTINATION], Instant::now()).expect("a short name");
    spool
}

/// A spool that holds one batch.
pub(super) fn filled(directory: &Path) -> Spool {
    let mut spool = open(directory);
    append_to(&mut spool, &records());
    spool
}

fn append_to(spool: &mut Spool, records: &[(Vec<u8>, Vec<u8>)]) {
    let records = records.iter().map(|(key, payload)| NewRecord { key, payload });
    spool.append(records, Instant::now()).expect("the spool takes them");
}

/// A batch, as a spool has it: key and payload.
fn records() -> Vec<(Vec<u8>, Vec<u8>)> {
    let record = |service: &Service| {
        let result = service.check_result();
        let (mut key, mut payload) = (Vec::new(), Vec::new());
        stored::key(&result.object, &mut key);
        stored::encode(&result, b"", &mut payload);
        (key, payload)
    };
    services().iter().map(record).collect()
}
