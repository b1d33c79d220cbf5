//! How fast records go in and out: `cargo run --release -p spool --example throughput [RECORDS]`.

use std::error::Error;
use std::time::Instant;

use spool::{Keep, NewRecord, NoShrink, Options, Reader, Spool};

const PAYLOAD: [u8; 180] = [b'x'; 180];
const BATCH: u64 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(2_000_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let options = Options { max_size: 2 << 30, keep: Keep::Unread, shrink: Box::new(NoShrink) };
    let (mut spool, _) = Spool::open(directory.path(), options, [7; 16])?;

    let started = Instant::now();
    for batch in 0..count / BATCH {
        let keys: Vec<String> = (0..BATCH).map(|n| format!("host{:04};service{n:06}", batch % 100)).collect();
        let records = keys.iter().map(|key| NewRecord { key: key.as_bytes(), payload: &PAYLOAD });
        spool.append(records, Instant::now())?;
    }
    report("appended", spool.records(), started);

    let started = Instant::now();
    spool.commit(Instant::now())?;
    println!("committed in {:?}", started.elapsed());

    let started = Instant::now();
    let mut reader = Reader::from(0);
    let mut read = 0;
    loop {
        let batch = reader.next_batch(&spool)?;
        if batch.is_empty() {
            break;
        }
        read += batch.iter().filter(|record| record.payload == PAYLOAD).count() as u64;
    }
    report("read", read, started);

    let started = Instant::now();
    spool.compact()?;
    println!("compacted to {} records in {:?}", spool.records(), started.elapsed());
    Ok(())
}

fn report(what: &str, count: u64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let per_second = count as f64 / seconds;
    println!("{what} {count} records in {seconds:.2} s: {per_second:.0} per second");
}
