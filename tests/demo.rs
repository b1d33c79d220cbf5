//! `understudy demo`, as a person runs it, and what it says when something is wrong.
//!
//! For the cases in which something is wrong, this test's own executable plays the demonstration and is the program that it
//! starts again: it changes what the case is about and becomes the real program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the support is whole")]
#![allow(unreachable_pub, reason = "in a test binary nothing can be reached from outside")]

mod support;

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

use demo::CoreKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::process::UNDERSTUDY;
use support::wait::SOON;

/// The demonstration ends by itself within this time.
const LONGEST: Duration = Duration::from_secs(120);

/// What is changed; inherited by the processes of the demonstration.
const CASE: &str = "DEMO_TEST_CASE";

/// The standby shows something else than the master.
const FALSIFIED: &str = "falsified";
/// The standby's witness never agrees to a take-over.
const NO_TAKE_OVER: &str = "no-take-over";
/// The standby waits for the operator before it hands back.
const NO_HAND_BACK: &str = "no-hand-back";
/// The standby notifies while the master is active.
const BOTH: &str = "both";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap();
    let args: Vec<OsString> = args.collect();
    match args.first().and_then(|first| first.to_str()) {
        _ if Path::new(&name).ends_with("understudy-ocsp") => become_ocsp(args),
        Some("run") => become_daemon(&args),
        Some(demo::CORE_SUBCOMMAND | demo::CHILD_SUBCOMMAND) => become_understudy("understudy", &args),
        Some("play") => demo::run(Some(CoreKind::Builtin)).unwrap_or(ExitCode::FAILURE),
        _ => test(),
    }
}

/// All at the same time: they mostly wait.
fn test() -> ExitCode {
    let started = Instant::now();
    let wrong = [FALSIFIED, NO_TAKE_OVER, NO_HAND_BACK, BOTH].map(|case| (case, start_case(case)));
    thread::scope(|scope| {
        scope.spawn(|| succeeds(&["--core", "builtin"], "built-in miniature cores"));
        scope.spawn(|| succeeds(&[], "two real Nagios 4"));
        scope.spawn(|| ended_early(Signal::SIGINT));
        scope.spawn(|| ended_early(Signal::SIGKILL));
    });
    let [falsified, no_take_over, no_hand_back, both] =
        wrong.map(|(case, play)| (case, play.wait_with_output().unwrap()));
    fails(&falsified, &["NOT AGREED: 20 of 25", "FAILED   relay ", "ok       take-over ", "NOT PASSED: 7 of 8 parts"]);
    fails(
        &no_take_over,
        &["FAILED   take-over ", "FAILED   hand-back           not reached", "NOT PASSED: 2 of 8 parts"],
    );
    fails(&no_hand_back, &["ok       take-over ", "FAILED   hand-back ", "FAILED   master notifies     not reached"]);
    fails(&both, &["FAILED   standing by ", "FAILED   one at a time "]);
    assert!(started.elapsed() < LONGEST + Duration::from_secs(10), "{:?}", started.elapsed());
    println!("test result: ok. 8 demonstrations in {:.0?}", started.elapsed());
    ExitCode::SUCCESS
}

/// A demonstration that goes well, with the real program.
fn succeeds(arguments: &[&str], cores: &str) {
    let started = Instant::now();
    let ended = Command::new(UNDERSTUDY).arg("demo").args(arguments).output().unwrap();
    let told = told(&ended);
    println!("{told}");
    assert_eq!(ended.status.code(), Some(0), "{told}");
    assert!(started.elapsed() < LONGEST, "{:?}", started.elapsed());
    for expected in [
        cores,
        "AGREED: 25 of 25 hosts and services are the same",
        "takes over: the master's core crashed",
        "its first active check",
        "its first notification",
        "hands back: the master's core lives",
        "PASSED: 8 of 8 parts",
    ] {
        assert!(told.contains(expected), "no {expected:?} in:\n{told}");
    }
    assert!(!told.contains("FAILED") && !told.contains("NOT "), "{told}");
    assert!(!Path::new(&directory(&told)).exists(), "it left its directory behind");
}

fn start_case(case: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("play").env(CASE, case).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn fails((case, ended): &(&str, Output), expected: &[&str]) {
    let told = told(ended);
    assert_eq!(ended.status.code(), Some(1), "{case}:\n{told}");
    for expected in expected {
        assert!(told.contains(expected), "{case}: no {expected:?} in:\n{told}");
    }
    assert!(told.contains("all processes have ended") && !Path::new(&directory(&told)).exists(), "{case}:\n{told}");
}

/// The end of the demonstration is the end of its processes, of real cores too. What it was killed over stays on the disk.
fn ended_early(signal: Signal) {
    let mut play = Command::new(UNDERSTUDY);
    let mut play = play.arg("demo").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(play.stdout.take().unwrap()).lines().map(Result::unwrap);
    let directory = directory(&lines.next().unwrap());
    lines.find(|line| line.contains("executes understudy-ocsp")).expect("the master's core");
    assert!(Path::new(&directory).exists() && !processes_in(&directory).is_empty());
    kill(Pid::from_raw(play.id().try_into().unwrap()), signal).unwrap();
    assert_eq!(lines.find(|line| line.contains("PASSED")), None);
    let ended = play.wait_with_output().unwrap();
    if signal == Signal::SIGINT {
        assert_eq!(ended.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&ended.stderr).contains("interrupted"));
        assert!(!Path::new(&directory).exists());
    }
    // The workers of a core that has ended need a moment to notice.
    let deadline = Instant::now() + SOON;
    while !processes_in(&directory).is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let left = processes_in(&directory);
    for pid in &left {
        let _ = kill(*pid, Signal::SIGKILL);
    }
    let _ = fs::remove_dir_all(directory);
    assert!(left.is_empty(), "{signal} leaves {left:?} behind");
}

fn told(ended: &Output) -> String {
    [&ended.stdout, &ended.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// Where it plays, of what it tells.
fn directory(told: &str) -> String {
    let headline = told.lines().next().expect("a headline");
    headline.split_once(", in ").expect("where it is").1.trim_end_matches('.').to_owned()
}

/// The processes that have this directory of a demonstration in their command lines.
fn processes_in(directory: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let plays = |process: fs::DirEntry| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let pid = process.file_name().to_str()?.parse().ok()?;
        String::from_utf8_lossy(&line).contains(directory).then_some(Pid::from_raw(pid))
    };
    processes.filter_map(plays).collect()
}

fn case() -> String {
    std::env::var(CASE).unwrap_or_default()
}

/// `understudy-ocsp service HOST DESCRIPTION STATE OUTPUT …`
fn become_ocsp(mut args: Vec<OsString>) -> ExitCode {
    if case() == FALSIFIED && args[2] == "disk" {
        args[4].push("!");
    }
    become_understudy("understudy-ocsp", &args)
}

/// `understudy run --config FILE`
fn become_daemon(args: &[OsString]) -> ExitCode {
    let file = Path::new(&args[2]);
    let mut text = fs::read_to_string(file).unwrap();
    let is_standby = text.contains("[[receiver.listener]]");
    match case().as_str() {
        NO_TAKE_OVER if is_standby => {
            text += "\n[[failover.witness]]\nname = \"never\"\ncommand = [\"/bin/false\"]\n";
        }
        NO_HAND_BACK if is_standby => text = text.replace("[failover]\n", "[failover]\nhand_back = \"manual\"\n"),
        BOTH if is_standby => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            fs::write(file.with_file_name("notified"), format!("{now}.0 PROBLEM web1 disk 2\n")).unwrap();
        }
        _ => {}
    }
    fs::write(file, text).unwrap();
    become_understudy("understudy", args)
}

fn become_understudy(name: &str, args: &[OsString]) -> ExitCode {
    let error = Command::new(UNDERSTUDY).arg0(name).args(args).exec();
    panic!("{UNDERSTUDY} does not start: {error}");
}
