//! `[sender]`: where results come from on this machine, and where they go.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use nix::unistd::{Gid, Group};
use nsca::Secret;
use nsca::greeting::Policy;
use nsca::packet::PacketSize;
use serde::Deserialize;
use toml::Spanned;

use crate::core::{Core, absolute};
use crate::error::Source;
use crate::findings::Findings;
use crate::values::{Address, Encryption, Mode, Size};
use crate::{ConfigError, KeySource, secret};

/// The most destinations of one sender. Each costs a connection and a place in the spool.
const MAX_DESTINATIONS: usize = 64;

/// The most lanes of one destination. Each costs a connection there, and 400 KiB here.
const MAX_LANES: usize = 16;

/// The longest name of a destination, in bytes: the spool keeps its place by this name.
pub const MAX_NAME_BYTES: usize = 255;

/// The least that [`Spool::max_size`] may be, so that the longest result fits.
pub const MIN_SPOOL_BYTES: u64 = 32 << 20;

/// The sender's role.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Where `understudy-ocsp` hands results over. Default: `/run/understudy/ocsp.sock`.
    pub socket: PathBuf,
    /// The socket's permissions. Default: 0660. Who can write to it can forge check results.
    pub socket_mode: u32,
    /// The socket's group, usually the core's. Default: the daemon's own.
    pub socket_group: Option<Gid>,
    /// Where `understudy-ocsp` leaves results while the daemon is away. Default: `/var/lib/understudy/spill`.
    pub spill: PathBuf,
    /// The FIFO that the core writes its perfdata lines into.
    pub perfdata: Option<PerfdataFifo>,
    /// Where results wait until every destination has them.
    pub spool: Spool,
    /// Whether passive results are sent on too: those that this node's receiver took, and those that the core says were
    /// passive. Default: yes. No, where agents send to both nodes themselves.
    pub relay_passive: bool,
    /// Where results go; at least one.
    pub destinations: Vec<Destination>,
}

/// The perfdata FIFO.
#[derive(Clone, Debug)]
pub struct PerfdataFifo {
    /// The FIFO's path; it is created when it is absent.
    pub path: PathBuf,
    /// A file or FIFO that gets every line as well.
    pub copy_to: Option<PathBuf>,
}

/// The queue on disk, in the directory `spool` of the state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spool {
    /// The most that it takes there, in bytes. Default: 256 MiB, at least [`MIN_SPOOL_BYTES`]. Beyond it, the older
    /// results of each object are dropped.
    pub max_size: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Spool { max_size: 256 << 20 }
    }
}

/// One place where every result goes.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its name in logs, and of its place in the spool; unique, at most [`MAX_NAME_BYTES`]. Under a new name it gets
    /// only results that come from then on.
    pub name: String,
    /// Its name or address, resolved anew at every attempt to connect.
    pub address: Address,
    /// Encryption method and password of classic sessions.
    pub secret: Secret,
    /// Whether sessions with another Understudy are sealed. Default: when it can, with a key from the password.
    pub sealed: Policy,
    /// Where the key of sealed sessions comes from, if there are any.
    pub key_source: Option<KeySource>,
    /// The size of packet that its daemon takes. Default: that of NSCA 2.9 and later.
    pub packet_size: PacketSize,
    /// How many connections a classic session uses at the same time. Default: 1; most: 16. Results of one object share a
    /// connection. A daemon that serves one connection after the other must not be given more than one.
    pub lanes: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    socket: Option<Spanned<PathBuf>>,
    socket_mode: Option<Mode>,
    socket_group: Option<Spanned<String>>,
    spill: Option<Spanned<PathBuf>>,
    perfdata_fifo: Option<Spanned<PathBuf>>,
    perfdata_copy_to: Option<Spanned<PathBuf>>,
    relay_passive: Option<bool>,
    #[serde(default)]
    spool: SpoolFile,
    #[serde(default)]
    destination: Vec<Spanned<DestinationFile>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpoolFile {
    max_size: Option<Spanned<Size>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationFile {
    name: Spanned<String>,
    address: Address,
    encryption: Option<Encryption>,
    password: Option<Spanned<String>>,
    password_file: Option<Spanned<PathBuf>>,
    key_file: Option<Spanned<PathBuf>>,
    sealed: Option<Spanned<secret::Sealed>>,
    #[serde(default)]
    legacy_2_7_mode: bool,
    lanes: Option<Spanned<usize>>,
}

pub(crate) fn check(
    file: Spanned<File>,
    core: Option<&Core>,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Result<Sender, ConfigError> {
    let section = file.span();
    let file = file.into_inner();
    if file.destination.is_empty() {
        return Err(source.at(section, "the sender has nowhere to send to: add a [[sender.destination]]"));
    }
    if let Some(one_too_many) = file.destination.get(MAX_DESTINATIONS) {
        let message = format!("more than {MAX_DESTINATIONS} destinations");
        return Err(source.at(one_too_many.span(), message));
    }
    let path = |set: Option<Spanned<PathBuf>>, default: &str| {
        set.map_or_else(|| Ok(PathBuf::from(default)), |path| absolute(path, source))
    };
    let perfdata = perfdata(file.perfdata_fifo, file.perfdata_copy_to, source)?;
    if perfdata.is_some() && core.and_then(|core| core.status_file.as_ref()).is_none() {
        findings.warn(
            "perfdata_fifo without a [core] that has a status file: a FIFO that stays silent while checks run goes \
             unnoticed",
        );
    }
    Ok(Sender {
        socket: path(file.socket, "/run/understudy/ocsp.sock")?,
        socket_mode: file.socket_mode.map_or(0o660, |mode| mode.0),
        socket_group: file.socket_group.map(|name| group(&name, source)).transpose()?,
        spill: path(file.spill, "/var/lib/understudy/spill")?,
        perfdata,
        spool: file.spool.check(source)?,
        relay_passive: file.relay_passive.unwrap_or(true),
        destinations: destinations(file.destination, source, findings)?,
    })
}

fn perfdata(
    fifo: Option<Spanned<PathBuf>>,
    copy_to: Option<Spanned<PathBuf>>,
    source: &Source<'_>,
) -> Result<Option<PerfdataFifo>, ConfigError> {
    match (fifo, copy_to) {
        (Some(fifo), copy_to) => {
            let path = absolute(fifo, source)?;
            let copy_to = copy_to.map(|path| absolute(path, source)).transpose()?;
            Ok(Some(PerfdataFifo { path, copy_to }))
        }
        (None, Some(copy_to)) => {
            Err(source.at(copy_to.span(), "perfdata_copy_to without perfdata_fifo: there is nothing to copy"))
        }
        (None, None) => Ok(None),
    }
}

fn group(name: &Spanned<String>, source: &Source<'_>) -> Result<Gid, ConfigError> {
    match Group::from_name(name.get_ref()) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(source.at(name.span(), format!("this machine has no group {:?}", name.get_ref()))),
        Err(e) => Err(source.at(name.span(), format!("the group {:?} cannot be looked up: {e}", name.get_ref()))),
    }
}

fn destinations(
    files: Vec<Spanned<DestinationFile>>,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Result<Vec<Destination>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut destinations = Vec::with_capacity(files.len());
    for file in files {
        let (span, file) = (file.span(), file.into_inner());
        if !names.insert(file.name.get_ref().clone()) {
            let message = format!("a second destination is called {:?}", file.name.get_ref());
            return Err(source.at(file.name.span(), message));
        }
        destinations.push(file.check(span, source, findings)?);
    }
    Ok(destinations)
}

impl SpoolFile {
    fn check(self, source: &Source<'_>) -> Result<Spool, ConfigError> {
        match self.max_size {
            None => Ok(Spool::default()),
            Some(size) if size.get_ref().0 < MIN_SPOOL_BYTES => {
                let least = MIN_SPOOL_BYTES >> 20;
                let message = format!("a spool this small cannot hold the longest result: at least {least}MiB");
                Err(source.at(size.span(), message))
            }
            Some(size) => Ok(Spool { max_size: size.into_inner().0 }),
        }
    }
}

impl DestinationFile {
    fn check(
        self,
        span: Range<usize>,
        source: &Source<'_>,
        findings: &mut Findings,
    ) -> Result<Destination, ConfigError> {
        let DestinationFile { name, address, encryption, password, password_file, key_file, sealed, .. } = self;
        if name.get_ref().is_empty() {
            return Err(source.at(name.span(), "a destination needs a name"));
        }
        if name.get_ref().len() > MAX_NAME_BYTES {
            return Err(source.at(name.span(), format!("a name of more than {MAX_NAME_BYTES} bytes: shorten it")));
        }
        let keys = secret::File { encryption, password, password_file, key_file, sealed };
        let secret::Keys { secret, sealed, key_source } = secret::check(keys, span, source, findings)?;
        Ok(Destination {
            name: name.into_inner(),
            address,
            secret,
            sealed,
            key_source,
            packet_size: if self.legacy_2_7_mode { PacketSize::Legacy } else { PacketSize::Modern },
            lanes: lanes(self.lanes, source)?,
        })
    }
}

fn lanes(set: Option<Spanned<usize>>, source: &Source<'_>) -> Result<usize, ConfigError> {
    let Some(set) = set else { return Ok(1) };
    match *set.get_ref() {
        0 => Err(source.at(set.span(), "without lanes nothing would be sent: write 1, or leave it out")),
        lanes @ 1..=MAX_LANES => Ok(lanes),
        _ => Err(source.at(set.span(), format!("more than {MAX_LANES} lanes: the other side pays for each"))),
    }
}
