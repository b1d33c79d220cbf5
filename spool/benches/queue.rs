//! What a record costs on its way into a spool and out of it, on a real disk, without syncs.

use std::time::Instant;

use divan::{Bencher, black_box, counter::ItemsCount};
use spool::{Keep, NewRecord, NoShrink, Options, Reader, Spool};
use tempfile::TempDir;

const MAX_SIZE: u64 = 1 << 30;
const READER: &str = "standby";

/// As large as a record of a check result is.
const PAYLOAD: [u8; 160] = [b'x'; 160];

fn main() {
    divan::main();
}

fn open() -> (Spool, TempDir) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let options = Options { max_size: MAX_SIZE, keep: Keep::Unread, shrink: Box::new(NoShrink) };
    let (mut spool, _) = Spool::open(directory.path(), options, [1; 16]).expect("the directory is new");
    spool.keep_positions(&[READER], Instant::now()).expect("a short name");
    (spool, directory)
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("web{number}.example.org;HTTP")).collect()
}

fn append(spool: &mut Spool, keys: &[String]) -> u64 {
    let records = keys.iter().map(|key| NewRecord { key: key.as_bytes(), payload: black_box(&PAYLOAD) });
    spool.append(records, Instant::now()).expect("the spool takes them").end
}

/// So many at once, and all of them done with before the next ones come.
#[divan::bench(args = [1, 64, 4096])]
fn appending(bencher: Bencher, together: usize) {
    let (mut spool, _directory) = open();
    let keys = keys(together);
    bencher.counter(ItemsCount::new(together)).bench_local(|| {
        let end = append(&mut spool, &keys);
        spool.advance(READER, end - 1, Instant::now());
    });
}

/// A batch, nearly always from the page cache.
#[divan::bench]
fn reading(bencher: Bencher) {
    const RECORDS: usize = 100_000;
    let (mut spool, _directory) = open();
    append(&mut spool, &keys(RECORDS));
    let mut reader = Reader::from(0);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        reader.seek(0);
        let mut read = 0;
        while read < RECORDS {
            read += black_box(reader.next_batch(&spool).expect("the spool is readable")).iter().count();
        }
    });
}
