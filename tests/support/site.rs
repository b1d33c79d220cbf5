//! A site as nsca and send_nsca know it: their files, a port, and a command file that is read.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nsca::Method;
use nsca::packet::INIT_BYTES;
use tempfile::TempDir;

use super::fifo::Recorder;
use super::process::Running;
use super::standby::PASSWORD;
use super::wait::{self, SOON};

/// The files of one daemon and its clients.
pub struct Site {
    pub directory: TempDir,
    pub core: Recorder,
    pub port: u16,
}

/// What a program that has ended said.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Site {
    /// A site whose files say only what they must.
    pub fn new(method: Method) -> Self {
        let directory = TempDir::new().unwrap();
        let core = Recorder::start(&directory.path().join("nagios.cmd"));
        let site = Site { directory, core, port: free_port() };
        site.write_nsca_cfg("");
        let number = method.number();
        site.write("send_nsca.cfg", &format!("password={PASSWORD}\nencryption_method={number}\n"));
        site.write_nsca_cfg(&format!("decryption_method={number}\n"));
        site
    }

    /// Writes `nsca.cfg` with `more` lines. Of a key that is there twice, the last one counts.
    pub fn write_nsca_cfg(&self, more: &str) {
        let (port, command_file) = (self.port, self.path("nagios.cmd"));
        let lines = format!(
            "server_port={port}\nserver_address=127.0.0.1\npassword={PASSWORD}\ncommand_file={}\n{more}",
            command_file.display()
        );
        self.write("nsca.cfg", &lines);
    }

    /// A file of this site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of this site.
    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Runs a daemon in the foreground until the value is dropped. When this returns, it listens.
    #[track_caller]
    pub fn start(&self, nsca: &mut Command, mode: &str) -> Running {
        let daemon = Running::start(nsca.arg("-c").arg(self.path("nsca.cfg")).args(["-f", mode]));
        self.wait_until_served();
        daemon
    }

    /// Waits until somebody listens and speaks first.
    #[track_caller]
    pub fn wait_until_served(&self) {
        wait::until("a daemon that listens", || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
            stream.set_read_timeout(Some(SOON)).ok()?;
            stream.read_exact(&mut [0; INIT_BYTES]).ok()
        });
    }

    /// Sends `input` with this site's `send_nsca.cfg` and waits for the end.
    #[track_caller]
    pub fn send(&self, send_nsca: &mut Command, args: &[&str], input: &[u8]) -> Said {
        self.send_to(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), send_nsca, args, input)
    }

    /// Sends `input` to another daemon.
    #[track_caller]
    pub fn send_to(&self, daemon: SocketAddr, send_nsca: &mut Command, args: &[&str], input: &[u8]) -> Said {
        send_nsca.arg("-H").arg(daemon.ip().to_string()).arg("-p").arg(daemon.port().to_string());
        send_nsca.arg("-c").arg(self.path("send_nsca.cfg")).args(args);
        run(send_nsca, input)
    }

    /// The lines in the command file, without their times.
    pub fn commands(&self) -> Vec<Vec<u8>> {
        commands(&self.core)
    }
}

/// The lines in a command file, without their times.
#[track_caller]
pub fn commands(core: &Recorder) -> Vec<Vec<u8>> {
    let without_time = |line: Vec<u8>| {
        let end = line.windows(2).position(|pair| pair == b"] ").expect("a time in front");
        assert!(line[0] == b'[' && line[1..end].iter().all(u8::is_ascii_digit), "{line:?}");
        line[end + 2..].to_vec()
    };
    core.lines().into_iter().map(without_time).collect()
}

/// Runs a program to its end.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
    // A program that does not want its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// A port that nobody uses at the moment, for programs that must be told one.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
