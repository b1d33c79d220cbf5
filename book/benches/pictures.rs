//! What it costs a master to keep its book beside a core with 100,000 services: a status file of 130 MB, every 10 seconds.

use std::fmt::Write as _;

use book::mirror::Plan;
use book::{Book, Record, verify};
use divan::{Bencher, black_box};
use nagios::status::StatusReader;

const SERVICES: usize = 100_000;

/// A block as Nagios 4.4.6 writes it, without names and output.
const FIELDS: &str = include_str!("../../nagios/benches/servicestatus.txt");

fn main() {
    divan::main();
}

/// A status file in which each `changing` service was checked in `second`.
fn status_file(second: usize, changing: usize) -> String {
    let mut file = String::new();
    for service in 0..SERVICES {
        let (host, checked) = (service / 20, if service % changing == 0 { second } else { 0 });
        write!(
            file,
            "servicestatus {{\n\thost_name=host{host}\n\tservice_description=Service {service}\n{}\
             \tplugin_output=DISK OK - free space: / 3326 MB (56%)\n\t}}\n\n",
            FIELDS.replace("last_check=1795384308", &format!("last_check={}", 1_795_384_308 + checked)),
        )
        .expect("a String takes every write");
    }
    file
}

fn look(book: &mut Book, file: &str, created: i64, out: &mut Vec<u8>) -> usize {
    let mut reader = StatusReader::new(black_box(file.as_bytes()));
    let mut records = 0;
    let mut send = |record: Record| {
        records += 1;
        record.encode(out);
    };
    book.begin_picture(created);
    while let Some(block) = reader.next_block().expect("it is a status file") {
        book.handle_block(&block).into_iter().for_each(&mut send);
    }
    book.end_picture().into_iter().for_each(&mut send);
    records
}

/// One service in 30 was checked since the last picture: an interval of 5 minutes.
#[divan::bench(sample_count = 10)]
fn one_in_thirty_changed(bencher: Bencher) {
    let files = [status_file(0, 30), status_file(1, 30)];
    let (mut book, mut out) = (Book::default(), Vec::new());
    look(&mut book, &files[0], 0, &mut out);
    let mut picture = 0;
    bencher.bench_local(|| {
        picture += 1;
        out.clear();
        assert_eq!(look(&mut book, &files[picture % 2], 1, &mut out), SERVICES.div_ceil(30));
    });
}

/// What people did is looked for beside the book of the other core, which is the same but for a comment on each 100th service.
#[divan::bench(sample_count = 10)]
fn remarks_are_compared(bencher: Bencher) {
    let file = status_file(0, 1).replace("problem_has_been_acknowledged=1", "problem_has_been_acknowledged=0");
    let (mut own, mut wanted) = (Book::default(), Book::default());
    look(&mut own, &file, 0, &mut Vec::new());
    let mut comments = file;
    for service in (0..SERVICES).step_by(100) {
        write!(
            comments,
            "servicecomment {{\n\thost_name=host{}\n\tservice_description=Service {service}\n\tentry_type=1\n\tcomment_id={}\n\
             \tpersistent=1\n\tentry_time=1\n\texpires=0\n\tauthor=joe\n\tcomment_data=x\n\t}}\n\n",
            service / 20,
            service + 1
        )
        .expect("a String takes every write");
    }
    look(&mut wanted, &comments, 0, &mut Vec::new());
    bencher.bench_local(|| {
        let plan = Plan::new(black_box(&wanted), black_box(&own), &Book::default(), 1000);
        assert_eq!(plan.commands.len(), SERVICES.div_ceil(100));
    });
}

/// All that two cores show is compared.
#[divan::bench(sample_count = 10)]
fn two_cores_are_compared(bencher: Bencher) {
    let (mut own, file) = (Book::default(), status_file(0, 1));
    look(&mut own, &file, 0, &mut Vec::new());
    let wanted = own.clone();
    bencher.bench_local(|| {
        let shown = own.entries().map(|(object, entry)| (object, &entry.memory));
        assert!(verify::compare(black_box(&wanted), shown).agrees());
    });
}

/// The first picture: everything is new.
#[divan::bench(sample_count = 5)]
fn everything_is_new(bencher: Bencher) {
    let file = status_file(0, 1);
    bencher.bench_local(|| {
        let mut out = Vec::new();
        assert_eq!(look(&mut Book::default(), &file, 0, &mut out), SERVICES);
    });
}
