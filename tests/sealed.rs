//! What a receiver does with sealed sessions: results of any length, acknowledged when they are on the disk; who may send
//! under which name; and what strangers get.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use nsca::sealed::{Psk, Reason, ResultFrame, SealedError, upgrade_request};
use support::client::{Client, End};
use support::fifo::Recorder;
use support::sealed::{SealedSender, hello, psk, result};
use support::standby::{Options, Standby};
use support::wait;

fn start() -> (Standby, Recorder) {
    let standby = Standby::start(&Options::default());
    let core = Recorder::start(&standby.command_file());
    (standby, core)
}

fn line(host: &str, output: &str) -> String {
    format!("PROCESS_SERVICE_CHECK_RESULT;{host};service;0;{output}")
}

#[test]
fn results_of_any_length_arrive_with_their_check_time_and_are_acknowledged() {
    let (standby, core) = start();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 3));
    let long = "x".repeat(64_000);
    sender.send(&ResultFrame { check_time_us: 1_700_000_000_999_999, ..result(1, "host", "checked long ago") });
    sender.send(&ResultFrame { service: b"", ..result(2, "host", &long) });
    sender.send(&result(3, "another", "one\ntwo"));
    sender.wait_for_ack(3);
    let commands = core.wait_for(3);
    assert_eq!(commands[0], line("host", "checked long ago"));
    assert_eq!(commands[1], format!("PROCESS_HOST_CHECK_RESULT;host;0;{long}"));
    assert_eq!(commands[2], line("another", "one\\ntwo"));
    assert!(core.lines()[0].starts_with(b"[1700000000] "), "the check time is the sender's");
    sender.goodbye();
    assert_eq!(sender.wait_for_end(), Ok(()));
    standby.daemon.wait_for("sealed session ended");
}

#[test]
fn a_sender_that_falls_silent_is_told_from_one_that_was_refused() {
    let (standby, core) = start();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    sender.send(&result(1, "host", "one"));
    sender.wait_for_ack(1);
    core.wait_for(1);
    standby.daemon.wait_for("nothing was heard from the peer");
    let said = standby.daemon.said();
    let line = said.lines().find(|line| line.contains("nothing was heard from the peer")).unwrap();
    assert!(line.contains("sealed session given up") && line.contains("node=\"master\" acknowledged=1"), "{line}");
    assert!(!said.contains("session refused"), "{said}");
}

#[test]
fn a_sender_that_comes_again_goes_on_behind_what_was_acknowledged_also_after_a_restart() {
    let (mut standby, core) = start();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    sender.send(&result(1, "host", "one"));
    sender.wait_for_ack(1);
    drop(sender);
    let sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    assert_eq!(sender.acknowledged, 1);
    drop(sender);
    assert!(standby.daemon.terminate().success());
    standby.restart();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    assert_eq!(sender.acknowledged, 1);
    sender.send(&result(2, "host", "two"));
    sender.wait_for_ack(2);
    assert_eq!(core.wait_for(2), [line("host", "one"), line("host", "two")]);
}

#[test]
fn a_killed_receiver_gets_some_again_in_order_and_loses_nothing() {
    const RESULTS: u64 = 5_000;
    let (mut standby, core) = start();
    let outputs: Vec<String> = (1..=RESULTS).map(|n| n.to_string()).collect();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, RESULTS));
    let mut sent = 0;
    let mut send_some = |sender: &mut SealedSender, until: u64| {
        while sent < until && sender.try_send(&result(sent + 1, "host", &outputs[usize::try_from(sent).unwrap()])) {
            sent += 1;
        }
        sender.pump();
        sent
    };
    while sender.acknowledged == 0 || core.lines().len() < 1_000 {
        send_some(&mut sender, RESULTS);
    }
    let acknowledged = sender.acknowledged;
    standby.daemon.signal(Signal::SIGKILL);
    standby.restart();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, RESULTS));
    assert!(sender.acknowledged <= acknowledged.max(RESULTS), "{} of {acknowledged}", sender.acknowledged);
    let first_again = sender.acknowledged + 1;
    for n in first_again..=RESULTS {
        sender.send(&result(n, "host", &outputs[usize::try_from(n - 1).unwrap()]));
    }
    sender.wait_for_ack(RESULTS);
    let last = line("host", &RESULTS.to_string());
    wait::until("the last result", || (core.commands().last() == Some(&last)).then_some(()));

    let got: Vec<u64> = core.commands().iter().map(|line| line.rsplit(';').next().unwrap().parse().unwrap()).collect();
    let mut first_time = 0;
    for n in &got {
        assert!(*n <= first_time + 1, "{n} came after {first_time}");
        first_time = first_time.max(*n);
    }
    assert_eq!(first_time, RESULTS);
    let descents = got.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(descents <= 2, "the injector's stretch and the sender's may come again, nothing else: {descents}");
}

#[test]
fn a_full_disk_delays_acknowledgements_and_nothing_else() {
    let (mut standby, core) = start();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    sender.send(&result(1, "host", "before"));
    sender.wait_for_ack(1);
    drop(sender);
    standby.restart_without_room();

    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    (2..=4).for_each(|n| sender.send(&result(n, "host", &format!("no room for {n}"))));
    let heartbeats = sender.heartbeats;
    sender.until("heartbeats", |sender| (sender.heartbeats >= heartbeats + 3).then_some(()));
    standby.daemon.wait_for("the journal takes no results");
    assert_eq!(sender.acknowledged, 1);
    standby.make_room();
    sender.wait_for_ack(4);
    let expected: Vec<_> = (2..=4).map(|n| line("host", &format!("no room for {n}"))).collect();
    assert_eq!(core.wait_for(4)[1..], expected, "each once, and in order");
}

#[test]
fn a_core_that_takes_nothing_delays_nothing() {
    let standby = Standby::start(&Options::default());
    support::fifo::make(&standby.command_file());
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 20_000));
    for n in 1..=20_000 {
        sender.send(&result(n, "host", "nobody reads this"));
    }
    sender.wait_for_ack(20_000);
}

#[test]
fn one_name_with_two_spools_is_refused_loudly_and_a_newer_session_of_the_same_spool_wins() {
    let (standby, _core) = start();
    let psk = psk();
    let mut first = SealedSender::connect(standby.address, &psk, hello("master", 1, 9));
    let mut second = SealedSender::begin(standby.address, &psk, hello("master", 2, 9));
    assert_eq!(second.wait_for_end(), Err(SealedError::Refused(Reason::NameInUse)));
    standby.daemon.wait_for("another node with this node's name");
    first.send(&result(1, "host", "goes on"));
    first.wait_for_ack(1);
    let mut newer = SealedSender::connect(standby.address, &psk, hello("master", 1, 9));
    assert_eq!(first.wait_for_goodbye(), Reason::Superseded);
    newer.send(&result(2, "host", "goes on here"));
    newer.wait_for_ack(2);
    let mut own = SealedSender::begin(standby.address, &psk, hello(&standby_name(&standby), 1, 9));
    assert_eq!(own.wait_for_end(), Err(SealedError::Refused(Reason::OwnName)));
    standby.daemon.wait_for("calls itself");
}

fn standby_name(standby: &Standby) -> String {
    let said = standby.daemon.said();
    let node = said.lines().find_map(|line| line.split_once(" node=")).expect("the node's name in the log").1;
    node.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn where_sealed_sessions_are_required_classic_ones_are_refused() {
    let standby = Standby::start(&Options {
        listener: "encryption = \"rijndael-128\"\nsealed = \"require\"",
        ..Options::default()
    });
    let core = Recorder::start(&standby.command_file());
    let mut classic = Client::connect(standby.address);
    classic.send("host", "service", "classic");
    assert_eq!(classic.end(), End::Reset);
    standby.daemon.wait_for("the peer opened a classic session");
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    sender.send(&result(1, "host", "sealed"));
    sender.wait_for_ack(1);
    assert_eq!(core.wait_for(1), [line("host", "sealed")]);
}

#[test]
fn of_two_origins_the_newer_result_wins_and_a_restart_does_not_forget_it() {
    let (mut standby, core) = start();
    let at = |seconds: i64, sequence, output: &'static str| ResultFrame {
        check_time_us: (1_700_000_000 + seconds) * 1_000_000,
        ..result(sequence, "host", output)
    };
    let mut a = SealedSender::connect(standby.address, &psk(), hello("a", 1, 9));
    a.send(&at(100, 1, "a at 100"));
    a.wait_for_ack(1);
    drop(a);
    standby.daemon.terminate();
    standby.restart();
    let mut b = SealedSender::connect(standby.address, &psk(), hello("b", 2, 9));
    b.send(&at(99, 1, "b at 99"));
    b.send(&at(100, 2, "b at 100"));
    b.send(&at(50, 3, "b at 50: its clock was corrected"));
    b.wait_for_ack(3);
    let mut a = SealedSender::connect(standby.address, &psk(), hello("a", 1, 9));
    a.send(&at(49, 2, "a at 49"));
    a.send(&ResultFrame { origin: b"b", ..at(50, 3, "b at 50, relayed by a: it went round") });
    a.send(&ResultFrame { origin: b"b", ..at(101, 4, "b at 101, relayed by a") });
    a.wait_for_ack(4);
    let expected = ["a at 100", "b at 100", "b at 50: its clock was corrected", "b at 101, relayed by a"];
    assert_eq!(core.wait_for(4), expected.map(|output| line("host", output)));
}

#[test]
fn strangers_get_nothing_cost_little_and_do_not_stall_the_honest() {
    const STRANGERS: usize = 2_000;
    let (standby, core) = start();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    let wrong = Psk::new([9; 32]);
    let mut guessing = SealedSender::begin(standby.address, &wrong, hello("master", 1, 9));
    assert!(guessing.wait_for_end().is_err());
    standby.daemon.wait_for("the peer does not have this side's key");
    for n in 0..STRANGERS {
        let mut stranger = TcpStream::connect(standby.address).unwrap();
        let mut init = [0; 132];
        stranger.read_exact(&mut init).unwrap();
        stranger.write_all(&upgrade_request(init.first_chunk().unwrap())).unwrap();
        stranger.write_all(&[0, 96]).unwrap();
        stranger.write_all(&[0x55; 96]).unwrap();
        assert!(!matches!(stranger.read(&mut [0; 1]), Ok(n) if n > 0), "a stranger got an answer");
        if n % 100 == 0 {
            sender.pump();
        }
    }
    sender.send(&result(1, "host", "honest"));
    sender.wait_for_ack(1);
    assert_eq!(core.wait_for(1), [line("host", "honest")]);
    let complaints = standby.daemon.said().matches("the peer does not have this side's key").count();
    assert!(complaints <= 20, "{complaints} lines in the log");
}

#[test]
fn a_stop_acknowledges_what_came_and_says_goodbye() {
    let (mut standby, core) = start();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    (1..=9).for_each(|n| sender.send(&result(n, "host", "before the stop")));
    sender.until("all lines", |_| (core.lines().len() == 9).then_some(()));
    standby.daemon.signal(Signal::SIGTERM);
    assert_eq!(sender.wait_for_goodbye(), Reason::Stopping);
    assert_eq!(sender.acknowledged, 9);
    assert_eq!(sender.wait_for_end(), Ok(()));
    assert!(standby.daemon.wait().success());
}

#[test]
fn damaged_memory_of_peers_costs_duplicates_never_results() {
    let (mut standby, core) = start();
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    sender.send(&result(1, "host", "one"));
    sender.wait_for_ack(1);
    drop(sender);
    standby.daemon.terminate();
    let file = standby.directory.path().join("state/journal.peers");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    standby.restart();
    standby.daemon.wait_for("sealed senders repeat what they still have");
    let mut sender = SealedSender::connect(standby.address, &psk(), hello("master", 1, 9));
    assert_eq!(sender.acknowledged, 0);
    sender.send(&result(1, "host", "one"));
    sender.wait_for_ack(1);
    assert_eq!(core.wait_for(2), [line("host", "one"), line("host", "one")]);
}

#[test]
fn a_handshake_that_stops_is_given_up_and_counts_as_a_connection() {
    let standby = Standby::start(&Options { receiver: "max_connections_per_peer = 1", ..Options::default() });
    let mut slow = TcpStream::connect(standby.address).unwrap();
    let mut init = [0; 132];
    slow.read_exact(&mut init).unwrap();
    slow.write_all(&upgrade_request(init.first_chunk().unwrap())).unwrap();
    slow.write_all(&[0]).unwrap();
    standby.daemon.wait_for("understudy");
    let mut turned_away = TcpStream::connect(standby.address).unwrap();
    assert!(!matches!(turned_away.read(&mut [0; 1]), Ok(n) if n > 0));
    slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(!matches!(slow.read(&mut [0; 1]), Ok(n) if n > 0));
    standby.daemon.wait_for("did not finish the handshake");
}
