//! Everything that runs: the oracle's core, and two nodes with both roles each.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::clock::{Moment, now};
use crate::objects;
use crate::support::core::Core;
use crate::support::process::{Running, UNDERSTUDY};
use crate::support::site::{Said, free_port, run};
use crate::support::standby::{PASSWORD, write_secret};
use crate::support::wait::{SOON, until, until_within};
use crate::witness::Witness;

/// What all three cores have. A minute of a downtime or an interval lasts a second.
const SETTINGS: &str = "retain_state_information=1\nretention_update_interval=60\nlog_notifications=1\n\
                        log_external_commands=1\nlog_passive_checks=1\nenable_flap_detection=0\n";

/// What a core has that checks by itself. No object here is checked so; but Nagios notifies of hosts that are down also when it
/// finds that it is not to check them.
const CHECKING: &str = "execute_service_checks=1\nexecute_host_checks=1\n";

/// A core, and what it has logged.
pub struct Actor {
    pub name: &'static str,
    pub core: Core,
    pub witness: Witness,
    /// When it was killed.
    pub kills: Vec<Moment>,
}

/// One machine of the pair.
pub struct Node {
    /// Ends before its core.
    daemon: Running,
    pub actor: Actor,
    directory: PathBuf,
}

/// Who plays.
pub struct Cast {
    pub oracle: Actor,
    pub master: Node,
    pub standby: Node,
    /// What happened to all of them, for whoever reads a failure.
    pub events: Vec<(Moment, String)>,
    _directory: TempDir,
}

impl Cast {
    /// Starts everything. When this returns, the master notifies.
    #[track_caller]
    pub fn enter() -> Self {
        Cast::connected(|listener| listener)
    }

    /// The same, where `way` says at which address each node finds the other one's listener.
    #[track_caller]
    pub fn connected(mut way: impl FnMut(SocketAddr) -> SocketAddr) -> Self {
        let directory = TempDir::new().unwrap();
        let [of_standby, of_master] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let role = "role = \"standby\"\ninterval = \"1s\"\nsuccesses_to_hand_back = 2\n\
                    [failover.heartbeat]\nnode = \"master\"\n";
        let oracle = Actor::new(directory.path(), "oracle", &format!("{CHECKING}enable_notifications=1\n"));
        let standby = Node::start(directory.path(), ["standby", "master"], [of_standby, way(of_master)], role);
        let role = "role = \"master\"\n";
        let master = Node::start(directory.path(), ["master", "standby"], [of_master, way(of_standby)], role);
        let mut cast = Cast { oracle, master, standby, events: Vec::new(), _directory: directory };
        cast.oracle.core.start();
        cast.wait_until_notifies("the master", SOON, |cast| cast.master.actor.witness.notifies);
        cast
    }

    /// Waits until the standby's core knows what the master's does. What comes later it gets at a take-over only.
    #[track_caller]
    pub fn wait_until_up_to_date(&self) {
        until("the first resynchronisation", || self.standby.said().contains("this core is up to date").then_some(()));
    }

    /// Waits until the status files of both are newer than what has happened.
    #[track_caller]
    pub fn both_show_all(&self) {
        self.master.actor.shows_all();
        self.standby.actor.shows_all();
    }

    /// Waits until those notify, by their logs, whom `who` wants to.
    #[track_caller]
    pub fn wait_until_notifies(&mut self, what: &str, limit: Duration, who: impl Fn(&Cast) -> bool) {
        until_within(limit, what, || {
            self.poll();
            who(self).then_some(())
        });
    }

    /// Reads what the pair has logged.
    pub fn poll(&mut self) -> [usize; 2] {
        [&mut self.master, &mut self.standby].map(|node| node.actor.witness.poll())
    }

    /// Who notifies; none if nobody does.
    pub fn in_charge(&self) -> Option<&Node> {
        let both = [&self.master, &self.standby];
        let mut notifying = both.into_iter().filter(|node| node.actor.witness.notifies);
        let first = notifying.next();
        assert!(notifying.next().is_none(), "both notify");
        first
    }

    /// All three.
    pub fn actors(&self) -> [&Actor; 3] {
        [&self.oracle, &self.master.actor, &self.standby.actor]
    }

    /// Notes what happens.
    pub fn note(&mut self, text: impl Into<String>) {
        let (moment, text) = (now(), text.into());
        println!("{:02}.{:03} {text}", moment / 1_000 % 100_000, moment % 1_000);
        self.events.push((moment, text));
    }
}

impl Actor {
    fn new(directory: &Path, name: &'static str, settings: &str) -> Self {
        let directory = directory.join(name).join("core");
        let core = Core::new(&directory, &format!("{SETTINGS}{settings}"), &objects::configuration(&directory));
        fs::write(core.path("notify.sh"), objects::notify_script(&directory)).unwrap();
        fs::write(core.path("notified"), "").unwrap();
        let witness = Witness::new(&core.log_file(), settings.contains("enable_notifications=1"));
        Actor { name, core, witness, kills: Vec::new() }
    }

    /// Writes lines into its command file. A core that is gone gets nothing.
    pub fn write(&self, lines: &str) {
        let mut file = OpenOptions::new();
        let file = file.write(true).custom_flags(libc::O_NONBLOCK).open(self.core.command_file());
        let _ = file.and_then(|mut file| file.write_all(lines.as_bytes()));
    }

    /// Gives its core a result, and waits until it has taken it.
    #[track_caller]
    pub fn result(&mut self, service: &str, code: u8) {
        let first = self.witness.poll();
        let command = self.check(service, code);
        until("the result", || {
            self.witness.poll();
            let mut new = self.witness.lines[first..].iter();
            new.any(|line| line.text == format!("EXTERNAL COMMAND: {command}")).then_some(())
        });
    }

    /// Gives its core a result; the command, without the time in front.
    pub fn check(&self, service: &str, code: u8) -> String {
        let command = format!("PROCESS_SERVICE_CHECK_RESULT;{service};{code};said {code}");
        self.write(&format!("[{}] {command}\n", now() / 1_000));
        command
    }

    /// The states of the service that its core has notified of, in their order.
    pub fn notified(&mut self, service: &str) -> Vec<String> {
        self.witness.poll();
        let begin = format!("SERVICE NOTIFICATION: admin;{service};");
        let states = self.witness.lines.iter().filter_map(|line| line.text.strip_prefix(&begin));
        states.map(|rest| rest.split(';').next().unwrap().to_owned()).collect()
    }

    /// With which numbers its core has notified of problems of the service, in their order.
    pub fn numbers(&self, service: &str) -> Vec<u32> {
        let begin = format!("admin {} PROBLEM ", service.replace(';', " "));
        let noted = fs::read_to_string(self.core.path("notified")).unwrap();
        let numbers = noted.lines().filter_map(|line| line.strip_prefix(&begin)?.split(' ').nth(1)?.parse().ok());
        numbers.collect()
    }

    /// Waits until its status file is newer than what has happened.
    #[track_caller]
    pub fn shows_all(&self) {
        let happened = (now() / 1_000).cast_signed();
        until("a newer status file", || self.core.shown().filter(|shown| shown.created > happened + 1).map(|_| ()));
    }

    /// Its core dies.
    pub fn kill(&mut self) {
        let moment = now();
        // What it has just told its contacts is being told.
        let workers = self.core.kill_main_process();
        self.witness.handle_kill();
        until("its workers to end", || (!workers.has_group()).then_some(()));
        self.kills.push(moment);
    }
}

impl Node {
    /// Its daemon makes the FIFO that its core opens at its start.
    #[track_caller]
    fn start(directory: &Path, [name, peer]: [&'static str; 2], [own, other]: [SocketAddr; 2], role: &str) -> Self {
        let path = directory.join(name);
        let mut settings = sender::perfdata::template::core_configuration(&path.join("perfdata.fifo"));
        if name == "master" {
            settings += CHECKING;
        }
        let mut actor = Actor::new(directory, name, &settings);
        fs::create_dir_all(path.join("state")).unwrap();
        write_secret(
            &path.join("understudy.toml"),
            &format!(
                "[node]\nname = \"{name}\"\nstate_directory = \"{0}/state\"\ncontrol_socket = \"{0}/control.sock\"\n\
                 [core]\nmain_config = \"{1}\"\n\
                 [sender]\nsocket = \"{0}/ocsp.sock\"\nspill = \"{0}/spill\"\nperfdata_fifo = \"{0}/perfdata.fifo\"\n\
                 [[sender.destination]]\nname = \"{peer}\"\naddress = \"{other}\"\npassword = \"{PASSWORD}\"\n\
                 [[receiver.listener]]\naddress = \"{own}\"\npassword = \"{PASSWORD}\"\n\
                 [failover]\n{role}",
                path.display(),
                actor.core.main_config().display()
            ),
        );
        let daemon = daemon(&path);
        actor.core.start();
        Node { daemon, actor, directory: path }
    }

    /// Ends its daemon as an init system does, and waits for nothing.
    pub fn stop_daemon(&self) {
        self.daemon.signal(Signal::SIGTERM);
    }

    /// Once its daemon has ended: lets it forget how often it took over lately, as if hours had passed, and starts it again.
    /// Otherwise it would stay in charge for minutes. Whether it had ended.
    pub fn start_daemon_hours_later(&mut self) -> bool {
        if self.daemon.is_running() {
            return false;
        }
        let file = self.directory.join("state/failover.state");
        let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert!(state["takeovers"].is_array(), "{state}");
        state["takeovers"] = serde_json::json!([]);
        fs::write(&file, state.to_string()).unwrap();
        self.launch_daemon();
        true
    }

    /// Its daemon dies.
    pub fn kill_daemon(&mut self) {
        self.daemon.signal(Signal::SIGKILL);
        self.daemon.wait();
    }

    /// Another one goes on.
    #[track_caller]
    pub fn start_daemon(&mut self) {
        self.daemon = daemon(&self.directory);
    }

    /// Another one is started, and not waited for.
    pub fn launch_daemon(&mut self) {
        self.daemon = Running::start(&mut understudy(&self.directory, "run"));
    }

    /// What a command says that asks its daemon.
    pub fn ask(&self, words: &[&str]) -> Said {
        let (what, arguments) = words.split_first().unwrap();
        run(understudy(&self.directory, what).args(arguments), b"")
    }

    /// What `understudy status` says, for whoever reads a failure.
    pub fn status(&self) -> String {
        run(&mut understudy(&self.directory, "status"), b"").out
    }

    /// What its daemon has said.
    pub fn said(&self) -> String {
        self.daemon.said()
    }
}

/// A running daemon.
#[track_caller]
fn daemon(directory: &Path) -> Running {
    let daemon = Running::start(&mut understudy(directory, "run"));
    daemon.wait_for("sender sends");
    daemon
}

/// The program for a node whose files are in `directory`.
fn understudy(directory: &Path, what: &str) -> Command {
    let mut command = Command::new(UNDERSTUDY);
    command.args([what, "--config"]).arg(directory.join("understudy.toml"));
    command
}
