//! What it costs to follow a core with 100,000 services, whose status file of 130 MB is new every 10 seconds.
//!
//! The only test of its program, so that the processor time of the follower's thread can be told by its name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Site, until};

const SERVICES: usize = 100_000;

/// A block as Nagios 4.4.6 writes it, without names and output.
const FIELDS: &str = include_str!("../../nagios/benches/servicestatus.txt");

/// One service in 30 is checked between two files: an interval of 5 minutes.
const CHANGING: usize = 30;

const PROGRAM: &str = "\tprogram_start=50\n\tenable_notifications=1\n";

fn services(second: usize) -> String {
    let mut file = String::new();
    for service in 0..SERVICES {
        let (host, checked) = (service / 20, if service % CHANGING == 0 { second } else { 0 });
        let fields = FIELDS.replace("last_check=1795384308", &format!("last_check={}", 1_795_384_308 + checked));
        write!(
            file,
            "servicestatus {{\n\thost_name=host{host}\n\tservice_description=Service {service}\n{fields}\
             \tplugin_output=DISK OK - free space: / 3326 MB (56%)\n\t}}\n\n"
        )
        .unwrap();
    }
    file
}

/// The processor time of the follower's thread.
fn work() -> Duration {
    for task in fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap) {
        if fs::read_to_string(task.path().join("comm")).unwrap().trim() == "chronicle" {
            let schedule = fs::read_to_string(task.path().join("schedstat")).unwrap();
            return Duration::from_nanos(schedule.split(' ').next().unwrap().parse().unwrap());
        }
    }
    panic!("nobody follows");
}

#[test]
fn a_large_core_is_followed_at_little_cost() {
    let site = Site::new();
    let files = [services(0), services(1)];
    site.show(100, PROGRAM, &files[0]);
    let megabytes = fs::metadata(site.path("status.dat")).unwrap().len() / 1_000_000;
    let chronicle = site.start();
    let begun = Instant::now();
    until("the first picture", &chronicle, |own| own.created == 100);
    println!("{megabytes} MB, the first time: {:?} of work within {:?}", work(), begun.elapsed());

    let before = work();
    site.show(110, PROGRAM, &files[1]);
    let is_read = AtomicBool::new(false);
    let longest_wait = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !is_read.load(Ordering::Relaxed) {
                let begun = Instant::now();
                chronicle.read(|own| own.created);
                longest = longest.max(begun.elapsed());
                std::thread::sleep(Duration::from_micros(500));
            }
            longest
        });
        until("the next picture", &chronicle, |own| own.created == 110);
        is_read.store(true, Ordering::Relaxed);
        waiting.join().unwrap()
    });
    let work = work() - before;
    println!("the next time: {work:?} of work; the longest wait of a reader {longest_wait:?}");
    // A build for tests is several times slower than one that runs at a site, and the machine is busy.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 4000 } else { 500 });
    assert!(work < limit, "{work:?} for a status file");
}
