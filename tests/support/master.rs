//! A sender of `understudy run` in a directory of its own, and a core that hands its results over.

use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use ocsp::handover::{Answer, HandOver, new_id};
use tempfile::TempDir;

use super::process::{Running, UNDERSTUDY, understudy_ocsp};
use super::site::{Said, run};
use super::standby::{PASSWORD, write_secret};

/// How long `understudy-ocsp` waits for an answer.
const ANSWER_TIME: Duration = Duration::from_millis(600);

/// Where a result is that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The sender has it.
    Taken,
    /// It is in the spill directory, and the sender may have it too.
    Spilled,
}

/// The files of a sender, which outlive its processes.
pub struct Master {
    pub directory: TempDir,
    config: PathBuf,
}

/// What a test wants to be different.
pub struct Options<'a> {
    /// The node's name.
    pub name: &'a str,
    /// Lines for `[sender]`.
    pub sender: &'a str,
    /// Names, and lines for `[[sender.destination]]`.
    pub destinations: &'a [(&'a str, &'a str)],
    /// The password of all destinations.
    pub password: &'a str,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { name: "master", sender: "", destinations: &[], password: PASSWORD }
    }
}

impl Master {
    /// A sender with one destination on this machine, which is called `standby`.
    pub fn new(port: u16, encryption: &str, max_size: &str) -> Self {
        Master::with(&Options {
            sender: &format!("spool.max_size = \"{max_size}\""),
            destinations: &[("standby", &format!("address = \"127.0.0.1:{port}\"\nencryption = \"{encryption}\""))],
            ..Options::default()
        })
    }

    /// A sender in a directory of its own.
    pub fn with(options: &Options<'_>) -> Self {
        let Options { name, sender, destinations, password } = options;
        let directory = TempDir::new().unwrap();
        let path = directory.path().display();
        std::fs::create_dir(directory.path().join("state")).unwrap();
        let mut toml = format!(
            "[node]\nname = \"{name}\"\nstate_directory = \"{path}/state\"\n\
             control_socket = \"{path}/control.sock\"\n[sender]\nsocket = \"{path}/ocsp.sock\"\n\
             spill = \"{path}/spill\"\n{sender}\n"
        );
        for (name, lines) in *destinations {
            write!(toml, "[[sender.destination]]\nname = \"{name}\"\npassword = \"{password}\"\n{lines}\n").unwrap();
        }
        let config = write_secret(&directory.path().join("master.toml"), &toml);
        Master { directory, config }
    }

    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub fn spill(&self) -> PathBuf {
        self.directory.path().join("spill")
    }

    /// How to start the daemon.
    pub fn command(&self) -> Command {
        let mut command = Command::new(UNDERSTUDY);
        command.args(["run", "--config"]).arg(&self.config);
        command
    }

    /// Starts the daemon, and waits until it takes results.
    #[track_caller]
    pub fn start(&self) -> Running {
        let daemon = Running::start(&mut self.command());
        daemon.wait_for("sender sends");
        daemon
    }

    /// Does what `understudy-ocsp` does, without a process: hands the result over, and spills it where that fails.
    #[track_caller]
    pub fn deliver(&self, handover: &HandOver) -> Delivered {
        deliver(self.directory.path(), handover)
    }

    /// One datagram there, one back.
    pub fn hand_over(&self, handover: &HandOver) -> io::Result<Answer> {
        hand_over(self.directory.path(), handover)
    }

    /// Runs the real `understudy-ocsp` for a service.
    #[track_caller]
    pub fn understudy_ocsp(&self, host: &str, service: &str, output: &str) -> Said {
        let mut command = Command::new(understudy_ocsp());
        command.args(["service", host, service, "0", output]);
        command.arg("--socket").arg(self.directory.path().join("ocsp.sock")).arg("--spill").arg(self.spill());
        run(&mut command, b"")
    }
}

/// Hands the result over to the sender whose `ocsp.sock` and `spill` are in `directory`, and spills it where that fails.
#[track_caller]
pub fn deliver(directory: &Path, handover: &HandOver) -> Delivered {
    match hand_over(directory, handover) {
        Ok(Answer::Taken) => Delivered::Taken,
        Ok(Answer::Refused(reason)) => panic!("refused: {reason}"),
        Ok(Answer::Full) | Err(_) => {
            ocsp::spill::write(&directory.join("spill"), handover).unwrap();
            Delivered::Spilled
        }
    }
}

fn hand_over(directory: &Path, handover: &HandOver) -> io::Result<Answer> {
    let name = format!("understudy-test-{:032x}", u128::from_be_bytes(handover.id));
    let client = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    client.set_read_timeout(Some(ANSWER_TIME))?;
    client.set_write_timeout(Some(ANSWER_TIME))?;
    client.connect(directory.join("ocsp.sock"))?;
    client.send(&handover.encode())?;
    let mut buffer = [0; ocsp::handover::MAX_ANSWER_BYTES];
    let bytes = client.recv(&mut buffer)?;
    let (id, answer) = Answer::decode(&buffer[..bytes]).expect("an answer");
    assert_eq!(id, handover.id);
    Ok(answer)
}

/// What a core hands over: a service's result.
pub fn handover(host: &str, service: &str, output: &str) -> HandOver {
    HandOver {
        id: new_id(),
        host: host.into(),
        service: Some(service.into()),
        code: 0,
        output: output.into(),
        perfdata: Vec::new(),
        long_output: Vec::new(),
        check_time_us: 1_700_000_000_000_000,
        state_type: None,
        attempt: None,
        check_type: None,
    }
}

/// Ends a daemon as a crash does.
#[track_caller]
pub fn kill(mut daemon: Running) {
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
}
