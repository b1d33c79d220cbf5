//! How mode commands reach the local core.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::SystemTime;

use nagios::ModeCommand;
use nagios::command_file::{CommandFile, CommandFileError};
use tokio::sync::watch;

/// What became of commands.
pub type Issued = Pin<Box<dyn Future<Output = Result<(), NotIssued>> + Send>>;

/// Whoever writes mode commands into the core's command file.
pub trait Issue: Send + 'static {
    /// Writes `commands` in their order, as soon as may be. Silencing ones may overtake check results; others may wait for
    /// them.
    ///
    /// The future ends when all of them are in the command file, or when they will not be. While it waits for the core, it
    /// tells `obstacle` why. Dropping it withdraws what is not yet written. The caller has one batch under way at a time, but
    /// drops it only after it has issued the next one.
    fn issue(&mut self, commands: Vec<ModeCommand>, obstacle: Obstacle) -> Issued;
}

/// Why commands wait, for whoever issued them.
#[derive(Debug)]
pub struct Obstacle(watch::Sender<Option<String>>);

impl Obstacle {
    /// Nothing is in the way yet. The other end is where it is told.
    pub fn new() -> (Self, watch::Receiver<Option<String>>) {
        let (obstacle, told) = watch::channel(None);
        (Obstacle(obstacle), told)
    }

    /// The core does not take them: the reason, and what to do about it. Or, with none, it does again.
    pub fn tell(&self, reason: Option<String>) {
        self.0.send_if_modified(|told| {
            let differs = *told != reason;
            *told = reason;
            differs
        });
    }
}

/// The commands were not written. They are issued again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotIssued(pub String);

/// Writes straight into the command file, for nodes that inject no results.
#[derive(Debug)]
pub struct Direct {
    path: PathBuf,
}

impl Direct {
    /// For the command file at `path`, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Direct { path }
    }
}

impl Issue for Direct {
    fn issue(&mut self, commands: Vec<ModeCommand>, _: Obstacle) -> Issued {
        let path = self.path.clone();
        Box::pin(async move {
            let writing = tokio::task::spawn_blocking(move || write(path, &commands));
            let written = writing.await.map_err(|_| NotIssued("the daemon is ending".to_owned()))?;
            written.map_err(|error| NotIssued(error.to_string()))
        })
    }
}

/// Writes `commands` into the command file at `path`: all of them, or none. Never blocks.
///
/// # Errors
/// There is no core that reads it, or it is full.
pub fn write(path: PathBuf, commands: &[ModeCommand]) -> Result<(), CommandFileError> {
    let now = SystemTime::now().into();
    let mut lines = Vec::new();
    for command in commands {
        command.encode(now, &mut lines);
    }
    // A few dozen lines fit one atomic write.
    debug_assert!(lines.len() <= nagios::command::PIPE_BUF);
    CommandFile::new(path).write(&lines).map(|_| ())
}
