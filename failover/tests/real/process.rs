//! Programs that end with the test, and waiting for conditions.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// The deadline of what should come true soon, generous enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(40);

/// A running program, the leader of a process group. Dropping it kills the group.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(quiet.process_group(0).spawn().unwrap_or_else(|e| panic!("{command:?} does not start: {e}")))
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().unwrap())
    }

    /// Sends a signal to the program alone, and waits for its end.
    pub fn end(&mut self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The group may have ended by itself.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Waits until `condition` gives something, at most [`SOON`].
#[track_caller]
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {SOON:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
