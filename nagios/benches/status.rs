//! What it costs to read the status file of a large site: 100,000 services, 130 MB.

use divan::{Bencher, black_box, counter::BytesCount};
use nagios::status::StatusReader;

const SERVICES: usize = 100_000;
const FILE_BYTES: usize = 130_000_000;

/// A block as Nagios 4.4.6 writes it, without names and output.
const FIELDS: &str = include_str!("servicestatus.txt");

fn main() {
    divan::main();
}

fn status_file() -> Vec<u8> {
    let mut file = Vec::with_capacity(FILE_BYTES + 10_000);
    for service in 0..SERVICES {
        let start = file.len();
        let head =
            format!("servicestatus {{\n\thost_name=host{}\n\tservice_description=Service {service}\n", service / 20);
        file.extend_from_slice(head.as_bytes());
        file.extend_from_slice(FIELDS.as_bytes());
        let pad = (FILE_BYTES / SERVICES).saturating_sub(file.len() - start + 20);
        file.extend_from_slice(b"\tplugin_output=");
        file.extend(std::iter::repeat_n(b'x', pad));
        file.extend_from_slice(b"\n\t}\n\n");
    }
    file
}

/// Each block found and checked, none looked into.
#[divan::bench(sample_count = 10)]
fn blocks(bencher: Bencher) {
    let file = status_file();
    bencher.counter(BytesCount::of_slice(&file)).bench_local(|| {
        let mut reader = StatusReader::new(black_box(file.as_slice()));
        let mut blocks = 0;
        while reader.next_block().expect("it is a status file").is_some() {
            blocks += 1;
        }
        assert_eq!(blocks, SERVICES);
    });
}

/// Names and memory of each object, as the book wants them.
#[divan::bench(sample_count = 10)]
fn memories(bencher: Bencher) {
    let file = status_file();
    bencher.counter(BytesCount::of_slice(&file)).bench_local(|| {
        let mut reader = StatusReader::new(black_box(file.as_slice()));
        while let Some(block) = reader.next_block().expect("it is a status file") {
            black_box((block.object().expect("it has names"), block.memory()));
        }
    });
}
