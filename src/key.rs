//! `understudy key`: a new key for sealed sessions.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use nsca::sealed::{KEY_BYTES, key_file_text};

/// Prints what a key file holds, and nothing else. Only a person who looks at it is told what to do with it.
pub(crate) fn main() -> ExitCode {
    let mut key = [0; KEY_BYTES];
    if let Err(error) = getrandom::fill(&mut key) {
        eprintln!("understudy: the operating system gives no random numbers: {error}");
        return ExitCode::FAILURE;
    }
    let mut out = std::io::stdout();
    if let Err(error) = writeln!(out, "{}", key_file_text(&key)) {
        eprintln!("understudy: the key cannot be written: {error}");
        return ExitCode::FAILURE;
    }
    if out.is_terminal() {
        eprintln!(
            "This key has been on a screen. To make one that nobody has seen:\n\
             \x20 (umask 077; understudy key > /etc/understudy/key)\n\
             Copy the file to the other side, let the daemons' user own it, and set key_file on both sides."
        );
    }
    ExitCode::SUCCESS
}
