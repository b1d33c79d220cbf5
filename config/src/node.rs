//! `[node]`: this machine.

use serde::Deserialize;

use crate::ConfigError;

/// This machine.
#[derive(Clone, Debug)]
pub struct Node {
    /// How this node calls itself in logs. Default: the host's name.
    pub name: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    name: Option<String>,
}

impl File {
    pub(crate) fn check(self) -> Result<Node, ConfigError> {
        let name = self.name.unwrap_or_else(host_name);
        Ok(Node { name })
    }
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}
