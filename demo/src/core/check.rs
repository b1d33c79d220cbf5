//! Running a plugin, and what its text means.

use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::SystemTime;

use nagios::{Object, ReturnCode, Timestamp};

use super::Event;

/// What a plugin said.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) code: ReturnCode,
    pub(super) text: Vec<u8>,
    pub(super) begun: Timestamp,
}

/// Runs the command on a thread of its own, which sends [`Event::Checked`].
pub(super) fn start(object: Object, command: String, events: Sender<Event>) {
    thread::spawn(move || {
        let outcome = run(&command);
        // The core has stopped when nobody listens.
        let _ = events.send(Event::Checked(object, outcome));
    });
}

fn run(command: &str) -> Outcome {
    let begun = Timestamp::from(SystemTime::now());
    let output = Command::new("/bin/sh").arg("-c").arg(command).stdin(Stdio::null()).output();
    let (code, text) = match output {
        // Ended by a signal: UNKNOWN.
        Ok(output) => (output.status.code().unwrap_or(3), output.stdout),
        Err(error) => (3, format!("cannot run the check: {error}").into_bytes()),
    };
    Outcome { code: ReturnCode::new(i16::try_from(code).unwrap_or(3)), text, begun }
}

/// A plugin's text, taken apart as cores do.
///
/// ```text
/// output|performance data
/// long output
/// long output|performance data
/// performance data
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// The first line. Cores turn `;` into `:` here.
    pub(super) output: Vec<u8>,
    /// One line.
    pub(super) perfdata: Vec<u8>,
    /// Newlines are `\n`, backslashes `\\`.
    pub(super) long_output: Vec<u8>,
}

impl Parts {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut lines = text.trim_ascii_end().split(|&byte| byte == b'\n');
        let (output, first_perfdata) = split_at_bar(lines.next().unwrap_or_default());
        let rest: Vec<_> = lines.collect();
        let bar = rest.iter().position(|line| line.contains(&b'|')).unwrap_or(rest.len());
        let (mut long_lines, mut perfdata) = (rest[..bar].to_vec(), vec![first_perfdata]);
        if let Some((line, perfdata_lines)) = rest[bar..].split_first() {
            let (long_line, more) = split_at_bar(line);
            long_lines.push(long_line);
            perfdata.push(more);
            perfdata.extend(perfdata_lines);
        }
        perfdata.retain(|line| !line.is_empty());
        Self {
            output: output.iter().map(|&byte| if byte == b';' { b':' } else { byte }).collect(),
            perfdata: perfdata.join(&b' '),
            long_output: escape(&long_lines.join(&b'\n')),
        }
    }
}

fn split_at_bar(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&byte| byte == b'|') {
        Some(bar) => (line[..bar].trim_ascii(), line[bar + 1..].trim_ascii()),
        None => (line.trim_ascii(), b""),
    }
}

fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            byte => escaped.push(byte),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_apart() {
        let parts = |text: &str| {
            let parts = Parts::of(text.as_bytes());
            [parts.output, parts.perfdata, parts.long_output].map(|part| String::from_utf8(part).unwrap())
        };
        assert_eq!(parts(""), ["", "", ""]);
        assert_eq!(parts("fine; all\n"), ["fine: all", "", ""]);
        assert_eq!(parts("fine | a=1 \n"), ["fine", "a=1", ""]);
        assert_eq!(parts("fine|a=1\none\\\ntwo"), ["fine", "a=1", "one\\\\\\ntwo"]);
        assert_eq!(parts("fine|a=1\none|b=2\nc=3\n"), ["fine", "a=1 b=2 c=3", "one"]);
    }

    #[test]
    fn a_check_runs_in_a_shell() {
        let outcome = run("echo 'up and running'; exit 2");
        assert_eq!((outcome.code.get(), &outcome.text[..]), (2, &b"up and running\n"[..]));
        assert_eq!(run("kill -9 $$").code.get(), 3);
    }
}
