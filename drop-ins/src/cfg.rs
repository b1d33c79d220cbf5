//! The files of the programs that Understudy replaces, read as those programs read them.
//!
//! ```text
//! # a comment
//! key=value
//! ```
//!
//! Blanks around a key do not count. A value begins right after `=` and ends with the line: a **password** keeps every
//! blank and carriage return, as with the originals, which would otherwise not understand each other. In other values
//! blanks at both ends mean nothing. Lines of blanks, and comments after blanks, are errors to the originals; here they
//! are what they look like.
//!
//! Messages use the words of the originals, since scripts and administrators look for them.

mod facility;
mod nsca_cfg;
mod send_nsca_cfg;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use nsca::{Method, MethodError};

pub use facility::Facility;
pub use nsca_cfg::NscaCfg;
pub use send_nsca_cfg::SendNscaCfg;

use crate::number::atoi;

/// The longest password, in bytes. XOR uses all of it, no cipher more than 256.
const MAX_PASSWORD_BYTES: usize = 4096;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// An error in `nsca.cfg` or `send_nsca.cfg`, in the words of the originals where they have some.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct DropInError(String);

/// One `key=value` line, with what its errors need.
struct Setting<'a> {
    path: &'a Path,
    line: usize,
    key: &'a str,
    value: &'a [u8],
}

impl Setting<'_> {
    /// `MESSAGE in config file 'FILE' - Line N`, as the originals say it.
    fn error(&self, message: impl std::fmt::Display) -> DropInError {
        DropInError(format!("{message} in config file '{}' - Line {}", self.path.display(), self.line))
    }

    fn number(&self) -> i64 {
        atoi(self.value)
    }

    /// Whether the value is a number above zero, which is how the originals read a switch.
    fn switch(&self) -> bool {
        self.number() > 0
    }

    /// The value without the blanks around it.
    fn text(&self) -> &[u8] {
        self.value.trim_ascii()
    }

    /// The encryption method; one that no stock program can use is refused with its reason.
    fn method(&self, what: &str) -> Result<Method, DropInError> {
        let number = self.number();
        number.to_string().parse().map_err(|reason| match reason {
            MethodError::Unusable { .. } => self.error(format_args!("{reason},")),
            MethodError::Unknown { .. } => self.error(format_args!("Invalid {what} ({number})")),
        })
    }

    fn password(&self) -> Result<Vec<u8>, DropInError> {
        if self.value.len() > MAX_PASSWORD_BYTES {
            return Err(self.error("Password is too long"));
        }
        Ok(self.value.to_vec())
    }
}

/// Reads the file at `path` and gives each setting to `take`.
fn read(path: &Path, mut take: impl FnMut(&Setting<'_>) -> Result<(), DropInError>) -> Result<(), DropInError> {
    let bytes = read_bounded(path)?;
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let trimmed = line.trim_ascii();
        if trimmed.is_empty() || trimmed.starts_with(b"#") {
            continue;
        }
        let equals = line.iter().position(|byte| *byte == b'=');
        let (key, value) = equals.map_or((line, &[][..]), |at| (&line[..at], &line[at + 1..]));
        // A key that is not UTF-8 is no key that there is.
        let key = str::from_utf8(key.trim_ascii()).unwrap_or("?");
        let setting = Setting { path, line: index + 1, key, value };
        if key.is_empty() {
            return Err(setting.error("No variable name specified"));
        }
        if value.is_empty() {
            return Err(setting.error("No variable value specified"));
        }
        take(&setting)?;
    }
    Ok(())
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, DropInError> {
    let unreadable = |e| DropInError(format!("Could not open config file '{}' for reading. ({e})", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let path = path.display();
        let message = format!("Config file '{path}' is larger than {MAX_FILE_BYTES} bytes: is it the right file?");
        return Err(DropInError(message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod test_file {
    use std::io::Write as _;

    /// A file that holds `text`.
    pub(super) fn holding(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_ref()).unwrap();
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let file = test_file::holding(text);
        let mut settings = Vec::new();
        let read = read(file.path(), |setting| {
            settings.push((setting.key.to_owned(), setting.value.to_vec()));
            Ok(())
        });
        let name = file.path().display().to_string();
        read.map(|()| settings).map_err(|error| error.to_string().replace(&name, "FILE"))
    }

    fn setting(key: &str, value: &[u8]) -> (String, Vec<u8>) {
        (key.to_owned(), value.to_vec())
    }

    #[test]
    fn a_value_is_everything_from_the_first_equals_sign_to_the_end_of_the_line() {
        let text = b"a=x\n b\t= y \nc==z\n# d=1\n\n  \n  # e=2\nf=\xe4\r\ng=last";
        let expected = [("a", &b"x"[..]), ("b", b" y "), ("c", b"=z"), ("f", b"\xe4\r"), ("g", b"last")];
        assert_eq!(settings(text), Ok(expected.map(|(key, value)| setting(key, value)).to_vec()));
    }

    #[test]
    fn incomplete_lines_are_errors_in_the_words_of_the_originals() {
        let missing_value = "No variable value specified in config file 'FILE' - Line 2";
        assert_eq!(settings(b"a=1\npassword\n").unwrap_err(), missing_value);
        assert_eq!(settings(b"a=1\npassword=\n").unwrap_err(), missing_value);
        let missing_name = "No variable name specified in config file 'FILE' - Line 1";
        assert_eq!(settings(b" =x\n").unwrap_err(), missing_name);
    }

    #[test]
    fn a_file_that_cannot_be_one_is_refused() {
        let missing = read(Path::new("/nonexistent"), |_| Ok(())).unwrap_err().to_string();
        assert!(missing.starts_with("Could not open config file '/nonexistent' for reading."), "{missing}");
        let directory = read(Path::new("/"), |_| Ok(())).unwrap_err().to_string();
        assert!(directory.starts_with("Could not open config file '/' for reading."), "{directory}");
        let endless = read(Path::new("/dev/zero"), |_| Ok(())).unwrap_err().to_string();
        assert!(endless.contains("larger than"), "{endless}");
    }
}
