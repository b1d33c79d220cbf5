//! `nsca.cfg`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{DEFAULT_PORT, LONGEST_PACKET_AGE, Limits, Listener, Receiver, Route};
use nagios::Flavour;
use nsca::greeting::Policy;
use nsca::{Method, Secret};

use super::{DropInError, Facility, Setting, read};

/// What an `nsca.cfg` says. Defaults are those of nsca 2.10.
#[derive(Clone, Debug)]
pub struct NscaCfg {
    /// `server_port`.
    pub port: u16,
    /// `server_address`: a name or address to listen on. Default: every address.
    pub address: Option<String>,
    /// `command_file` or `check_result_path`.
    pub route: Route,
    /// `alternate_dump_file`.
    pub dump_file: Option<PathBuf>,
    /// `decryption_method` and `password`.
    pub secret: Secret,
    /// `max_packet_age`; `None` where it is 0.
    pub max_packet_age: Option<Duration>,
    /// `strict_mode_spoofing`.
    pub strict_mode_spoofing: bool,
    /// `debug`.
    pub debug: bool,
    /// `log_facility`.
    pub facility: Facility,
    /// `nsca_user`: a name or number.
    pub user: Option<String>,
    /// `nsca_group`: a name or number.
    pub group: Option<String>,
    /// `nsca_chroot`.
    pub chroot: Option<PathBuf>,
    /// `pid_file`.
    pub pid_file: Option<PathBuf>,
    /// What this program does differently from what the file asks for.
    pub warnings: Vec<String>,
}

impl NscaCfg {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, DropInError> {
        let mut draft = Draft::default();
        read(path, |setting| draft.take(setting))?;
        draft.finish(path)
    }

    /// Where to listen. Every address: `[::]`, which takes IPv4 as well.
    pub fn listen_addresses(&self) -> Result<Vec<SocketAddr>, DropInError> {
        let Some(address) = &self.address else {
            return Ok(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port))]);
        };
        let resolved = (address.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|e| DropInError(format!("Server address {address} port {}: {e}", self.port)))?;
        // A hosts file may name the same address twice.
        Ok(resolved.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The receiver that this file describes, listening at `addresses`.
    pub fn receiver(&self, addresses: &[SocketAddr]) -> Receiver {
        let listener = |&address| Listener {
            address,
            secret: self.secret.clone(),
            sealed: Policy::Off,
            key_source: None,
            max_packet_age: self.max_packet_age,
            allow: Vec::new(),
            strict_mode_spoofing: self.strict_mode_spoofing,
        };
        Receiver {
            listeners: addresses.iter().map(listener).collect(),
            limits: Limits::default(),
            route: self.route.clone(),
            // What stock nsca writes is what Nagios 4 reads: the text of the packet as it is.
            flavour: Flavour::Nagios4,
            max_rate: None,
            // There is no directory of its own: what waits is in memory, as with the stock nsca.
            journal: None,
            dump_file: self.dump_file.clone(),
        }
    }
}

/// The settings read so far.
struct Draft {
    port: u16,
    address: Option<String>,
    command_file: Option<PathBuf>,
    check_result_path: Option<PathBuf>,
    dump_file: Option<PathBuf>,
    method: Method,
    password: Vec<u8>,
    max_packet_age: Duration,
    strict_mode_spoofing: bool,
    debug: bool,
    facility: Facility,
    user: Option<String>,
    group: Option<String>,
    chroot: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    append: bool,
    warnings: Vec<String>,
}

impl Default for Draft {
    fn default() -> Self {
        Draft {
            port: DEFAULT_PORT,
            address: None,
            command_file: None,
            check_result_path: None,
            dump_file: None,
            method: Method::Xor,
            password: Vec::new(),
            max_packet_age: Duration::from_secs(30),
            strict_mode_spoofing: false,
            debug: false,
            facility: Facility::Daemon,
            user: None,
            group: None,
            chroot: None,
            pid_file: None,
            append: false,
            warnings: Vec::new(),
        }
    }
}

impl Draft {
    fn take(&mut self, setting: &Setting<'_>) -> Result<(), DropInError> {
        let text = || Some(String::from_utf8_lossy(setting.text()).into_owned());
        let path = || Some(PathBuf::from(OsStr::from_bytes(setting.text())));
        match setting.key {
            "server_port" => self.port = port(setting)?,
            "server_address" => self.address = text(),
            "command_file" => self.command_file = path(),
            "check_result_path" => self.check_result_path = Some(check_result_path(setting)?),
            "alternate_dump_file" => self.dump_file = path(),
            "decryption_method" => self.method = setting.method("decryption method")?,
            "password" => self.password = setting.password()?,
            "max_packet_age" => self.max_packet_age = packet_age(setting)?,
            "strict_mode_spoofing" => self.strict_mode_spoofing = setting.switch(),
            "debug" => self.debug = setting.switch(),
            "log_facility" => self.log_facility(setting),
            "nsca_user" => self.user = text(),
            "nsca_group" => self.group = text(),
            "nsca_chroot" => self.chroot = path(),
            "pid_file" => self.pid_file = path(),
            "append_to_file" => self.append = setting.switch(),
            // What has come from all connections is written together, whatever this says.
            "aggregate_writes" => {}
            _ => return Err(setting.error("Unknown option specified")),
        }
        Ok(())
    }

    /// An unknown name is no reason not to start, as with the original.
    fn log_facility(&mut self, setting: &Setting<'_>) {
        match Facility::named(setting.text()) {
            Some(facility) => self.facility = facility,
            None => self.warnings.push(setting.error("Invalid log_facility specified").to_string()),
        }
    }

    fn finish(self, file: &Path) -> Result<NscaCfg, DropInError> {
        let mut warnings = self.warnings;
        if self.port == 0 {
            warnings.push("server_port=0: the system chooses a port at every start".into());
        }
        if self.append {
            warnings.push(
                "append_to_file=1 is not honoured: results go into the core's FIFO only, never into a regular file"
                    .into(),
            );
        }
        if self.password.is_empty() && self.method != Method::None {
            warnings.push("no password is set: anyone who reaches the port can send check results".into());
        }
        let route = match (self.check_result_path, self.command_file) {
            (Some(directory), _) => Route::CheckResults(directory),
            (None, Some(fifo)) => Route::CommandFile(fifo),
            (None, None) => {
                let message = format!("No command_file specified in config file '{}'", file.display());
                return Err(DropInError(message));
            }
        };
        Ok(NscaCfg {
            port: self.port,
            address: self.address,
            route,
            dump_file: self.dump_file,
            secret: Secret::new(self.method, &self.password),
            max_packet_age: Some(self.max_packet_age).filter(|age| !age.is_zero()),
            strict_mode_spoofing: self.strict_mode_spoofing,
            debug: self.debug,
            facility: self.facility,
            user: self.user,
            group: self.group,
            chroot: self.chroot,
            pid_file: self.pid_file,
            warnings,
        })
    }
}

fn port(setting: &Setting<'_>) -> Result<u16, DropInError> {
    str::from_utf8(setting.text())
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| setting.error("Invalid port number specified"))
}

fn packet_age(setting: &Setting<'_>) -> Result<Duration, DropInError> {
    u64::try_from(setting.number())
        .ok()
        .map(Duration::from_secs)
        .filter(|age| *age <= LONGEST_PACKET_AGE)
        .ok_or_else(|| DropInError("Max packet age cannot be greater than 15 minutes (900 seconds).".into()))
}

fn check_result_path(setting: &Setting<'_>) -> Result<PathBuf, DropInError> {
    let path = PathBuf::from(OsStr::from_bytes(setting.text()));
    if !path.is_dir() {
        let message = "check_result_path config variable found, but directory not writeable.";
        return Err(DropInError(message.into()));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::super::test_file;
    use super::*;

    fn read_text(text: impl AsRef<[u8]>) -> Result<NscaCfg, String> {
        let file = test_file::holding(text);
        let name = file.path().display().to_string();
        NscaCfg::read(file.path()).map_err(|error| error.to_string().replace(&name, "FILE"))
    }

    /// A file that says only what must be said, and `lines`.
    fn with(lines: &str) -> Result<NscaCfg, String> {
        read_text(format!("command_file=/run/core.cmd\npassword=x\n{lines}"))
    }

    #[test]
    fn every_key_counts() {
        let directory = tempfile::tempdir().unwrap();
        let cfg = read_text(format!(
            "log_facility=local3\ncheck_result_path={}\npid_file=/run/nsca.pid\nserver_port=5668\n\
             server_address=192.0.2.7\nnsca_user=nagios\nnsca_group=nagcmd\nnsca_chroot=/var/run/nagios/rw\n\
             debug=1\ncommand_file=/nagios.cmd\nalternate_dump_file=/nsca.dump\naggregate_writes=1\n\
             append_to_file=0\nmax_packet_age=60\nstrict_mode_spoofing=1\npassword=secret\ndecryption_method=14\n",
            directory.path().display()
        ))
        .unwrap();
        assert_eq!((cfg.port, cfg.address.as_deref()), (5668, Some("192.0.2.7")));
        assert_eq!((cfg.user.as_deref(), cfg.group.as_deref()), (Some("nagios"), Some("nagcmd")));
        assert_eq!(cfg.chroot, Some("/var/run/nagios/rw".into()));
        assert_eq!(cfg.pid_file, Some("/run/nsca.pid".into()));
        assert_eq!(cfg.facility, Facility::Local3);
        assert!(cfg.debug);
        let receiver = cfg.receiver(&cfg.listen_addresses().unwrap());
        assert_eq!(receiver.route, Route::CheckResults(directory.path().into()));
        assert_eq!(receiver.dump_file, Some("/nsca.dump".into()));
        let [listener] = &receiver.listeners[..] else { panic!("{} listeners", receiver.listeners.len()) };
        assert_eq!(listener.address, "192.0.2.7:5668".parse().unwrap());
        assert_eq!(listener.max_packet_age, Some(Duration::from_secs(60)));
        assert!(listener.strict_mode_spoofing);
        assert_eq!(cfg.warnings, [""; 0]);
    }

    #[test]
    fn the_defaults_are_those_of_nsca() {
        let cfg = with("").unwrap();
        assert_eq!(cfg.listen_addresses(), Ok(vec!["[::]:5667".parse().unwrap()]));
        assert_eq!(cfg.route, Route::CommandFile("/run/core.cmd".into()));
        assert_eq!(cfg.max_packet_age, Some(Duration::from_secs(30)));
        assert_eq!((cfg.facility, cfg.debug, cfg.strict_mode_spoofing), (Facility::Daemon, false, false));
        assert_eq!((cfg.user, cfg.group, cfg.chroot, cfg.pid_file), (None, None, None, None));
    }

    #[test]
    fn a_packet_age_of_0_is_no_limit() {
        assert_eq!(with("max_packet_age=0").unwrap().max_packet_age, None);
    }

    #[test]
    fn what_is_not_honoured_is_said() {
        let warnings = |lines| with(lines).unwrap().warnings.join("\n");
        assert!(warnings("append_to_file=1").contains("append_to_file=1 is not honoured"));
        assert!(warnings("server_port=0").contains("the system chooses a port"));
        assert!(warnings("log_facility=DAEMON").starts_with("Invalid log_facility specified in config file"));
        let open = read_text("command_file=/run/core.cmd\n").unwrap().warnings;
        assert!(open[0].contains("no password is set"), "{open:?}");
    }

    #[test]
    fn errors_have_the_words_of_the_original() {
        let errors = [
            ("bogus=1", "Unknown option specified in config file 'FILE' - Line 3"),
            ("server_port=-1", "Invalid port number specified in config file 'FILE' - Line 3"),
            ("server_port=70000", "Invalid port number specified in config file 'FILE' - Line 3"),
            ("server_port=abc", "Invalid port number specified in config file 'FILE' - Line 3"),
            ("decryption_method=13", "Invalid decryption method (13) in config file 'FILE' - Line 3"),
            ("max_packet_age=901", "Max packet age cannot be greater than 15 minutes (900 seconds)."),
            ("max_packet_age=-1", "Max packet age cannot be greater than 15 minutes (900 seconds)."),
            ("check_result_path=/nonexistent", "check_result_path config variable found, but directory not writeable."),
        ];
        for (line, error) in errors {
            assert_eq!(with(line).unwrap_err(), error, "{line}");
        }
        assert_eq!(read_text("password=x\n").unwrap_err(), "No command_file specified in config file 'FILE'");
        let unknown = with("server_address=nothing.invalid").unwrap().listen_addresses().unwrap_err().to_string();
        assert!(unknown.starts_with("Server address nothing.invalid port 5667: "), "{unknown}");
    }

    #[test]
    fn the_file_of_the_debian_package_works_unmodified() {
        let path = Path::new("/etc/nsca.cfg");
        assert!(path.exists(), "{path:?} is missing: run `apt-get install nsca`");
        let cfg = NscaCfg::read(path).unwrap();
        assert_eq!((cfg.port, cfg.user.as_deref()), (5667, Some("nagios")));
        assert_eq!(cfg.max_packet_age, Some(Duration::from_secs(30)));
    }
}
