//! The names of hosts and services, checked where they enter.

use std::borrow::Cow;
use std::fmt;

use super::name::Name;

/// Longest name of a host or service, in bytes. Cores take longer ones, NSCA's packet only 63 and 127.
pub const MAX_NAME_BYTES: usize = 1024;

/// What a check result is about.
///
/// Hosts sort before their services, services by host and then description.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A host.
    Host(HostName),
    /// A service of a host.
    Service(HostName, ServiceDescription),
}

impl Object {
    /// The host, or the service's host.
    pub fn host(&self) -> &HostName {
        match self {
            Self::Host(host) | Self::Service(host, _) => host,
        }
    }

    /// The service's description; none for a host.
    pub fn service(&self) -> Option<&ServiceDescription> {
        match self {
            Self::Host(_) => None,
            Self::Service(_, service) => Some(service),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Service(host, service) => write!(f, "{host};{service}"),
        }
    }
}

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing in it.
    #[error("the name is empty")]
    Empty,
    /// It is longer than [`MAX_NAME_BYTES`].
    #[error("the name is {bytes} bytes long, at most {MAX_NAME_BYTES} are taken")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It holds a byte that separates fields or lines of an external command.
    #[error("the name holds byte {byte:#04x}: control characters and `;` would break the command file's lines")]
    Forbidden {
        /// The first such byte.
        byte: u8,
    },
}

/// The `host_name` of a host in the core's configuration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Name);

/// The `service_description` of a service in the core's configuration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceDescription(Name);

macro_rules! name_type {
    ($name:ident) => {
        impl $name {
            /// The name's bytes.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }

            /// The name as text; bytes that are not UTF-8 are shown as U+FFFD.
            pub fn to_string_lossy(&self) -> Cow<'_, str> {
                String::from_utf8_lossy(self.as_bytes())
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = NameError;

            fn try_from(bytes: &[u8]) -> Result<Self, NameError> {
                check_name(bytes)?;
                Ok(Self(Name::new(bytes)))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_string_lossy())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.to_string_lossy())
            }
        }
    };
}

name_type!(HostName);
name_type!(ServiceDescription);

fn check_name(bytes: &[u8]) -> Result<(), NameError> {
    if bytes.is_empty() {
        return Err(NameError::Empty);
    }
    if bytes.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { bytes: bytes.len() });
    }
    let is_forbidden = |byte: &u8| byte.is_ascii_control() || *byte == b';';
    // Looks at all of them, and so at many at a time.
    if !bytes.iter().fold(false, |found, byte| found | is_forbidden(byte)) {
        return Ok(());
    }
    bytes.iter().copied().find(is_forbidden).map_or(Ok(()), |byte| Err(NameError::Forbidden { byte }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_break_a_command_line_is_refused() {
        assert_eq!(HostName::try_from(""), Err(NameError::Empty));
        for bad in ["a;b", "a\nb", "a\rb", "a\0b", "a\tb", "a\x7fb"] {
            assert!(matches!(HostName::try_from(bad), Err(NameError::Forbidden { .. })), "{bad:?}");
        }
        let longest = "x".repeat(MAX_NAME_BYTES);
        assert!(ServiceDescription::try_from(longest.as_str()).is_ok());
        assert_eq!(
            ServiceDescription::try_from(format!("{longest}x").as_str()),
            Err(NameError::TooLong { bytes: MAX_NAME_BYTES + 1 })
        );
    }

    #[test]
    fn names_are_bytes_and_shown_lossily() {
        let host = HostName::try_from(&b"caf\xe9"[..]).unwrap();
        assert_eq!(host.as_bytes(), b"caf\xe9");
        assert_eq!(host.to_string(), "caf\u{fffd}");
        let service = ServiceDescription::try_from("Disk C:\\").unwrap();
        assert_eq!(Object::Service(host.clone(), service).to_string(), "caf\u{fffd};Disk C:\\");
        assert_eq!(format!("{host:?}"), "HostName(\"caf\u{fffd}\")");
    }
}
