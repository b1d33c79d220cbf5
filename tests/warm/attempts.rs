//! SOFT and HARD states, and how many attempts there were: on a standby that was told the newest result of each object only.
//!
//! Attempts are compared while a state is SOFT, as `understudy verify` does: Nagios 4.4.6 sets the attempt of a HARD host
//! problem to its maximum when it reads its memory.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use book::verify::Aspect;
use ocsp::handover::{Answer, HandOver, MAX_ANSWER_BYTES, new_id};

use crate::pair::{ATTEMPTS, Pair, is_hard_at_once, object};

const SERVICES: usize = 200;

const SOON: Duration = Duration::from_secs(30);

/// Outputs that fill the spool of 32 MiB more than once.
const FLOOD_RESULTS: usize = 700;
const FLOOD_BYTES: usize = 60_000;

/// What a resynchronisation brings, and no result carries.
fn matters(aspect: Aspect) -> bool {
    matches!(aspect, Aspect::Known | Aspect::State | Aspect::Course)
}

/// How many bad results in a row a service has had.
fn attempts(number: usize, more: usize) -> usize {
    (number + more) % (ATTEMPTS as usize + 2)
}

/// Gives each service a good result, and then as many bad ones as it is to have.
fn fail(pair: &Pair, more: usize) {
    pair.check_all(|_| Some(0));
    for round in 0..ATTEMPTS as usize + 2 {
        pair.check_all(|number| (round < attempts(number, more)).then_some(2));
    }
    pair.master.shows("the attempts", |book| {
        (0..SERVICES).all(|number| {
            let wanted = u32::try_from(attempts(number, more)).unwrap().clamp(1, ATTEMPTS);
            let entry = book.entry(&object(number));
            entry.is_some_and(|entry| is_hard_at_once(number) || entry.memory.attempt == wanted)
        })
    });
}

#[test]
fn attempts_agree_after_a_resynchronisation_and_after_history_was_dropped() {
    let mut pair = Pair::new(SERVICES);
    fail(&pair, 0);
    pair.master.stop_daemon();
    pair.master.lose_state();
    pair.master.start_daemon();
    pair.standby.core.start();
    pair.standby.start_daemon();
    pair.wait_until_they_agree(SOON, matters);

    // For long, so that the spool keeps the newest result of each object only.
    pair.standby.stop_daemon();
    fail(&pair, 3);
    flood(&pair);
    let status = pair.master.status();
    assert!(status.contains("dropped in favour of newer ones"), "the spool was not full: {status}");
    pair.standby.start_daemon();
    pair.wait_until_they_agree(SOON, matters);
}

/// Hands over so much that the spool is compacted.
fn flood(pair: &Pair) {
    let directory = tempfile::tempdir().unwrap();
    let client = UnixDatagram::bind(directory.path().join("client")).unwrap();
    client.connect(pair.master.socket()).unwrap();
    for _ in 0..FLOOD_RESULTS {
        let handover = HandOver {
            id: new_id(),
            // Of an object that neither core knows.
            host: "flood".into(),
            service: None,
            code: 0,
            output: vec![b'x'; FLOOD_BYTES],
            perfdata: Vec::new(),
            long_output: Vec::new(),
            check_time_us: i64::try_from(crate::clock::now() * 1000).unwrap(),
            state_type: None,
            attempt: None,
            check_type: None,
        };
        client.send(&handover.encode()).unwrap();
        let mut answer = [0; MAX_ANSWER_BYTES];
        let bytes = client.recv(&mut answer).unwrap();
        assert_eq!(Answer::decode(&answer[..bytes]).unwrap().1, Answer::Taken);
    }
}
