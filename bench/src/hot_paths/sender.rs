//! The sender: from a datagram to the spool, and from the spool to what a destination gets.

use std::hint::black_box;
use std::time::Instant;

use receiver::peers::Peers;
use sender::measured::{HandOvers, packets};
use spool::Reader;

use super::sealed::Pair;
use super::{BATCH, HotPath, MOST, NOW, queue, services, wire};

pub(super) fn paths() -> Vec<HotPath> {
    vec![
        HotPath::new(format!("sender, {BATCH} datagrams to the spool"), take),
        HotPath::new(format!("sender, {BATCH} records to a sealed stream"), seal),
        HotPath::new(format!("sender, {BATCH} records to packets"), pack),
    ]
}

fn take(times: u32) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let mut hand_overs = HandOvers::open(directory.path()).expect("the directory is new");
    let batches: Vec<Vec<Vec<u8>>> = (0..MOST).map(datagrams).collect();
    for datagrams in batches.iter().take(times as usize) {
        assert_eq!(hand_overs.take(black_box(datagrams)), BATCH);
    }
}

/// A batch of hand-overs. Those of the same `round` are taken once.
fn datagrams(round: usize) -> Vec<Vec<u8>> {
    let hand_over = |(at, service): (usize, &crate::stage::results::Service)| {
        let mut hand_over = service.handover(i64::from(NOW) * 1_000_000);
        hand_over.id = ((round * BATCH + at) as u128).to_be_bytes();
        hand_over.encode()
    };
    services().iter().enumerate().map(hand_over).collect()
}

fn seal(times: u32) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let mut spool = queue::filled(directory.path());
    let mut pairs: Vec<Pair> = (0..MOST).map(|_| Pair::new(&spool, &mut Peers::default())).collect();
    for pair in pairs.iter_mut().take(times as usize) {
        let sent = pair.sender_sends(&mut spool);
        assert!(black_box(sent).len() > BATCH * 100, "all of them are sent");
    }
}

/// Without encryption.
fn pack(times: u32) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let spool = queue::filled(directory.path());
    let (mut client, _) = wire::sessions();
    let (mut reader, mut sent) = (Reader::from(0), Vec::new());
    for _ in 0..times {
        sent.clear();
        reader.seek(0);
        let batch = reader.next_batch(&spool).expect("the spool is readable");
        assert_eq!(packets(&batch, &mut client, Instant::now(), &mut sent), BATCH);
        black_box(&sent);
    }
}
