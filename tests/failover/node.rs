//! A node: a core, and a daemon with `[failover]`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use control::status::Failover;
use ocsp::handover::HandOver;
use tempfile::TempDir;

use crate::SOON;
use crate::core::Core;
use crate::support::master::{deliver, kill};
use crate::support::process::{Running, UNDERSTUDY};
use crate::support::site::{Said, free_port, run};
use crate::support::standby::{PASSWORD, write_secret};
use crate::support::wait::until_within;

/// One machine of a pair. Its daemon ends before its core.
pub struct Node {
    pub daemon: Option<Running>,
    pub core: Core,
    /// Where its receiver listens; a master has none.
    pub address: Option<SocketAddr>,
    directory: TempDir,
}

impl Node {
    /// A standby whose core neither checks nor notifies until it is told to; `failover` are lines for its section. Both run.
    #[track_caller]
    pub fn standby(failover: &str) -> Self {
        let mut node = Node::standby_that_waits("", failover);
        node.core.start();
        node.start();
        node
    }

    /// The same with `settings` for its core; nothing runs.
    #[track_caller]
    pub fn standby_that_waits(settings: &str, failover: &str) -> Self {
        Node::standby_at_defaults(settings, &format!("interval = \"1s\"\n{failover}"))
    }

    /// The same; whatever is not in `failover` is as by default.
    #[track_caller]
    pub fn standby_at_defaults(settings: &str, failover: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let core = Core::new(&directory.path().join("core"), settings);
        // Named beforehand, so that it is the same after a restart.
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let node = Node { daemon: None, core, address: Some(address), directory };
        node.configure(&format!(
            "[[receiver.listener]]\naddress = \"{address}\"\npassword = \"{PASSWORD}\"\nencryption = \"rijndael-128\"\n\
             [failover]\nrole = \"standby\"\n{failover}"
        ));
        node
    }

    /// A master that sends to `standby`, with `settings` for its core; nothing runs. `more` are sections and lines, as
    /// `[failover]\nrole = "master"`.
    #[track_caller]
    pub fn master(standby: SocketAddr, settings: &str, more: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let core = Core::new(&directory.path().join("core"), settings);
        let node = Node { daemon: None, core, address: None, directory };
        let path = node.path("");
        node.configure(&format!(
            "[sender]\nsocket = \"{0}/ocsp.sock\"\nspill = \"{0}/spill\"\n\
             [[sender.destination]]\nname = \"standby\"\naddress = \"{standby}\"\npassword = \"{PASSWORD}\"\n\
             encryption = \"rijndael-128\"\n{more}",
            path.display()
        ));
        node
    }

    /// Writes its configuration: `[node]` and `[core]`, and `sections`.
    pub fn configure(&self, sections: &str) {
        let name = if self.address.is_some() { "standby" } else { "master" };
        let path = self.directory.path().display();
        std::fs::create_dir_all(self.path("state")).unwrap();
        write_secret(
            &self.config(),
            &format!(
                "[node]\nname = \"{name}\"\nstate_directory = \"{path}/state\"\n\
                 control_socket = \"{path}/control.sock\"\n[core]\nmain_config = \"{}\"\n{sections}",
                self.core.main_config().display()
            ),
        );
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("understudy.toml")
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the daemon, and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.daemon.is_none(), "it runs");
        let daemon = Running::start(Command::new(UNDERSTUDY).arg("run").arg("--config").arg(self.config()));
        self.daemon = Some(daemon);
        until_within(SOON, "the daemon's answer", || (self.understudy(&["status"]).code == Some(0)).then_some(()));
    }

    /// Ends the daemon as kill -9 does.
    #[track_caller]
    pub fn kill(&mut self) {
        kill(self.daemon.take().expect("it runs"));
    }

    /// Ends the daemon as an init system does, for an upgrade say.
    #[track_caller]
    pub fn stop(&mut self) {
        assert!(self.daemon.take().expect("it runs").terminate().success());
    }

    /// Hands a result over to its sender, as its core does.
    #[track_caller]
    pub fn deliver(&self, handover: &HandOver) {
        deliver(self.directory(), handover);
    }

    /// Runs `understudy` for this node.
    #[track_caller]
    pub fn understudy(&self, args: &[&str]) -> Said {
        run(Command::new(UNDERSTUDY).args(args).arg("--config").arg(self.config()), b"")
    }

    /// The same; it has to succeed. What it says.
    #[track_caller]
    pub fn does(&self, args: &[&str]) -> String {
        let said = self.understudy(args);
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.out
    }

    #[track_caller]
    pub fn status(&self) -> control::Status {
        serde_json::from_str(&self.does(&["status", "--json"])).unwrap()
    }

    #[track_caller]
    pub fn failover(&self) -> Failover {
        self.status().failover.unwrap()
    }

    /// Waits until its role is played in this state.
    #[track_caller]
    pub fn wait_for_state(&self, state: &str) -> Failover {
        self.wait_for(state, |failover| failover.state == state)
    }

    /// Waits until the status is as wanted.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Failover) -> bool) -> Failover {
        until_within(SOON, what, || {
            let failover = self.failover();
            wanted(&failover).then_some(failover)
        })
    }
}
