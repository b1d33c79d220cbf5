//! `understudy takeover`, `hand-back`, `hold`, `release` and `event`: what the failover controller is told.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use config::{Config, Role};
use control::{Client, ClientError, EventKind, Request};
use failover::event::{self, Event};
use failover::issue;

use crate::EXIT_USAGE;
use crate::answers::kind_of;
use crate::daemon::Daemon;

/// Has the running daemon carry out an order.
pub(crate) fn order(daemon: &Daemon, order: &Request) -> ExitCode {
    daemon.ask(|client| tell(client, order))
}

/// Tells the running daemon what an event handler of the core was called with. Where no daemon runs, does what the documented
/// handlers do.
pub(crate) fn event(daemon: &Daemon, kind: EventKind, state: String, state_type: String) -> ExitCode {
    let event = match event::decide(kind_of(kind), &state, &state_type) {
        Ok(event) => event,
        Err(error) => {
            eprintln!("understudy: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    daemon.ask(|client| match tell(client, &Request::Event { kind, state, state_type }) {
        Err(not_running @ ClientError::NotRunning(_)) => {
            without_daemon(daemon, event).with_context(|| not_running.to_string()).map_err(|error| format!("{error:#}"))
        }
        told => told.map_err(|error| error.to_string()),
    })
}

fn tell(client: &Client, request: &Request) -> Result<ExitCode, ClientError> {
    let notes = client.order(request)?;
    if notes.is_empty() {
        println!("done");
    }
    notes.iter().for_each(|note| println!("{note}"));
    Ok(ExitCode::SUCCESS)
}

/// Writes the commands itself.
fn without_daemon(daemon: &Daemon, event: Option<Event>) -> anyhow::Result<ExitCode> {
    let Some(event) = event else {
        println!("no daemon runs; nothing to do for this event");
        return Ok(ExitCode::SUCCESS);
    };
    let config = Config::read(daemon.config()).context("and the commands cannot be written without it")?;
    let Some(failover) = config.failover.filter(|failover| failover.role == Role::Standby) else {
        bail!("and {} has no [failover] with role = \"standby\"", daemon.config().display());
    };
    let commands = event::commands(event, failover.mode);
    let names: Vec<_> = commands.iter().map(|command| command.name()).collect();
    issue::write(failover.command_file, &commands)?;
    println!("no daemon runs; written to the core: {}", names.join(", "));
    Ok(ExitCode::SUCCESS)
}
