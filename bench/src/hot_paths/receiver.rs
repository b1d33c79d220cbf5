//! The receiver: from what a connection has read, through the journal, to the lines for the command file.

use std::hint::black_box;

use nagios::Timestamp;
use receiver::measured::Way;

use super::sealed::Pair;
use super::{BATCH, HotPath, MOST, NOW, queue, services, wire};
use crate::stage::feeder;

pub(super) fn paths() -> Vec<HotPath> {
    vec![
        HotPath::new(format!("receiver, {BATCH} packets to command lines"), of_packets),
        HotPath::new(format!("receiver, a sealed stream of {BATCH} results to command lines"), of_a_sealed_stream),
    ]
}

/// Without encryption.
fn of_packets(times: u32) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let mut way = Way::open(directory.path()).expect("the directory is new");
    let (mut client, mut server) = wire::sessions();
    let mut sent = Vec::new();
    services().iter().for_each(|service| feeder::encode(&mut client, service, &mut sent));
    for _ in 0..times {
        let batch = way.decode(&mut server, black_box(&sent), Timestamp::from_seconds(i64::from(NOW)));
        assert_eq!(lines(way.bring(&batch)), BATCH);
    }
}

fn of_a_sealed_stream(times: u32) {
    let [at_sender, at_receiver] = [(); 2].map(|()| tempfile::tempdir().expect("there is room for a directory"));
    let mut spool = queue::filled(at_sender.path());
    let mut way = Way::open(at_receiver.path()).expect("the directory is new");
    let mut sessions: Vec<(Pair, Vec<u8>)> = (0..MOST)
        .map(|_| {
            // To the receiver it is another epoch each time, so that nothing is a repetition.
            spool.new_epoch(std::num::NonZeroU32::MIN).expect("the disk takes it");
            let mut pair = way.with_peers(|peers| Pair::new(&spool, peers));
            let sent = pair.sender_sends(&mut spool);
            (pair, sent)
        })
        .collect();
    for (Pair { session, now, .. }, sent) in sessions.iter_mut().take(times as usize) {
        let mut rest = black_box(&sent[..]);
        while !rest.is_empty() {
            rest = &rest[session.handle_bytes(rest, *now)..];
            while session.poll_event(*now).expect("an honest sender").is_some() {}
        }
        let batch = session.take_batch().expect("results came");
        assert_eq!(lines(way.bring(&batch)), BATCH);
    }
}

fn lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', black_box(bytes)).count()
}
