//! The receiver's journal: what was accepted reaches the core, whoever is killed in between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::client::{Client, End};
use support::fifo::Recorder;
use support::nagios4::{Nagios4, Objects};
use support::random::Random;
use support::standby::{Options, Standby};
use support::wait;

/// The highest resident set that a receiver may have, however much it remembers.
const MAX_RESIDENT_KIB: u64 = 64 << 10;

fn line(host: &str, output: impl std::fmt::Display) -> String {
    format!("PROCESS_SERVICE_CHECK_RESULT;{host};service;0;{output}")
}

/// Sends results of these hosts, in one connection.
#[track_caller]
fn send<'a>(standby: &Standby, results: impl IntoIterator<Item = (&'a str, String)>) {
    let mut client = Client::connect(standby.address);
    for (host, output) in results {
        client.send(host, "service", &output);
    }
    assert_eq!(client.end(), End::Clean);
}

#[test]
fn what_was_accepted_while_the_core_is_away_outlives_the_receiver() {
    let mut standby = Standby::start(&Options::default());
    let outputs = || (0..500).map(|n| n.to_string());
    send(&standby, outputs().map(|output| ("host", output)));
    standby.restart();
    let core = Recorder::start(&standby.command_file());
    let expected: Vec<String> = outputs().map(|output| line("host", output)).collect();
    assert_eq!(core.wait_for(500), expected);
    send(&standby, [("host", "the next one".to_owned())]);
    assert_eq!(core.wait_for(501)[500..], [line("host", "the next one")]);
}

/// Every number that was confirmed is in the command file, and first arrivals are in order.
#[track_caller]
fn complete_and_in_order(lines: &[String], confirmed: &[(usize, u32)]) {
    let mut arrived: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.split(';').collect();
        let number: u32 = fields[4].parse().unwrap();
        let of_host = arrived.entry(fields[1].strip_prefix("host-").unwrap().parse().unwrap()).or_default();
        if !of_host.contains(&number) {
            assert!(of_host.last().is_none_or(|last| *last < number), "{line} came late: {of_host:?}");
            of_host.push(number);
        }
    }
    for (host, number) in confirmed {
        assert!(arrived.get(host).is_some_and(|numbers| numbers.contains(number)), "host-{host}: {number} is lost");
    }
}

#[test]
fn nothing_confirmed_is_lost_when_the_receiver_is_killed_under_load() {
    const HOSTS: usize = 7;
    let mut random = Random::seeded();
    let mut standby = Standby::start(&Options::default());
    let core = Recorder::start(&standby.command_file());
    let (mut confirmed, mut number) = (Vec::new(), 0);
    for _ in 0..12 {
        let (pid, delay) = (standby.daemon.pid(), Duration::from_micros(random.below(400_000)));
        let killer = std::thread::spawn(move || {
            // The load goes on meanwhile: this is the moment, not a wait for a condition.
            std::thread::sleep(delay);
            nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
        });
        while let Some(mut sent) = send_until_killed(&standby, &mut number, HOSTS, 1 + random.below(40)) {
            confirmed.append(&mut sent);
        }
        killer.join().unwrap();
        standby.restart();
    }
    number += 1;
    let last = number.to_string();
    send(&standby, [("host-0", last.clone())]);
    confirmed.push((0, number));
    wait::until("the last result", || core.commands().contains(&line("host-0", &last)).then_some(()));
    println!("{} results confirmed, {} lines", confirmed.len(), core.lines().len());
    complete_and_in_order(&core.commands(), &confirmed);
}

/// One connection; none if the receiver did not end it cleanly.
fn send_until_killed(standby: &Standby, number: &mut u32, hosts: usize, count: u64) -> Option<Vec<(usize, u32)>> {
    use std::io::Write as _;
    let stream = std::net::TcpStream::connect(standby.address).ok()?;
    let mut client = Client::try_greet(stream)?;
    let mut sent = Vec::new();
    for _ in 0..count {
        *number += 1;
        let host = *number as usize % hosts;
        let packet = client.packet(format!("host-{host}").as_bytes(), b"service", number.to_string().as_bytes());
        client.stream.write_all(&packet).ok()?;
        sent.push((host, *number));
    }
    (client.try_end()? == End::Clean).then_some(sent)
}

#[test]
fn a_core_that_restarted_gets_the_newest_of_each_object_once_and_then_what_is_new() {
    let standby = Standby::start(&Options::default());
    let core = Recorder::start(&standby.command_file());
    for round in 0..3 {
        send(&standby, ["a", "b", "c"].map(|host| (host, format!("round {round}"))));
    }
    send(&standby, [("b", "newest".to_owned())]);
    core.wait_for(10);
    // It may have waited once already, for the first core.
    let waits = || standby.daemon.said().matches("results wait").count();
    let before = waits();
    drop(core);
    send(&standby, [("c", "while the core was away".to_owned())]);
    wait::until("results that wait", || (waits() > before).then_some(()));
    let core = Recorder::start(&standby.command_file());
    // What waits for the core, of object c, makes its older result unnecessary.
    let expected = [line("a", "round 2"), line("b", "newest"), line("c", "while the core was away")];
    assert_eq!(core.wait_for(3), expected);
    send(&standby, [("a", "after the restart".to_owned())]);
    assert_eq!(core.wait_for(4)[3..], [line("a", "after the restart")]);
    send(&standby, [("d", "the end".to_owned())]);
    assert_eq!(core.wait_for(5)[4..], [line("d", "the end")], "something came again without a restart");
}

/// What a core writes at its start.
fn write_status(directory: &Path, program_start: u32) {
    let text = format!("info {{\n\tcreated=1\n\t}}\n\nprogramstatus {{\n\tprogram_start={program_start}\n\t}}\n");
    fs::write(directory.join("status.new"), text).unwrap();
    fs::rename(directory.join("status.new"), directory.join("status.dat")).unwrap();
}

#[test]
fn a_restart_that_only_the_status_file_tells_counts_also_while_the_receiver_is_away() {
    let directory = tempfile::TempDir::new().unwrap();
    write_status(directory.path(), 1_700_000_000);
    let core = format!("status_file = \"{}/status.dat\"", directory.path().display());
    let mut standby = Standby::start(&Options { core: &core, ..Options::default() });
    let core = Recorder::start(&standby.command_file());
    send(&standby, [("a", "old".to_owned()), ("b", "only".to_owned()), ("a", "new".to_owned())]);
    core.wait_for(3);
    let mark = standby.directory.path().join("state/journal.core");
    wait::until("the mark", || fs::read_to_string(&mark).is_ok_and(|text| text == "given 1700000000\n").then_some(()));
    // A restart of the receiver alone repeats nothing.
    assert_eq!(standby.daemon.terminate().code(), Some(0));
    standby.restart();
    send(&standby, [("c", "beside a running core".to_owned())]);
    assert_eq!(core.wait_for(4)[3..], [line("c", "beside a running core")]);
    assert_eq!(standby.daemon.terminate().code(), Some(0));
    write_status(directory.path(), 1_700_000_050);
    standby.restart();
    let expected = [line("b", "only"), line("a", "new"), line("c", "beside a running core")];
    assert_eq!(core.wait_for(7)[4..], expected);
    write_status(directory.path(), 1_700_000_060);
    assert_eq!(core.wait_for(10)[7..], expected);
}

#[test]
fn a_killed_nagios_4_ends_with_the_newest_state_of_every_object() {
    const HOSTS: usize = 20;
    let directory = tempfile::TempDir::new().unwrap();
    let check = directory.path().join("check");
    fs::write(&check, "exit 0\n").unwrap();
    let objects = Objects { hosts: HOSTS, services_per_host: 1, check, interval: 60 };
    let settings = "execute_service_checks=0\nexecute_host_checks=0\n";
    let core_directory = directory.path().join("core");
    let mut core = Nagios4::start(&core_directory, &objects, settings, &[]);
    let options = format!(
        "main_config = \"{}\"\nstatus_file = \"{}\"",
        core.main_config().display(),
        core.status_file().display()
    );
    // The command file is the one of the core.
    let standby = Standby::start(&Options { core: &options, ..Options::default() });
    std::os::unix::fs::symlink(core_directory.join("nagios.cmd"), standby.command_file()).unwrap();
    for round in 0..5 {
        let hosts: Vec<String> = (0..HOSTS).map(|n| format!("host-{n}")).collect();
        let mut client = Client::connect(standby.address);
        for host in &hosts {
            client.send(host, "service 0", &format!("round {round} of {host}"));
        }
        assert_eq!(client.end(), End::Clean);
    }
    let shows_all = |core: &Nagios4| {
        let outputs: Vec<String> = core.shown().into_values().map(|shown| shown.output).collect();
        let all = (0..HOSTS).all(|n| outputs.contains(&format!("round 4 of host-{n}")));
        (all && outputs.len() == HOSTS).then_some(())
    };
    wait::until("the newest results", || shows_all(&core));
    core.process().signal(Signal::SIGKILL);
    core.process().wait();
    drop(core);
    fs::remove_file(core_directory.join("status.dat")).unwrap();
    let core = Nagios4::start(&core_directory, &objects, settings, &[]);
    wait::until("the newest results again", || shows_all(&core));
}

#[test]
fn a_disk_that_is_full_resets_connections_until_there_is_room() {
    let mut standby = Standby::start(&Options::default());
    let core = Recorder::start(&standby.command_file());
    send(&standby, [("host", "before".to_owned())]);
    core.wait_for(1);
    standby.restart_without_room();
    for _ in 0..10 {
        let mut client = Client::connect(standby.address);
        client.send("host", "service", "no room");
        assert_eq!(client.end(), End::Reset);
    }
    standby.daemon.wait_for("the journal takes no results");
    assert_eq!(standby.daemon.said().matches("the journal takes no results").count(), 1, "the log is flooded");
    standby.make_room();
    send(&standby, [("host", "room again".to_owned())]);
    standby.daemon.wait_for("the journal takes results again");
    let lines = core.wait_for(2);
    assert_eq!(lines[1..], [line("host", "room again")]);
}

#[test]
fn a_hundred_thousand_objects_are_remembered_in_bounded_memory() {
    const HOSTS: usize = 100_000;
    let standby = Standby::start(&Options { listener: "encryption = \"none\"", ..Options::default() });
    let core = Recorder::start(&standby.command_file());
    let mut client = Client::connect_with(standby.address, nsca::Secret::new(nsca::Method::None, b""));
    for n in 0..HOSTS {
        client.send(&format!("host-{n}"), "service", &format!("{n} {}", "x".repeat(100)));
    }
    assert_eq!(client.end(), End::Clean);
    wait::until_within(Duration::from_secs(120), "all lines", || (core.lines().len() == HOSTS).then_some(()));
    drop(core);
    // Only a look at the command file tells that nobody reads it.
    send_none(&standby);
    standby.daemon.wait_for("results wait");
    let core = Recorder::start(&standby.command_file());
    wait::until_within(Duration::from_secs(120), "all lines again", || (core.lines().len() == HOSTS + 1).then_some(()));
    let peak = peak_kib(&standby);
    println!("peak resident set: {peak} KiB");
    assert!(peak < MAX_RESIDENT_KIB, "{peak} KiB");
}

fn send_none(standby: &Standby) {
    let mut client = Client::connect_with(standby.address, nsca::Secret::new(nsca::Method::None, b""));
    client.send("one more", "service", "waits");
    assert_eq!(client.end(), End::Clean);
}

fn peak_kib(standby: &Standby) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", standby.daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
