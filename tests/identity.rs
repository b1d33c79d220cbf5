//! Who a sender is: its state directory may be lost, old, copied or cut short. No new result is ever taken for an old one:
//! every result that was handed over arrives.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use ocsp::handover::Answer;
use support::fifo::Recorder;
use support::master::{self, Master, handover, kill};
use support::proxy::Proxy;
use support::standby::{Options, Standby};
use support::wait;

/// A receiver that can be out of reach, and everything that was handed over to any sender.
struct Stage {
    standby: Standby,
    core: Recorder,
    proxy: Proxy,
    handed_over: BTreeSet<String>,
}

impl Stage {
    fn start() -> Self {
        let listener = "encryption = \"rijndael-128\"\nsealed = \"require\"";
        let standby = Standby::start(&Options { listener, ..Options::default() });
        let core = Recorder::start(&standby.command_file());
        let proxy = Proxy::start();
        proxy.lead_to(standby.address);
        Stage { standby, core, proxy, handed_over: BTreeSet::new() }
    }

    /// The files of a sender to it.
    fn master(&self) -> Master {
        let lines = format!("address = \"{}\"\nsealed = \"require\"", self.proxy.address());
        Master::with(&master::Options { destinations: &[("standby", &lines)], ..master::Options::default() })
    }

    /// Hands over so many results that nobody has seen before.
    #[track_caller]
    fn hand_over(&mut self, master: &Master, results: usize) {
        for _ in 0..results {
            let output = format!("result {}", self.handed_over.len());
            assert_eq!(master.hand_over(&handover("host", "service", &output)).unwrap(), Answer::Taken);
            self.handed_over.insert(output);
        }
    }

    #[track_caller]
    fn assert_all_arrive(&self) {
        wait::until("everything that was handed over", || self.missing().is_empty().then_some(()));
    }

    fn missing(&self) -> BTreeSet<String> {
        let line = |line: String| line.rsplit_once(';').unwrap().1.to_owned();
        let arrived: BTreeSet<String> = self.core.commands().into_iter().map(line).collect();
        self.handed_over.difference(&arrived).cloned().collect()
    }

    /// Nothing reaches the receiver, while `meanwhile` runs.
    fn cut_off(&mut self, meanwhile: impl FnOnce(&mut Self)) {
        // Nobody listens there.
        self.proxy.lead_to("127.0.0.1:1".parse().unwrap());
        self.proxy.reset();
        meanwhile(self);
        self.proxy.lead_to(self.standby.address);
    }
}

/// Replaces a directory by a copy of another one.
fn replace(from: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_state_directory_that_was_lost() {
    let mut stage = Stage::start();
    let master = stage.master();
    let sender = master.start();
    stage.hand_over(&master, 100);
    stage.assert_all_arrive();
    kill(sender);
    fs::remove_dir_all(master.state()).unwrap();
    fs::create_dir(master.state()).unwrap();
    let _sender = master.start();
    stage.hand_over(&master, 50);
    stage.assert_all_arrive();
}

/// A copy of a state directory is put back: `results` that came since then are forgotten, and `before_they_meet` new ones
/// come before the receiver is asked.
fn restore(orderly: bool, waiting: usize, before_they_meet: usize) {
    let mut stage = Stage::start();
    let master = stage.master();
    let backup = master.directory.path().join("backup");
    fs::create_dir(&backup).unwrap();
    let mut sender = master.start();
    stage.hand_over(&master, 50);
    stage.assert_all_arrive();
    stage.cut_off(|stage| {
        stage.hand_over(&master, waiting);
        if orderly {
            assert_eq!(sender.terminate().code(), Some(0));
        } else {
            sender.signal(Signal::SIGKILL);
            sender.wait();
        }
        replace(&master.state(), &backup);
    });
    let sender = master.start();
    stage.hand_over(&master, 50);
    stage.assert_all_arrive();
    kill(sender);
    replace(&backup, &master.state());
    let mut sender = None;
    stage.cut_off(|stage| {
        sender = Some(master.start());
        stage.hand_over(&master, before_they_meet);
    });
    stage.assert_all_arrive();
    stage.hand_over(&master, 50);
    stage.assert_all_arrive();
}

#[test]
fn an_old_copy_of_the_state_directory_that_is_put_back() {
    restore(true, 0, 0);
    restore(false, 0, 0);
}

#[test]
fn an_old_copy_in_which_results_wait() {
    restore(true, 20, 10);
    restore(false, 20, 10);
}

#[test]
fn an_old_copy_that_has_outgrown_what_was_forgotten_before_it_meets_the_receiver() {
    restore(true, 0, 80);
    restore(false, 0, 80);
    restore(true, 20, 80);
}

#[test]
fn a_copy_on_a_second_host_while_the_first_goes_on() {
    let mut stage = Stage::start();
    let (first, second) = (stage.master(), stage.master());
    let _first = first.start();
    stage.hand_over(&first, 50);
    stage.assert_all_arrive();
    replace(&first.state(), &second.state());
    stage.hand_over(&first, 50);
    stage.assert_all_arrive();
    let _second = second.start();
    for _ in 0..5 {
        stage.hand_over(&second, 10);
        stage.hand_over(&first, 10);
    }
    stage.assert_all_arrive();
}

#[test]
fn two_copies_that_are_started_together() {
    for ahead in [0, 30] {
        let mut stage = Stage::start();
        let (first, second) = (stage.master(), stage.master());
        let mut sender = first.start();
        stage.hand_over(&first, 50);
        stage.assert_all_arrive();
        assert_eq!(sender.terminate().code(), Some(0));
        replace(&first.state(), &second.state());
        let _first = first.start();
        stage.hand_over(&first, 20);
        stage.assert_all_arrive();
        let mut sender = None;
        stage.cut_off(|stage| {
            sender = Some(second.start());
            stage.hand_over(&second, ahead);
        });
        stage.assert_all_arrive();
        stage.hand_over(&second, 10);
        stage.hand_over(&first, 10);
        stage.assert_all_arrive();
    }
}

#[test]
fn a_power_cut_that_takes_what_was_acknowledged() {
    let mut stage = Stage::start();
    let master = stage.master();
    let sender = master.start();
    stage.hand_over(&master, 100);
    stage.assert_all_arrive();
    kill(sender);
    let newest = segments(&master.state().join("spool")).pop().unwrap();
    let file = OpenOptions::new().write(true).open(newest).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let _sender = master.start();
    stage.hand_over(&master, 80);
    stage.assert_all_arrive();
}

/// A spool's files, oldest first.
fn segments(spool: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    paths.sort();
    paths
}

#[test]
fn of_two_nodes_with_one_name_the_second_waits_until_the_first_is_gone() {
    let mut stage = Stage::start();
    let (first, second) = (stage.master(), stage.master());
    let mut first_sender = first.start();
    stage.hand_over(&first, 10);
    stage.assert_all_arrive();
    let second_sender = second.start();
    stage.hand_over(&second, 10);
    second_sender.wait_for("another node with this node's name");
    stage.standby.daemon.wait_for("master");
    assert_eq!(stage.missing().len(), 10, "the second one got in");
    stage.hand_over(&first, 10);
    wait::until("the first one's results", || (stage.missing().len() == 10).then_some(()));
    assert_eq!(first_sender.terminate().code(), Some(0));
    stage.assert_all_arrive();
}
