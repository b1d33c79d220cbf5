//! Programs of others: plugins and hooks, with a time-out, and with bounded output.
//!
//! **Invariant:** a program that outlives its time-out is killed with its whole process group, and so it is when nobody
//! waits for it any more. What even that does not end at once, because it hangs in the system, is handed to the caller.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How much of a program's output is kept, in bytes. The rest is read and forgotten.
pub(crate) const KEPT_OUTPUT_BYTES: usize = 4096;

/// How long a program's output is waited for after its end: somebody that it left behind may hold it open.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// How long the end of a program is waited for that was killed.
const DEATH_GRACE: Duration = Duration::from_millis(500);

/// What became of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) how: How,
    /// The beginning of what it printed, on both outputs.
    pub(crate) output: String,
    /// It was killed, and did not end.
    pub(crate) left: Option<Child>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Exited(i32),
    Signalled(i32),
    TimedOut,
    NotStarted(String),
}

/// A command from words: a program and its arguments.
pub(crate) fn from_words(words: &[String]) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments);
    Some(command)
}

/// Runs `command` to its end, at most for `limit`.
pub(crate) async fn run(mut command: Command, limit: Duration) -> Ended {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ended { how: How::NotStarted(error.to_string()), output: String::new(), left: None },
    };
    let group = Group(child.id().and_then(|id| id.try_into().ok()).map(Pid::from_raw));
    let kept = Arc::<Mutex<Vec<u8>>>::default();
    let outputs = (child.stdout.take(), child.stderr.take());
    let reading = tokio::spawn({
        let kept = kept.clone();
        async move { tokio::join!(keep(outputs.0, &kept), keep(outputs.1, &kept)) }
    });
    let abort_reading = reading.abort_handle();
    let how = match timeout(limit, child.wait()).await {
        Ok(Ok(status)) => ended(status),
        Ok(Err(error)) => How::NotStarted(error.to_string()),
        Err(_) => How::TimedOut,
    };
    let mut left = None;
    if how == How::TimedOut {
        drop(group);
        left = timeout(DEATH_GRACE, child.wait()).await.is_err().then_some(child);
    } else if timeout(OUTPUT_GRACE, reading).await.is_ok() {
        group.forget();
    }
    abort_reading.abort();
    let output = String::from_utf8_lossy(&kept.lock().unwrap_or_else(PoisonError::into_inner)).trim_end().to_owned();
    Ended { how, output, left }
}

fn ended(status: ExitStatus) -> How {
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Exited(code),
        (None, signal) => How::Signalled(signal.unwrap_or(0)),
    }
}

/// Reads to the end, and keeps the beginning.
async fn keep(output: Option<impl AsyncRead + Unpin>, kept: &Mutex<Vec<u8>>) {
    let Some(mut output) = output else { return };
    let mut buffer = [0; 1024];
    while let Ok(bytes @ 1..) = output.read(&mut buffer).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT_OUTPUT_BYTES.saturating_sub(kept.len()).min(bytes);
        kept.extend_from_slice(&buffer[..room]);
    }
}

/// A process group that ends with this.
struct Group(Option<Pid>);

impl Group {
    /// Its leader was waited for, and nobody has its outputs: its number may soon be another one's.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use nix::sys::signal::kill;
    use std::time::Instant;

    fn shell(line: &str) -> Command {
        from_words(&["/bin/sh".into(), "-c".into(), line.into()]).unwrap()
    }

    #[tokio::test]
    async fn code_and_output_are_kept() {
        let ended = run(shell("echo CRITICAL - gone; exit 2"), Duration::from_secs(20)).await;
        assert_eq!((ended.how, ended.output.as_str()), (How::Exited(2), "CRITICAL - gone"));
        let ended = run(shell("kill -9 $$"), Duration::from_secs(20)).await;
        assert_eq!(ended.how, How::Signalled(9));
        let absent = run(Command::new("/nonexistent/plugin"), Duration::from_secs(20)).await;
        assert!(matches!(absent.how, How::NotStarted(_)));
    }

    #[tokio::test]
    async fn endless_output_is_bounded_and_does_not_block_the_program() {
        let ended = run(shell("head -c 1000000 /dev/zero | tr '\\0' x"), Duration::from_secs(20)).await;
        assert_eq!((ended.how, ended.output.len()), (How::Exited(0), KEPT_OUTPUT_BYTES));
    }

    #[tokio::test]
    async fn the_whole_group_is_killed_at_the_time_out() {
        let ended = run(shell("sleep 1000 & echo $!; wait"), Duration::from_millis(300)).await;
        assert_eq!(ended.how, How::TimedOut);
        assert!(ended.left.is_none(), "its end was waited for");
        assert_gone(&ended.output).await;
    }

    #[tokio::test]
    async fn a_child_that_is_left_behind_holds_nothing_up() {
        let start = Instant::now();
        let ended = run(shell("sleep 1000 & echo $!"), Duration::from_secs(20)).await;
        assert_eq!(ended.how, How::Exited(0));
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_gone(&ended.output).await;
    }

    async fn assert_gone(pid: &str) {
        let pid = Pid::from_raw(pid.parse().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        // Whoever adopts it reaps it; until then it is a zombie.
        let lives = || {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            kill(pid, None) != Err(Errno::ESRCH) && !state.contains(") Z ")
        };
        while lives() {
            assert!(Instant::now() < deadline, "{pid} still runs");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
