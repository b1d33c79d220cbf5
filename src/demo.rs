//! `understudy demo`: shows what the program does, on this machine.

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

fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("understudy demo: {error:#}");
        ExitCode::FAILURE
    })
}
