//! What an event handler does where no daemon takes its event: what the documented handlers do, and what they lack.
//!
//! ```text
//! event ─▶ with what was told before ─▶ held?  ─▶ mode commands ─▶ command file
//!                    │                                                  │
//!                    └──────────────▶ failover.events ◀─────────────────┘   for the next daemon
//! ```
//!
//! **Invariant:** a hold is broken by the operator only.
//!
//! **Invariant:** no event is lost to the daemon. Without the note, one that starts later would take the core back to where
//! the daemon before it left it.
//!
//! **Invariant:** a host that is up proves nothing: while the last word on the core is that it is gone, nothing is handed back.

use std::io;
use std::path::{Path, PathBuf};

use nagios::ModeCommand;
use nagios::command_file::CommandFileError;

use crate::disk;
use crate::event::Event;
use crate::issue;
use crate::machine::{self, Now};

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// These commands were written.
    Written(Vec<ModeCommand>),
    /// The host is up, and its core was told to be gone: nothing is handed back.
    CoreIsGone,
}

/// What was not done.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The operator's hold, which survives the daemon.
    #[error(
        "this node is held by the operator ({0}), so nothing was written; start the daemon (`systemctl start understudy`), and \
         then `understudy release` or `understudy takeover`"
    )]
    Held(String),
    /// Whether the node is held cannot be known.
    #[error(
        "nothing was written, since {path} does not tell whether this node is held: {source}; check owner and mode"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The core takes no commands.
    #[error(transparent)]
    Core(#[from] CommandFileError),
    /// The commands were written, and that is all.
    #[error(
        "{names} written, but it could not be noted in {path}: {source}; a daemon that starts now will not know of the event, \
         and undo it"
    )]
    NotNoted {
        /// What was written.
        names: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Writes the commands that follow from `event` into the command file of `failover`, a standby's, and notes the event in
/// `state_directory` for the next daemon. Never waits for the core.
///
/// # Errors
/// What was not done. The event is noted all the same, where that is possible.
pub fn carry_out(
    event: Event,
    failover: &config::Failover,
    state_directory: &Path,
    now: Now,
) -> Result<Done, HandlerError> {
    let unreadable = |source| HandlerError::Unreadable { path: state_directory.to_owned(), source };
    let _turn = disk::turn(state_directory).map_err(unreadable)?;
    let snapshot = disk::read_state(state_directory).map_err(unreadable)?;
    let mut events = snapshot.as_ref().map(machine::Snapshot::events).unwrap_or_default();
    events.take(event, now);

    // The core first: it must not wait for a disk in trouble.
    let done = match snapshot.as_ref().and_then(machine::Snapshot::hold) {
        Some(hold) => Err(HandlerError::Held(hold.reason.clone())),
        None if !event.is_failure() && events.fail() => Ok(Done::CoreIsGone),
        None => {
            let commands = machine::commands(&failover.switches, event.is_failure());
            issue::write(failover.command_file.clone(), &commands).map(|()| Done::Written(commands)).map_err(Into::into)
        }
    };
    let noted = disk::note_events(state_directory, events);
    match (done, noted) {
        (Ok(Done::Written(commands)), Err(source)) => {
            let path = disk::events_path(state_directory);
            Err(HandlerError::NotNoted { names: names(&commands), path, source })
        }
        (done, _) => done,
    }
}

/// The commands' names, for people.
pub fn names(commands: &[ModeCommand]) -> String {
    commands.iter().map(|command| command.name()).collect::<Vec<_>>().join(", ")
}
