//! What a result costs in memory between the socket and the command line: nothing of its own.
//!
//! In a process of its own, and in one test, because every allocation counts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::time::Instant;

use nagios::Timestamp;
use nsca::classic::{ClientSession, ServerSession};
use nsca::packet::{IV_BYTES, PacketSize};
use nsca::{Method, Secret};
use receiver::measured::Way;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: u32 = 1_780_000_000;

#[test]
fn a_result_allocates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut way = Way::open(directory.path()).unwrap();
    let (mut client, mut server) = sessions();
    let mut allocated = |results: u64| {
        let mut packets = Vec::new();
        (0..results).for_each(|number| encode(&mut client, number, &mut packets));
        let region = Region::new(ALLOCATOR);
        let batch = way.decode(&mut server, &packets, Timestamp::from_seconds(i64::from(NOW)));
        let lines = way.bring(&batch).iter().filter(|byte| **byte == b'\n').count();
        let stats = region.change();
        assert_eq!(lines as u64, results);
        stats.allocations + stats.reallocations
    };
    // This makes what is used again: buffers, and what is remembered of objects.
    allocated(256);
    let (few, many) = (allocated(64), allocated(256));
    // A buffer that doubles does so twice more; outputs share pieces of 16 KiB.
    assert!(few <= 40 && many <= few + 12, "{few} allocations for 64 results, {many} for 256");
}

/// Both sides of a session without encryption.
fn sessions() -> (ClientSession, ServerSession) {
    let secret = Secret::new(Method::None, b"");
    let server = ServerSession::new(secret.clone(), [7; IV_BYTES], NOW, None);
    let mut client = ClientSession::new(secret, PacketSize::Modern, 1);
    client.handle_bytes(&server.init_packet(), Instant::now()).unwrap();
    (client, server)
}

fn encode(client: &mut ClientSession, number: u64, packets: &mut Vec<u8>) {
    let (host, output) = (format!("web{number}.example.org"), format!("OK - {number} bytes in 0.043 s|time=0.043s"));
    let truncated = client.encode(0, host.as_bytes(), b"HTTP", output.as_bytes(), Instant::now(), packets);
    assert!(!truncated.any());
}
