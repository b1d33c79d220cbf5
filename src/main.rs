//! A warm standby for Nagios, Icinga 1 and Naemon: the command line.
//!
//! Called by the name `nsca`, `send_nsca` or `understudy-ocsp` (a link), the program is that one.

mod answers;
mod cli;
mod config_check;
mod daemon;
mod demo;
mod forget;
mod key;
mod logging;
mod notify;
mod operator;
mod report;
mod run;
mod stage;
mod status;
mod verify;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// The exit code for a wrong command line or configuration: `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

/// The configuration file of a daemon that is told no other.
const DEFAULT_CONFIG: &str = "/etc/understudy/understudy.toml";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_else(|| OsString::from("understudy"));
    let name = Path::new(&program).file_name().and_then(|name| name.to_str()).unwrap_or("understudy");
    match name {
        "nsca" => drop_ins::nsca::main(name, args),
        "send_nsca" => drop_ins::send_nsca::main(name, args),
        "understudy-ocsp" => ocsp::main(args),
        _ => cli::main(),
    }
}
