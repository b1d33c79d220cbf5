//! Programs that a test runs: what they say is kept, and they end with the test.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::wait;

/// The program under test.
pub const UNDERSTUDY: &str = env!("CARGO_BIN_EXE_understudy");

/// The program that the core executes. Cargo builds it only on request.
#[track_caller]
pub fn understudy_ocsp() -> PathBuf {
    let program = Path::new(UNDERSTUDY).with_file_name("understudy-ocsp");
    assert!(program.exists(), "{} is missing: cargo build --workspace --bins", program.display());
    program
}

/// A running program, the leader of a process group. Dropping it kills the group.
pub struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// Starts `command` and keeps what it says on both outputs.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
        let said = Arc::<Mutex<String>>::default();
        keep(child.stdout.take().unwrap(), said.clone());
        keep(child.stderr.take().unwrap(), said.clone());
        Running { child, said }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let said = self.said.clone();
        let heard = std::panic::catch_unwind(|| {
            wait::until(&format!("{text:?} from the program"), || said.lock().unwrap().contains(text).then_some(()));
        });
        assert!(heard.is_ok(), "never said: {text:?}\nbut said:\n{}", self.said());
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait::until("the program to end", || self.child.try_wait().unwrap())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Whether any process of its group is still there.
    pub fn has_group(&self) -> bool {
        killpg(self.pid(), None).is_ok()
    }

    /// Ends it as an init system does.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The group may have ended by itself.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what {} said:\n{}", self.child.id(), self.said());
        }
    }
}

fn keep(output: impl Read + Send + 'static, said: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            said.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}
