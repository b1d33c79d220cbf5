//! What a command line asks for instead of running: the same for both programs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// A question, in the order of rank: the highest that was asked is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    Version,
    Help,
    License,
}

impl Question {
    /// The question that an argument is, if it is one.
    pub(crate) fn asked_by(arg: &OsStr) -> Option<Self> {
        match arg.as_bytes() {
            b"-h" | b"--help" => Some(Question::Help),
            b"-V" | b"--version" => Some(Question::Version),
            b"-l" | b"--license" => Some(Question::License),
            _ => None,
        }
    }

    /// The answer of a program that is a drop-in for `original`, whose version scripts look for.
    pub(crate) fn answer(self, original: &str, program_name: &str, help: &str) -> String {
        let about = format!("\n{original} (drop-in of Understudy {})\n", env!("CARGO_PKG_VERSION"));
        match self {
            Question::Version => about,
            Question::License => format!("{about}License: Apache-2.0 OR MIT\n"),
            Question::Help => format!("{about}\nUsage: {program_name} {help}"),
        }
    }
}
