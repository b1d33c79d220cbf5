//! `understudy demo`: shows what the program does, on this machine.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use demo::CoreKind;

/// Runs the demonstration with cores of `kind`.
pub(crate) fn main(kind: Option<CoreKind>) -> ExitCode {
    ended(demo::run(kind))
}

/// Runs one of the demonstration's miniature cores.
pub(crate) fn core(config: &Path) -> ExitCode {
    ended(demo::core::main(config))
}

/// Becomes one of the programs that the demonstration starts.
pub(crate) fn child(words: &[OsString]) -> ExitCode {
    ended(demo::child::main(words))
}

fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("understudy demo: {error:#}");
        ExitCode::FAILURE
    })
}
