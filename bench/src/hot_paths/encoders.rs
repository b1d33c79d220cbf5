//! What a result becomes on its way.

use std::hint::black_box;

use nagios::command::process_check_result;
use nagios::{CheckResult, Flavour, stored};
use nsca::sealed::{ResultFrame, Sent};
use ocsp::handover::HandOver;

use super::{BATCH, HotPath, NOW, sealed, services};
use crate::stage::results::Service;

pub(super) fn paths() -> Vec<HotPath> {
    let mut paths = Vec::new();
    for flavour in [Flavour::Nagios4, Flavour::Icinga1, Flavour::Naemon] {
        paths.push(HotPath::new(format!("command line for {flavour}"), move |times| command_line(flavour, times)));
    }
    paths.push(HotPath::new("hand-over, encoding", |times| {
        let hand_over = hand_over();
        (0..times).for_each(|_| drop(black_box(black_box(&hand_over).encode())));
    }));
    paths.push(HotPath::new("hand-over, decoding", |times| {
        let datagram = hand_over().encode();
        (0..times).for_each(|_| drop(black_box(HandOver::decode(black_box(&datagram)).expect("it is one"))));
    }));
    paths.push(HotPath::new("record, encoding", |times| {
        let (result, mut bytes) = (result(), Vec::with_capacity(4096));
        (0..times).for_each(|_| stored::encode(black_box(&result), b"", black_box(&mut bytes)));
    }));
    paths.push(HotPath::new("record, decoding", |times| {
        let mut bytes = Vec::new();
        stored::encode(&result(), b"", &mut bytes);
        (0..times).for_each(|_| drop(black_box(stored::decode(black_box(&bytes)).expect("it is one"))));
    }));
    paths.push(HotPath::new(format!("sealed frame, encoding {BATCH}"), seal));
    paths
}

fn service() -> Service {
    services().swap_remove(0)
}

fn result() -> CheckResult {
    service().check_result()
}

fn hand_over() -> HandOver {
    HandOver { id: [1; 16], ..service().handover(i64::from(NOW) * 1_000_000) }
}

fn command_line(flavour: Flavour, times: u32) {
    let (result, mut line) = (result(), Vec::with_capacity(4096));
    for _ in 0..times {
        let encoded = process_check_result(flavour, black_box(&result), black_box(&mut line));
        assert!(!encoded.cut);
    }
}

/// Frames, and the message that they make.
fn seal(times: u32) {
    let (mut client, now) = sealed::client();
    let services = services();
    let mut sequence = 0;
    for _ in 0..times {
        for service in &services {
            sequence += 1;
            let sent = client.send(&ResultFrame {
                sequence,
                check_time_us: now.unix_us,
                state_type: None,
                check_type: None,
                attempt: 1,
                origin: b"",
                code: 0,
                host: service.host.as_bytes(),
                service: service.description.as_bytes(),
                output: service.output.as_bytes(),
            });
            assert_eq!(sent, Sent::Taken);
        }
        let bytes = black_box(client.poll_transmit(now)).len();
        client.handle_sent(bytes);
    }
}
