//! A receiver of `understudy run` with a command file in a directory of its own.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::{Running, UNDERSTUDY};
use super::wait;

/// The password of all tests that do not want another.
pub const PASSWORD: &str = "correct horse battery staple";

/// A running receiver.
pub struct Standby {
    pub directory: TempDir,
    pub daemon: Running,
    pub address: SocketAddr,
}

/// Starts a receiver and waits until it listens.
#[track_caller]
pub fn run(command: &mut Command) -> (Running, SocketAddr) {
    let daemon = Running::start(command);
    daemon.wait_for("receiver listens");
    let address = wait::until("the bound address", || Standby::listening_address(&daemon.said()));
    (daemon, address)
}

/// What a test wants to be different.
pub struct Options<'a> {
    /// Lines for `[core]`.
    pub core: &'a str,
    /// Lines for `[receiver]`.
    pub receiver: &'a str,
    /// Lines for `[[receiver.listener]]`.
    pub listener: &'a str,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { core: "", receiver: "", listener: "encryption = \"rijndael-128\"" }
    }
}

impl Standby {
    /// Starts a receiver. Its command file is `nagios.cmd` in the directory, and does not exist yet.
    #[track_caller]
    pub fn start(options: &Options<'_>) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().display();
        let Options { core, receiver, listener } = options;
        write_secret(
            &directory.path().join("standby.toml"),
            &format!(
                "[node]\nname = \"standby\"\nstate_directory = \"{path}/state\"\n\
                 control_socket = \"{path}/control.sock\"\n\
                 [core]\n{core}\ncommand_file = \"{path}/nagios.cmd\"\ncheck_result_path = \"{path}/checkresults\"\n\
                 [receiver]\n{receiver}\n\
                 [[receiver.listener]]\naddress = \"127.0.0.1:0\"\npassword = \"{PASSWORD}\"\n{listener}\n"
            ),
        );
        let (daemon, address) = run(&mut Standby::command(directory.path()));
        Standby { directory, daemon, address }
    }

    /// The command that runs it.
    pub fn command(directory: &Path) -> Command {
        let mut command = Command::new(UNDERSTUDY);
        command.arg("run").arg("--config").arg(directory.join("standby.toml"));
        command
    }

    /// Kills it if it still runs, and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        if self.daemon.is_running() {
            self.daemon.signal(nix::sys::signal::Signal::SIGKILL);
            self.daemon.wait();
        }
        (self.daemon, self.address) = run(&mut Standby::command(self.directory.path()));
    }

    /// Stops it in order, and starts it again as on a full disk: its files cannot grow. A limit on the size of files is what a
    /// test without rights has for that.
    #[track_caller]
    pub fn restart_without_room(&mut self) {
        self.daemon.terminate();
        let mut limited = Command::new("/bin/sh");
        limited.args(["-c", "trap '' XFSZ; ulimit -S -f 0; exec \"$@\"", "sh"]);
        let command = Standby::command(self.directory.path());
        limited.arg(command.get_program()).args(command.get_args());
        (self.daemon, self.address) = run(&mut limited);
    }

    /// Lets its files grow again.
    #[track_caller]
    pub fn make_room(&self) {
        let pid = self.daemon.pid().to_string();
        let lifted = Command::new("prlimit").args(["--fsize=unlimited:unlimited", "--pid", &pid]).status();
        assert!(lifted.unwrap().success());
    }

    /// The address that a daemon's log says it listens on.
    pub fn listening_address(said: &str) -> Option<SocketAddr> {
        let line = said.lines().find(|line| line.contains("receiver listens"))?;
        line.split_once("address=")?.1.split_whitespace().next()?.parse().ok()
    }

    pub fn command_file(&self) -> PathBuf {
        self.directory.path().join("nagios.cmd")
    }
}

/// Writes a file that only its owner can read.
pub fn write_secret(path: &Path, content: &str) -> PathBuf {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_owned()
}
