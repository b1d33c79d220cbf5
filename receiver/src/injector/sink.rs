//! Where results go: the core's command file, or the directory that it reaps check results from.

use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use config::Route;
use nagios::check_result_dir::{CheckResultDir, CheckResultDirError};
use nagios::command::{PIPE_BUF, process_check_result};
use nagios::command_file::{CommandFile, CommandFileError};
use nagios::{CheckResult, Flavour};

use super::lines::Lines;
use crate::core_watch::Reads;

/// How many results go into one file of the check-result directory at most.
const RESULTS_PER_FILE: usize = 512;

/// What it holds is loaded, then pushed until nothing is left.
pub(super) enum Sink {
    CommandFile { file: CommandFile, lines: Lines },
    CheckResults { directory: CheckResultDir, flavour: Flavour, results: VecDeque<CheckResult> },
}

/// Why the core takes no more at this moment.
#[derive(Debug, thiserror::Error)]
pub(super) enum Blocked {
    /// The core is slow: waiting for the FIFO is worth it.
    #[error(transparent)]
    Busy(CommandFileError),
    #[error(transparent)]
    CommandFile(CommandFileError),
    #[error(transparent)]
    CheckResults(CheckResultDirError),
}

impl Blocked {
    pub(super) fn from_command_file(error: CommandFileError) -> Self {
        match error {
            CommandFileError::Full { .. } | CommandFileError::Torn { .. } => Blocked::Busy(error),
            error => Blocked::CommandFile(error),
        }
    }

    /// Whether there is no core that reads the command file.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Blocked::CommandFile(CommandFileError::Missing { .. } | CommandFileError::NoReader { .. }))
    }
}

impl Sink {
    pub(super) fn new(config: &config::Receiver) -> Self {
        let flavour = config.flavour;
        match &config.route {
            Route::CommandFile(path) => {
                let mut file = CommandFile::new(path.clone());
                if let Some(journal) = &config.journal {
                    file = file.with_mark(journal.directory.with_extension("torn"));
                }
                Sink::CommandFile { file, lines: Lines::new(flavour) }
            }
            Route::CheckResults(path) => {
                let directory = CheckResultDir::new(path.clone(), flavour);
                Sink::CheckResults { directory, flavour, results: VecDeque::new() }
            }
        }
    }

    /// Takes results to push; everything loaded before must have been pushed. Counts those whose output was cut to the
    /// core's line limit.
    pub(super) fn load<'a>(&mut self, loaded: impl Iterator<Item = &'a CheckResult>) -> usize {
        match self {
            Sink::CommandFile { lines, .. } => lines.load(loaded),
            Sink::CheckResults { results, .. } => {
                results.extend(loaded.cloned());
                0
            }
        }
    }

    /// Takes whole lines to push; everything loaded before must have been pushed.
    pub(super) fn load_lines(&mut self, loaded: &[u8]) {
        match self {
            Sink::CommandFile { lines, .. } => lines.load_lines(loaded),
            Sink::CheckResults { .. } => unreachable!("commands are refused where there is no command file"),
        }
    }

    /// Pushes what the core takes without waiting. Counts the results, or lines, taken; says why it ended before the end.
    pub(super) fn push(&mut self) -> (usize, Option<Blocked>) {
        match self {
            Sink::CommandFile { file, lines } => {
                let blocked = lines.write(file).err();
                (lines.take_written(), blocked)
            }
            Sink::CheckResults { directory, results, .. } => {
                let mut taken = 0;
                while !results.is_empty() {
                    let count = results.len().min(RESULTS_PER_FILE);
                    if let Err(error) = directory.submit(&results.make_contiguous()[..count]) {
                        return (taken, Some(Blocked::CheckResults(error)));
                    }
                    results.drain(..count);
                    taken += count;
                }
                (taken, None)
            }
        }
    }

    /// Whether the next byte begins a line.
    pub(super) fn is_between_lines(&self) -> bool {
        match self {
            Sink::CommandFile { lines, .. } => lines.is_between_lines(),
            Sink::CheckResults { .. } => true,
        }
    }

    /// Writes whole lines of at most `PIPE_BUF` bytes, all or nothing, ahead of what is loaded. It must be between lines.
    pub(super) fn write_commands(&mut self, commands: &[u8]) -> Result<(), Blocked> {
        debug_assert!(self.is_between_lines() && commands.len() <= PIPE_BUF);
        match self {
            Sink::CommandFile { file, .. } => {
                let mut taken = 0;
                while taken < commands.len() {
                    taken += file.write_lines(&commands[taken..]).map_err(Blocked::from_command_file)?;
                }
                Ok(())
            }
            Sink::CheckResults { .. } => unreachable!("commands are refused where there is no command file"),
        }
    }

    /// Waits until the core may take more, at most `timeout`.
    pub(super) fn wait(&mut self, timeout: Duration) {
        if let Sink::CommandFile { file, .. } = self {
            // Whatever it finds, the next push finds it too, and reports it.
            let _ = file.wait_writable(timeout);
        }
    }

    /// Who reads the command file, if that can be told; why nobody does. Nothing may be loaded.
    pub(super) fn look(&mut self) -> Result<Option<Reads>, Blocked> {
        let Sink::CommandFile { file, .. } = self else {
            return Ok(None);
        };
        match file.wait_writable(Duration::ZERO) {
            Ok(_) => {
                let found = std::fs::metadata(file.path());
                Ok(found.ok().map(|found| Reads::Core((found.dev(), found.ino()))))
            }
            // What was torn is begun again anyway.
            Err(CommandFileError::Torn { .. }) => Ok(None),
            Err(error) => Err(Blocked::CommandFile(error)),
        }
    }

    /// What is left, as external commands.
    pub(super) fn unload(&mut self) -> Vec<u8> {
        match self {
            Sink::CommandFile { lines, .. } => lines.unload(),
            Sink::CheckResults { flavour, results, .. } => {
                let mut lines = Vec::new();
                dump(*flavour, results.iter(), &mut lines);
                results.clear();
                lines
            }
        }
    }
}

/// Appends `results` to `lines` as external commands, as the core would have got them.
pub(super) fn dump<'a>(flavour: Flavour, results: impl Iterator<Item = &'a CheckResult>, lines: &mut Vec<u8>) {
    for result in results {
        // Whether it was cut matters only to a core that takes it.
        let _ = process_check_result(flavour, result, lines);
    }
}
