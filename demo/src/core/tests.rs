//! The core as a whole, on a thread, with a real FIFO, real plugins and a real ocsp command.

use std::fs;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

use super::*;

struct Running {
    directory: TempDir,
    events: Sender<Event>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// `{dir}` in the lines stands for the test's directory.
    fn start(lines: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().to_str().unwrap();
        let text = format!("command_file={{dir}}/cmd\nstatus_file={{dir}}/status.dat\n{lines}").replace("{dir}", path);
        let config = Config::parse(&text).unwrap();
        let (events, inbox) = mpsc::channel();
        let sender = events.clone();
        let thread = thread::spawn(move || run(config, &sender, &inbox));
        Self { directory, events, thread }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn await_in(&self, name: &str, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let content = fs::read(self.path(name)).unwrap_or_default();
            let content = String::from_utf8_lossy(&content).into_owned();
            if content.contains(text) {
                return content;
            }
            assert!(Instant::now() < deadline, "no {text:?} in {name}:\n{content}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn command(&self, lines: &str) {
        let mut file = nagios::command_file::CommandFile::new(self.path("cmd"));
        file.write(lines.as_bytes()).unwrap();
    }

    fn stop(self) -> TempDir {
        self.events.send(Event::Stop).unwrap();
        self.thread.join().unwrap().unwrap();
        self.directory
    }
}

#[test]
fn it_checks_and_tells_the_ocsp_command() {
    let core = Running::start(
        "illegal_macro_output_chars='\ncheck_interval=1\n\
         ocsp_command=/bin/sh -c 'echo \"$$0|$$1|$$2|$$3\" >> {dir}/told' '$HOSTNAME$' '$SERVICEDESC$' '$SERVICEOUTPUT$' \
         '$LONGSERVICEOUTPUT$'\n\
         service=web1;disk;echo \"it's full\"; echo 'line 2'; exit 2\nhost=web1;exit 3\n",
    );
    let told = core.await_in("told", "web1");
    assert_eq!(told.lines().next(), Some("web1|disk|its full|line 2"));
    let status = core.await_in("status.dat", "plugin_output=it's full");
    assert!(status.contains("\tcurrent_state=2\n") && status.contains("\tlong_plugin_output=line 2\n"), "{status}");
    let directory = core.stop();
    assert!(!directory.path().join("cmd").exists(), "a clean stop removes the command file");
}

#[test]
fn it_takes_passive_results_and_mode_commands() {
    let core = Running::start("execute_checks=0\nservice=web1;disk;exit 0\nhost=web1;exit 0\n");
    core.await_in("status.dat", "has_been_checked=0");
    core.command(
        "[1700000000] PROCESS_SERVICE_CHECK_RESULT;web1;disk;1;a;b|p=1\\nc\n\
         [1700000000] PROCESS_HOST_CHECK_RESULT;web1;1;gone\n\
         [1700000000] PROCESS_HOST_CHECK_RESULT;unknown;1;gone\nnonsense\n\
         [1700000000] START_EXECUTING_SVC_CHECKS\n",
    );
    let status = core.await_in("status.dat", "plugin_output=a:b");
    for line in ["long_plugin_output=c", "performance_data=p=1", "last_check=1700000000", "plugin_output=gone"] {
        assert!(status.contains(line), "{status}");
    }
    let status = core.await_in("status.dat", "active_service_checks_enabled=1");
    assert!(status.contains("active_host_checks_enabled=0"), "{status}");
    core.stop();
}

#[test]
fn it_notifies_when_it_may() {
    let core = Running::start(
        "execute_checks=0\nenable_notifications=0\nservice=web1;disk;exit 0\n\
         notification_command=/bin/sh -c 'echo \"$$0 $$1 $$2 $$3\" >> {dir}/told' '$NOTIFICATIONTYPE$' '$HOSTNAME$' \
         '$SERVICEDESC$' '$SERVICESTATEID$'\n",
    );
    core.await_in("status.dat", "enable_notifications=0");
    let result = |code| format!("[1700000000] PROCESS_SERVICE_CHECK_RESULT;web1;disk;{code};x\n");
    core.command(&result(2).repeat(3));
    core.command("[1] ENABLE_NOTIFICATIONS\n");
    core.await_in("status.dat", "enable_notifications=1");
    core.command(&(result(2) + &result(0)));
    assert_eq!(core.await_in("told", "RECOVERY"), "PROBLEM web1 disk 2\nRECOVERY web1 disk 0\n");
    core.stop();
}

#[test]
fn active_checks_stop_on_command() {
    let core = Running::start("check_interval=1\nservice=web1;disk;echo x >> {dir}/ran\n");
    core.await_in("ran", "x");
    core.command("[1] STOP_EXECUTING_SVC_CHECKS\n");
    core.await_in("status.dat", "active_service_checks_enabled=0");
    let ran = fs::read(core.path("ran")).unwrap().len();
    // Two intervals pass, told by two rewritten status files.
    for _ in 0..2 {
        fs::remove_file(core.path("status.dat")).unwrap();
        core.await_in("status.dat", "programstatus");
    }
    let more = fs::read(core.path("ran")).unwrap().len() - ran;
    assert!(more <= 2, "at most the check that was under way ends");
    core.stop();
}
