//! `[receiver]`: who may send results to this machine, and how they reach its core.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use nagios::Flavour;
use nsca::Secret;
use nsca::greeting::Policy;
use serde::Deserialize;
use toml::Spanned;

use crate::core::Core;
use crate::error::Source;
use crate::findings::Findings;
use crate::node::Node;
use crate::values::{Encryption, HumanDuration};
use crate::{ConfigError, KeySource, secret};

/// The most listeners of one receiver.
const MAX_LISTENERS: usize = 64;

/// The most networks that one listener's allow-list can name.
const MAX_NETWORKS: usize = 4096;

/// The longest `max_packet_age`: NSCA's own bound.
pub const LONGEST_PACKET_AGE: Duration = Duration::from_secs(900);

/// The journal's size where none is configured.
const DEFAULT_JOURNAL: ByteSize = ByteSize::mib(256);

/// The least that a journal needs to hold the longest results that a core takes.
const LEAST_JOURNAL: ByteSize = ByteSize::mib(16);

/// What Nagios 3 and Icinga 1 take for ever, with a margin: Icinga 1.14 was measured at 4,000 results a second, and jams
/// for minutes when it gets many more.
const RATE_OF_OLD_CORES: NonZeroU32 = NonZeroU32::new(3000).expect("3000 is not 0");

/// The receiver's role.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Where it listens; at least one.
    pub listeners: Vec<Listener>,
    /// What peers may cost.
    pub limits: Limits,
    /// How results reach the core.
    pub route: Route,
    /// Whose dialect the core speaks.
    pub flavour: Flavour,
    /// How many results a second the core gets at most. `None`: as many as it takes. Default: 3,000 for `nagios3` and
    /// `icinga1`, which jam beyond it, none for others.
    pub max_rate: Option<NonZeroU32>,
    /// Where accepted results are kept on disk. `None`: in memory, as the drop-in for `nsca` does, which has no directory.
    pub journal: Option<Journal>,
    /// Where results go that could not be injected when the program ends. Only a stock `nsca.cfg` sets it, and it has a
    /// meaning only without a journal.
    pub dump_file: Option<PathBuf>,
}

/// The receiver's queue on disk, which also keeps the newest result of each object for a core that restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Its directory: `journal` in the node's state directory. Nobody else may use it.
    pub directory: PathBuf,
    /// Most bytes on disk. Default: 256 MiB; least: 16 MiB.
    pub max_size: u64,
    /// The core's status file, which tells that the core restarted. Without it only the command file tells.
    pub status_file: Option<PathBuf>,
}

/// How results reach the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// External commands in the core's command file.
    CommandFile(PathBuf),
    /// Files in the directory that the core reaps check results from.
    CheckResults(PathBuf),
}

/// What peers may cost. Beyond a limit a connection is closed at once, counted and logged.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time, over all listeners. Default: 4096.
    pub connections: usize,
    /// Connections at one time from one address. Default: 256.
    pub connections_per_peer: usize,
    /// How long a peer may be silent between two packets. Default: 60 s.
    pub idle_timeout: Duration,
    /// How long a packet may take from its first byte to its last. Default: 30 s.
    pub packet_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 4096,
            connections_per_peer: 256,
            idle_timeout: Duration::from_secs(60),
            packet_timeout: Duration::from_secs(30),
        }
    }
}

/// One address to listen on.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address. `[::]` takes IPv4 as well.
    pub address: SocketAddr,
    /// Encryption method and password of classic sessions.
    pub secret: Secret,
    /// Whether sessions with another Understudy are sealed. Default: when it asks for it, with a key from the password.
    pub sealed: Policy,
    /// Where the key of sealed sessions comes from, if there are any.
    pub key_source: Option<KeySource>,
    /// How old a packet may be, and how far ahead the peer's clock. `None`: not checked. Default: 30 s.
    pub max_packet_age: Option<Duration>,
    /// Who may connect. Empty: everyone.
    pub allow: Vec<IpNet>,
    /// Whether a result's host name must resolve to the peer's address, as in nsca. Default: no.
    pub strict_mode_spoofing: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    listener: Vec<Spanned<ListenerFile>>,
    inject: Option<Spanned<RouteFile>>,
    max_connections: Option<Spanned<usize>>,
    max_connections_per_peer: Option<Spanned<usize>>,
    idle_timeout: Option<Spanned<HumanDuration>>,
    packet_timeout: Option<Spanned<HumanDuration>>,
    max_rate: Option<Spanned<u32>>,
    #[serde(default)]
    journal: JournalFile,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct JournalFile {
    max_size: Option<Spanned<ByteSize>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum RouteFile {
    CommandFile,
    CheckResults,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenerFile {
    address: Spanned<String>,
    encryption: Option<Encryption>,
    password: Option<Spanned<String>>,
    password_file: Option<Spanned<PathBuf>>,
    key_file: Option<Spanned<PathBuf>>,
    sealed: Option<Spanned<secret::Sealed>>,
    max_packet_age: Option<Spanned<HumanDuration>>,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    #[serde(default)]
    strict_mode_spoofing: bool,
}

pub(crate) fn check(
    file: Spanned<File>,
    core: Option<&Core>,
    node: &Node,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Result<Receiver, ConfigError> {
    let section = file.span();
    let mut file = file.into_inner();
    let listeners = listeners(std::mem::take(&mut file.listener), &section, source, findings)?;
    let core = core.ok_or_else(|| {
        source.at(section.clone(), "the receiver has no core to inject into: add a [core] section with main_config")
    })?;
    if core.status_file.is_none() {
        findings.warn(
            "the core's status_file is not known: a core that restarts so fast that its command file has a reader all \
             the time does not get the newest results again; add main_config or status_file to the [core] section",
        );
    }
    Ok(Receiver {
        listeners,
        limits: limits(&file, source)?,
        max_rate: max_rate(file.max_rate, core.flavour, source)?,
        journal: Some(journal(file.journal, node, core, source)?),
        route: route(file.inject, core, section, source)?,
        flavour: core.flavour,
        dump_file: None,
    })
}

fn journal(file: JournalFile, node: &Node, core: &Core, source: &Source<'_>) -> Result<Journal, ConfigError> {
    let max_size = match file.max_size {
        Some(size) if *size.get_ref() < LEAST_JOURNAL => {
            let message = format!("a journal needs at least {LEAST_JOURNAL}, so that the longest results fit");
            return Err(source.at(size.span(), message));
        }
        size => size.map_or(DEFAULT_JOURNAL, Spanned::into_inner),
    };
    Ok(Journal {
        directory: node.state_directory.join("journal"),
        max_size: max_size.as_u64(),
        status_file: core.status_file.clone(),
    })
}

fn max_rate(
    set: Option<Spanned<u32>>,
    flavour: Flavour,
    source: &Source<'_>,
) -> Result<Option<NonZeroU32>, ConfigError> {
    match set {
        None => Ok(matches!(flavour, Flavour::Nagios3 | Flavour::Icinga1).then_some(RATE_OF_OLD_CORES)),
        Some(rate) => match NonZeroU32::new(*rate.get_ref()) {
            Some(rate) => Ok(Some(rate)),
            None => {
                Err(source.at(rate.span(), "a rate of 0 would let no result into the core: write results per second"))
            }
        },
    }
}

fn route(
    inject: Option<Spanned<RouteFile>>,
    core: &Core,
    section: Range<usize>,
    source: &Source<'_>,
) -> Result<Route, ConfigError> {
    let (kind, span) = inject.map_or((RouteFile::CommandFile, section), |i| (*i.get_ref(), i.span()));
    let (path, key) = match kind {
        RouteFile::CommandFile => (core.command_file.clone().map(Route::CommandFile), "command_file"),
        RouteFile::CheckResults => (core.check_result_path.clone().map(Route::CheckResults), "check_result_path"),
    };
    path.ok_or_else(|| {
        let message = format!("the core's {key} is not known: add main_config or {key} to the [core] section");
        source.at(span, message)
    })
}

fn limits(file: &File, source: &Source<'_>) -> Result<Limits, ConfigError> {
    let count = |set: &Option<Spanned<usize>>, default| match set {
        Some(n) if *n.get_ref() == 0 => Err(source.at(n.span(), "a limit of 0 would let nobody in")),
        Some(n) => Ok(*n.get_ref()),
        None => Ok(default),
    };
    let time = |set: &Option<Spanned<HumanDuration>>, default| match set {
        Some(d) if d.get_ref().0.is_zero() => Err(source.at(d.span(), "a time-out of 0 would let nobody in")),
        Some(d) => Ok(d.get_ref().0),
        None => Ok(default),
    };
    let default = Limits::default();
    Ok(Limits {
        connections: count(&file.max_connections, default.connections)?,
        connections_per_peer: count(&file.max_connections_per_peer, default.connections_per_peer)?,
        idle_timeout: time(&file.idle_timeout, default.idle_timeout)?,
        packet_timeout: time(&file.packet_timeout, default.packet_timeout)?,
    })
}

fn listeners(
    files: Vec<Spanned<ListenerFile>>,
    section: &Range<usize>,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Result<Vec<Listener>, ConfigError> {
    if files.is_empty() {
        return Err(source.at(section.clone(), "the receiver listens nowhere: add a [[receiver.listener]]"));
    }
    if let Some(one_too_many) = files.get(MAX_LISTENERS) {
        return Err(source.at(one_too_many.span(), format!("more than {MAX_LISTENERS} listeners")));
    }
    let mut listeners: Vec<Listener> = Vec::with_capacity(files.len());
    for file in files {
        let (span, file) = (file.span(), file.into_inner());
        let address = file.address.span();
        let listener = file.check(span, source, findings)?;
        if listener.address.port() != 0 && listeners.iter().any(|other| other.address == listener.address) {
            return Err(source.at(address, format!("a second listener has the address {}", listener.address)));
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

impl ListenerFile {
    fn check(self, span: Range<usize>, source: &Source<'_>, findings: &mut Findings) -> Result<Listener, ConfigError> {
        let ListenerFile {
            address, encryption, password, password_file, key_file, sealed, max_packet_age, allow, ..
        } = self;
        let keys = secret::File { encryption, password, password_file, key_file, sealed };
        let secret::Keys { secret, sealed, key_source } = secret::check(keys, span, source, findings)?;
        Ok(Listener {
            address: socket_address(&address, source)?,
            secret,
            sealed,
            key_source,
            max_packet_age: packet_age(max_packet_age, source)?,
            allow: networks(&allow, source)?,
            strict_mode_spoofing: self.strict_mode_spoofing,
        })
    }
}

fn socket_address(address: &Spanned<String>, source: &Source<'_>) -> Result<SocketAddr, ConfigError> {
    let text = address.get_ref();
    text.parse().map_err(|_| {
        let advice = "write an IP address and a port, as in \"[::]:5667\" (IPv6 and IPv4) or \"192.0.2.1:5667\"";
        source.at(address.span(), format!("{text:?} is not an address to listen on: {advice}"))
    })
}

fn packet_age(age: Option<Spanned<HumanDuration>>, source: &Source<'_>) -> Result<Option<Duration>, ConfigError> {
    match age {
        None => Ok(Some(Duration::from_secs(30))),
        Some(age) if age.get_ref().0 > LONGEST_PACKET_AGE => {
            Err(source.at(age.span(), "max_packet_age can be 15 minutes at most, as in nsca; \"0\" turns it off"))
        }
        Some(age) => Ok(Some(age.get_ref().0).filter(|age| !age.is_zero())),
    }
}

fn networks(allow: &[Spanned<String>], source: &Source<'_>) -> Result<Vec<IpNet>, ConfigError> {
    if let Some(one_too_many) = allow.get(MAX_NETWORKS) {
        return Err(source.at(one_too_many.span(), format!("more than {MAX_NETWORKS} networks")));
    }
    allow.iter().map(|text| network(text, source)).collect()
}

/// A network, or a single address.
fn network(text: &Spanned<String>, source: &Source<'_>) -> Result<IpNet, ConfigError> {
    let address = || text.get_ref().parse::<IpAddr>().map(IpNet::from);
    text.get_ref().parse::<IpNet>().or_else(|_| address()).map_err(|_| {
        let advice = "write an address or a network, as in \"192.0.2.7\" or \"2001:db8::/32\"";
        source.at(text.span(), format!("{:?} is no network: {advice}", text.get_ref()))
    })
}
