//! `understudy demo`: a master and a standby on this machine. Every result of the one appears on the other, which takes over
//! when the master's core is killed, and hands back when it lives again.
//!
//! ```text
//! master                                                     standby
//! core ── ocsp_command: understudy-ocsp ─▶ understudy run ══ TCP ══▶ understudy run ─▶ command file ─▶ core
//!  │                                    ◀═ heartbeats ═▶      └─ failover: mode commands ──────▶│
//!  └─▶ status.dat ─────────────────── compared, service by service ───────────────────── status.dat ◀─┘
//! ```
//!
//! Four separate processes and the programs that the master's core executes. The cores are two of Nagios 4 where it is
//! installed, and [`core`] else. Everything lives in one temporary directory and is gone afterwards.

pub mod child;
mod comparison;
mod configuration;
pub mod core;
mod cores;
mod diary;
mod failover;
mod interrupt;
mod narrator;
mod process;
mod relay;
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

/// The hidden subcommand under which the program has to call [`child::main`], with the words that follow.
pub const CHILD_SUBCOMMAND: &str = "demo-child";

/// Which cores play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreKind {
    /// Miniature cores, part of this program.
    Builtin,
    /// Two real processes of `nagios4`.
    Nagios4,
}

/// Plays the demonstration, about a minute long and two at most, and narrates it on stdout.
///
/// Real cores unless told otherwise, where `nagios4` is on the PATH. The program that runs has to be `understudy`,
/// or act like it: it is started again as `run --config FILE`, as [`CORE_SUBCOMMAND`], as [`CHILD_SUBCOMMAND`], and as `understudy-ocsp`.
/// Success only when every part of the verdict is.
///
/// # Errors
///
/// When it cannot be played: a process does not start, or ends early, or nobody wants to see the rest.
pub fn run(core: Option<CoreKind>) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot tell which program runs")?;
    let kind =
        core.unwrap_or_else(|| if cores::nagios4_is_installed() { CoreKind::Nagios4 } else { CoreKind::Builtin });
    let verdict = story::play(kind, &program)?;
    Ok(if verdict.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
