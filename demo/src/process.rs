//! Processes that the demonstration starts, and ends in any case.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// How long a process may take to end after SIGTERM.
const STOP_TIME: Duration = Duration::from_secs(5);
/// How much of its log is shown when a process fails.
const LOG_LINES: usize = 15;
const POLL: Duration = Duration::from_millis(20);

/// A running process. It leads a process group of its own, so that Ctrl-C reaches the demonstration alone,
/// which then ends the processes in order. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; its output goes to the file `log`.
    pub(crate) fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("cannot share the log file")?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { name: name.into(), child, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its log when the process has ended.
    pub(crate) fn check_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().with_context(|| format!("cannot ask after {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("{} has ended with {status}; its log ends with:\n{}", self.name, self.log_end()),
        }
    }

    /// The last lines of its log.
    pub(crate) fn log_end(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Ends its whole group as a crash does.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.check_running()?;
        killpg(self.pid(), Signal::SIGKILL).with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then SIGKILL for what is left of its group; an error unless it ended by itself with success.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let status = self.end()?;
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => {
                bail!("{} ended with {status} on SIGTERM; its log ends with:\n{}", self.name, self.log_end())
            }
            None => bail!("{} did not end within {STOP_TIME:?} of SIGTERM and was killed", self.name),
        }
    }

    /// None when it had to be killed.
    fn end(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some(status));
        }
        kill(self.pid(), Signal::SIGTERM).with_context(|| format!("cannot end {}", self.name))?;
        let deadline = Instant::now() + STOP_TIME;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(POLL);
        }
        // The leader is not reaped yet, so the group's number is still its own.
        killpg(self.pid(), Signal::SIGKILL).with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait()?;
        Ok(None)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are positive i32s"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whatever the demonstration fails of is reported already.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn shell(directory: &TempDir, script: &str) -> Process {
        Process::start("the shell", Path::new("/bin/sh"), ["-c", script], directory.path().join("log")).unwrap()
    }

    fn await_log(process: &Process, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !process.log_end().contains(text) {
            assert!(Instant::now() < deadline);
            thread::sleep(POLL);
        }
    }

    #[test]
    fn an_orderly_end() {
        let directory = TempDir::new().unwrap();
        let mut process = shell(&directory, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        await_log(&process, "ready");
        process.check_running().unwrap();
        process.stop().unwrap();
    }

    #[test]
    fn a_failure_shows_the_log() {
        let directory = TempDir::new().unwrap();
        let mut process = shell(&directory, "echo why it failed >&2; exit 3");
        process.child.wait().unwrap();
        let error = process.check_running().unwrap_err().to_string();
        assert!(error.contains("the shell has ended") && error.contains("why it failed"), "{error}");
        assert!(process.stop().is_err());
    }

    #[test]
    fn a_crash_takes_the_whole_group() {
        let directory = TempDir::new().unwrap();
        let process = shell(&directory, "trap '' TERM; sleep 1000 & echo $!; wait");
        let deadline = Instant::now() + Duration::from_secs(10);
        let child = loop {
            if let Ok(pid) = process.log_end().trim().parse() {
                break Pid::from_raw(pid);
            }
            assert!(Instant::now() < deadline);
            thread::sleep(POLL);
        };
        process.kill().unwrap();
        // Whoever inherits it reaps it when it likes.
        let ended = || fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
        while ended() {
            assert!(Instant::now() < deadline, "it still runs");
            thread::sleep(POLL);
        }
    }

    #[test]
    fn dropping_ends_it() {
        let directory = TempDir::new().unwrap();
        let process = shell(&directory, "exec sleep 1000");
        let pid = process.pid();
        drop(process);
        assert!(kill(pid, None).is_err(), "it is gone, and reaped");
    }
}
