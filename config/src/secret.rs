//! Passwords: where they come from, and who else may read them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nsca::{Method, Secret};
use serde::Deserialize;
use toml::Spanned;

use crate::ConfigError;
use crate::error::Source;
use crate::values::Encryption;

/// The longest password in bytes. No cipher takes more than 256; XOR takes all of it.
const MAX_PASSWORD_BYTES: usize = 1024;

/// The keys that every end of a classic session has.
#[derive(Deserialize)]
pub(crate) struct File {
    pub(crate) encryption: Option<Encryption>,
    pub(crate) password: Option<Spanned<String>>,
    pub(crate) password_file: Option<Spanned<PathBuf>>,
}

/// Reads the password and prepares the key schedule. `owner` is the span of the section, for what is missing.
pub(crate) fn check(
    file: File,
    owner: std::ops::Range<usize>,
    source: &Source<'_>,
    warnings: &mut Vec<String>,
) -> Result<Secret, ConfigError> {
    let method = file.encryption.map_or(Method::Rijndael128, |e| e.0);
    let password = match (file.password, file.password_file) {
        (Some(password), Some(_)) => {
            return Err(source.at(password.span(), "password and password_file exclude each other: keep one"));
        }
        (Some(password), None) => {
            refuse_if_others_can_read(source.path()).map_err(|e| source.at(password.span(), e))?;
            let span = password.span();
            (password.into_inner().into_bytes(), span)
        }
        (None, Some(file)) => {
            let password = read_password(file.get_ref()).map_err(|e| source.at(file.span(), e))?;
            (password, file.span())
        }
        (None, None) if method == Method::None => (Vec::new(), owner),
        (None, None) => {
            return Err(source.at(owner, "a password is missing: add password_file = \"/etc/understudy/password\""));
        }
    };
    let (password, span) = password;
    if password.is_empty() && method != Method::None {
        return Err(source.at(span, "the password is empty: anyone could send check results"));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(source.at(span, format!("the password is longer than {MAX_PASSWORD_BYTES} bytes")));
    }
    warnings.extend(weakness(method));
    Ok(Secret::new(method, &password))
}

/// Why a method deserves a warning.
fn weakness(method: Method) -> Option<String> {
    match method {
        Method::None => Some("encryption = \"none\": anyone who reaches the port can send check results".into()),
        Method::Xor => Some("encryption = \"xor\" hides nothing: whoever listens learns the password".into()),
        Method::Des => Some("encryption = \"des\" has been broken for decades: use rijndael-128".into()),
        _ => None,
    }
}

/// Reads a password file; one line ending at its end does not belong to the password.
fn read_password(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
    refuse_if_others_can_read(path)?;
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_PASSWORD_BYTES as u64 + 2 {
        return Err(format!("{} is longer than {MAX_PASSWORD_BYTES} bytes: is it a password?", path.display()));
    }
    let mut password = std::fs::read(path).map_err(unreadable)?;
    for ending in [b'\n', b'\r'] {
        if password.last() == Some(&ending) {
            password.pop();
        }
    }
    Ok(password)
}

/// Refuses a file that holds a secret and that everyone on this machine can read.
fn refuse_if_others_can_read(path: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    if metadata.mode() & 0o007 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(format!("{path} holds a password and is open to every user of this machine: run `chmod o= {path}`"))
}
