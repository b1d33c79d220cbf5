//! Passwords and keys: where they come from, and who else may read them.

use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nsca::greeting::Policy;
use nsca::sealed::Psk;
use nsca::{Method, Secret};
use serde::Deserialize;
use toml::Spanned;

use crate::ConfigError;
use crate::error::Source;
use crate::findings::Findings;
use crate::values::Encryption;

/// The longest password in bytes. No cipher takes more than 256; XOR takes all of it.
const MAX_PASSWORD_BYTES: usize = 1024;

/// A key file holds 64 digits, and white space.
const MAX_KEY_FILE_BYTES: usize = 1024;

/// The keys that say how both ends of a session know each other.
#[derive(Deserialize)]
pub(crate) struct File {
    pub(crate) encryption: Option<Encryption>,
    pub(crate) password: Option<Spanned<String>>,
    pub(crate) password_file: Option<Spanned<PathBuf>>,
    pub(crate) key_file: Option<Spanned<PathBuf>>,
    pub(crate) sealed: Option<Spanned<Sealed>>,
}

/// Whether sessions with another Understudy are sealed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sealed {
    Auto,
    Require,
    Off,
}

/// What [`check`] makes of it.
pub(crate) struct Keys {
    /// For classic sessions.
    pub(crate) secret: Secret,
    /// For sealed ones.
    pub(crate) sealed: Policy,
    /// Where the key in `sealed` comes from.
    pub(crate) key_source: Option<KeySource>,
}

/// Where the key of sealed sessions comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// This file.
    File(PathBuf),
    /// It is derived from the password of classic sessions.
    Password,
}

/// A password, and where the configuration names it.
struct Password {
    bytes: Vec<u8>,
    span: Range<usize>,
}

/// Reads password and key, and prepares the key schedule. `owner` is the span of the section, for what is missing.
pub(crate) fn check(
    file: File,
    owner: Range<usize>,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Result<Keys, ConfigError> {
    let File { encryption, password, password_file, key_file, sealed } = file;
    let never_classic = sealed.as_ref().is_some_and(|sealed| *sealed.get_ref() == Sealed::Require);
    let method = encryption.map_or(Method::Rijndael128, |e| e.0);
    let password = read(password, password_file, source)?;
    let (sealed, key_source) = policy(sealed, key_file, password.as_ref(), method, source, findings)?;
    if never_classic && password.is_none() {
        return Ok(Keys { secret: Secret::new(Method::None, b""), sealed, key_source });
    }
    if !never_classic {
        weakness(method).into_iter().for_each(|warning| findings.warn(warning));
    }
    let bytes = match password {
        None if method == Method::None => Vec::new(),
        None => {
            return Err(source.at(owner, "a password is missing: add password_file = \"/etc/understudy/password\""));
        }
        Some(Password { bytes, span }) if bytes.is_empty() && method != Method::None => {
            return Err(source.at(span, "the password is empty: anyone could send check results"));
        }
        Some(Password { bytes, .. }) => bytes,
    };
    Ok(Keys { secret: Secret::new(method, &bytes), sealed, key_source })
}

/// The password, if there is one.
fn read(
    password: Option<Spanned<String>>,
    file: Option<Spanned<PathBuf>>,
    source: &Source<'_>,
) -> Result<Option<Password>, ConfigError> {
    let password = match (password, file) {
        (None, None) => return Ok(None),
        (Some(password), Some(_)) => {
            return Err(source.at(password.span(), "password and password_file exclude each other: keep one"));
        }
        (Some(password), None) => {
            let span = password.span();
            refuse_if_others_can_read(source.path()).map_err(|e| source.at(span.clone(), e))?;
            Password { bytes: password.into_inner().into_bytes(), span }
        }
        (None, Some(file)) => {
            let bytes = read_password(file.get_ref()).map_err(|e| source.at(file.span(), e))?;
            Password { bytes, span: file.span() }
        }
    };
    if password.bytes.len() > MAX_PASSWORD_BYTES {
        return Err(source.at(password.span, format!("the password is longer than {MAX_PASSWORD_BYTES} bytes")));
    }
    Ok(Some(password))
}

/// Whether sessions are sealed, and with which key: the key file's, else one that is derived from the password.
fn policy(
    sealed: Option<Spanned<Sealed>>,
    key_file: Option<Spanned<PathBuf>>,
    password: Option<&Password>,
    method: Method,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Result<(Policy, Option<KeySource>), ConfigError> {
    let wanted = sealed.as_ref().map_or(Sealed::Auto, |sealed| *sealed.get_ref());
    let (key, key_source) = match (wanted, key_file, password) {
        (Sealed::Off, Some(key_file), _) => {
            return Err(source.at(key_file.span(), "key_file has no use where sealed = \"off\": remove one of them"));
        }
        (Sealed::Off, None, _) => return Ok((Policy::Off, None)),
        (_, Some(file), _) => {
            let key = read_key(file.get_ref()).map_err(|e| source.at(file.span(), e))?;
            (key, KeySource::File(file.into_inner()))
        }
        (_, None, Some(password)) if !password.bytes.is_empty() => {
            remark_on_derived_key(method, findings);
            let key = findings.key_from(&password.bytes);
            (key.map_err(|e| source.at(password.span.clone(), e.to_string()))?, KeySource::Password)
        }
        // What nobody asked for need not be possible.
        (_, None, _) => match sealed {
            None => return Ok((Policy::Off, None)),
            Some(sealed) => {
                let advice = "sealed sessions need a secret: make one with `understudy key`, copy it to both sides, and add \
                              key_file = \"/etc/understudy/key\"";
                return Err(source.at(sealed.span(), advice));
            }
        },
    };
    let policy = if wanted == Sealed::Require { Policy::Require(key) } else { Policy::Auto(key) };
    Ok((policy, Some(key_source)))
}

fn remark_on_derived_key(method: Method, findings: &mut Findings) {
    if matches!(method, Method::Xor | Method::Des) {
        findings.warn(format!(
            "sealed sessions take their key from a password that encryption = \"{method}\" gives away in classic sessions: \
             add a key_file (`understudy key` makes one)"
        ));
    } else {
        findings.advise(
            "sealed sessions take their key from the password, which whoever listens can try to guess: a key_file \
             (`understudy key` makes one) cannot be guessed",
        );
    }
}

/// Reads a key file.
fn read_key(path: &Path) -> Result<Psk, String> {
    let contents = read_secret_file(path, MAX_KEY_FILE_BYTES, "a key")?;
    Psk::from_key_file(&contents).map_err(|error| format!("{}: {error}", path.display()))
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
    let mut password = read_secret_file(path, MAX_PASSWORD_BYTES + 2, "a password")?;
    for ending in [b'\n', b'\r'] {
        if password.last() == Some(&ending) {
            password.pop();
        }
    }
    Ok(password)
}

/// Reads a small file that nobody else can read.
fn read_secret_file(path: &Path, limit: usize, what: &str) -> Result<Vec<u8>, String> {
    let unreadable = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
    refuse_if_others_can_read(path)?;
    let mut contents = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(limit as u64 + 1).read_to_end(&mut contents).map_err(unreadable)?;
    if contents.len() > limit {
        return Err(format!("{} is longer than {limit} bytes: is it {what}?", path.display()));
    }
    Ok(contents)
}

/// Refuses a file that holds a secret and that everyone on this machine can read.
fn refuse_if_others_can_read(path: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    if metadata.mode() & 0o007 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(format!("{path} holds a secret and is open to every user of this machine: run `chmod o= {path}`"))
}
