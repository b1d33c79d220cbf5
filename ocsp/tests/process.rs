//! The program as a core executes it: exit codes, messages and how long the core waits.

#![expect(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ocsp::handover::{Answer, HandOver, Id, MAX_HANDOVER_BYTES};
use ocsp::spill;
use tempfile::TempDir;

/// What the core may be kept waiting.
const BOUND: Duration = Duration::from_secs(1);

/// A directory with a socket path that nobody has bound yet and an empty spill directory.
struct Site {
    directory: TempDir,
}

struct Outcome {
    code: i32,
    stderr: String,
    time: Duration,
}

impl Site {
    fn new() -> Self {
        let site = Self { directory: TempDir::new().unwrap() };
        std::fs::create_dir(site.spill()).unwrap();
        site
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("ocsp.sock")
    }

    fn spill(&self) -> PathBuf {
        self.directory.path().join("spill")
    }

    /// Takes one hand-over and answers as told.
    fn sender(&self, answers: impl FnOnce(Id) -> Vec<Vec<u8>> + Send + 'static) -> JoinHandle<HandOver> {
        let socket = UnixDatagram::bind(self.socket()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        thread::spawn(move || {
            let mut buffer = vec![0; MAX_HANDOVER_BYTES];
            let (length, client) = socket.recv_from(&mut buffer).unwrap();
            let handover = HandOver::decode(&buffer[..length]).unwrap();
            for answer in answers(handover.id) {
                socket.send_to_addr(&answer, &client).unwrap();
            }
            handover
        })
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy-ocsp"));
        command.args(arguments).arg("--socket").arg(self.socket()).arg("--spill").arg(self.spill());
        let begin = Instant::now();
        let Output { status, stderr, .. } = command.output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        Outcome { code: status.code().unwrap(), stderr, time: begin.elapsed() }
    }

    fn spilled(&self) -> Vec<HandOver> {
        let paths = spill::list(&self.spill()).unwrap();
        paths.iter().map(|path| spill::read(path).unwrap()).collect()
    }
}

const SERVICE: [&str; 5] = ["service", "web1", "disk", "CRITICAL", "full"];

#[track_caller]
fn assert_spilled(site: &Site, outcome: &Outcome, why: &str) {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
    assert!(outcome.time < BOUND, "{:?}", outcome.time);
    let spilled = site.spilled();
    assert_eq!(spilled.len(), 1);
    assert_eq!((&spilled[0].host[..], &spilled[0].output[..]), (&b"web1"[..], &b"full"[..]));
}

#[test]
fn a_taken_result_is_not_spilled() {
    let site = Site::new();
    let sender = site.sender(|id| vec![Answer::Taken.encode(id)]);
    let outcome = site.run(&SERVICE);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert_eq!(sender.join().unwrap().code, 2);
    assert!(site.spilled().is_empty());
}

#[test]
fn answers_to_others_and_garbage_are_passed_over() {
    let site = Site::new();
    let sender = site.sender(|id| {
        let other = Answer::Refused("not yours".into()).encode([0; 16]);
        vec![b"noise".to_vec(), vec![0; 4096], other, Answer::Taken.encode(id)]
    });
    let outcome = site.run(&SERVICE);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    sender.join().unwrap();
}

#[test]
fn a_refused_result_is_not_spilled() {
    let site = Site::new();
    let sender = site.sender(|id| vec![Answer::Refused("the host's name holds ';'".into()).encode(id)]);
    let outcome = site.run(&SERVICE);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("refuses this result: the host's name holds ';'"), "{}", outcome.stderr);
    assert!(site.spilled().is_empty());
    sender.join().unwrap();
}

#[test]
fn a_full_sender() {
    let site = Site::new();
    let sender = site.sender(|id| vec![Answer::Full.encode(id)]);
    let outcome = site.run(&SERVICE);
    assert_spilled(&site, &outcome, "queue is full");
    assert_eq!(sender.join().unwrap().id, site.spilled()[0].id);
}

#[test]
fn a_sender_that_takes_but_does_not_answer() {
    let site = Site::new();
    let sender = site.sender(|_| Vec::new());
    let outcome = site.run(&SERVICE);
    // The sender in this test is gone as soon as it has read: whether its socket is still there shows in the reason only.
    assert_spilled(&site, &outcome, "the sender");
    assert_eq!(sender.join().unwrap().id, site.spilled()[0].id, "the sender can tell the duplicate");
}

#[test]
fn no_socket() {
    let site = Site::new();
    assert_spilled(&site, &site.run(&SERVICE), "does not exist");
}

#[test]
fn a_socket_that_a_killed_sender_left_behind() {
    let site = Site::new();
    drop(UnixDatagram::bind(site.socket()).unwrap());
    assert_spilled(&site, &site.run(&SERVICE), "not running");
}

#[test]
fn a_stopped_sender_whose_queue_has_room() {
    let site = Site::new();
    let _stopped = UnixDatagram::bind(site.socket()).unwrap();
    assert_spilled(&site, &site.run(&SERVICE), "did not answer in time");
}

#[test]
fn a_stopped_sender_whose_queue_is_full() {
    let site = Site::new();
    let _stopped = UnixDatagram::bind(site.socket()).unwrap();
    fill_queue(&site.socket());
    assert_spilled(&site, &site.run(&SERVICE), "does not read its socket");
}

#[test]
fn a_result_too_long_for_a_datagram_is_spilled() {
    let site = Site::new();
    let _sender = UnixDatagram::bind(site.socket()).unwrap();
    let long = "x".repeat(120_000);
    let arguments = [&SERVICE[..4], &["full", "--long", &long, "--perfdata", &long]].concat();
    let outcome = site.run(&arguments);
    assert_spilled(&site, &outcome, "too long");
    assert_eq!(site.spilled()[0].long_output.len(), long.len());
}

#[test]
fn neither_socket_nor_spill_directory() {
    let site = Site::new();
    std::fs::remove_dir(site.spill()).unwrap();
    let outcome = site.run(&SERVICE);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("start understudy"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("install -d -m 2770 -o understudy"), "{}", outcome.stderr);
    assert!(outcome.time < BOUND);
}

#[test]
fn a_crowded_spill_directory_takes_no_more() {
    let site = Site::new();
    for number in 0..spill::MAX_FILES {
        symlink("nowhere", site.spill().join(format!("{number}"))).unwrap();
    }
    let outcome = site.run(&SERVICE);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("holds 100000 results"), "{}", outcome.stderr);
    assert!(outcome.time < BOUND, "{:?}", outcome.time);
}

#[test]
fn wrong_usage() {
    let outcome = Site::new().run(&["service", "web1", "disk"]);
    assert_eq!(outcome.code, 64);
    assert!(outcome.stderr.contains("usage: understudy-ocsp service HOST"), "{}", outcome.stderr);
}

#[test]
fn help() {
    let output = Command::new(env!("CARGO_BIN_EXE_understudy-ocsp")).arg("--help").output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"Hands one check result"));
}

fn fill_queue(path: &Path) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(path).unwrap();
    socket.set_nonblocking(true).unwrap();
    while socket.send(b"waiting").is_ok() {}
    assert_eq!(socket.send(b"one more").unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
