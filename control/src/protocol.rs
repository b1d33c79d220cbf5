//! Requests and answers, to the byte.
//!
//! A client sends one request and gets one answer; then both close. Each is one JSON object on one line, UTF-8, ended by a
//! newline or by the end of the stream. A request has at most [`MAX_REQUEST_BYTES`].
//!
//! ```text
//! ▶ {"protocol":1,"request":"status"}
//! ◀ {"protocol":1,"answer":"status","time":1795354950,"node":"master",…}     see status
//!
//! ▶ {"protocol":1,"request":"forget","destination":"standby"}
//! ◀ {"protocol":1,"answer":"forgotten"}                   the sender knew that this peer can seal its sessions
//! ◀ {"protocol":1,"answer":"nothing-to-forget"}           it knew of nothing
//! ◀ {"protocol":1,"answer":"no-such-destination","known":["standby"]}
//!
//! ▶ {"protocol":1,"request":"takeover","reason":"maintenance"}
//! ▶ {"protocol":1,"request":"hand-back"}
//! ▶ {"protocol":1,"request":"hold","reason":"maintenance"}
//! ▶ {"protocol":1,"request":"release"}
//! ▶ {"protocol":1,"request":"event","kind":"service","state":"CRITICAL","state_type":"HARD"}
//! ◀ {"protocol":1,"answer":"done","notes":["…"]}          to each of these five: what the operator should know besides
//!
//! ▶ {"protocol":1,"request":"verify","at_once":false}    whether this node's core agrees with the one in charge
//! ◀ {"protocol":1,"answer":"verified","agrees":false,"undecided":0,"line":"WARNING: …|…","differences":["…"]}
//!                                                         while something is undecided: ask again, within some seconds
//! ◀ {"protocol":1,"answer":"cannot-tell","reason":"…"}    there is nothing to compare with
//!
//! ▶ {"protocol":1,"request":"resync"}                     brings this node's core up to date
//! ◀ {"protocol":1,"answer":"done","notes":["…"]}          how it ended, or that it goes on
//!
//! ◀ {"protocol":1,"answer":"refused","reason":"…"}        to any request: why not, and what to do
//! ```
//!
//! `protocol` comes with every line. A daemon refuses a request with another number than [`PROTOCOL`], and a client an
//! answer. Members that a reader does not know are ignored, so that both can grow without a new number.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::status::Status;

/// The version of this protocol.
pub const PROTOCOL: u32 = 1;

/// The longest request, its newline included, in bytes.
pub const MAX_REQUEST_BYTES: usize = 64 << 10;

/// The longest answer that a client reads, in bytes: a status with thousands of sessions is a tenth of it.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;

/// What a client wants. Every command of the command line that talks to the daemon is one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// How it goes.
    Status,
    /// To forget that a destination could seal its sessions, so that the sender takes a classic one from it again.
    Forget {
        /// Its name in the configuration.
        destination: String,
    },
    /// To become active, and to hold.
    Takeover {
        /// Why, in the operator's words; may be empty.
        reason: String,
    },
    /// To stand by, and to hold.
    HandBack,
    /// To stay active, or standing by, until a release.
    Hold {
        /// Why, in the operator's words; may be empty.
        reason: String,
    },
    /// To decide for itself again.
    Release,
    /// Whether this node's core agrees with the one in charge.
    Verify {
        /// Whether what differs at this moment differs; otherwise only what goes on to.
        #[serde(default)]
        at_once: bool,
    },
    /// To bring this node's core up to date.
    Resync,
    /// To take what an event handler of the core was called with.
    Event {
        /// Whose state it is.
        kind: EventKind,
        /// `$HOSTSTATE$` or `$SERVICESTATE$`.
        state: String,
        /// `$HOSTSTATETYPE$` or `$SERVICESTATETYPE$`.
        state_type: String,
    },
}

/// Whose state an event handler tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The master's host.
    Host,
    /// The service that watches the master's core.
    Service,
}

impl Request {
    /// Whether it leaves everything as it is.
    pub fn only_asks(&self) -> bool {
        match self {
            Request::Status | Request::Verify { .. } => true,
            Request::Forget { .. }
            | Request::Takeover { .. }
            | Request::HandBack
            | Request::Hold { .. }
            | Request::Release
            | Request::Resync
            | Request::Event { .. } => false,
        }
    }
}

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Forget`]: done.
    Forgotten,
    /// To [`Request::Forget`]: the sender knew of no sealed session with it.
    NothingToForget,
    /// To [`Request::Forget`]: the configuration has no destination of this name.
    NoSuchDestination {
        /// The names that it has.
        known: Vec<String>,
    },
    /// To an order or an event for the failover controller: carried out.
    Done {
        /// What the operator should know besides.
        notes: Vec<String>,
    },
    /// To [`Request::Verify`].
    Verified(Verified),
    /// To [`Request::Verify`]: there is nothing to compare with.
    CannotTell {
        /// Why, and what to do.
        reason: String,
    },
    /// To any request: not done.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
}

/// Whether a core agrees with the one in charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whether nothing differs, as far as is decided.
    pub agrees: bool,
    /// How many objects differ, and may do so for a moment only.
    pub undecided: u64,
    /// One line, as plugins print it.
    pub line: String,
    /// A line for each object that differs.
    pub differences: Vec<String>,
}

/// Why a line is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Misunderstood {
    /// The other side is older or newer.
    #[error("the other side speaks version {0} of the control protocol, and this one version {PROTOCOL}")]
    OtherVersion(u32),
    /// It is no JSON object of this protocol.
    #[error("this is nothing that version {PROTOCOL} of the control protocol knows: {0}")]
    Garbled(#[from] serde_json::Error),
}

/// What is on the line.
#[derive(Serialize, Deserialize)]
struct Line<T> {
    protocol: u32,
    #[serde(flatten)]
    content: T,
}

/// What every version has on its lines.
#[derive(Deserialize)]
struct AnyLine {
    protocol: u32,
}

/// A request or an answer as one line, its newline included.
pub fn encode(content: &impl Serialize) -> Vec<u8> {
    let line = Line { protocol: PROTOCOL, content };
    let mut line = serde_json::to_vec(&line).expect("a value of this module has text for keys, and no other failures");
    line.push(b'\n');
    line
}

/// The request or answer on a line, with its newline or without.
///
/// # Errors
///
/// When it is of another version, or none at all. Bounded in time and memory by the line's length.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, Misunderstood> {
    let AnyLine { protocol } = serde_json::from_slice(line)?;
    if protocol != PROTOCOL {
        return Err(Misunderstood::OtherVersion(protocol));
    }
    let Line { content, .. } = serde_json::from_slice(line)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_documented() {
        let forget = Request::Forget { destination: "standby".into() };
        let (takeover, hold) = (Request::Takeover { reason: "why".into() }, Request::Hold { reason: String::new() });
        let verify = Request::Verify { at_once: true };
        let event = Request::Event { kind: EventKind::Host, state: "DOWN".into(), state_type: "HARD".into() };
        for (request, line) in [
            (Request::Status, "{\"protocol\":1,\"request\":\"status\"}\n"),
            (forget, "{\"protocol\":1,\"request\":\"forget\",\"destination\":\"standby\"}\n"),
            (takeover, "{\"protocol\":1,\"request\":\"takeover\",\"reason\":\"why\"}\n"),
            (Request::HandBack, "{\"protocol\":1,\"request\":\"hand-back\"}\n"),
            (hold, "{\"protocol\":1,\"request\":\"hold\",\"reason\":\"\"}\n"),
            (Request::Release, "{\"protocol\":1,\"request\":\"release\"}\n"),
            (Request::Resync, "{\"protocol\":1,\"request\":\"resync\"}\n"),
            (verify, "{\"protocol\":1,\"request\":\"verify\",\"at_once\":true}\n"),
            (
                event,
                "{\"protocol\":1,\"request\":\"event\",\"kind\":\"host\",\"state\":\"DOWN\",\"state_type\":\"HARD\"}\n",
            ),
        ] {
            assert_eq!(String::from_utf8(encode(&request)).unwrap(), line);
            assert_eq!(decode::<Request>(line.as_bytes()).unwrap(), request);
        }
    }

    #[test]
    fn answers_are_as_documented() {
        let status = Status { node: "master".into(), time: 1_795_354_950, ..Status::default() };
        let (line, differences) = ("OK".to_owned(), vec!["a".to_owned()]);
        let verified = Verified { agrees: false, undecided: 1, line, differences };
        let answers = [
            (Answer::Forgotten, r#"{"protocol":1,"answer":"forgotten"}"#),
            (Answer::NothingToForget, r#"{"protocol":1,"answer":"nothing-to-forget"}"#),
            (
                Answer::NoSuchDestination { known: vec!["standby".into()] },
                r#"{"protocol":1,"answer":"no-such-destination","known":["standby"]}"#,
            ),
            (Answer::Done { notes: vec!["held".into()] }, r#"{"protocol":1,"answer":"done","notes":["held"]}"#),
            (
                Answer::Verified(verified),
                r#"{"protocol":1,"answer":"verified","agrees":false,"undecided":1,"line":"OK","differences":["a"]}"#,
            ),
            (Answer::CannotTell { reason: "no".into() }, r#"{"protocol":1,"answer":"cannot-tell","reason":"no"}"#),
            (Answer::Refused { reason: "no".into() }, r#"{"protocol":1,"answer":"refused","reason":"no"}"#),
            (Answer::Status(Box::new(status)), r#"{"protocol":1,"answer":"status","time":1795354950,"node":"master","#),
        ];
        for (answer, begins) in answers {
            let line = String::from_utf8(encode(&answer)).unwrap();
            assert!(line.starts_with(begins), "{line}");
            assert_eq!(line.matches('\n').count(), 1);
            assert_eq!(decode::<Answer>(line.as_bytes()).unwrap(), answer);
        }
    }

    #[test]
    fn other_versions_and_garbage_are_told_apart() {
        let newer = r#"{"protocol":2,"request":["what",{"version":"2 has"}]}"#;
        assert!(matches!(decode::<Request>(newer.as_bytes()), Err(Misunderstood::OtherVersion(2))));
        let grown = r#"{"protocol":1,"request":"status","verbose":true}"#;
        assert_eq!(decode::<Request>(grown.as_bytes()).unwrap(), Request::Status);
        let nested = "[".repeat(MAX_REQUEST_BYTES);
        for garbage in ["", "\n", "status", "{}", "{\"protocol\":1}", "{\"protocol\":1,\"request\":\"dance\"}", &nested]
        {
            assert!(matches!(decode::<Request>(garbage.as_bytes()), Err(Misunderstood::Garbled(_))), "{garbage:.40}");
        }
    }
}
