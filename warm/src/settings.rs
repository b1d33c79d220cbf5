//! Whom this node is warm for, and with which core.

use std::path::PathBuf;

use config::{Config, Core, Role};
use nsca::sealed::NodeName;

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeName,
    /// Where what must survive the daemon is kept.
    pub state_directory: PathBuf,
    /// The core on this machine.
    pub core: Core,
    /// Whose book counts. `None`: that of the only node that sends one.
    pub peer: Option<NodeName>,
    /// What this node is. `None`: it takes no part in failover, and is whatever its core is configured to be.
    pub role: Option<Role>,
}

impl Settings {
    /// None without a core, or without a receiver that could get a book.
    pub fn new(config: &Config) -> Option<Self> {
        let (core, _) = config.core.as_ref().zip(config.receiver.as_ref())?;
        let failover = config.failover.as_ref();
        Some(Settings {
            node: config.node.name.clone(),
            state_directory: config.node.state_directory.clone(),
            core: core.clone(),
            peer: failover.and_then(|failover| failover.heartbeat.as_ref()).map(|heartbeat| heartbeat.node.clone()),
            role: failover.map(|failover| failover.role),
        })
    }

    /// Whether this node stands in for another one.
    pub fn is_standby(&self) -> bool {
        self.role != Some(Role::Master)
    }
}
