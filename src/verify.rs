//! `understudy verify`: whether this node's core agrees with the one in charge, as a plugin tells it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use control::{Client, ClientError, Verified};

use crate::daemon::Daemon;

/// The exit codes of plugins.
const OK: u8 = 0;
const WARNING: u8 = 1;
const UNKNOWN: u8 = 3;

/// How often the daemon looks while something is undecided.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Asks until nothing is undecided, for `patience` at most.
pub(crate) fn main(daemon: &Daemon, at_once: bool, patience: Duration) -> ExitCode {
    let talked = daemon.ask(|client| -> Result<ExitCode, String> {
        let (text, code) = match verify(client, at_once, patience) {
            Ok(Ok(verified)) => told(&verified),
            Ok(Err(reason)) => (format!("UNKNOWN: {reason}\n"), UNKNOWN),
            Err(error) => (format!("UNKNOWN: {error}\n"), UNKNOWN),
        };
        // A pager that was closed has seen enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(ExitCode::from(code))
    });
    // What is left is a daemon that nobody can find: standard error has the reason.
    if talked == ExitCode::from(crate::EXIT_USAGE) { ExitCode::from(UNKNOWN) } else { talked }
}

fn verify(client: &Client, at_once: bool, patience: Duration) -> Result<Result<Verified, String>, ClientError> {
    let until = Instant::now() + patience;
    loop {
        let verified = client.verify(at_once)?;
        let is_undecided = verified.as_ref().is_ok_and(|verified| verified.undecided > 0);
        if !is_undecided {
            return Ok(verified);
        }
        if Instant::now() + LOOK_EVERY > until {
            return client.verify(true);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn told(verified: &Verified) -> (String, u8) {
    let mut text = format!("{}\n", verified.line);
    for difference in &verified.differences {
        writeln!(text, "{difference}").expect("a String takes every write");
    }
    (text, if verified.agrees { OK } else { WARNING })
}
