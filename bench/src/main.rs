//! `make bench`: Understudy against what it replaces, side by side on this machine.
//!
//! | module | what it measures |
//! | --- | --- |
//! | [`ciphers`] | every encryption method against libmcrypt |
//! | [`instructions`] | how many instructions the hot paths need, against what is recorded |
//!
//! Measurements are taken in rounds ([`rounds`]), and become tables ([`report`]) in BENCHMARKS.md, below a description of the
//! machine ([`machine`]). Nothing is written there that was not measured in the same run.

mod ciphers;
mod hot_paths;
mod instructions;
mod libmcrypt;
mod machine;
mod report;
mod rounds;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Measures Understudy against the programs and libraries that it replaces.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures times, prints the tables, and writes them into a file
    Times {
        /// How often each pair is measured
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// Where the tables go
        #[arg(long, default_value = "BENCHMARKS.md")]
        output: PathBuf,
    },
    /// Counts the instructions of the hot paths, and fails when one needs 10 % more than recorded
    Instructions {
        /// The recorded counts
        #[arg(long, default_value = "bench/instructions.toml")]
        recorded: PathBuf,
        /// Records the new counts instead
        #[arg(long)]
        update: bool,
    },
    /// Runs one hot path, for the program that counts instructions
    #[command(hide = true)]
    HotPath { name: String, repetitions: u32 },
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Times { rounds, output } => times(rounds.max(1), &output)?,
        Command::Instructions { recorded, update: true } => instructions::record(&recorded)?,
        Command::Instructions { recorded, update: false } => return instructions::compare(&recorded),
        Command::HotPath { name, repetitions } => hot_paths::run(&name, repetitions)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn times(rounds: usize, output: &Path) -> Result<()> {
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let (ciphers, libmcrypt) = ciphers::measure(rounds, directory.path())?;
    let mut text = format!("# Benchmarks\n\n{}", report::INTRODUCTION);
    writeln!(text, "\nMeasured with {rounds} rounds on this machine:\n\n{}", machine::description(&[libmcrypt])?)?;
    write!(text, "{ciphers}")?;
    print!("{text}");
    fs::write(output, text).with_context(|| format!("cannot write {}", output.display()))
}
