//! The typed configuration of Understudy.
//!
//! One TOML file says everything: the node, its core, and a section for each role that runs here. Everything is
//! checked once, while it is read: what comes out is ready to use, with passwords read, names resolved to group ids
//! and the core's paths taken from its own main configuration file.
//!
//! **Invariant:** an error names file, line and column of the value at fault, says what is wrong with it and what to
//! write instead. No message holds a password.

mod advice;
mod core;
mod error;
mod findings;
mod node;
mod receiver;
mod secret;
mod sender;
mod values;

use std::path::Path;

use serde::Deserialize;

use findings::Findings;

pub use crate::core::Core;
pub use error::{ConfigError, Position};
pub use node::{DEFAULT_CONTROL_SOCKET, Node, control_socket};
pub use receiver::{Journal, LONGEST_PACKET_AGE, Limits, Listener, Receiver, Route};
pub use secret::KeySource;
pub use sender::{Destination, MAX_NAME_BYTES, MIN_SPOOL_BYTES, PerfdataFifo, Sender, Spool};
pub use values::{Address, DEFAULT_PORT};

/// The largest configuration file that is read, in bytes. A file beyond it is not a configuration.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// What one configuration file says.
#[derive(Debug)]
pub struct Config {
    /// This machine.
    pub node: Node,
    /// The monitoring core on this machine.
    pub core: Option<Core>,
    /// The sender's role, on a master.
    pub sender: Option<Sender>,
    /// The receiver's role, on a standby.
    pub receiver: Option<Receiver>,
    /// What is allowed but deserves a second look; `config check` prints it and `run` logs it.
    pub warnings: Vec<String>,
    hints: Vec<String>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    node: node::File,
    core: Option<toml::Spanned<core::File>>,
    sender: Option<toml::Spanned<sender::File>>,
    receiver: Option<toml::Spanned<receiver::File>>,
}

impl Config {
    /// Reads and checks the configuration file at `path`, and the files that it names.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = read_bounded(path)?;
        let source = error::Source::new(path, &text);
        let file: File = toml::from_str(&text).map_err(|e| source.toml(&e))?;
        file.check(&source)
    }
}

impl File {
    fn check(self, source: &error::Source<'_>) -> Result<Config, ConfigError> {
        let mut findings = Findings::default();
        let node = self.node.check(source)?;
        let core = self.core.map(|file| core::check(file, source)).transpose()?;
        let sender = self.sender.map(|file| sender::check(file, core.as_ref(), source, &mut findings)).transpose()?;
        let receiver =
            self.receiver.map(|file| receiver::check(file, core.as_ref(), &node, source, &mut findings)).transpose()?;
        if sender.is_none() && receiver.is_none() {
            return Err(source.whole(
                "this file starts no role: add a [sender] section on a master or [[receiver.listener]] on a standby",
            ));
        }
        let Findings { warnings, advice: hints, .. } = findings;
        Ok(Config { node, core, sender, receiver, warnings, hints })
    }
}

/// Reads a text file whole, refusing what is too large or not UTF-8.
fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read;
    let unreadable = |e: std::io::Error| ConfigError::unreadable(path, &e);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::at_file(
            path,
            format!("is larger than {MAX_FILE_BYTES} bytes: is this the right file?"),
        ));
    }
    Ok(text)
}
