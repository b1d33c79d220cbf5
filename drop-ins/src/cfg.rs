//! The files of the programs that Understudy replaces, read as those programs read them.
//!
//! Both are lines of `key=value`; `#` starts a comment line, blanks around key and value do not count. Messages use
//! the words of the originals, since scripts and administrators look for them.

mod nsca_cfg;
mod send_nsca_cfg;

use std::path::Path;

use nsca::Method;

pub use nsca_cfg::{Facility, NscaCfg};
pub use send_nsca_cfg::SendNscaCfg;

/// The longest password that the originals take, in bytes.
const MAX_PASSWORD_BYTES: usize = 511;

/// An error in `nsca.cfg` or `send_nsca.cfg`, in the words of the originals where they have some.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct DropInError(String);

/// One `key=value` line, with what its errors need.
struct Setting<'a> {
    path: &'a Path,
    line: usize,
    key: &'a str,
    value: &'a str,
}

impl Setting<'_> {
    /// `MESSAGE in config file 'FILE' - Line N`, as the originals say it.
    fn error(&self, message: impl std::fmt::Display) -> DropInError {
        DropInError(format!("{message} in config file '{}' - Line {}", self.path.display(), self.line))
    }

    /// A number as C's `atoi` reads it: 0 where there is none.
    fn number(&self) -> i64 {
        let digits_end = self
            .value
            .char_indices()
            .find(|&(i, c)| !(c.is_ascii_digit() || (i == 0 && (c == '-' || c == '+'))))
            .map_or(self.value.len(), |(i, _)| i);
        self.value[..digits_end].parse().unwrap_or(0)
    }

    /// Whether the value is a number above zero, which is how the originals read a switch.
    fn switch(&self) -> bool {
        self.number() > 0
    }

    /// The encryption method; one that no stock program can use is refused with its reason.
    fn method(&self, what: &str) -> Result<Method, DropInError> {
        let number = self.number();
        number
            .to_string()
            .parse()
            .map_err(|reason| self.error(format_args!("Invalid {what} ({number}): {reason}")))
    }

    fn password(&self) -> Result<Vec<u8>, DropInError> {
        if self.value.len() > MAX_PASSWORD_BYTES {
            return Err(self.error("Password is too long"));
        }
        Ok(self.value.as_bytes().to_vec())
    }
}

/// Reads the file at `path` and gives each setting to `take`.
fn read(
    path: &Path,
    mut take: impl FnMut(&Setting<'_>) -> Result<(), DropInError>,
) -> Result<(), DropInError> {
    let text = crate::read_bounded(path).map_err(|e: ConfigError| {
        DropInError(format!("Could not open config file '{}' for reading. ({})", path.display(), e.message()))
    })?;
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (key, value) = trimmed.split_once('=').unwrap_or((trimmed, ""));
        let setting = Setting { path, line: line_number, key: key.trim(), value: value.trim() };
        if setting.key.is_empty() {
            return Err(setting.error("No variable name specified"));
        }
        if setting.value.is_empty() {
            return Err(setting.error("No variable value specified"));
        }
        take(&setting)?;
    }
    Ok(())
}
