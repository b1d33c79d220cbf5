//! `[node]`: this machine.

use std::path::{Path, PathBuf};

use nsca::sealed::NodeName;
use serde::Deserialize;
use toml::Spanned;

use crate::core::absolute;
use crate::error::Source;
use crate::{ConfigError, read_bounded};

/// Where the daemon listens for commands unless the configuration says otherwise.
pub const DEFAULT_CONTROL_SOCKET: &str = "/run/understudy/control.sock";

/// This machine.
#[derive(Clone, Debug)]
pub struct Node {
    /// How this node calls itself in logs and to other nodes. Default: the host's name. Two nodes that know each other
    /// must not have the same one.
    pub name: NodeName,
    /// Where the daemon keeps what must survive it. Default: `/var/lib/understudy`.
    pub state_directory: PathBuf,
    /// Where `understudy status` and the other commands reach the daemon. Default: `/run/understudy/control.sock`. It is
    /// for its owner and group alone.
    pub control_socket: PathBuf,
}

/// Where the daemon of the configuration file at `path` listens for commands.
///
/// Nothing else in the file is looked at, and no file that it names: who may talk to the daemon need not be able to read
/// its secrets.
///
/// # Errors
///
/// When the file cannot be read, is no TOML, or names something else than an absolute path.
pub fn control_socket(path: &Path) -> Result<PathBuf, ConfigError> {
    #[derive(Deserialize, Default)]
    struct Configuration {
        #[serde(default)]
        node: Socket,
    }
    #[derive(Deserialize, Default)]
    struct Socket {
        control_socket: Option<Spanned<PathBuf>>,
    }
    let text = read_bounded(path)?;
    let source = Source::new(path, &text);
    let configuration: Configuration = toml::from_str(&text).map_err(|e| source.toml(&e))?;
    configuration.node.control_socket.map_or_else(|| Ok(DEFAULT_CONTROL_SOCKET.into()), |path| absolute(path, &source))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    name: Option<Spanned<String>>,
    state_directory: Option<Spanned<PathBuf>>,
    control_socket: Option<Spanned<PathBuf>>,
}

impl File {
    pub(crate) fn check(self, source: &Source<'_>) -> Result<Node, ConfigError> {
        let name = match self.name {
            Some(name) => NodeName::try_from(name.get_ref().as_str())
                .map_err(|error| source.at(name.span(), error.to_string()))?,
            None => NodeName::try_from(host_name().as_str())
                .map_err(|_| source.whole("this host's name cannot be a node's name: add name = \"…\" to [node]"))?,
        };
        let path = |set: Option<Spanned<PathBuf>>, default: &str| {
            set.map_or_else(|| Ok(PathBuf::from(default)), |path| absolute(path, source))
        };
        Ok(Node {
            name,
            state_directory: path(self.state_directory, "/var/lib/understudy")?,
            control_socket: path(self.control_socket, DEFAULT_CONTROL_SOCKET)?,
        })
    }
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}
