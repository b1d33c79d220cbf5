//! Failover between running daemons with real Nagios 4: by the master's heartbeat, by order, and by event handlers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use control::status::Failover;
use failover::machine::Flag;
use support::master::{Master, Options};
use support::nagios4::{Nagios4, Objects};
use support::process::{Running, UNDERSTUDY};
use support::site::{Said, run};
use support::standby::{self, PASSWORD, write_secret};
use support::wait;
use tempfile::TempDir;

/// What the tests' cores have as `status_update_interval`.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// A core that neither checks nor notifies until it is told to.
const SILENT: &str = "execute_service_checks=0\nexecute_host_checks=0\nuse_retained_program_state=0\n";

/// A standby: a silent core, and a daemon with `[failover]`. Dropped in this order.
struct Standby {
    daemon: Running,
    core: Nagios4,
    address: SocketAddr,
    directory: TempDir,
}

impl Standby {
    /// `failover` are lines for its section.
    #[track_caller]
    fn start(failover: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let core = start_core(directory.path(), SILENT);
        let path = directory.path().display();
        write_secret(
            &directory.path().join("standby.toml"),
            &format!(
                "[node]\nname = \"standby\"\nstate_directory = \"{path}/state\"\n\
                 control_socket = \"{path}/control.sock\"\n[core]\nmain_config = \"{}\"\n\
                 [[receiver.listener]]\naddress = \"127.0.0.1:0\"\npassword = \"{PASSWORD}\"\n\
                 encryption = \"rijndael-128\"\n\
                 [failover]\nrole = \"standby\"\ninterval = \"1s\"\nsuccesses_to_hand_back = 2\n{failover}",
                core.main_config().display()
            ),
        );
        let (daemon, address) = standby::run(&mut standby::Standby::command(directory.path()));
        Standby { daemon, core, address, directory }
    }

    /// Runs `understudy` for this node.
    #[track_caller]
    fn understudy(&self, args: &[&str]) -> Said {
        run(Command::new(UNDERSTUDY).args(args).arg("--config").arg(self.directory.path().join("standby.toml")), b"")
    }

    /// The same; it has to succeed. What it says.
    #[track_caller]
    fn does(&self, args: &[&str]) -> String {
        let said = self.understudy(args);
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.out
    }

    #[track_caller]
    fn status(&self) -> control::Status {
        serde_json::from_str(&self.does(&["status", "--json"])).unwrap()
    }

    #[track_caller]
    fn failover(&self) -> Failover {
        self.status().failover.unwrap()
    }

    #[track_caller]
    fn wait_for_state(&self, state: &str) {
        wait::until(state, || (self.failover().state == state).then_some(()));
    }

    /// Waits until checks and notifications of its core are all on, or off.
    #[track_caller]
    fn wait_for_switches(&self, on: bool) {
        wait::until(&format!("switches {on}"), || are(&self.core, &ALL, on).then_some(()));
    }
}

const ALL: [Flag; 3] = [Flag::ServiceChecks, Flag::HostChecks, Flag::Notifications];

fn are(core: &Nagios4, flags: &[Flag], on: bool) -> bool {
    let shown = failover::flags::read(&core.status_file()).ok().flatten();
    shown.is_some_and(|shown| flags.iter().all(|flag| shown.flags.get(flag) == Some(&on)))
}

#[track_caller]
fn start_core(directory: &Path, settings: &str) -> Nagios4 {
    let check = directory.join("check.sh");
    fs::write(&check, "echo well\n").unwrap();
    Nagios4::start(directory, &Objects { hosts: 1, services_per_host: 1, check, interval: 60 }, settings, &[])
}

/// A master with a core and a daemon that takes part in failover.
fn master(directory: &Path, core: &Nagios4, standby: SocketAddr) -> (Master, Running) {
    let lines = format!("address = \"{standby}\"\nencryption = \"rijndael-128\"");
    let core = core.main_config();
    assert!(core.starts_with(directory));
    let master = Master::with(&Options {
        sender: &format!("[core]\nmain_config = \"{}\"\n[failover]\nrole = \"master\"", core.display()),
        destinations: &[("standby", &lines)],
        ..Options::default()
    });
    let daemon = master.start();
    (master, daemon)
}

#[test]
fn a_standby_takes_over_when_the_masters_heartbeat_says_that_its_core_died_and_hands_back_when_it_lives() {
    let standby = Standby::start("[failover.heartbeat]\nnode = \"master\"\n");
    let directory = TempDir::new().unwrap();
    let core = start_core(directory.path(), "use_retained_program_state=0\n");
    let (_master, _sender) = master(directory.path(), &core, standby.address);

    // It would do so after fail_open in any case, but that is longer than this waits.
    let notifies = |core: &Nagios4| are(core, &[Flag::Notifications], true).then_some(());
    wait::until("the master's notifications: the standby says that it is off stage", || notifies(&core));
    wait::until("the heartbeat", || (standby.failover().heartbeat.as_deref() == Some("alive")).then_some(()));
    standby.wait_for_switches(false);

    // With its workers: one of them would go on reading the command file.
    drop(core);
    let killed = Instant::now();
    standby.wait_for_switches(true);
    assert!(killed.elapsed() < Duration::from_secs(5) + 2 * STATUS_INTERVAL, "{:?}", killed.elapsed());
    let status = standby.status();
    assert!(status.warnings.iter().any(|warning| warning.contains("active")), "{:?}", status.warnings);

    // The master's daemon learns that the standby is on stage, and keeps the core silent until it is not.
    let core = start_core(directory.path(), "use_retained_program_state=0\n");
    standby.wait_for_switches(false);
    wait::until("the master's notifications: the standby handed back", || notifies(&core));
    standby.wait_for_state("standby");
}

#[test]
fn the_operator_moves_a_standby_and_holds_it() {
    let mut standby = Standby::start("");
    standby.wait_for_switches(false);

    let said = standby.does(&["takeover", "a new disk for the master"]);
    assert!(said.contains("held"), "{said}");
    standby.wait_for_switches(true);
    let status = standby.status();
    assert!(status.warnings.iter().any(|warning| warning.contains("a new disk")), "{:?}", status.warnings);
    let again = standby.understudy(&["takeover"]);
    assert!(again.code == Some(1) && again.err.contains("held already"), "{again:?}");

    standby.does(&["hand-back"]);
    standby.wait_for_switches(false);
    standby.wait_for_state("standby");
    standby.does(&["release"]);
    assert_eq!(standby.failover().hold, None);

    standby.does(&["hold", "let me see"]);
    standby.does(&["event", "service", "CRITICAL", "HARD"]);
    assert_eq!(standby.failover().state, "standby", "it is held");
    let text = standby.does(&["status"]);
    assert!(text.contains("held") && text.contains("let me see"), "{text}");
    // A hold survives the daemon.
    standby.daemon.terminate();
    (standby.daemon, standby.address) = standby::run(&mut standby::Standby::command(standby.directory.path()));
    assert_eq!(standby.failover().hold.unwrap().reason, "let me see");
    standby.does(&["release"]);
}

#[test]
fn event_handlers_move_a_standby_with_its_daemon_and_without() {
    let mut standby = Standby::start("");
    standby.wait_for_switches(false);
    standby.does(&["event", "service", "CRITICAL", "SOFT"]);
    assert_eq!(standby.failover().state, "standby");
    standby.does(&["event", "service", "CRITICAL", "HARD"]);
    standby.wait_for_switches(true);
    standby.does(&["event", "service", "OK", "HARD"]);
    standby.wait_for_switches(false);
    let nonsense = standby.understudy(&["event", "host", "SIDEWAYS", "HARD"]);
    assert!(nonsense.code == Some(64) && nonsense.err.contains("UP"), "{nonsense:?}");

    assert!(standby.daemon.terminate().success());
    let said = standby.does(&["event", "host", "DOWN", "HARD"]);
    assert!(said.contains("no daemon runs") && said.contains("ENABLE_NOTIFICATIONS"), "{said}");
    standby.wait_for_switches(true);
    standby.does(&["event", "host", "UP", "HARD"]);
    standby.wait_for_switches(false);
    let refused = standby.understudy(&["takeover"]);
    assert!(refused.code == Some(1) && refused.err.contains("is it running"), "{refused:?}");
}

#[test]
fn a_daemon_without_failover_refuses_orders_and_says_why() {
    let standby = standby::Standby::start(&standby::Options::default());
    let config: PathBuf = standby.directory.path().join("standby.toml");
    let said = run(Command::new(UNDERSTUDY).arg("takeover").arg("--config").arg(config), b"");
    assert!(said.code == Some(1) && said.err.contains("[failover]"), "{said:?}");
}
