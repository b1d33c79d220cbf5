//! `pid_file`: one daemon per file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::identity::Identity;

/// The longest pid file that is read, in bytes.
const MAX_BYTES: u64 = 64;

/// The file names a process that lives.
#[derive(Debug, thiserror::Error)]
#[error("There's already an NSCA server running (PID {0}).  Bailing out...")]
pub(super) struct AlreadyRunning(Pid);

/// A pid file that this process has written.
pub(super) struct PidFile {
    path: PathBuf,
}

/// Refuses to start beside the process that the file at `path` names.
///
/// After a crash the file may name a process of the past, and in a container, where pids repeat, even this one.
pub(super) fn refuse_if_running(path: &Path) -> Result<(), AlreadyRunning> {
    match named_in(path) {
        Some(pid) if pid != Pid::this() && is_alive(pid) => Err(AlreadyRunning(pid)),
        Some(_) | None => Ok(()),
    }
}

fn named_in(path: &Path) -> Option<Pid> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

fn is_alive(pid: Pid) -> bool {
    // Without a signal, kill(2) only looks whether it could send one.
    matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

impl PidFile {
    /// Writes this process's pid. Where that fails, the log says so, and the daemon goes on, as the original does.
    pub(super) fn write(path: &Path, owner: &Identity) -> Option<PidFile> {
        match write(path, owner) {
            Ok(()) => Some(PidFile { path: path.to_owned() }),
            Err(error) => {
                tracing::error!(%error, "Cannot write to pidfile '{}' - check your privileges.", path.display());
                None
            }
        }
    }

    /// Removes it. After a chroot or a change of user, that may be out of reach.
    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "Cannot remove pidfile '{}' - check your privileges.", self.path.display());
        }
    }
}

/// The directory may belong to somebody else than the root that writes here: so no link is followed.
fn write(path: &Path, owner: &Identity) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    owner.own(&file)?;
    file.write_all(format!("{}\n", Pid::this()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nsca.pid");
        fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn a_living_process_is_not_started_beside() {
        let parent = Pid::parent();
        let (_directory, path) = file_with(&format!("{parent}\n"));
        let refused = refuse_if_running(&path).unwrap_err().to_string();
        assert_eq!(refused, format!("There's already an NSCA server running (PID {parent}).  Bailing out..."));
    }

    #[test]
    fn a_stale_file_is_no_obstacle() {
        for text in [&Pid::this().to_string(), "2147483647", "-1", "0", "rubbish", ""] {
            let (_directory, path) = file_with(text);
            assert!(refuse_if_running(&path).is_ok(), "{text}");
            let pid_file = PidFile::write(&path, &Identity::default()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", Pid::this()));
            pid_file.remove();
            assert!(!path.exists());
        }
        assert!(refuse_if_running(Path::new("/nonexistent/nsca.pid")).is_ok());
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let (directory, path) = file_with("precious");
        let link = directory.path().join("link.pid");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(PidFile::write(&link, &Identity::default()).is_some());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
