//! A node: a core, a configuration, and a controller.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use config::Config;
use failover::{Controller, Direct, Status, Surroundings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::core::Core;
use crate::process::until;

pub struct Site {
    pub core: Core,
    config: Config,
    controller: Option<Controller>,
    runtime: Runtime,
    directory: TempDir,
}

impl Site {
    /// A standby whose core has these settings; `failover` are lines of its section.
    pub fn new(settings: &str, failover: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let core = Core::new(&directory.path().join("core"), settings);
        let text = format!(
            "[node]\nname = \"standby\"\nstate_directory = \"{}\"\n[core]\nmain_config = \"{}\"\n\
             [receiver]\n[[receiver.listener]]\naddress = \"127.0.0.1:0\"\npassword = \"hush\"\n\
             [failover]\nrole = \"standby\"\ninterval = \"1s\"\n{failover}",
            directory.path().join("state").display(),
            core.main_config().display()
        );
        let file = directory.path().join("understudy.toml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let config = Config::read(&file).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Site { core, config, controller: None, runtime, directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the controller.
    pub fn start(&mut self) {
        self.start_beside(Surroundings::default());
    }

    /// Starts the controller with what else the node knows.
    pub fn start_beside(&mut self, surroundings: Surroundings) {
        let failover = self.config.failover.as_ref().unwrap();
        let core = self.config.core.as_ref().unwrap();
        let issue = Box::new(Direct::new(failover.command_file.clone()));
        let _inside = self.runtime.enter();
        let started = Controller::start(failover, &self.config.node, core, issue, surroundings);
        self.controller = Some(started.unwrap());
    }

    /// To start tasks in.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Ends the controller as kill -9 does: nothing is written any more.
    pub fn kill(&mut self) {
        drop(self.controller.take().unwrap());
    }

    pub fn status(&self) -> Status {
        self.ask(async |handle| handle.status().await).unwrap()
    }

    /// Asks the controller, and waits for its answer.
    pub fn ask<T>(&self, question: impl AsyncFnOnce(failover::Handle) -> T) -> T {
        let handle = self.controller.as_ref().unwrap().handle();
        self.runtime.block_on(question(handle))
    }

    /// Waits until the status is as wanted.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        until(what, || {
            let status = self.status();
            wanted(&status).then_some(status)
        })
    }
}

/// How many lines a file has.
pub fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}
