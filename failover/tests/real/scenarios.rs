//! The documentation's two scenarios.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use config::Config;
use failover::event::Kind;
use failover::machine::State;
use failover::verdict::{CoreFiles, Watch};
use failover::{Heard, Surroundings};
use tokio::sync::watch;

use crate::core::Core;
use crate::process::{Running, until};
use crate::site::Site;

const NRPE: &str = "/usr/sbin/nrpe";
const PLUGINS: &str = "/usr/lib/nagios/plugins";

/// A real nrpe on a port of its own, which runs check_nagios on `core`.
fn nrpe(directory: &Path, core: &Core) -> (Running, u16) {
    assert!(Path::new(NRPE).exists(), "{NRPE} is missing: apt-get install nagios-nrpe-server");
    // Nobody else gets it: the system hands out ports in turn.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = directory.join("nrpe.cfg");
    // nrpe does not run as root; the directory must be open to whom it runs as.
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let check =
        format!("{PLUGINS}/check_nagios -F {} -e 1 -C {}", core.status_file().display(), core.main_config().display());
    fs::write(
        &file,
        format!(
            "server_address=127.0.0.1\nserver_port={port}\nallowed_hosts=127.0.0.1\nnrpe_user=nobody\n\
             nrpe_group=nogroup\npid_file={}\ncommand[check_nagios]={check}\n",
            directory.join("nrpe.pid").display()
        ),
    )
    .unwrap();
    let process = Running::start(Command::new(NRPE).arg("-c").arg(file).args(["-f", "-n"]));
    until("nrpe", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    (process, port)
}

fn check_nrpe(port: u16) -> String {
    format!(
        "[[failover.probe]]\nname = \"master process\"\n\
         command = [\"{PLUGINS}/check_nrpe\", \"-n\", \"-H\", \"127.0.0.1\", \"-p\", \"{port}\", \"-c\", \"check_nagios\"]\n\
         timeout = \"2s\"\n"
    )
}

#[test]
fn scenario_2_by_probe_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut master = Core::new(&directory.path().join("master"), "");
    master.start();
    let (nrpe, port) = nrpe(directory.path(), &master);
    let mut site =
        Site::new("", &format!("failures_to_take_over = 2\nsuccesses_to_hand_back = 2\n{}", check_nrpe(port)));
    site.core.start();
    site.start();
    site.wait_for("a probe that is well", |status| status.probes[0].state.as_deref() == Some("OK"));

    master.kill();
    let killed = Instant::now();
    let status = site.wait_for("the take-over", |status| status.state == State::Active);
    let bound = 2 * Duration::from_secs(2) + Duration::from_secs(2);
    assert!(killed.elapsed() < bound, "{:?}", killed.elapsed());
    assert!(status.why.contains("probes"), "{}", status.why);
    site.core.wait_for(true);

    master.start();
    site.wait_for("the hand-back", |status| status.state == State::Standby);
    site.core.wait_for(false);

    // The whole host goes.
    drop(nrpe);
    site.wait_for("the take-over", |status| status.state == State::Active);
    site.core.wait_for(true);
    let status = site.status();
    assert!(status.waits_for.is_some() && status.probes[0].output.contains("onnect"), "{status:?}");
}

#[test]
fn scenario_1_by_event_handlers() {
    let mut site = Site::new("", "mode = \"redundant\"\n");
    site.core.start();
    site.start();
    let event = |kind, state: &'static str, state_type: &'static str| {
        site.ask(async |handle| handle.event(kind, state, state_type).await).unwrap();
        site.status().state
    };
    assert_eq!(event(Kind::Host, "DOWN", "SOFT"), State::Standby);
    assert_eq!(event(Kind::Service, "WARNING", "HARD"), State::Standby);
    assert_eq!(event(Kind::Service, "UNKNOWN", "HARD"), State::Standby);
    assert_eq!(event(Kind::Host, "DOWN", "HARD"), State::Active);
    site.wait_for("notifications", |status| status.in_force);
    assert_eq!(event(Kind::Host, "UP", "HARD"), State::Active, "the host is up, its core may not be");
    assert!(site.status().waits_for.unwrap().contains("core lives"));
    event(Kind::Service, "OK", "HARD");
    site.wait_for("the hand-back", |status| status.state == State::Standby && status.in_force);
}

/// The heartbeat is what the master's own node sees of its core, once a second.
#[test]
fn a_heartbeat_tells_a_crash_within_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let mut master = Core::new(&directory.path().join("master"), "");
    master.start();
    let file = directory.path().join("master.toml");
    fs::write(&file, format!("[core]\nmain_config = {:?}\n[failover]\nrole = \"master\"\n", master.main_config()))
        .unwrap();
    let files = CoreFiles::new(Config::read(&file).unwrap().core.as_ref().unwrap());

    let mut site = Site::new("", "successes_to_hand_back = 2\n[failover.heartbeat]\nnode = \"master\"\n");
    site.core.start();
    let (heartbeats, heartbeat) = watch::channel(None);
    let beating = site.runtime().spawn(async move {
        let watch = Watch::start(files);
        let mut beats = tokio::time::interval(Duration::from_secs(1));
        while !heartbeats.is_closed() {
            beats.tick().await;
            let core = *watch.verdicts().borrow();
            heartbeats.send_replace(Some(Heard::Alive { at: Instant::now(), core }));
        }
    });
    site.start_beside(Surroundings { heartbeat: Some(heartbeat), ..Surroundings::default() });
    site.wait_for("a live master", |status| status.heartbeat == Some("alive"));

    master.kill();
    let killed = Instant::now();
    let status = site.wait_for("the take-over", |status| status.state == State::Active);
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    assert!(status.why.contains("crashed"), "{}", status.why);
    site.core.wait_for(true);

    master.start();
    site.wait_for("the hand-back", |status| status.state == State::Standby);
    site.core.wait_for(false);

    // In order, as for a new configuration.
    master.stop();
    site.wait_for("the stop", |status| status.heartbeat == Some("dead (clean)"));
    master.start();
    let status = site.wait_for("a live master", |status| status.heartbeat == Some("alive"));
    assert_ne!(status.state, State::Active);
    beating.abort();
}
