//! `[node]`: this machine.

use std::path::PathBuf;

use nsca::sealed::NodeName;
use serde::Deserialize;
use toml::Spanned;

use crate::ConfigError;
use crate::core::absolute;
use crate::error::Source;

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
