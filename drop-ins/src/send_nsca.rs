//! A drop-in for `send_nsca`: check results from standard input to an NSCA daemon, over one connection.
//!
//! Arguments, messages and exit codes are the original's:
//!
//! | exit code | meaning |
//! | --- | --- |
//! | 0 | sent |
//! | 2 | nothing sent, or no connection, or a broken configuration, or time is up |
//! | 3 | wrong arguments, a question (`--help`), or the connection broke while sending |
//! | 255 | a set is longer than the original allows; those before it are sent |
//!
//! The time-out (`-to`, 10 s) covers everything from the host's name to the last packet, standard input included. Input
//! is sent as it comes, one set in memory at a time.
//!
//! **One thing is new.** After the last packet the original closes and believes. This program closes its side and waits
//! up to a second for the daemon to close the other: a daemon that refused a packet resets the connection. Then a
//! warning on standard error says what to check. The exit code stays 0, as scripts are used to: a proxy between the
//! two may reset connections of its own accord, and nothing that works today may fail because of a second look.

mod alarm;
mod args;
mod delivery;
mod failure;
mod help;

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;

use crate::SendNscaCfg;
use crate::question::Question;
use alarm::Alarm;
use args::{Args, Parsed};
use delivery::{Delivery, End};
use failure::{Failure, connect_error};

/// The exit code of wrong arguments and of questions.
const EXIT_USAGE: u8 = 3;

/// The exit code when there was nothing to send.
const EXIT_NOTHING_SENT: u8 = 2;

/// Does what `args`, those after the program's name, say. `program_name` is for the help text.
pub fn main(program_name: &str, args: impl Iterator<Item = OsString>) -> ExitCode {
    let args = match args::parse(args) {
        Parsed::Send(args) => args,
        Parsed::Answer(question) => {
            println!("{}", help::answer(question, program_name));
            return ExitCode::from(EXIT_USAGE);
        }
        Parsed::Wrong => {
            eprintln!("Incorrect command line arguments supplied");
            println!("{}", help::answer(Question::Help, program_name));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match send(&args) {
        Ok(sent) => {
            if !args.quiet {
                println!("{sent} data packet(s) sent to host successfully.");
            }
            ExitCode::from(if sent == 0 { EXIT_NOTHING_SENT } else { 0 })
        }
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Counts the results that were sent.
fn send(args: &Args) -> Result<u64, Failure> {
    let cfg = SendNscaCfg::read(&args.config_file)
        .map_err(|error| Failure::Configuration { error, file: args.config_file.clone() })?;
    let alarm = Alarm::set(args.timeout).map_err(Failure::NoThread)?;
    let stream = connect(args)?;
    let size = cfg.packet_size.unwrap_or(args.packet_size);
    let mut delivery = Delivery::begin(stream, cfg.secret, size)?;
    delivery.send_all(&mut std::io::stdin().lock(), args.delimiter, args.set_delimiter)?;
    alarm.cancel();
    let sent = delivery.sent();
    if delivery.finish() == End::Reset {
        eprintln!(
            "Warning: {} reset the connection, so at least one result was refused. Compare password and encryption \
             method with the daemon's, and look into its log.",
            args.host.display()
        );
    }
    Ok(sent)
}

/// Tries every address of the host in turn.
fn connect(args: &Args) -> Result<TcpStream, Failure> {
    let failed = |reason: String| Failure::no_connection(reason, &args.host, args.port);
    let port = u16::try_from(args.port).map_err(|_| failed(format!("There is no port {}", args.port)))?;
    let addresses =
        resolve(args, port).ok_or_else(|| failed(format!("Host name lookup failed: '{}'", args.host.display())))?;
    let mut reason = "Host name lookup failed";
    for address in addresses {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = connect_error(&error),
        }
    }
    Err(failed(reason.to_owned()))
}

fn resolve(args: &Args, port: u16) -> Option<impl Iterator<Item = SocketAddr>> {
    (args.host.to_str()?, port).to_socket_addrs().ok()
}
