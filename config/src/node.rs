//! `[node]`: this machine.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use crate::ConfigError;
use crate::core::absolute;
use crate::error::Source;

/// This machine.
#[derive(Clone, Debug)]
pub struct Node {
    /// How this node calls itself in logs. Default: the host's name.
    pub name: String,
    /// Where the daemon keeps what must survive it. Default: `/var/lib/understudy`.
    pub state_directory: PathBuf,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    name: Option<String>,
    state_directory: Option<Spanned<PathBuf>>,
}

impl File {
    pub(crate) fn check(self, source: &Source<'_>) -> Result<Node, ConfigError> {
        let name = self.name.unwrap_or_else(host_name);
        let state_directory = match self.state_directory {
            Some(path) => absolute(path, source)?,
            None => PathBuf::from("/var/lib/understudy"),
        };
        Ok(Node { name, state_directory })
    }
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}
