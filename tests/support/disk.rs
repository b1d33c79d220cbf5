//! A small disk that a test can fill.
//!
//! It is a tmpfs in a mount namespace of its own: only programs that are started on it see it, and it goes with them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use super::process::Running;
use super::wait;

/// What is written at a time to fill it, from much to little.
const FILLER_BYTES: [usize; 2] = [1 << 20, 4 << 10];

/// A mounted disk.
pub struct Disk {
    /// Keeps the namespace.
    holder: Running,
    place: PathBuf,
}

impl Disk {
    /// Mounts a disk of so many MiB over the directory `place`.
    #[track_caller]
    pub fn mount(place: &Path, mib: usize) -> Self {
        let script = format!(
            "mount -t tmpfs -o size={mib}m,mode=700 tmpfs '{}' && echo mounted && exec sleep infinity",
            place.display()
        );
        let mut command = Command::new("unshare");
        if !Uid::effective().is_root() {
            command.arg("--map-root-user");
        }
        let mut holder = Running::start(command.args(["--mount", "sh", "-c", &script]));
        let mounted = wait::until("a small disk", || {
            let mounted = holder.said().contains("mounted\n");
            (mounted || !holder.is_running()).then_some(mounted)
        });
        assert!(mounted, "this test needs a tmpfs: run it as root, or allow user namespaces: {}", holder.said());
        Disk { holder, place: place.to_owned() }
    }

    /// The same command, run where the disk is mounted.
    pub fn command(&self, command: &Command) -> Command {
        let mut entering = Command::new("nsenter");
        if !Uid::effective().is_root() {
            entering.args(["--user", "--preserve-credentials"]);
        }
        entering.args(["--mount", "--target", &self.holder.pid().to_string(), "--"]);
        entering.arg(command.get_program()).args(command.get_args());
        entering
    }

    /// Where this process finds a file on the disk.
    pub fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.pid()));
        root.join(self.place.strip_prefix("/").unwrap()).join(name)
    }

    /// Leaves no room.
    pub fn fill(&self) {
        let mut filler = File::create(self.path("filler")).unwrap();
        for bytes in FILLER_BYTES {
            let zeros = vec![0; bytes];
            while filler.write_all(&zeros).is_ok() {}
        }
    }

    /// Makes room again.
    pub fn free(&self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }
}
