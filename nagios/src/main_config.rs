//! The core's main configuration (`nagios.cfg`, `icinga.cfg`, `naemon.cfg`), as a source of paths, flags and flavour.
//!
//! ```text
//! # comment                      also after blanks; `;` too, which cores refuse
//! key = value                    blanks around both are trimmed; the value may hold `=`
//! key=a long \                   a backslash at the end continues the line,
//!     value                      without the blanks in front
//! cfg_file=…                     keys may come again; for most of them the last one counts
//! include_file=…                 Naemon: that file is read in this place
//! include_dir=…                  Naemon: all its *.cfg files, in the order of their names
//! ```
//!
//! Tried on Nagios 4.4.6, except for the includes. Values are bytes: nothing says that a path is UTF-8.
//!
//! **Invariant:** bounded: [`MAX_FILE_BYTES`] for each file, [`MAX_FILES`] files, [`MAX_DEPTH`] includes within each other.
//!
//! What a key is not set to is the core's default, which depends on how it was built: accessors return none for it.

mod file;
mod guess;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::flavour::Flavour;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// How many files a main configuration may consist of.
pub const MAX_FILES: usize = 1024;
/// How deep includes may be within each other.
pub const MAX_DEPTH: usize = 8;

/// What a core's main configuration says.
#[derive(Clone, Debug)]
pub struct MainConfig {
    path: Arc<Path>,
    settings: BTreeMap<String, Vec<Setting>>,
}

/// One `key=value`.
#[derive(Clone, Debug)]
struct Setting {
    value: Box<[u8]>,
    file: Arc<Path>,
    line: usize,
}

/// Why a main configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MainConfigError {
    /// A file cannot be read.
    #[error("cannot read the core's configuration {}: {source}", file.display())]
    Unreadable {
        /// The file or directory.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is no setting.
    #[error("{}, line {line}: neither a comment nor `key=value`", file.display())]
    NotASetting {
        /// The file.
        file: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// A file, or the number or depth of files, passes a limit.
    #[error("{}: {what}: is this the core's main configuration?", file.display())]
    TooMuch {
        /// The file.
        file: PathBuf,
        /// Which limit.
        what: &'static str,
    },
}

/// Documented accessors that all look up the key of their own name.
macro_rules! accessors {
    ($($(#[doc = $doc:literal])+ $key:ident: $type:ty = $how:ident;)+) => {
        impl MainConfig {
            $($(#[doc = $doc])+ pub fn $key(&self) -> Option<$type> { self.$how(stringify!($key)) })+
        }
    };
}

accessors! {
    /// The FIFO for external commands.
    command_file: PathBuf = path_of;
    /// The status file.
    status_file: PathBuf = path_of;
    /// The spool of check-result files.
    check_result_path: PathBuf = path_of;
    /// The file with the pid of a core that runs as a daemon.
    lock_file: PathBuf = path_of;
    /// The socket on which Nagios 4 and Naemon listen.
    query_socket: PathBuf = path_of;
    /// The log.
    log_file: PathBuf = path_of;
    /// What the core remembers across restarts.
    state_retention_file: PathBuf = path_of;
    /// Icinga 1: the file that `SYNC_STATE_INFORMATION` reads.
    sync_retention_file: PathBuf = path_of;
    /// The core's own copy of all object definitions.
    object_cache_file: PathBuf = path_of;
    /// Where performance data of hosts goes.
    host_perfdata_file: PathBuf = path_of;
    /// Where performance data of services goes.
    service_perfdata_file: PathBuf = path_of;

    /// How often the status file is written.
    status_update_interval: Duration = seconds_of;
    /// How often check-result files are read.
    check_result_reaper_frequency: Duration = seconds_of;
    /// After how long a check-result file is deleted unread.
    max_check_result_file_age: Duration = seconds_of;
    /// How long the core waits for `ocsp_command`.
    ocsp_timeout: Duration = seconds_of;
    /// How long the core waits for `ochp_command`.
    ochp_timeout: Duration = seconds_of;

    /// Whether the command file is read at all.
    check_external_commands: bool = flag;
    /// Whether notifications are sent.
    enable_notifications: bool = flag;
    /// Whether services are checked actively.
    execute_service_checks: bool = flag;
    /// Whether hosts are checked actively.
    execute_host_checks: bool = flag;
    /// Whether results for services are taken.
    accept_passive_service_checks: bool = flag;
    /// Whether results for hosts are taken.
    accept_passive_host_checks: bool = flag;
    /// Whether services whose results are too old are checked, also while active checks are stopped.
    check_service_freshness: bool = flag;
    /// Whether hosts whose results are too old are checked, also while active checks are stopped.
    check_host_freshness: bool = flag;
    /// Whether `ocsp_command` is executed.
    obsess_over_services: bool = flag;
    /// Whether `ochp_command` is executed.
    obsess_over_hosts: bool = flag;
    /// Whether anything is kept across restarts.
    retain_state_information: bool = flag;
    /// Whether flags set by command are kept across restarts.
    use_retained_program_state: bool = flag;
    /// Whether a passive host problem begins SOFT.
    passive_host_checks_are_soft: bool = flag;
    /// Whether DOWN and UNREACHABLE are recomputed from this core's own view.
    translate_passive_host_checks: bool = flag;
    /// Whether performance data is written.
    process_performance_data: bool = flag;
    /// Whether results without performance data are written, too.
    service_perfdata_process_empty_results: bool = flag;
    /// Whether results without performance data are written, too.
    host_perfdata_process_empty_results: bool = flag;
    /// Whether notifications are logged.
    log_notifications: bool = flag;

    /// The command executed for each result of a service.
    ocsp_command: &[u8] = get;
    /// The command executed for each result of a host.
    ochp_command: &[u8] = get;
    /// The characters stripped from outputs in macros.
    illegal_macro_output_chars: &[u8] = get;
    /// The line written for each result of a service.
    service_perfdata_file_template: &[u8] = get;
    /// The line written for each result of a host.
    host_perfdata_file_template: &[u8] = get;
    /// `a` append, `w` overwrite, `p` FIFO.
    service_perfdata_file_mode: &[u8] = get;
    /// `a` append, `w` overwrite, `p` FIFO.
    host_perfdata_file_mode: &[u8] = get;
}

impl MainConfig {
    /// Reads the file at `path` and what it includes.
    ///
    /// # Errors
    /// Names the file, and the line where there is one.
    pub fn read(path: &Path) -> Result<Self, MainConfigError> {
        file::read(path)
    }

    /// Reads `bytes` as if they were in a file at `path`; includes are not followed.
    ///
    /// # Errors
    /// Names `path` and the line.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, MainConfigError> {
        file::parse(path, bytes)
    }

    /// The file that was read first.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which core this configuration seems to be for. In this order, the first that tells:
    ///
    /// 1. The name of the file: `icinga.cfg`, `naemon.cfg`.
    /// 2. Keys that only one core knows: `icinga_user`, `naemon_user`, the embedded Perl of Nagios 3, and the like.
    /// 3. `icinga` or `naemon` in the path of this file or of the core's files.
    /// 4. The worker keys of Nagios 4; failing that, `nagios3` in one of those paths.
    /// 5. Nagios 4.
    pub fn flavour(&self) -> Flavour {
        guess::flavour(self)
    }

    /// The last value of `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.last(key).map(|setting| &*setting.value)
    }

    /// All values of `key`, in order.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &[u8]> {
        self.settings.get(key).into_iter().flatten().map(|setting| &*setting.value)
    }

    /// The file and line of the last value of `key`.
    pub fn place_of(&self, key: &str) -> Option<(&Path, usize)> {
        self.last(key).map(|setting| (&*setting.file, setting.line))
    }

    /// The last value of `key` as a path. A relative one is relative to the directory of the file that sets it.
    pub fn path_of(&self, key: &str) -> Option<PathBuf> {
        let setting = self.last(key).filter(|setting| !setting.value.is_empty())?;
        Some(relative_to_file(&setting.file, &setting.value))
    }

    fn last(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)?.last()
    }

    /// A number above zero is yes, as for the cores.
    fn flag(&self, key: &str) -> Option<bool> {
        self.number(key).map(|number| number > 0)
    }

    fn seconds_of(&self, key: &str) -> Option<Duration> {
        self.number(key).map(|seconds| Duration::from_secs(seconds.try_into().unwrap_or(0)))
    }

    fn number(&self, key: &str) -> Option<i64> {
        std::str::from_utf8(self.get(key)?).ok()?.parse().ok()
    }
}

fn relative_to_file(file: &Path, value: &[u8]) -> PathBuf {
    let directory = file.parent().unwrap_or(Path::new(""));
    directory.join(OsStr::from_bytes(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MainConfig {
        MainConfig::parse(Path::new("/etc/nagios/nagios.cfg"), text.as_bytes()).unwrap()
    }

    #[test]
    fn values_are_typed() {
        let config = parse(
            "command_file=/run/nagios.cmd\nstatus_file=var/status.dat\nlock_file=\n\
             status_update_interval=10\nenable_notifications=0\nexecute_service_checks=2\nexecute_host_checks=yes\n\
             ocsp_command=submit!a=b\nillegal_macro_output_chars=`~$&|'\"<>\n",
        );
        assert_eq!(config.command_file(), Some("/run/nagios.cmd".into()));
        assert_eq!(config.status_file(), Some("/etc/nagios/var/status.dat".into()));
        assert_eq!((config.lock_file(), config.log_file()), (None, None));
        assert_eq!(config.status_update_interval(), Some(Duration::from_secs(10)));
        assert_eq!(config.enable_notifications(), Some(false));
        assert_eq!(config.execute_service_checks(), Some(true));
        assert_eq!(config.execute_host_checks(), None);
        assert_eq!(config.ocsp_command(), Some(&b"submit!a=b"[..]));
        assert_eq!(config.illegal_macro_output_chars(), Some(&b"`~$&|'\"<>"[..]));
    }

    #[test]
    fn the_last_value_counts_and_all_are_kept() {
        let config = parse("cfg_file=a\nlog_file=/a\ncfg_file=b\n# c\nlog_file=/b\n");
        assert_eq!(config.log_file(), Some("/b".into()));
        assert_eq!(config.place_of("log_file"), Some((Path::new("/etc/nagios/nagios.cfg"), 5)));
        assert_eq!(config.all("cfg_file").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(config.all("cfg_dir").count(), 0);
    }
}
