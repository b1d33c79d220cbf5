//! `log_facility` of `nsca.cfg`.

/// A syslog facility.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "syslog(3) defines the names")]
pub enum Facility {
    User,
    Mail,
    Daemon,
    Auth,
    Lpr,
    News,
    Uucp,
    Cron,
    Authpriv,
    Ftp,
    Local0,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

/// The names of nsca 2.10, its own spelling of `lpr` included.
const NAMES: [(&str, Facility); 19] = [
    ("user", Facility::User),
    ("mail", Facility::Mail),
    ("daemon", Facility::Daemon),
    ("auth", Facility::Auth),
    ("lpr", Facility::Lpr),
    ("lrp", Facility::Lpr),
    ("news", Facility::News),
    ("uucp", Facility::Uucp),
    ("cron", Facility::Cron),
    ("authpriv", Facility::Authpriv),
    ("ftp", Facility::Ftp),
    ("local0", Facility::Local0),
    ("local1", Facility::Local1),
    ("local2", Facility::Local2),
    ("local3", Facility::Local3),
    ("local4", Facility::Local4),
    ("local5", Facility::Local5),
    ("local6", Facility::Local6),
    ("local7", Facility::Local7),
];

impl Facility {
    /// The facility called `name` in an `nsca.cfg`. `kern` and `syslog` are not for programs: the first is the kernel's,
    /// and a system logger turns it into `user`.
    pub fn named(name: &[u8]) -> Option<Facility> {
        match name {
            b"kern" => Some(Facility::User),
            b"syslog" => Some(Facility::Daemon),
            _ => NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, facility)| *facility),
        }
    }
}

impl From<Facility> for syslog_tracing::Facility {
    fn from(facility: Facility) -> Self {
        match facility {
            Facility::User => Self::User,
            Facility::Mail => Self::Mail,
            Facility::Daemon => Self::Daemon,
            Facility::Auth => Self::Auth,
            Facility::Lpr => Self::Lpr,
            Facility::News => Self::News,
            Facility::Uucp => Self::Uucp,
            Facility::Cron => Self::Cron,
            Facility::Authpriv => Self::AuthPriv,
            Facility::Ftp => Self::Ftp,
            Facility::Local0 => Self::Local0,
            Facility::Local1 => Self::Local1,
            Facility::Local2 => Self::Local2,
            Facility::Local3 => Self::Local3,
            Facility::Local4 => Self::Local4,
            Facility::Local5 => Self::Local5,
            Facility::Local6 => Self::Local6,
            Facility::Local7 => Self::Local7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_nsca_are_known_in_its_spelling() {
        for (name, facility) in NAMES {
            assert_eq!(Facility::named(name.as_bytes()), Some(facility));
        }
        assert_eq!(Facility::named(b"kern"), Some(Facility::User));
        assert_eq!(Facility::named(b"DAEMON"), None);
    }
}
