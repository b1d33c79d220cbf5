//! `understudy forget`: lets a destination go back to classic sessions.

use std::process::ExitCode;

use control::{ClientError, Forgot};

use crate::daemon::Daemon;

/// Makes the running sender forget that `destination` could seal its sessions.
pub(crate) fn main(daemon: &Daemon, destination: &str) -> ExitCode {
    daemon.ask(|client| -> Result<ExitCode, ClientError> {
        match client.forget(destination)? {
            Forgot::Something => {
                println!("{destination}: forgotten; with sealed = \"auto\" a classic session is taken again");
            }
            Forgot::Nothing => println!("{destination}: nothing was remembered, so there is nothing to forget"),
        }
        Ok(ExitCode::SUCCESS)
    })
}
