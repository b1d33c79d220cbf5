//! What hostile, broken and unlucky peers and cores do to a receiver: each gets a clear message, costs little, and
//! takes nothing else down.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use nsca::packet::PACKET_BYTES;
use nsca::{Method, Secret};
use support::client::{Client, End, secret};
use support::fifo::{self, Recorder};
use support::standby::{Options, PASSWORD, Standby};
use support::wait;

/// An honest peer is still served, and its result is the next in the command file.
#[track_caller]
fn serves(standby: &Standby, core: &Recorder) {
    let before = core.lines().len();
    let mut honest = Client::connect(standby.address);
    honest.send("honest", "peer", "still served");
    assert_eq!(honest.end(), End::Clean);
    let lines = core.wait_for(before + 1);
    assert_eq!(lines[before..], ["PROCESS_SERVICE_CHECK_RESULT;honest;peer;0;still served"]);
}

fn start() -> (Standby, Recorder) {
    start_with(&Options::default())
}

fn start_with(options: &Options<'_>) -> (Standby, Recorder) {
    let standby = Standby::start(options);
    let core = Recorder::start(&standby.command_file());
    (standby, core)
}

#[test]
fn a_wrong_password_and_a_wrong_method_are_refused_and_look_alike() {
    let (standby, core) = start();
    for secret in [Secret::new(Method::Rijndael128, b"guess"), Secret::new(Method::Blowfish, PASSWORD.as_bytes())] {
        let mut client = Client::connect_with(standby.address, secret);
        client.send("host", "service", "forged");
        assert_eq!(client.end(), End::Reset);
    }
    standby.daemon.wait_for("the password or the encryption method differ");
    standby.daemon.wait_for("peer=127.0.0.1");
    serves(&standby, &core);
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let (standby, core) = start();
    // Bytes of every field; CFB-8 spreads each over the next sixteen.
    for position in [0, 2, 4, 8, 12, 14, 78, 206, 719, 720, 4000, PACKET_BYTES - 1] {
        let mut client = Client::connect(standby.address);
        let mut packet = client.packet(b"host", b"service", b"output");
        packet[position] ^= 0x10;
        client.stream.write_all(&packet).unwrap();
        assert_eq!(client.end(), End::Reset, "byte {position}");
    }
    serves(&standby, &core);
}

#[test]
fn a_connection_cut_at_every_byte_gives_nothing_and_is_told_apart() {
    let (standby, core) = start_with(&Options { listener: "encryption = \"xor\"", ..Options::default() });
    let xor = Secret::new(Method::Xor, PASSWORD.as_bytes());
    for cut in 1..PACKET_BYTES {
        let mut client = Client::connect_with(standby.address, xor.clone());
        let packet = client.packet(b"host", b"service", b"cut short");
        client.stream.write_all(&packet[..cut]).unwrap();
        assert_eq!(client.end(), End::Reset, "cut after {cut} bytes");
    }
    standby.daemon.wait_for("connection ended inside of a packet");
    let mut whole = Client::connect_with(standby.address, xor);
    whole.send("host", "service", "whole");
    assert_eq!(whole.end(), End::Clean);
    assert_eq!(core.wait_for(1), ["PROCESS_SERVICE_CHECK_RESULT;host;service;0;whole"]);
}

#[test]
fn a_recorded_session_cannot_be_replayed() {
    let (standby, core) = start();
    let mut client = Client::connect(standby.address);
    let recorded = client.packet(b"host", b"service", b"once");
    client.stream.write_all(&recorded).unwrap();
    assert_eq!(client.end(), End::Clean);
    core.wait_for(1);
    let mut replay = TcpStream::connect(standby.address).unwrap();
    replay.read_exact(&mut [0; 132]).unwrap();
    replay.write_all(&recorded).unwrap();
    assert!(replay.read(&mut [0; 1]).is_err(), "the replay was not refused");
    serves(&standby, &core);
}

#[test]
fn packets_of_another_time_are_refused_in_both_directions() {
    let (standby, core) = start();
    for (ahead, says) in [(-100, "older than max_packet_age"), (100, "in the future")] {
        let mut client = Client::connect_at(standby.address, secret(), ahead);
        client.send("host", "service", "another time");
        assert_eq!(client.end(), End::Reset, "{ahead} s");
        standby.daemon.wait_for(says);
    }
    serves(&standby, &core);
}

#[test]
fn the_good_packets_before_a_bad_one_count() {
    let (standby, core) = start();
    let mut client = Client::connect(standby.address);
    client.send("host", "service", "good");
    client.stream.write_all(&[0; PACKET_BYTES]).unwrap();
    assert_eq!(client.end(), End::Reset);
    assert_eq!(core.wait_for(1), ["PROCESS_SERVICE_CHECK_RESULT;host;service;0;good"]);
}

#[test]
fn a_peer_that_sends_a_byte_a_second_is_given_up() {
    let receiver = "packet_timeout = \"2s\"\nidle_timeout = \"20s\"";
    let (standby, core) = start_with(&Options { receiver, ..Options::default() });
    let mut slow = Client::connect(standby.address);
    let packet = slow.packet(b"host", b"service", b"slow");
    slow.stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut bytes = packet.iter();
    // The pause between two bytes is the wait for the daemon's verdict.
    let sent = (0..20).find(|_| {
        let gone = slow.stream.write_all(&[*bytes.next().unwrap()]).is_err();
        let pause = slow.stream.read(&mut [0; 1]);
        gone || pause.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
    });
    assert!(sent.is_some_and(|seconds| seconds <= 5), "{sent:?}");
    standby.daemon.wait_for("was not complete after 2s");
    serves(&standby, &core);
}

#[test]
fn a_silent_peer_is_given_up() {
    let (standby, core) = start_with(&Options { receiver: "idle_timeout = \"1s\"", ..Options::default() });
    assert_eq!(Client::connect(standby.address).wait_for_close(), End::Reset);
    standby.daemon.wait_for("nothing came for 1s");
    serves(&standby, &core);
}

#[test]
fn a_flood_of_idle_connections_is_held_off_and_costs_bounded_memory() {
    let receiver = "max_connections = 300\nmax_connections_per_peer = 200";
    let (standby, core) = start_with(&Options { receiver, ..Options::default() });
    let before = resident_kib(&standby);
    let held: Vec<Client> = (0..200).map(|_| Client::connect(standby.address)).collect();
    for _ in 0..300 {
        let mut refused = TcpStream::connect(standby.address).unwrap();
        assert!(matches!(refused.read(&mut [0; 1]), Ok(0) | Err(_)), "one connection too many was let in");
    }
    standby.daemon.wait_for("as many as max_connections_per_peer allows");
    let grown = resident_kib(&standby).saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB for 200 idle connections");
    // Another address still gets in.
    let other = other_address(&standby);
    assert_eq!(other.end(), End::Clean);
    core.wait_for(1);
    drop(held);
    wait::until("a place to be free again", || {
        let mut stream = TcpStream::connect(standby.address).unwrap();
        stream.read_exact(&mut [0; 132]).ok()
    });
    serves(&standby, &core);
    let lines = standby.daemon.said().lines().filter(|line| line.contains("connection refused")).count();
    assert!(lines <= 5, "{lines} lines about one peer");
}

/// A connection from 127.0.0.2.
fn other_address(standby: &Standby) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let from: std::net::SocketAddr = "127.0.0.2:0".parse().unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&standby.address.into()).unwrap();
    let mut client = Client::greet(socket.into(), secret(), 0);
    client.send("another", "peer", "let in");
    client
}

fn resident_kib(standby: &Standby) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", standby.daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn who_is_not_on_the_allow_list_gets_nothing() {
    let listener = "allow = [\"127.0.0.2\", \"2001:db8::/32\"]";
    let (standby, core) = start_with(&Options { listener, ..Options::default() });
    let mut refused = TcpStream::connect(standby.address).unwrap();
    assert!(matches!(refused.read(&mut [0; 1]), Ok(0) | Err(_)));
    standby.daemon.wait_for("not in this listener's allow-list");
    assert_eq!(other_address(&standby).end(), End::Clean);
    assert_eq!(core.wait_for(1), ["PROCESS_SERVICE_CHECK_RESULT;another;peer;0;let in"]);
}

#[test]
fn no_name_or_output_injects_a_second_command() {
    let (standby, core) = start();
    let evil = "[1] SHUTDOWN_PROGRAM";
    let mut client = Client::connect(standby.address);
    client.send(&format!("host\n{evil}\n"), "service", "newline in the host");
    client.send("host", &format!("service\r\n{evil}"), "newline in the service");
    client.send("host;service;0;x", "service", "semicolon in the host");
    client.send("host", "service;2;x", "semicolon in the service");
    client.send("", "service", "no host at all");
    client.send("host", "service", &format!("newline\n{evil}\r\n{evil}"));
    assert_eq!(client.end(), End::Clean);
    let lines = core.wait_for(1);
    let escaped = format!("PROCESS_SERVICE_CHECK_RESULT;host;service;0;newline\\n{evil}\r\\n{evil}");
    assert_eq!(lines, [escaped]);
    standby.daemon.wait_for("result dropped");
    serves(&standby, &core);
}

#[test]
fn fields_without_their_nul_end_with_the_field() {
    let (standby, core) = start_with(&Options { listener: "encryption = \"none\"", ..Options::default() });
    let mut client = Client::connect_with(standby.address, Secret::new(Method::None, b""));
    let mut packet = client.packet(b"host", b"service", b"output");
    packet[14..4302].fill(b'x');
    packet[4..8].fill(0);
    let checksum = crc32fast::hash(&packet);
    packet[4..8].copy_from_slice(&checksum.to_be_bytes());
    client.stream.write_all(&packet).unwrap();
    assert_eq!(client.end(), End::Clean);
    let [line] = &core.wait_for(1)[..] else { panic!("one line") };
    let fields: Vec<&str> = line.split(';').collect();
    assert_eq!(fields[..2], ["PROCESS_SERVICE_CHECK_RESULT", &"x".repeat(64)[..fields[1].len()]]);
    assert!(fields[1].len() <= 64 && fields[2].len() <= 128 && fields[4].len() <= 4096, "{line}");
    assert!(fields[1].len() >= 63 && fields[2].len() >= 127 && fields[4].len() >= 4095, "{line}");
}

#[test]
fn results_wait_for_a_core_that_is_not_there_yet() {
    let standby = Standby::start(&Options::default());
    let mut client = Client::connect(standby.address);
    client.send("host", "service", "early");
    assert_eq!(client.end(), End::Clean);
    standby.daemon.wait_for("results wait");
    // The FIFO of a core that was killed: nobody reads.
    fifo::make(&standby.command_file());
    let core = Recorder::start(&standby.command_file());
    assert_eq!(core.wait_for(1), ["PROCESS_SERVICE_CHECK_RESULT;host;service;0;early"]);
    standby.daemon.wait_for("the core takes results again");
}

#[test]
fn a_fifo_without_a_reader_is_reported_and_waited_for() {
    let standby = Standby::start(&Options::default());
    fifo::make(&standby.command_file());
    let mut client = Client::connect(standby.address);
    client.send("host", "service", "waits");
    assert_eq!(client.end(), End::Clean);
    standby.daemon.wait_for("results wait");
    let core = Recorder::start(&standby.command_file());
    assert_eq!(core.wait_for(1), ["PROCESS_SERVICE_CHECK_RESULT;host;service;0;waits"]);
}

#[test]
fn a_full_fifo_loses_nothing_and_order_is_kept() {
    let standby = Standby::start(&Options::default());
    fifo::make(&standby.command_file());
    // Open, and not read: 64 KiB fit, 3,000 lines do not.
    let stalled = fs::OpenOptions::new().read(true).write(true).open(standby.command_file()).unwrap();
    let mut client = Client::connect(standby.address);
    for n in 0..3000 {
        client.send("host", "service", &format!("{n} {}", "x".repeat(100)));
    }
    assert_eq!(client.end(), End::Clean);
    let core = Recorder::start(&standby.command_file());
    drop(stalled);
    let lines = core.wait_for(3000);
    for (n, line) in lines.iter().enumerate() {
        assert!(line.starts_with(&format!("PROCESS_SERVICE_CHECK_RESULT;host;service;0;{n} x")), "{n}: {line}");
    }
}

#[test]
fn a_fifo_recreated_by_a_restarted_core_is_followed() {
    let (standby, core) = start();
    serves(&standby, &core);
    fs::remove_file(standby.command_file()).unwrap();
    let restarted = Recorder::start(&standby.command_file());
    let mut client = Client::connect(standby.address);
    client.send("host", "service", "to the new core");
    assert_eq!(client.end(), End::Clean);
    // The new core knows nothing: first it gets what the old one had.
    let expected = [
        "PROCESS_SERVICE_CHECK_RESULT;honest;peer;0;still served",
        "PROCESS_SERVICE_CHECK_RESULT;host;service;0;to the new core",
    ];
    assert_eq!(restarted.wait_for(2), expected);
    assert_eq!(core.lines().len(), 1, "the old core got something");
}

#[test]
fn a_regular_file_in_place_of_the_fifo_is_refused_and_left_alone() {
    let standby = Standby::start(&Options::default());
    fs::write(standby.command_file(), "precious").unwrap();
    let mut client = Client::connect(standby.address);
    client.send("host", "service", "waits");
    assert_eq!(client.end(), End::Clean);
    standby.daemon.wait_for("results wait");
    standby.daemon.wait_for("nagios.cmd");
    assert_eq!(fs::read(standby.command_file()).unwrap(), b"precious");
    fs::remove_file(standby.command_file()).unwrap();
    let core = Recorder::start(&standby.command_file());
    assert!(fs::metadata(standby.command_file()).unwrap().file_type().is_fifo());
    assert_eq!(core.wait_for(1), ["PROCESS_SERVICE_CHECK_RESULT;host;service;0;waits"]);
}

#[test]
fn at_its_end_the_daemon_leaves_what_the_core_does_not_take_in_the_journal() {
    let mut standby = Standby::start(&Options::default());
    let mut client = Client::connect(standby.address);
    client.send("host", "service", "taken before the end");
    assert_eq!(client.end(), End::Clean);
    standby.daemon.wait_for("results wait");
    assert_eq!(standby.daemon.terminate().code(), Some(0));
    standby.daemon.wait_for("results wait in the journal");
    standby.restart();
    let core = Recorder::start(&standby.command_file());
    assert_eq!(core.wait_for(1), ["PROCESS_SERVICE_CHECK_RESULT;host;service;0;taken before the end"]);
}
