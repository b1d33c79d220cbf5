//! `understudy demo`: a master and a standby on this machine, and every result of the one appearing on the other.
//!
//! ```text
//! master                                                     standby
//! core ── ocsp_command: understudy-ocsp ─▶ understudy run ══ TCP ══▶ understudy run ─▶ command file ─▶ core
//!  └─▶ status.dat ─────────────────── compared, service by service ───────────────────── status.dat ◀─┘
//! ```
//!
//! Four separate processes and the programs that the master's core executes. The cores are two of Nagios 4 where it is
//! installed, and [`core`] else. Everything lives in one temporary directory and is gone afterwards.

mod configuration;
pub mod core;
mod cores;
mod interrupt;
mod narrator;
mod process;
mod scenario;
mod site;
mod snapshot;
mod stage;
mod story;
mod verdict;

use std::process::ExitCode;

use anyhow::Context;

/// The hidden subcommand under which the program has to call [`core::main`], with the configuration file as its argument.
pub const CORE_SUBCOMMAND: &str = "demo-core";

/// Which cores play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreKind {
    /// Miniature cores, part of this program.
    Builtin,
    /// Two real processes of `nagios4`.
    Nagios4,
}

/// Plays the demonstration, at most a minute long, and narrates it on stdout.
///
/// Real cores unless told otherwise, where `nagios4` is on the PATH. The program that runs has to be `understudy`,
/// or act like it: it is started again as `run --config FILE`, as [`CORE_SUBCOMMAND`], and as `understudy-ocsp`.
/// Success only when both cores show the same for every object.
///
/// # Errors
///
/// When it cannot be played: a process does not start, or ends early, or nothing arrives.
pub fn run(core: Option<CoreKind>) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot tell which program runs")?;
    let kind =
        core.unwrap_or_else(|| if cores::nagios4_is_installed() { CoreKind::Nagios4 } else { CoreKind::Builtin });
    let verdict = story::play(kind, &program)?;
    Ok(if verdict.is_agreement() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
