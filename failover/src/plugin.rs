//! Probes and witnesses: plugins that run again and again.
//!
//! **Invariant:** never two runs of the same plugin at once.

use std::time::{Duration, Instant};

use nagios::ServiceState;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout_at};

use crate::process::{self, Ended, How};

/// What one run of a plugin told.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) which: Which,
    pub(crate) state: ServiceState,
    /// The beginning of what it printed, or why there is nothing.
    pub(crate) output: String,
    pub(crate) started: Instant,
    pub(crate) took: Duration,
}

/// Which plugin of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Probe(usize),
    Witness(usize),
}

/// Runs `plugin` for ever, at the pace of the moment from start to start; a run that takes longer is waited for.
pub(crate) async fn repeat(
    plugin: config::Plugin,
    which: Which,
    mut pace: watch::Receiver<Duration>,
    outcomes: mpsc::Sender<Outcome>,
) {
    let mut runner = Runner { plugin, left: None };
    loop {
        let started = Instant::now();
        let (state, output) = runner.run().await;
        let outcome = Outcome { which, state, output, started, took: started.elapsed() };
        if outcomes.send(outcome).await.is_err() {
            return;
        }
        loop {
            let due = started + *pace.borrow_and_update();
            // A new pace may mean at once.
            match timeout_at(due.into(), pace.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => break,
            }
        }
        sleep_until((started + SHORTEST_PAUSE).into()).await;
    }
}

/// Between two starts, whatever the pace.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// A plugin, and what is left of its last run.
struct Runner {
    plugin: config::Plugin,
    left: Option<Child>,
}

impl Runner {
    /// Runs it once, unless its last run was killed and still hangs: that says as much.
    async fn run(&mut self) -> (ServiceState, String) {
        let plugin = &self.plugin;
        if let Some(Ok(None)) = self.left.as_mut().map(Child::try_wait) {
            let pid = self.left.as_ref().and_then(Child::id).unwrap_or_default();
            let output =
                format!("not run: process {pid}, its last run, was killed and does not end; what does it wait for?");
            return (ServiceState::Unknown, output);
        }
        let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
        let words = if plugin.shell { [&shell, &plugin.command[..]].concat() } else { plugin.command.clone() };
        let Some(command) = process::from_words(&words) else {
            return (ServiceState::Unknown, "no command is configured".to_owned());
        };
        let mut ended = process::run(command, plugin.timeout).await;
        self.left = ended.left.take();
        judge(ended, plugin)
    }
}

/// The return code is the judgement; everything else that can happen is UNKNOWN.
fn judge(ended: Ended, plugin: &config::Plugin) -> (ServiceState, String) {
    let Ended { how, output, left: _ } = ended;
    let program = plugin.command.first().map_or("", String::as_str);
    match how {
        How::Exited(0) => (ServiceState::Ok, output),
        How::Exited(1) => (ServiceState::Warning, output),
        How::Exited(2) => (ServiceState::Critical, output),
        How::Exited(3) => (ServiceState::Unknown, output),
        How::Exited(code) => {
            (ServiceState::Unknown, format!("return code {code} is none of a plugin: check {program:?}; {output}"))
        }
        How::Signalled(signal) => (ServiceState::Unknown, format!("ended by signal {signal}; {output}")),
        How::TimedOut => (ServiceState::Unknown, format!("killed after {:?}; {output}", plugin.timeout)),
        How::NotStarted(error) => (ServiceState::Unknown, format!("cannot run {program:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(line: &str) -> config::Plugin {
        let command = vec![line.to_owned()];
        config::Plugin { name: "test".into(), command, shell: true, timeout: Duration::from_secs(20) }
    }

    async fn run(plugin: &config::Plugin) -> (ServiceState, String) {
        Runner { plugin: plugin.clone(), left: None }.run().await
    }

    #[tokio::test]
    async fn the_return_code_judges() {
        for (line, state, says) in [
            ("echo fine; exit 0", ServiceState::Ok, "fine"),
            ("exit 1", ServiceState::Warning, ""),
            ("exit 2", ServiceState::Critical, ""),
            ("exit 3", ServiceState::Unknown, ""),
            ("echo garbage; exit 127", ServiceState::Unknown, "return code 127"),
            ("kill -11 $$", ServiceState::Unknown, "signal 11"),
        ] {
            let (judged, output) = run(&plugin(line)).await;
            assert!(judged == state && output.contains(says), "{line}: {judged} {output}");
        }
        let slow = config::Plugin { timeout: Duration::from_millis(200), ..plugin("sleep 1000") };
        assert!(run(&slow).await.1.contains("killed after 200ms"));
    }

    #[tokio::test]
    async fn without_a_shell_nothing_is_special() {
        let command = ["/bin/echo", "$HOME; exit 2"].map(str::to_owned).to_vec();
        let (state, output) = run(&config::Plugin { command, shell: false, ..plugin("") }).await;
        assert_eq!((state, output.as_str()), (ServiceState::Ok, "$HOME; exit 2"));
    }

    #[tokio::test]
    async fn nothing_runs_beside_a_run_that_cannot_be_killed() {
        let mut hanging = tokio::process::Command::new("/bin/sleep").arg("1000").kill_on_drop(true).spawn().unwrap();
        let pid = hanging.id().unwrap().to_string();
        let mut runner = Runner { plugin: plugin("echo fine"), left: Some(hanging) };
        for _ in 0..2 {
            let (state, output) = runner.run().await;
            assert!(state == ServiceState::Unknown && output.contains(&pid), "{state}: {output}");
        }
        hanging = runner.left.take().unwrap();
        hanging.kill().await.unwrap();
        runner.left = Some(hanging);
        assert_eq!(runner.run().await, (ServiceState::Ok, "fine".to_owned()));
    }

    #[tokio::test]
    async fn a_new_pace_counts_at_once_and_runs_never_overlap() {
        let directory = tempfile::tempdir().unwrap();
        let lock = directory.path().join("lock").display().to_string();
        // mkdir fails while another run holds it.
        let line = format!("mkdir {lock} || exit 2; sleep 0.1; rmdir {lock}");
        let (pace, paces) = watch::channel(Duration::from_secs(3600));
        let (outcomes, mut received) = mpsc::channel(1);
        let task = tokio::spawn(repeat(plugin(&line), Which::Probe(0), paces, outcomes));
        assert_eq!(received.recv().await.unwrap().state, ServiceState::Ok);
        pace.send(Duration::from_millis(1)).unwrap();
        for _ in 0..3 {
            assert_eq!(received.recv().await.unwrap().state, ServiceState::Ok);
        }
        task.abort();
    }
}
