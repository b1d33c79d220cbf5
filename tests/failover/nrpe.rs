//! A real nrpe that runs the real check_nagios on a core, and the probe that asks it.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::SOON;
use crate::core::Core;
use crate::support::process::Running;
use crate::support::site::free_port;
use crate::support::wait::until_within;

const NRPE: &str = "/usr/sbin/nrpe";

/// Where Debian has the plugins.
pub const PLUGINS: &str = "/usr/lib/nagios/plugins";

/// The time-out of the documented probe.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// An nrpe with a port of its own.
pub struct Nrpe {
    pub port: u16,
    process: Option<Running>,
    directory: PathBuf,
    check_nagios: String,
}

impl Nrpe {
    /// Starts one that watches `core`. Its files are in `directory`.
    #[track_caller]
    pub fn start(directory: &Path, core: &Core) -> Self {
        assert!(Path::new(NRPE).exists(), "{NRPE} is missing: apt-get install nagios-nrpe-server");
        // nrpe does not run as root; the directory must be open to whom it runs as.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        let (status_file, main_config) = (core.status_file(), core.main_config());
        let check_nagios =
            format!("{PLUGINS}/check_nagios -F {} -e 1 -C {}", status_file.display(), main_config.display());
        let mut nrpe = Nrpe { port: free_port(), process: None, directory: directory.to_owned(), check_nagios };
        nrpe.launch();
        nrpe
    }

    /// Starts it again.
    #[track_caller]
    pub fn launch(&mut self) {
        self.launch_with(&self.check_nagios.clone());
    }

    /// Starts it, and for check_nagios it runs `command`.
    #[track_caller]
    pub fn launch_with(&mut self, command: &str) {
        assert!(self.process.is_none(), "it runs");
        let (file, pid_file) = (self.directory.join("nrpe.cfg"), self.directory.join("nrpe.pid"));
        fs::write(
            &file,
            format!(
                "server_address=127.0.0.1\nserver_port={}\nallowed_hosts=127.0.0.1\nnrpe_user=nobody\n\
                 nrpe_group=nogroup\npid_file={}\ncommand[check_nagios]={command}\n",
                self.port,
                pid_file.display()
            ),
        )
        .unwrap();
        self.process = Some(Running::start(Command::new(NRPE).arg("-c").arg(&file).args(["-f", "-n"])));
        until_within(SOON, "nrpe", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Ends it, as a host does that is gone.
    pub fn kill(&mut self) {
        self.process = None;
    }
}

/// The documented probe, as lines of a standby's configuration.
pub fn check_nrpe(port: u16) -> String {
    format!(
        "[[failover.probe]]\nname = \"master process\"\n\
         command = [\"{PLUGINS}/check_nrpe\", \"-n\", \"-H\", \"127.0.0.1\", \"-p\", \"{port}\", \"-c\", \"check_nagios\"]\n\
         timeout = \"{}s\"\n",
        PROBE_TIMEOUT.as_secs()
    )
}
