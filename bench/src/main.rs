//! `make bench`: Understudy against what it replaces, side by side on this machine.
//!
//! | module | what it measures |
//! | --- | --- |
//! | [`receiver`] | the receiver against stock `nsca` |
//! | [`sender`] | the sender against stock `send_nsca` |
//! | [`pair`] | both against both |
//! | [`connections`] | many short connections to the receiver |
//! | [`backlog`] | what waits, into a real core |
//! | [`sealed`] | the sealed pair against the stock pair |
//! | [`hand_over`] | `understudy-ocsp` against the documented script |
//! | [`latency`] | from a hand-over to the standby's core |
//! | [`memory`] | what daemons at rest keep |
//! | [`warm`] | a pair with 100,000 services: what reading its core costs, and a take-over |
//! | [`ciphers`] | every encryption method against libmcrypt |
//! | [`instructions`] | how many instructions the hot paths need, against what is recorded |
//!
//! Measurements are taken in rounds ([`rounds`]), and become tables ([`report`]) in BENCHMARKS.md, below a description of the
//! machine ([`machine`]). Nothing is written there that was not measured in the same run. What rows have in common is in
//! [`stage`].

mod backlog;
mod ciphers;
mod connections;
mod hand_over;
mod hot_paths;
mod instructions;
mod latency;
mod libmcrypt;
mod machine;
mod memory;
mod pair;
mod receiver;
mod report;
mod rounds;
mod sealed;
mod sender;
mod stage;
mod warm;

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};

use report::{Row, Table};

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
        /// How often each cipher is measured; programs, which take seconds, a third as often
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// Where the tables go
        #[arg(long, default_value = "BENCHMARKS.md")]
        output: PathBuf,
        /// Measures only this, and writes nothing
        #[arg(long, value_parser = PossibleValuesParser::new(names()))]
        only: Vec<String>,
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

/// Measures in so many rounds.
type Measure = fn(usize) -> Result<Vec<Row>>;

/// The rows against programs, in the order of the table, by the name of their module.
const PROGRAMS: [(&str, Measure); 10] = [
    ("receiver", receiver::measure),
    ("sender", sender::measure),
    ("pair", pair::measure),
    ("connections", connections::measure),
    ("backlog", backlog::measure),
    ("sealed", sealed::measure),
    ("hand-over", hand_over::measure),
    ("latency", latency::measure),
    ("memory", memory::measure),
    ("warm", warm::measure),
];

/// The table of ciphers.
const CIPHERS: &str = "ciphers";

/// A row against programs takes so many times fewer rounds.
const ROUNDS_OF_PROGRAMS: usize = 3;

/// What can be measured alone.
fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name).chain([CIPHERS])
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Times { rounds, output, only } => {
            let text = times(rounds.max(1), &only)?;
            if only.is_empty() {
                fs::write(&output, text).with_context(|| format!("cannot write {}", output.display()))?;
            }
        }
        Command::Instructions { recorded, update: true } => instructions::record(&recorded)?,
        Command::Instructions { recorded, update: false } => return instructions::compare(&recorded),
        Command::HotPath { name, repetitions } => hot_paths::run(&name, repetitions)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures everything, or what is in `only`, and prints it.
fn times(rounds: usize, only: &[String]) -> Result<String> {
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut text = format!("# Benchmarks\n\n{}", report::INTRODUCTION);
    let machine = machine::description(&machine::peers())?;
    writeln!(text, "\nMeasured with {rounds} rounds on this machine:\n\n{machine}")?;
    if PROGRAMS.iter().any(|(name, _)| is_wanted(name)) {
        writeln!(text, "{}", programs(rounds.div_ceil(ROUNDS_OF_PROGRAMS), is_wanted)?)?;
    }
    if is_wanted(CIPHERS) {
        write!(text, "{}", ciphers::measure(rounds, directory.path())?)?;
    }
    print!("{text}");
    Ok(text)
}

/// The rows against programs.
fn programs(rounds: usize, is_wanted: impl Fn(&str) -> bool) -> Result<Table> {
    let mut rows = Vec::new();
    for (name, measure) in PROGRAMS.iter().filter(|(name, _)| is_wanted(name)) {
        eprintln!("measuring {name}, {rounds} rounds");
        for row in measure(rounds).with_context(|| format!("measuring {name}"))? {
            eprintln!("{row}");
            rows.push(row);
        }
    }
    let introduction = "Whole programs on this machine, on loopback, each with its own files and defaults where nothing else \
                        is said. The module of each row (`bench/src/`) says what exactly is measured.";
    Ok(Table { title: "Programs", introduction, rows })
}
