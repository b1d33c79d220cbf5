//! Programs that end with the demonstration, however it ends.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use crate::CHILD_SUBCOMMAND;

/// The arguments with which `understudy` has to be called to become `program` with `arguments`, as a child of this process.
pub(crate) fn arguments(program: &Path, arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let parent = std::process::id().to_string();
    [CHILD_SUBCOMMAND.into(), parent.into(), program.into()].into_iter().chain(arguments).collect()
}

/// Becomes the program: `PARENT PROGRAM ARGUMENT…`. It gets SIGTERM when the thread that started it has ended, also by
/// `kill -9`.
///
/// # Errors
///
/// When the program cannot be executed.
pub fn main(words: &[OsString]) -> anyhow::Result<ExitCode> {
    let [parent, program, arguments @ ..] = words else { bail!("expected PARENT PROGRAM ARGUMENT…") };
    set_pdeathsig(Signal::SIGTERM).context("cannot tie the program to its parent")?;
    // It may have ended before that.
    if parent.to_str() != Some(getppid().to_string().as_str()) {
        return Ok(ExitCode::FAILURE);
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
