//! `understudy takeover`, `hand-back`, `hold`, `release` and `event`: what the failover controller is told; and `resync`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use config::{Config, Role};
use control::{Client, ClientError, EventKind, Request};
use failover::event::{self, Event};
use failover::handler::{self, Done};
use failover::machine::Now;

use crate::EXIT_USAGE;
use crate::answers::kind_of;
use crate::daemon::Daemon;

/// How long the daemon may take to take an event, and then to answer. It answers in less than this, or not at all: longer is what
/// it gives itself until it says that it is busy.
const EVENT_PATIENCE: Duration = Duration::from_secs(4);

/// Has the running daemon carry out an order.
pub(crate) fn order(daemon: &Daemon, order: &Request) -> ExitCode {
    daemon.ask(|client| tell(client, order))
}

/// Tells the running daemon what an event handler of the core was called with. Where no daemon takes it, does what the documented
/// handlers do. Ends in time, whatever the daemon does: a core kills handlers after 30 s.
pub(crate) fn event(daemon: &Daemon, kind: EventKind, state: String, state_type: String) -> ExitCode {
    let event = match event::decide(kind_of(kind), &state, &state_type) {
        Ok(event) => event,
        Err(error) => {
            eprintln!("understudy: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let handle = |client: &Client| -> anyhow::Result<ExitCode> {
        let client = client.clone().with_patience(EVENT_PATIENCE);
        match tell(&client, &Request::Event { kind, state, state_type }) {
            Err(absent @ (ClientError::NotRunning(_) | ClientError::Silent { .. } | ClientError::NoAnswer(_))) => {
                without_daemon(daemon, event, &absent)
            }
            told => Ok(told?),
        }
    };
    daemon.ask(|client| handle(client).map_err(|error| format!("{error:#}")))
}

fn tell(client: &Client, request: &Request) -> Result<ExitCode, ClientError> {
    let notes = client.order(request)?;
    if notes.is_empty() {
        println!("done");
    }
    notes.iter().for_each(|note| println!("{note}"));
    Ok(ExitCode::SUCCESS)
}

/// Does what follows from `event` itself, since the daemon is `absent`.
fn without_daemon(daemon: &Daemon, event: Option<Event>, absent: &ClientError) -> anyhow::Result<ExitCode> {
    let Some(event) = event else {
        println!("nothing to do for this event, and no daemon took it");
        return Ok(ExitCode::SUCCESS);
    };
    let file = daemon.config();
    let config =
        Config::read(file).with_context(|| format!("{absent}; and without its configuration nothing is written"))?;
    let Some(failover) = config.failover.filter(|failover| failover.role == Role::Standby) else {
        bail!("{absent}; and {} has no [failover] with role = \"standby\", so nothing is written", file.display());
    };
    let done = handler::carry_out(event, &failover, &config.node.state_directory, Now::read());
    match done.with_context(|| absent.to_string())? {
        Done::Written(commands) => println!("{absent}; written to the core instead: {}", handler::names(&commands)),
        Done::CoreIsGone => println!("{absent}; nothing written: the master's host is up, and its core is not"),
    }
    Ok(ExitCode::SUCCESS)
}
