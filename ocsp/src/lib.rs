//! `understudy-ocsp`: what a core's `ocsp_command` and `ochp_command` execute for each check result.
//!
//! It hands the result to the running sender and exits 0 only when the sender has said that it took it, or when the
//! result lies in the spill directory, which the sender drains. It never keeps the core waiting for longer than
//! [`SOCKET_TIME`] and [`SPILL_TIME`] together, has no dependencies and starts in microseconds.
//!
//! [`handover`] is the format on the socket and in the files, [`spill`] the directory; the sender uses both.

mod args;
mod crc32;
pub mod handover;
mod socket;
pub mod spill;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use args::{Order, Request, UsageError};
use handover::HandOver;
use socket::{NotTaken, Unavailable};

/// Where the sender listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/understudy/ocsp.sock";

/// How long the sender may take to answer.
pub const SOCKET_TIME: Duration = Duration::from_millis(600);

/// How long the disk may take afterwards.
pub const SPILL_TIME: Duration = Duration::from_millis(350);

const _: () = assert!(SOCKET_TIME.as_millis() + SPILL_TIME.as_millis() < 1000, "the core waits less than a second");

const EXIT_LOST: u8 = 1;
const EXIT_USAGE: u8 = 64;

/// The program. `args` are the arguments after the program's name.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match args::parse(args, now_us()) {
        Ok(Request::Help) => print(args::USAGE),
        Ok(Request::Version) => print(concat!("understudy-ocsp ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Request::Deliver(order)) => match deliver(*order) {
            Ok(Delivered::Taken) => ExitCode::SUCCESS,
            Ok(Delivered::Spilled(path, why)) => {
                complain(format_args!("{why}; the result waits in {}", path.display()));
                ExitCode::SUCCESS
            }
            Err(lost) => {
                complain(format_args!("{lost}"));
                ExitCode::from(EXIT_LOST)
            }
        },
        Err(UsageError(message)) => {
            complain(format_args!("{message}\n\n{}", args::USAGE.trim_end()));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Where a result has gone.
enum Delivered {
    Taken,
    Spilled(PathBuf, Unavailable),
}

/// Why a result is lost.
enum Lost {
    Refused { reason: String },
    NowhereToGo { unavailable: Unavailable, directory: PathBuf, error: io::Error },
}

fn deliver(order: Order) -> Result<Delivered, Lost> {
    match socket::hand_over(&order.socket, &order.handover, Instant::now() + SOCKET_TIME) {
        Ok(()) => Ok(Delivered::Taken),
        Err(NotTaken::Refused(reason)) => Err(Lost::Refused { reason }),
        Err(NotTaken::Unavailable(unavailable)) => match spill_in_time(&order.spill, order.handover) {
            Ok(path) => Ok(Delivered::Spilled(path, unavailable)),
            Err(error) => Err(Lost::NowhereToGo { unavailable, directory: order.spill, error }),
        },
    }
}

/// On a thread, because a file system that hangs has no timeout. Should it wake up later, the result is spilled
/// although the core was told that it is lost.
fn spill_in_time(directory: &Path, handover: HandOver) -> io::Result<PathBuf> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let directory = directory.to_owned();
    thread::Builder::new().spawn(move || {
        // Nobody waits any longer when this fails.
        let _ = sender.send(spill::write(&directory, &handover));
    })?;
    receiver.recv_timeout(SPILL_TIME).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { reason } => write!(f, "the sender refuses this result: {reason}"),
            Self::NowhereToGo { unavailable, directory, error } => {
                let directory = directory.display();
                write!(f, "this result is lost. The sender: {unavailable}. The spill directory {directory}: ")?;
                match error.kind() {
                    io::ErrorKind::NotFound => write!(
                        f,
                        "it does not exist. Create it with the sender's user as owner and the core's group: \
                         install -d -m 2770 -o understudy -g nagios {directory}"
                    ),
                    io::ErrorKind::PermissionDenied => write!(
                        f,
                        "no permission to write there. Give it to a group that this user is in: \
                         chgrp nagios {directory}; chmod 2770 {directory}"
                    ),
                    io::ErrorKind::StorageFull => write!(f, "its disk is full. Make room"),
                    io::ErrorKind::TimedOut => {
                        write!(f, "its disk did not respond in {SPILL_TIME:?}. See dmesg")
                    }
                    _ => write!(f, "{error}"),
                }
            }
        }
    }
}

fn now_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The core may have closed stderr; that is no reason to fail.
fn complain(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "understudy-ocsp: {message}");
}
