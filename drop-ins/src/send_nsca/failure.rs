//! What can go wrong, in the words of the original.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use crate::DropInError;

/// Why the program ends before everything is sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{error}\nError: Config file '{}' contained errors...", .file.display())]
    Configuration { error: DropInError, file: PathBuf },
    #[error("{reason}\nError: Could not connect to host {host} on port {port}")]
    NoConnection { reason: String, host: String, port: i64 },
    #[error("Error: Server closed connection before init packet was received\n{NO_INIT}")]
    ClosedBeforeInit,
    #[error("Error: Init packet from server was too short ({0} bytes received, 132 expected)\n{NO_INIT}")]
    InitCutShort(usize),
    #[error("{0}\n{NO_INIT}")]
    InitUnreadable(io::Error),
    #[error("Error: Could not send data to host\n({0})")]
    NotSent(io::Error),
    #[error("Error: Input set is longer than max allowed.\n({0})")]
    SetTooLong(#[from] nsca::sets::SetTooLong),
    #[error("Error: Could not read standard input: {0}")]
    InputUnreadable(io::Error),
    #[error("Error: No thread from the operating system: {0}; raise this user's limit on processes")]
    NoThread(io::Error),
    #[error("Error: No random numbers from the operating system: {0}")]
    NoRandom(getrandom::Error),
}

const NO_INIT: &str = "Error: Could not read init packet from server";

impl Failure {
    /// No address, or none that answers.
    pub(super) fn no_connection(reason: String, host: &OsStr, port: i64) -> Self {
        Failure::NoConnection { reason, host: host.display().to_string(), port }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::Configuration { .. }
            | Failure::NoConnection { .. }
            | Failure::ClosedBeforeInit
            | Failure::InitCutShort(_)
            | Failure::InitUnreadable(_)
            | Failure::NoThread(_)
            | Failure::NoRandom(_) => 2,
            Failure::NotSent(_) | Failure::InputUnreadable(_) => 3,
            Failure::SetTooLong(_) => 255,
        }
    }

    /// On standard output where the original prints it there.
    pub(super) fn print(&self) {
        match self {
            Failure::Configuration { .. } | Failure::SetTooLong(_) => println!("{self}"),
            _ => eprintln!("{self}"),
        }
    }
}

/// The original's words for an error of connect(2).
pub(super) fn connect_error(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "Connection refused by host",
        io::ErrorKind::TimedOut => "Timeout while attempting connection",
        io::ErrorKind::NetworkUnreachable => "Network is unreachable",
        _ => "Connection refused or timed out",
    }
}
