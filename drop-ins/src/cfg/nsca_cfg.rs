//! `nsca.cfg`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nagios::Flavour;
use nsca::{Method, Secret};

use super::{DropInError, Setting, read};
use config::{DEFAULT_PORT, LONGEST_PACKET_AGE, Limits, Listener, Receiver, Route};

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

/// A syslog facility.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "syslog(3) defines the names")]
pub enum Facility {
    Kern,
    User,
    Mail,
    Daemon,
    Auth,
    Syslog,
    Lpr,
    News,
    Uucp,
    Cron,
    Authpriv,
    Ftp,
    Local0,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

const FACILITIES: [(&str, Facility); 20] = [
    ("kern", Facility::Kern),
    ("user", Facility::User),
    ("mail", Facility::Mail),
    ("daemon", Facility::Daemon),
    ("auth", Facility::Auth),
    ("syslog", Facility::Syslog),
    ("lpr", Facility::Lpr),
    ("news", Facility::News),
    ("uucp", Facility::Uucp),
    ("cron", Facility::Cron),
    ("authpriv", Facility::Authpriv),
    ("ftp", Facility::Ftp),
    ("local0", Facility::Local0),
    ("local1", Facility::Local1),
    ("local2", Facility::Local2),
    ("local3", Facility::Local3),
    ("local4", Facility::Local4),
    ("local5", Facility::Local5),
    ("local6", Facility::Local6),
    ("local7", Facility::Local7),
];

impl NscaCfg {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, DropInError> {
        let mut draft = Draft::default();
        read(path, |setting| draft.take(setting))?;
        draft.finish(path)
    }

    /// Where to listen. Every address: `[::]`, which takes IPv4 as well.
    pub fn listen_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        match &self.address {
            None => Ok(vec![SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, self.port))]),
            Some(address) => Ok((address.as_str(), self.port).to_socket_addrs()?.collect()),
        }
    }

    /// The receiver that this file describes, listening at `addresses`.
    pub fn receiver(&self, addresses: &[SocketAddr]) -> Receiver {
        let listener = |&address| Listener {
            address,
            secret: self.secret.clone(),
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
        }
    }
}

impl Draft {
    fn take(&mut self, setting: &Setting<'_>) -> Result<(), DropInError> {
        let text = || Some(setting.value.to_owned());
        let path = || Some(PathBuf::from(setting.value));
        match setting.key {
            "server_port" => self.port = port(setting)?,
            "server_address" => self.address = text(),
            "command_file" => self.command_file = path(),
            "check_result_path" => self.check_result_path = path(),
            "alternate_dump_file" => self.dump_file = path(),
            "decryption_method" => self.method = setting.method("decryption method")?,
            "password" => self.password = setting.password()?,
            "max_packet_age" => self.max_packet_age = packet_age(setting)?,
            "strict_mode_spoofing" => self.strict_mode_spoofing = setting.switch(),
            "debug" => self.debug = setting.switch(),
            "log_facility" => self.facility = facility(setting)?,
            "nsca_user" => self.user = text(),
            "nsca_group" => self.group = text(),
            "nsca_chroot" => self.chroot = path(),
            "pid_file" => self.pid_file = path(),
            "append_to_file" => self.append = setting.switch(),
            // Every connection's results are written together, whatever this says.
            "aggregate_writes" => {}
            _ => return Err(setting.error("Unknown option specified")),
        }
        Ok(())
    }

    fn finish(self, file: &Path) -> Result<NscaCfg, DropInError> {
        let mut warnings = Vec::new();
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
    u16::try_from(setting.number())
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| setting.error("Invalid port number specified"))
}

fn packet_age(setting: &Setting<'_>) -> Result<Duration, DropInError> {
    let age = Duration::from_secs(setting.number().try_into().unwrap_or(0));
    if age > LONGEST_PACKET_AGE {
        return Err(DropInError("Max packet age cannot be greater than 15 minutes (900 seconds).".into()));
    }
    Ok(age)
}

fn facility(setting: &Setting<'_>) -> Result<Facility, DropInError> {
    FACILITIES
        .into_iter()
        .find(|(name, _)| *name == setting.value)
        .map(|(_, facility)| facility)
        .ok_or_else(|| setting.error("Invalid log_facility specified"))
}
