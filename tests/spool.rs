//! What the sender has taken is delivered, whatever dies in between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nagios::{CheckResult, Object, PluginOutput, ReturnCode, Timestamp, stored};
use nsca::Method;
use ocsp::handover::Answer;
use spool::{Keep, NewRecord, NoShrink, Options, Spool};
use support::fifo::Recorder;
use support::master::{Master, handover, kill};
use support::peers::stock_nsca;
use support::process::{Running, UNDERSTUDY};
use support::random::Random;
use support::site::{Site, free_port};
use support::standby::{PASSWORD, write_secret};
use support::wait;

/// How long thousands of results may take to arrive, pauses after failures included.
const ALL_WITHIN: Duration = Duration::from_secs(60);

/// Starts a receiver on this port, with `nagios.cmd` in `directory` as its command file.
fn start_receiver(directory: &Path, port: u16) -> (Running, Recorder) {
    let core = Recorder::start(&directory.join("nagios.cmd"));
    let toml = format!(
        "[node]\nname = \"standby\"\nstate_directory = \"{0}/receiver\"\n\
         control_socket = \"{0}/receiver.sock\"\n[core]\ncommand_file = \"{0}/nagios.cmd\"\n\
         [[receiver.listener]]\naddress = \"127.0.0.1:{port}\"\nencryption = \"rijndael-128\"\n\
         password = \"{PASSWORD}\"\n",
        directory.display()
    );
    let config = write_secret(&directory.join("standby.toml"), &toml);
    let receiver = Running::start(Command::new(UNDERSTUDY).args(["run", "--config"]).arg(config));
    receiver.wait_for("receiver listens");
    (receiver, core)
}

/// What arrived: of each object, the numbers in the order of their first arrival; and how many came again.
#[derive(Default)]
struct Arrived {
    first: BTreeMap<String, Vec<u64>>,
    again: usize,
}

impl Arrived {
    fn of(core: &Recorder) -> Self {
        let mut arrived = Arrived::default();
        for line in core.commands() {
            let result = line.strip_prefix("PROCESS_SERVICE_CHECK_RESULT;").expect("a service's result");
            let (object, number) = result.rsplit_once(";0;").expect("code 0");
            let number = number.split(' ').next().unwrap().parse().unwrap();
            let numbers = arrived.first.entry(object.to_owned()).or_default();
            if numbers.contains(&number) {
                arrived.again += 1;
            } else {
                numbers.push(number);
            }
        }
        arrived
    }

    fn count(&self) -> usize {
        self.first.values().map(Vec::len).sum()
    }

    /// Each object has all its numbers from 0, in order.
    #[track_caller]
    fn assert_complete_and_in_order(&self) {
        for (object, numbers) in &self.first {
            let misplaced = numbers.iter().zip(0..).find(|(number, expected)| **number != *expected);
            assert_eq!(misplaced, None, "of {object}: (arrived, expected)");
        }
    }
}

/// Waits until so many different results have arrived, and checks their order.
#[track_caller]
fn wait_for_all(core: &Recorder, count: usize) -> Arrived {
    let arrived = wait::until_within(ALL_WITHIN, &format!("{count} results"), || {
        // Lines first: counting what is different takes a while.
        (core.lines().len() >= count).then(|| Arrived::of(core)).filter(|arrived| arrived.count() >= count)
    });
    assert_eq!(arrived.count(), count);
    arrived.assert_complete_and_in_order();
    arrived
}

/// Delivers numbered results of some objects, each from a thread of its own as a core's checks come, while `meanwhile`
/// runs; gives how many.
fn under_load(master: &Master, pause: Duration, meanwhile: impl FnOnce()) -> usize {
    const OBJECTS: usize = 4;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let feed = |object: usize| {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                master.deliver(&handover("web", &format!("service {object}"), &number.to_string()));
                number += 1;
                std::thread::sleep(pause);
            }
            number
        };
        let feeders: Vec<_> = (0..OBJECTS).map(|object| scope.spawn(move || feed(object))).collect();
        meanwhile();
        done.store(true, Ordering::Relaxed);
        feeders.into_iter().map(|feeder| feeder.join().unwrap()).sum()
    })
}

#[test]
fn what_was_taken_before_a_kill_is_sent_after_the_restart() {
    const RESULTS: usize = 2_000;
    const OBJECTS: usize = 10;
    let port = free_port();
    let master = Master::new(port, "rijndael-128", "256MiB");
    let sender = master.start();
    for n in 0..RESULTS {
        let (service, output) = (format!("service {}", n % OBJECTS), (n / OBJECTS).to_string());
        if n % 100 == 0 {
            let said = master.understudy_ocsp("web", &service, &output);
            assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        } else {
            assert_eq!(master.hand_over(&handover("web", &service, &output)).unwrap(), Answer::Taken);
        }
    }
    kill(sender);

    let mut sender = master.start();
    let (_receiver, core) = start_receiver(master.directory.path(), port);
    let arrived = wait_for_all(&core, RESULTS);
    assert_eq!(arrived.again, 0, "nothing had been sent before the kill");
    assert_eq!(sender.terminate().code(), Some(0));

    // What is confirmed stays confirmed.
    let mut sender = master.start();
    sender.wait_for("waiting=0");
    assert_eq!(sender.terminate().code(), Some(0));
    assert_eq!(core.lines().len(), RESULTS);
}

#[test]
fn a_stop_leaves_the_rest_for_the_next_start() {
    let master = Master::new(free_port(), "rijndael-128", "256MiB");
    let mut sender = master.start();
    assert_eq!(master.hand_over(&handover("web", "service", "0")).unwrap(), Answer::Taken);
    assert_eq!(sender.terminate().code(), Some(0));
    assert!(sender.said().contains("wait in the spool"), "{}", sender.said());
    master.start().wait_for("waiting=1");
}

#[test]
fn kills_at_random_moments_lose_nothing() {
    const KILLS: usize = 10;
    let mut random = Random::seeded();
    let port = free_port();
    let master = Master::new(port, "rijndael-128", "256MiB");
    let (_receiver, core) = start_receiver(master.directory.path(), port);
    let mut sender = master.start();
    let delivered = under_load(&master, Duration::from_millis(1), || {
        for _ in 0..KILLS {
            std::thread::sleep(random.duration(Duration::from_millis(150)));
            sender.signal(nix::sys::signal::Signal::SIGKILL);
            sender.wait();
            sender = master.start();
        }
    });
    let arrived = wait_for_all(&core, delivered);
    println!("{delivered} results, {} of them again, {KILLS} kills", arrived.again);
    assert!(delivered > 1_000, "{delivered} results are no load");
}

#[test]
fn a_stock_nsca_that_dies_gets_again_what_it_had_not_confirmed() {
    const KILLS: usize = 4;
    let mut random = Random::seeded();
    let site = Site::new(Method::Xor);
    let master = Master::new(site.port, "xor", "256MiB");
    let mut daemon = site.start(&mut stock_nsca(), "--single");
    let mut sender = master.start();
    let delivered = under_load(&master, Duration::from_millis(10), || {
        for _ in 0..KILLS {
            std::thread::sleep(random.duration(Duration::from_millis(500)));
            daemon.signal(nix::sys::signal::Signal::SIGKILL);
            daemon.wait();
            daemon = site.start(&mut stock_nsca(), "--single");
        }
    });
    let arrived = wait_for_all(&site.core, delivered);
    println!("{delivered} results, {} of them again, {KILLS} kills", arrived.again);
    assert_eq!(sender.terminate().code(), Some(0));
}

#[test]
fn a_full_disk_is_told_to_the_core_and_everything_arrives_when_there_is_room() {
    let port = free_port();
    let master = Master::new(port, "rijndael-128", "32MiB");
    // The disk is seen by the daemon alone, and goes with it.
    let mount = format!("mount -t tmpfs -o size=4m tmpfs '{}' && exec \"$@\"", master.state().display());
    let mut command = Command::new("unshare");
    if !nix::unistd::Uid::effective().is_root() {
        command.arg("--map-root-user");
    }
    let run = master.command();
    command.args(["--mount", "sh", "-c", &mount, "sh"]).arg(run.get_program()).args(run.get_args());
    let mut sender = Running::start(&mut command);
    sender.wait_for("sender sends");

    // Different objects, so that there is nothing to drop, and no text that can be cut.
    let output = format!("0 {}", "x".repeat(3_000));
    let deliver = |n: usize| master.hand_over(&handover("web", &format!("service {n}"), &output)).unwrap();
    let taken = (0..).take_while(|n| deliver(*n) == Answer::Taken).count();
    assert!(taken > 100, "{taken}");
    sender.wait_for("is full: make room there");
    let said = master.understudy_ocsp("web", &format!("service {taken}"), &output);
    assert_eq!(said.code, Some(0));
    assert!(said.err.contains("full") && said.err.contains("the result waits in"), "{}", said.err);

    let (_receiver, core) = start_receiver(master.directory.path(), port);
    wait_for_all(&core, taken + 1);
    assert_eq!(deliver(taken + 1), Answer::Taken);
    sender.wait_for("the spool takes results again");
    wait_for_all(&core, taken + 2);
    assert_eq!(sender.terminate().code(), Some(0));
}

#[test]
fn a_million_waiting_results_take_little_memory() {
    const RESULTS: u64 = 1_000_000;
    const MOST_BYTES: u64 = 64 << 20;
    let port = free_port();
    let master = Master::new(port, "rijndael-128", "1GiB");
    let started = Instant::now();
    fill(&master.state().join("spool"), RESULTS);
    let mut sender = master.start();
    sender.wait_for(&format!("waiting={RESULTS}"));
    println!("filled and opened in {:?}", started.elapsed());
    let (_receiver, core) = start_receiver(master.directory.path(), port);
    wait::until_within(ALL_WITHIN, "some of them arrive", || (core.lines().len() >= 20_000).then_some(()));
    assert_eq!(master.hand_over(&handover("web", "service", "0")).unwrap(), Answer::Taken);
    let most = peak_memory(&sender);
    println!("{} MiB at most", most >> 20);
    assert!(most < MOST_BYTES, "{most} bytes");
    assert!(sender.is_running());
}

/// A spool that a sender left behind with results for the destination `standby`.
fn fill(directory: &Path, results: u64) {
    const AT_ONCE: u64 = 1_000;
    let options = Options { max_size: 1 << 30, keep: Keep::Unread, shrink: Box::new(NoShrink) };
    let (mut spool, _) = Spool::open(directory, options, [7; 16]).unwrap();
    spool.keep_positions(&["standby"], Instant::now()).unwrap();
    for first in (0..results).step_by(AT_ONCE.try_into().unwrap()) {
        let encoded: Vec<(Vec<u8>, Vec<u8>)> = (first..first + AT_ONCE).map(encoded).collect();
        let records = encoded.iter().map(|(key, payload)| NewRecord { key, payload });
        spool.append(records, Instant::now()).unwrap();
    }
    spool.commit(Instant::now()).unwrap();
}

fn encoded(number: u64) -> (Vec<u8>, Vec<u8>) {
    let object =
        Object::Service("web".try_into().unwrap(), format!("service {}", number % 50_000).as_str().try_into().unwrap());
    let output = PluginOutput::from_text(format!("{number} of many results").as_bytes());
    let result = CheckResult::new(object, ReturnCode::new(0), output, Timestamp::from_seconds(1_700_000_000));
    let (mut key, mut payload) = (Vec::new(), Vec::new());
    stored::key(&result.object, &mut key);
    stored::encode(&result, b"", &mut payload);
    (key, payload)
}

/// The most that a process has had in memory, in bytes.
fn peak_memory(process: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}
