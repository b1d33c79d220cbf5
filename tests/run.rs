//! `understudy run` and `understudy config check`: what an administrator and systemd see.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output};

use nsca::{Method, Secret};
use support::client::{Client, End, secret};
use support::fifo::Recorder;
use support::process::{Running, UNDERSTUDY};
use support::site::free_port;
use support::standby::{Options, PASSWORD, Standby, write_secret};
use support::wait;
use tempfile::TempDir;

/// A configuration in a directory of its own; `DIR` in it stands for the directory.
fn write_config(directory: &TempDir, toml: &str) -> PathBuf {
    let text = toml.replace("DIR", directory.path().to_str().unwrap()).replace("PASSWORD", PASSWORD);
    write_secret(&directory.path().join("understudy.toml"), &text)
}

fn run(config: &PathBuf) -> Command {
    let mut command = Command::new(UNDERSTUDY);
    command.args(["run", "--config"]).arg(config);
    command
}

fn check(config: &PathBuf) -> Output {
    Command::new(UNDERSTUDY).args(["config", "check", "--config"]).arg(config).output().unwrap()
}

const STANDBY: &str = "[node]\nname = \"standby\"\nstate_directory = \"DIR/state\"\n\
    control_socket = \"DIR/control.sock\"\n[core]\ncommand_file = \"DIR/nagios.cmd\"\n[[receiver.listener]]\n\
    address = \"127.0.0.1:0\"\npassword = \"PASSWORD\"\n";

#[test]
fn systemd_is_told_of_readiness_life_and_end() {
    let directory = TempDir::new().unwrap();
    let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(wait::SOON)).unwrap();
    let port = free_port();
    let toml = STANDBY.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let mut daemon = Running::start(
        run(&write_config(&directory, &toml))
            .env("NOTIFY_SOCKET", directory.path().join("notify"))
            .env("WATCHDOG_USEC", "200000"),
    );
    let hear = || {
        let mut buffer = [0; 4096];
        let n = wait::uninterrupted(|| socket.recv(&mut buffer)).expect("systemd was not told in time");
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    let first = hear();
    assert!(first.lines().any(|line| line == "READY=1"), "{first}");
    TcpStream::connect(("127.0.0.1", port)).expect("it was ready before it listened");
    assert_eq!(hear().trim(), "WATCHDOG=1");
    assert_eq!(hear().trim(), "WATCHDOG=1", "the watchdog is fed again and again");
    assert_eq!(daemon.terminate().code(), Some(0));
    wait::until("STOPPING=1", || hear().contains("STOPPING=1").then_some(()));
}

#[test]
fn every_listener_has_its_own_address_method_and_password() {
    let directory = TempDir::new().unwrap();
    let core = Recorder::start(&directory.path().join("nagios.cmd"));
    let toml = format!(
        "{STANDBY}[[receiver.listener]]\naddress = \"[::1]:0\"\nencryption = \"xor\"\npassword = \"another\"\n\
         [[receiver.listener]]\naddress = \"[::]:0\"\nencryption = 8\npassword = \"PASSWORD\"\n"
    );
    let daemon = Running::start(&mut run(&write_config(&directory, &toml)));
    let addresses = wait::until("three addresses", || {
        let addresses = bound_addresses(&daemon);
        (addresses.len() == 3).then_some(addresses)
    });
    let wildcard_over_ipv4 = SocketAddr::from(([127, 0, 0, 1], addresses[2].port()));
    let blowfish = Secret::new(Method::Blowfish, PASSWORD.as_bytes());
    for (n, (address, secret)) in
        [(addresses[0], secret()), (addresses[1], Secret::new(Method::Xor, b"another")), (wildcard_over_ipv4, blowfish)]
            .into_iter()
            .enumerate()
    {
        let mut client = Client::connect_with(address, secret);
        client.send("host", "service", &format!("listener {n}"));
        assert_eq!(client.end(), End::Clean, "{address}");
        core.wait_for(n + 1);
    }
    let expected = [0, 1, 2].map(|n| format!("PROCESS_SERVICE_CHECK_RESULT;host;service;0;listener {n}"));
    assert_eq!(core.commands(), expected);
}

fn bound_addresses(daemon: &Running) -> Vec<SocketAddr> {
    let said = daemon.said();
    let lines = said.lines().filter(|line| line.contains("receiver listens"));
    lines.map(|line| line.split_once("address=").unwrap().1.trim().parse().unwrap()).collect()
}

#[test]
fn results_can_go_through_the_check_result_directory() {
    let standby = Standby::start(&Options { receiver: "inject = \"check-results\"", ..Options::default() });
    let spool = standby.directory.path().join("checkresults");
    let mut client = Client::connect(standby.address);
    client.send("host", "service", "by file|a=1\nsecond line");
    assert_eq!(client.end(), End::Clean);
    // The core's directory is not there yet: the result waits.
    standby.daemon.wait_for("results wait");
    fs::create_dir(&spool).unwrap();
    let ready = wait::until("a check-result file with its .ok", || {
        let names = fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "ok"))
    });
    let text = fs::read_to_string(ready.with_extension("")).unwrap();
    for line in ["host_name=host", "service_description=service", "return_code=0", "output=by file|a=1\\nsecond line"] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn an_address_in_use_ends_the_daemon_with_a_hint() {
    let directory = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let toml = STANDBY.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    let mut daemon = Running::start(&mut run(&write_config(&directory, &toml)));
    assert_eq!(daemon.wait().code(), Some(1));
    daemon.wait_for("is a stock nsca or another understudy still running?");
}

#[test]
fn a_wrong_configuration_ends_both_commands_with_64_and_the_place() {
    let directory = TempDir::new().unwrap();
    let config = write_config(&directory, &STANDBY.replace("address", "adress"));
    let place = format!("{}:8:1: unknown field `adress`", config.display());
    let checked = check(&config);
    assert_eq!(checked.status.code(), Some(64));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.starts_with(&place), "{said}");
    let mut daemon = Running::start(&mut run(&config));
    assert_eq!(daemon.wait().code(), Some(64));
    daemon.wait_for(&place);
}

#[test]
fn a_wrong_command_line_ends_with_64_and_help_with_0() {
    let ends = |args: &[&str]| Command::new(UNDERSTUDY).args(args).output().unwrap();
    for wrong in [&["rnu"][..], &["run", "--confg", "x"], &["config"], &[]] {
        assert_eq!(ends(wrong).status.code(), Some(64), "{wrong:?}");
    }
    for right in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let said = ends(right);
        assert_eq!(said.status.code(), Some(0), "{right:?}");
        assert!(!said.stdout.is_empty());
    }
}

/// Nothing is bound or created by a check, and what the core lacks is named.
#[test]
fn config_check_says_what_would_run_and_what_the_core_lacks() {
    let directory = TempDir::new().unwrap();
    let main_config = directory.path().join("nagios.cfg");
    fs::write(&main_config, "command_file=nagios.cmd\nstatus_file=status.dat\ncheck_external_commands=0\n").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let toml = STANDBY
        .replace("command_file = \"DIR/nagios.cmd\"", "main_config = \"DIR/nagios.cfg\"")
        .replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string())
        + "[sender]\nsocket = \"DIR/ocsp.sock\"\nspill = \"DIR/spill\"\nperfdata_fifo = \"DIR/perfdata.fifo\"\n\
           [[sender.destination]]\nname = \"standby\"\naddress = \"standby.example.org\"\nencryption = \"none\"\n";
    let checked = check(&write_config(&directory, &toml));
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    let fifo = directory.path().join("perfdata.fifo");
    for expected in [
        "listens",
        "rijndael-128",
        "standby.example.org:5667",
        &format!("{}/state/spool until they are delivered, at most 256 MiB", directory.path().display()),
        "flavour nagios4",
        "keeps what was accepted in",
        "warning: encryption = \"none\"",
        "check_external_commands=1",
        "process_performance_data=1",
        &format!("service_perfdata_file={}", fifo.display()),
        "service_perfdata_file_template=<us1:S>",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    assert!(!said.contains(PASSWORD));
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "a check has left something behind: {names:?}");
}

/// Every plugin is named, and every setting that the core of a standby lacks.
#[test]
fn config_check_names_the_plugins_of_a_standby_and_what_its_core_lacks() {
    let directory = TempDir::new().unwrap();
    let main_config = directory.path().join("nagios.cfg");
    let of_core = "command_file=nagios.cmd\nstatus_file=status.dat\n";
    let toml = STANDBY.replace("command_file = \"DIR/nagios.cmd\"", "main_config = \"DIR/nagios.cfg\"")
        + "[failover]\nrole = \"standby\"\nfailures_to_take_over = 4\ntake_over_when = \"any\"\n\
           [[failover.probe]]\nname = \"process\"\ncommand = [\"/bin/check\", \"secret\"]\ntimeout = \"7s\"\n\
           takes_over_on = [\"critical\", \"unknown\"]\n\
           [[failover.probe]]\nname = \"ping\"\ncommand = [\"/bin/check\"]\n\
           [[failover.witness]]\nname = \"gateway\"\ncommand = [\"/bin/check\"]\n";
    let says = |settings: &str| {
        fs::write(&main_config, format!("{of_core}{settings}\n")).unwrap();
        let checked = check(&write_config(&directory, &toml));
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        String::from_utf8(checked.stdout).unwrap()
    };
    let said = says("");
    for expected in [
        "probe \"process\" every 10s, for at most 7s, which fails when it is CRITICAL, UNKNOWN\n",
        "probe \"ping\" every 10s, for at most 10s, which fails when it is WARNING, CRITICAL, UNKNOWN\n",
        "any one probe has failed 4 times in a row",
        "witness is OK: \"gateway\" every 10s",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    assert!(!said.contains("secret"), "{said}");
    let wanted = [
        "enable_notifications=0",
        "execute_service_checks=0",
        "execute_host_checks=0",
        "use_retained_program_state=0",
        "passive_host_checks_are_soft=1",
        "check_service_freshness=0",
    ];
    for setting in wanted {
        assert_eq!(said.matches(&format!("advice: set {setting}")).count(), 1, "{setting} in\n{said}");
    }
    let memory = "retain_state_information=1\nstate_retention_file=retention.dat\nobject_cache_file=objects.cache";
    assert!(said.contains("advice: set retain_state_information=1"), "{said}");
    assert!(!says(&format!("{}\n{memory}", wanted.join("\n"))).contains("advice: set"));
}

/// Whether the core can be given what the master's remembers, and whether it tells, is known before it matters.
#[test]
fn config_check_says_what_is_in_the_way_of_a_memory() {
    let directory = TempDir::new().unwrap();
    let main_config = directory.path().join("nagios.cfg");
    let toml = STANDBY.replace("command_file = \"DIR/nagios.cmd\"", "main_config = \"DIR/nagios.cfg\"")
        + "[sender]\nsocket = \"DIR/ocsp.sock\"\nspill = \"DIR/spill\"\n\
           [[sender.destination]]\nname = \"master\"\naddress = \"127.0.0.1:1\"\npassword = \"PASSWORD\"\n\
           [failover]\nrole = \"standby\"\n[failover.heartbeat]\nnode = \"master\"\n";
    let says = |settings: &str| {
        fs::write(&main_config, format!("command_file=nagios.cmd\nstatus_file=status.dat\n{settings}\n")).unwrap();
        let checked = check(&write_config(&directory, &toml));
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        String::from_utf8(checked.stdout).unwrap()
    };
    let retained = "retain_state_information=1\nlog_notifications=0\n";
    fs::write(directory.path().join("objects.cache"), "define host {\n\tretain_status_information\t0\n\t}\n").unwrap();
    for (settings, expected) in [
        ("", "advice: set retain_state_information=1"),
        (retained, "advice: set state_retention_file"),
        (retained, "advice: set log_notifications=1"),
        ("object_cache_file=objects.cache", "advice: set retain_status_information=1 for the 1 hosts"),
        (
            "retain_state_information=1\nstate_retention_file=none/retention.dat",
            "advice: let this daemon's user write into",
        ),
        ("icinga_user=icinga\nretain_state_information=1\nstate_retention_file=r", "advice: set sync_retention_file"),
    ] {
        let said = says(settings);
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
}
