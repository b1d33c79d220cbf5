//! The core's log: whom it has notified of what, the moment it did.
//!
//! ```text
//! [unix seconds] SERVICE NOTIFICATION: contact;host;description;STATE;command;output
//! [unix seconds] SERVICE NOTIFICATION: contact;host;description;WORD (STATE);command;output;author;comment
//! [unix seconds] HOST NOTIFICATION: contact;host;STATE;command;output
//! [unix seconds] Nagios 4.4.6 starting... (PID=42)
//! [unix seconds] LOG ROTATION: DAILY
//! ```
//!
//! WORD is ACKNOWLEDGEMENT, FLAPPINGSTART, FLAPPINGSTOP, FLAPPINGDISABLED, DOWNTIMESTART, DOWNTIMEEND, DOWNTIMECANCELLED or
//! CUSTOM. A notification of several contacts is a line for each of them. The lines are written before the commands run,
//! and only with `log_notifications=1`. Nagios 3 and 4, Icinga 1 and Naemon write them alike; tried on Nagios 4.4.6.
//!
//! [`LogLines`] makes lines of bytes, [`LogEvent::parse`] events of lines, and [`LogFollower`] follows the file.

mod follow;
mod lines;

pub use follow::{LogError, LogFollower, LogPosition};
pub use lines::{LogLines, MAX_LOG_LINE_BYTES};

use memchr::{memchr, memmem};

use crate::result::{HostName, HostState, Object, ReturnCode, ServiceDescription, ServiceState};

/// What a line of the log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent<'a> {
    /// Somebody was told something.
    Notification(Notification<'a>),
    /// A core begins to run, or reads its configuration again.
    Started {
        /// When, in Unix seconds.
        time: i64,
    },
}

/// One contact was told about one object, by one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification<'a> {
    /// When, in Unix seconds.
    pub time: i64,
    /// Who was told.
    pub contact: &'a [u8],
    /// About what.
    pub object: Object,
    /// Why.
    pub kind: NotificationKind,
    /// The number of the object's state.
    pub state: u8,
    /// By which command.
    pub command: &'a [u8],
    /// What the plugin printed, its first line.
    pub output: &'a [u8],
}

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotificationKind {
    /// Something is wrong: the only kind that is numbered.
    Problem,
    /// All is well again.
    Recovery,
    /// Somebody takes care of it.
    Acknowledgement,
    /// The state changes too often.
    FlappingStart,
    /// It does not any more.
    FlappingStop,
    /// Nobody looks for flapping any more.
    FlappingDisabled,
    /// A downtime began.
    DowntimeStart,
    /// A downtime is over.
    DowntimeEnd,
    /// A downtime was cancelled.
    DowntimeCancelled,
    /// Somebody wanted it.
    Custom,
}

impl<'a> LogEvent<'a> {
    /// Reads a line, with or without its end; none if it tells something else, or is damaged.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii_end();
        let line = line.strip_prefix(b"[")?;
        let end = memchr(b']', line)?;
        let time = str::from_utf8(&line[..end]).ok()?.parse().ok()?;
        let text = line[end + 1..].strip_prefix(b" ")?;
        if let Some(fields) = text.strip_prefix(b"SERVICE NOTIFICATION: ") {
            Notification::of_service(time, fields).map(Self::Notification)
        } else if let Some(fields) = text.strip_prefix(b"HOST NOTIFICATION: ") {
            Notification::of_host(time, fields).map(Self::Notification)
        } else {
            let starts = memmem::find(text, b" starting... (PID=").is_some() && memchr(b';', text).is_none();
            starts.then_some(Self::Started { time })
        }
    }
}

impl<'a> Notification<'a> {
    fn of_service(time: i64, fields: &'a [u8]) -> Option<Self> {
        let mut fields = fields.splitn(6, |byte| *byte == b';');
        let contact = fields.next()?;
        let host = HostName::try_from(fields.next()?).ok()?;
        let object = Object::Service(host, ServiceDescription::try_from(fields.next()?).ok()?);
        let (kind, state) = kind_and_state(fields.next()?, service_state)?;
        Some(Self { time, contact, object, kind, state, command: fields.next()?, output: fields.next()? })
    }

    fn of_host(time: i64, fields: &'a [u8]) -> Option<Self> {
        let mut fields = fields.splitn(5, |byte| *byte == b';');
        let contact = fields.next()?;
        let object = Object::Host(HostName::try_from(fields.next()?).ok()?);
        let (kind, state) = kind_and_state(fields.next()?, host_state)?;
        Some(Self { time, contact, object, kind, state, command: fields.next()?, output: fields.next()? })
    }
}

/// `CRITICAL`, or `ACKNOWLEDGEMENT (CRITICAL)`.
fn kind_and_state(text: &[u8], state_called: fn(&[u8]) -> Option<u8>) -> Option<(NotificationKind, u8)> {
    let Some(space) = memchr(b' ', text) else {
        let state = state_called(text)?;
        return Some((if state == 0 { NotificationKind::Recovery } else { NotificationKind::Problem }, state));
    };
    let kind = match &text[..space] {
        b"ACKNOWLEDGEMENT" => NotificationKind::Acknowledgement,
        b"FLAPPINGSTART" => NotificationKind::FlappingStart,
        b"FLAPPINGSTOP" => NotificationKind::FlappingStop,
        b"FLAPPINGDISABLED" => NotificationKind::FlappingDisabled,
        b"DOWNTIMESTART" => NotificationKind::DowntimeStart,
        b"DOWNTIMEEND" => NotificationKind::DowntimeEnd,
        b"DOWNTIMECANCELLED" => NotificationKind::DowntimeCancelled,
        b"CUSTOM" => NotificationKind::Custom,
        _ => return None,
    };
    let state = text[space + 1..].strip_prefix(b"(")?.strip_suffix(b")")?;
    Some((kind, state_called(state)?))
}

fn service_state(word: &[u8]) -> Option<u8> {
    let states = [ServiceState::Ok, ServiceState::Warning, ServiceState::Critical, ServiceState::Unknown];
    states.into_iter().find(|state| state.to_string().as_bytes() == word).and_then(|state| number(state.into()))
}

fn host_state(word: &[u8]) -> Option<u8> {
    let states = [HostState::Up, HostState::Down, HostState::Unreachable];
    states.into_iter().find(|state| state.to_string().as_bytes() == word).and_then(|state| number(state.into()))
}

fn number(code: ReturnCode) -> Option<u8> {
    u8::try_from(code.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn notification(line: &str) -> Option<(String, i64, String, NotificationKind, u8, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match LogEvent::parse(line.as_bytes())? {
            LogEvent::Notification(it) => {
                Some((text(it.contact), it.time, it.object.to_string(), it.kind, it.state, text(it.output)))
            }
            LogEvent::Started { .. } => None,
        }
    }

    #[test]
    fn notifications_are_understood() {
        use NotificationKind as Kind;
        let told = |object: &str, kind, state, output: &str| {
            Some(("admin".to_owned(), 1_795_384_308, object.to_owned(), kind, state, output.to_owned()))
        };
        for (text, expected) in [
            (
                "SERVICE NOTIFICATION: admin;web1;S1;CRITICAL;mail;bad: thing",
                told("web1;S1", Kind::Problem, 2, "bad: thing"),
            ),
            ("SERVICE NOTIFICATION: admin;web1;S1;OK;mail;", told("web1;S1", Kind::Recovery, 0, "")),
            ("HOST NOTIFICATION: admin;web1;UNREACHABLE;mail;a;b", told("web1", Kind::Problem, 2, "a;b")),
            ("HOST NOTIFICATION: admin;web1;DOWNTIMESTART (UP);mail;x\r\n", told("web1", Kind::DowntimeStart, 0, "x")),
            (
                "SERVICE NOTIFICATION: admin;web1;S1;ACKNOWLEDGEMENT (UNKNOWN);mail;x;joe;mine",
                told("web1;S1", Kind::Acknowledgement, 3, "x;joe;mine"),
            ),
        ] {
            assert_eq!(notification(&format!("[1795384308] {text}")), expected, "{text}");
        }
    }

    #[test]
    fn a_core_that_begins_is_seen() {
        let started = LogEvent::parse(b"[7] Nagios 4.4.6 starting... (PID=15095)\n");
        assert_eq!(started, Some(LogEvent::Started { time: 7 }));
        assert!(LogEvent::parse(b"[7] SERVICE ALERT: a;b;OK;HARD;1;x starting... (PID=1)").is_none());
    }

    #[test]
    fn other_and_damaged_lines_tell_nothing() {
        for line in [
            "",
            "[",
            "[x] HOST NOTIFICATION: admin;web1;UP;mail;x",
            "[1]HOST NOTIFICATION: admin;web1;UP;mail;x",
            "[1] HOST NOTIFICATION: admin;web1;UP;mail",
            "[1] HOST NOTIFICATION: admin;;UP;mail;x",
            "[1] HOST NOTIFICATION: admin;web1;CRITICAL;mail;x",
            "[1] SERVICE NOTIFICATION: admin;web1;S1;CRITI[2] Nagios 4.4.6 starting... (PID=1);mail;x",
            "[1] SERVICE NOTIFICATION: admin;web1;S1;SOMETHING (OK);mail;x",
            "[1] SERVICE NOTIFICATION: admin;web1;S1;CUSTOM (OK;mail;x",
            "[1] SERVICE ALERT: web1;S1;CRITICAL;HARD;1;bad",
        ] {
            assert_eq!(LogEvent::parse(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_lines_are_read_or_passed_over(
            line in proptest::collection::vec(any::<u8>(), 0..100), tail in "[;A-Z ()a-z]{0,60}",
        ) {
            let _ = LogEvent::parse(&line);
            let _ = LogEvent::parse(format!("[1] SERVICE NOTIFICATION: {tail}").as_bytes());
        }
    }
}
