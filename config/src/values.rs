//! Values that several sections share: addresses, durations, file modes, encryption methods.

use std::fmt;
use std::time::Duration;

use nagios::Flavour;
use nsca::Method;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The port that NSCA has always used.
pub const DEFAULT_PORT: u16 = 5667;

/// A host's name or address and a port, resolved anew at every attempt to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl std::str::FromStr for Address {
    type Err = String;

    /// Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("{text:?} is not an address: write host:port, 192.0.2.1:5667 or [2001:db8::1]:5667");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(malformed)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| malformed())?;
                (host, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")).ok_or_else(malformed)?)
            }
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, ""),
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let has_port = !port.is_empty() || text.ends_with(':');
        let port = if has_port { port.parse().ok().filter(|p| *p != 0).ok_or_else(malformed)? } else { DEFAULT_PORT };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(malformed());
        }
        Ok(Address { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A duration as people write it: `"30s"`, `"5m"`, `"1h 30m"`.
#[derive(Clone, Copy)]
pub(crate) struct HumanDuration(pub(crate) Duration);

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)
            .map_err(|e| D::Error::custom(format!("{e}; write a duration with its unit, as in \"30s\" or \"5m\"")))?;
        // A bare zero needs no unit.
        if text == "0" {
            return Ok(HumanDuration(Duration::ZERO));
        }
        humantime::parse_duration(&text)
            .map(HumanDuration)
            .map_err(|e| D::Error::custom(format!("{text:?} is not a duration ({e}): write \"30s\" or \"5m\"")))
    }
}

/// A number of bytes as people write it: `"256MiB"`, `"1GB"`.
#[derive(Clone, Copy)]
pub(crate) struct Size(pub(crate) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)
            .map_err(|e| D::Error::custom(format!("{e}; write a size with its unit, as in \"256MiB\"")))?;
        text.parse::<bytesize::ByteSize>()
            .map(|size| Size(size.as_u64()))
            .map_err(|e| D::Error::custom(format!("{text:?} is not a size ({e}): write \"256MiB\" or \"1GiB\"")))
    }
}

/// File permissions in octal, as `chmod` takes them: `"0660"`.
#[derive(Clone, Copy)]
pub(crate) struct Mode(pub(crate) u32);

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)
            .map_err(|e| D::Error::custom(format!("{e}; write permissions as a string, as in \"0660\"")))?;
        u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .map(Mode)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is not a file mode: write it in octal, as in \"0660\"")))
    }
}

/// An encryption method by name or by NSCA's number.
#[derive(Clone, Copy)]
pub(crate) struct Encryption(pub(crate) Method);

impl<'de> Deserialize<'de> for Encryption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;
        impl Visitor<'_> for NameOrNumber {
            type Value = Encryption;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name or number of an encryption method, as in \"rijndael-128\" or 14")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Encryption, E> {
                name.parse().map(Encryption).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Encryption, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(NameOrNumber)
    }
}

/// The flavour of a core by name.
#[derive(Clone, Copy)]
pub(crate) struct CoreFlavour(pub(crate) Flavour);

impl<'de> Deserialize<'de> for CoreFlavour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(CoreFlavour).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parse = |text: &str| text.parse::<Address>().map(|a| a.to_string());
        assert_eq!(parse("standby"), Ok("standby:5667".into()));
        assert_eq!(parse("standby.example.org:5668"), Ok("standby.example.org:5668".into()));
        assert_eq!(parse("192.0.2.1"), Ok("192.0.2.1:5667".into()));
        assert_eq!(parse("2001:db8::1"), Ok("[2001:db8::1]:5667".into()));
        assert_eq!(parse("[2001:db8::1]"), Ok("[2001:db8::1]:5667".into()));
        assert_eq!(parse("[2001:db8::1]:1"), Ok("[2001:db8::1]:1".into()));
        for bad in ["", ":5667", "a:b", "a:0", "a:65536", "a:", "[::1", "[::1]x", "[a]:1", "a b:1", "a:1:2"] {
            assert!(parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
