//! The directory in which master and standby live, side by side.
//!
//! ```text
//! understudy-ocsp            a link to the program, which is understudy-ocsp when it is called so
//! check.sh                   the plugin
//! notify.sh                  tells of a problem or recovery
//! master/  standby/          one node each:
//!   understudy.toml          sender here, receiver there
//!   core.cfg, nagios.cfg     the core's configuration, of the kind that runs
//!   core.cmd  status.dat     the core's command file and status file
//!   ocsp.sock  spill/        on the master
//!   checked  notified        what the core did: see diary
//!   core.log  understudy.log
//! ```

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::scenario;

/// Removed with everything in it when it goes out of scope.
pub(crate) struct Site {
    directory: TempDir,
    pub(crate) master: Node,
    pub(crate) standby: Node,
}

/// One of the two machines. Paths are texts, because they end up in configuration files.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: &'static str,
    directory: String,
}

impl Site {
    /// With a link to `program`.
    pub(crate) fn create(program: &Path) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("understudy-demo-").context("cannot create a temporary directory")?;
        let root = directory.path().to_str().context("TMPDIR is not UTF-8")?.to_owned();
        let node = |name| Node { name, directory: format!("{root}/{name}") };
        let site = Self { master: node("master"), standby: node("standby"), directory };
        site.fill(program).context("cannot fill the temporary directory")?;
        Ok(site)
    }

    fn fill(&self, program: &Path) -> std::io::Result<()> {
        for node in [&self.master, &self.standby] {
            for directory in ["", "spill", "checkresults", "archives"] {
                fs::create_dir(node.path(directory))?;
            }
        }
        symlink(program, self.ocsp_program())?;
        fs::write(self.check_script(), scenario::CHECK_SCRIPT)?;
        fs::write(self.notify_script(), scenario::NOTIFY_SCRIPT)
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn ocsp_program(&self) -> PathBuf {
        self.root().join("understudy-ocsp")
    }

    pub(crate) fn check_script(&self) -> PathBuf {
        self.root().join("check.sh")
    }

    pub(crate) fn notify_script(&self) -> PathBuf {
        self.root().join("notify.sh")
    }
}

impl Node {
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    pub(crate) fn command_file(&self) -> PathBuf {
        self.path("core.cmd").into()
    }

    pub(crate) fn status_file(&self) -> PathBuf {
        self.path("status.dat").into()
    }

    /// Every active check that its core ran.
    pub(crate) fn checked(&self) -> PathBuf {
        self.path("checked").into()
    }

    /// Every notification that its core sent.
    pub(crate) fn notified(&self) -> PathBuf {
        self.path("notified").into()
    }

    /// What its understudy says.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("understudy.log").into()
    }

    /// Writes a configuration file, for the owner's eyes only because it may hold a password.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = PathBuf::from(self.path(name));
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// A port that was free a moment ago. Another program may take it, so who binds it must be ready to try the next.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a port on 127.0.0.1")?;
    Ok(listener.local_addr().context("cannot ask for the port")?.port())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_site_comes_and_goes() {
        let site = Site::create(Path::new("/bin/true")).unwrap();
        let root = site.root().to_owned();
        assert_eq!(fs::read_link(site.ocsp_program()).unwrap(), Path::new("/bin/true"));
        let file = site.master.write("understudy.toml", "password").unwrap();
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o077, 0);
        drop(site);
        assert!(!root.exists());
    }
}
