//! What it costs to hand a result over, beside starting a process for it.

use divan::{Bencher, black_box};
use ocsp::handover::HandOver;

fn main() {
    divan::main();
}

fn hand_over() -> HandOver {
    HandOver {
        id: [1; 16],
        host: b"web1.example.org".to_vec(),
        service: Some(b"HTTP".to_vec()),
        code: 0,
        output: b"HTTP OK: HTTP/1.1 200 OK - 10918 bytes in 0.043 second response time ".to_vec(),
        perfdata: b"time=0.043s;;;0.000000;10.000000".to_vec(),
        long_output: Vec::new(),
        check_time_us: 1_780_000_000_000_000,
        state_type: None,
        attempt: Some(1),
        check_type: None,
    }
}

#[divan::bench]
fn encoding(bencher: Bencher) {
    let hand_over = hand_over();
    bencher.bench_local(|| black_box(&hand_over).encode());
}

#[divan::bench]
fn decoding(bencher: Bencher) {
    let datagram = hand_over().encode();
    bencher.bench_local(|| HandOver::decode(black_box(&datagram)).expect("it is one"));
}
