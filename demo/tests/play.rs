//! The whole demonstration, with this test's own executable as `understudy`.
//!
//! Its `run` is a stand-in without protocol or guarantees: what the ocsp socket takes goes as one line of text over TCP
//! and into the command file. So the story and both kinds of core are tested here, and the relay elsewhere. A second
//! stand-in changes one output on the way: the verdict must see it.
#![expect(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use demo::{CORE_SUBCOMMAND, CoreKind};
use nagios::command_file::CommandFile;
use nagios::{
    CheckResult, Flavour, HostName, Object, PluginOutput, ReturnCode, ServiceDescription, Timestamp, command,
};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use ocsp::handover::{Answer, HandOver, MAX_HANDOVER_BYTES};

/// How long processes may still be there that were told to end.
const WORKERS_END: Duration = Duration::from_secs(10);

/// Makes the stand-in falsify; inherited by the processes of the demonstration.
const FALSIFY: &str = "DEMO_TEST_FALSIFY";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap();
    let args: Vec<OsString> = args.collect();
    let first = args.first().and_then(|first| first.to_str());
    match first {
        _ if Path::new(&name).ends_with("understudy-ocsp") => ocsp::main(args.into_iter()),
        Some(CORE_SUBCOMMAND) => demo::core::main(Path::new(&args[1])).unwrap(),
        Some("run") => relay(Path::new(&args[2])),
        Some("play") => {
            let core = if args[1] == "nagios4" { CoreKind::Nagios4 } else { CoreKind::Builtin };
            demo::run(Some(core)).unwrap_or_else(failed)
        }
        _ => test(),
    }
}

fn failed(error: anyhow::Error) -> ExitCode {
    eprintln!("{error:#}");
    ExitCode::FAILURE
}

/// Each in a process of its own, at the same time.
fn test() -> ExitCode {
    let plays = [("builtin", false), ("nagios4", false), ("builtin", true)]
        .map(|(core, falsify)| (core, falsify, start(core, falsify)));
    interrupted();
    for (core, falsify, play) in plays {
        let output = play.wait_with_output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        let (code, verdict) = if falsify { (1, "NOT AGREED: 20 of 25") } else { (0, " s  AGREED: 25 of 25") };
        assert_eq!(output.status.code(), Some(code), "{core}, falsify {falsify}:\n{told}");
        assert!(told.contains(verdict) && told.contains("all processes have ended"), "{told}");
    }
    ExitCode::SUCCESS
}

fn start(core: &str, falsify: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["play", core]).stdout(Stdio::piped()).stderr(Stdio::piped());
    if falsify {
        command.env(FALSIFY, "1");
    }
    command.spawn().unwrap()
}

/// Ctrl-C while everything runs leaves neither a process nor a file behind.
fn interrupted() {
    let mut play = start("nagios4", false);
    let mut lines = BufReader::new(play.stdout.take().unwrap()).lines().map(Result::unwrap);
    let headline = lines.next().unwrap();
    let directory = headline.split_once(", in ").unwrap().1.trim_end_matches('.').to_owned();
    let started = lines.find(|line| line.contains("executes understudy-ocsp"));
    assert!(started.is_some() && Path::new(&directory).exists());
    assert!(mentioned_in_a_process(&directory));
    kill(Pid::from_raw(play.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(lines.find(|line| line.contains("AGREED")), None);
    let output = play.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert!(!Path::new(&directory).exists());
    // The workers of a core that has ended need a moment to notice.
    let deadline = Instant::now() + WORKERS_END;
    while mentioned_in_a_process(&directory) {
        assert!(Instant::now() < deadline, "a process has stayed behind");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether any process has the text in its command line.
fn mentioned_in_a_process(text: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut command_lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    command_lines.any(|line| String::from_utf8_lossy(&line).contains(text))
}

fn relay(configuration: &Path) -> ExitCode {
    let text = fs::read_to_string(configuration).unwrap();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.unwrap().trim_matches('"').to_owned()
    };
    // Before there are threads: it ends as it should on SIGTERM.
    let signals: SigSet = [Signal::SIGTERM].into_iter().collect();
    signals.thread_block().unwrap();
    let address = value("address");
    if text.contains("[sender]") {
        let socket = value("socket");
        thread::spawn(move || send(&socket, &address));
    } else {
        let command_file = configuration.with_file_name("core.cmd");
        thread::spawn(move || receive(&address, command_file));
    }
    signals.wait().unwrap();
    ExitCode::SUCCESS
}

fn send(socket: &str, address: &str) {
    let socket = UnixDatagram::bind(socket).unwrap();
    let mut receiver = TcpStream::connect(address).unwrap();
    let mut buffer = vec![0; MAX_HANDOVER_BYTES];
    let falsify = std::env::var_os(FALSIFY).is_some();
    loop {
        let (length, client) = socket.recv_from(&mut buffer).unwrap();
        let mut handover = HandOver::decode(&buffer[..length]).unwrap();
        socket.send_to_addr(&Answer::Taken.encode(handover.id), &client).unwrap();
        if falsify && handover.service.as_deref() == Some(b"disk") {
            handover.output.pop();
        }
        let mut line = Vec::new();
        let encoded = command::process_check_result(Flavour::Nagios4, &result(&handover), &mut line);
        assert!(!encoded.cut);
        receiver.write_all(&line).unwrap();
    }
}

fn result(handover: &HandOver) -> CheckResult {
    let host = HostName::try_from(&handover.host[..]).unwrap();
    let object = match &handover.service {
        Some(service) => Object::Service(host, ServiceDescription::try_from(&service[..]).unwrap()),
        None => Object::Host(host),
    };
    let long_output = nagios::unescape(&handover.long_output);
    let output = PluginOutput::from_parts(&handover.output, &handover.perfdata, &long_output);
    CheckResult::new(object, ReturnCode::new(handover.code), output, Timestamp::from_micros(handover.check_time_us))
}

fn receive(address: &str, command_file: PathBuf) {
    let listener = TcpListener::bind(address).unwrap();
    let mut command_file = CommandFile::new(command_file);
    for stream in listener.incoming() {
        for line in BufReader::new(stream.unwrap()).split(b'\n') {
            let line = [&line.unwrap()[..], b"\n"].concat();
            command_file.write(&line).unwrap();
        }
    }
}
