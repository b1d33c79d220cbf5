//! How many instructions the hot paths need.
//!
//! Unlike times, counts do not depend on what else the machine does, so a small loss shows. valgrind's callgrind
//! counts; it hides the newest instructions of a processor, so that most machines get the same counts. Each hot path
//! runs as a process of its own, once with few repetitions and once with more: the difference is what the repetitions
//! need, without the start of the process and what is prepared.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{hot_paths, machine};

/// By how much a count may grow.
const TOLERATED: f64 = 1.10;

/// Repetitions that are counted, and those that both runs have in common.
const REPETITIONS: u32 = 4;
const COMMON: u32 = 1;
const _: () = assert!((COMMON + REPETITIONS) as usize <= hot_paths::MOST);

const HEADER: &str = "\
# Instructions of one repetition of each hot path (bench/src/hot_paths.rs), counted by valgrind's callgrind. `make instructions`
# fails when one of them grows by more than 10 %. Renew this file with `make instructions-update`, and say in the
# commit why.

";

/// The file of recorded counts.
#[derive(Deserialize, Serialize)]
struct Recorded {
    /// With which compiler they were counted.
    compiler: String,
    instructions: BTreeMap<String, u64>,
}

/// Counts, and writes the counts into a file.
///
/// # Errors
///
/// When valgrind cannot be run, or the file not be written.
pub(crate) fn record(file: &Path) -> Result<()> {
    let recorded = Recorded { compiler: machine::rustc()?, instructions: count_all()? };
    let text = format!("{HEADER}{}", toml::to_string(&recorded)?);
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Counts, prints, and compares with a file; a failure if any count grew too much or is not recorded.
///
/// # Errors
///
/// When valgrind cannot be run, or the file not be read.
pub(crate) fn compare(file: &Path) -> Result<ExitCode> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let recorded: Recorded = toml::from_str(&text).with_context(|| format!("{} is damaged", file.display()))?;
    let counted = count_all()?;
    let mut grown = 0;
    for (name, count) in &counted {
        let verdict = verdict(*count, recorded.instructions.get(name).copied());
        println!("{name:60} {count:>10}  {}", verdict.text);
        grown += u32::from(verdict.bad);
    }
    if grown == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "{grown} hot paths need more instructions than {} allows; make them cheaper, or record the new counts with \
         `make instructions-update` and say why. It was recorded with {}, this is {}.",
        file.display(),
        recorded.compiler,
        machine::rustc()?,
    );
    Ok(ExitCode::FAILURE)
}

struct Verdict {
    text: String,
    bad: bool,
}

fn verdict(count: u64, recorded: Option<u64>) -> Verdict {
    let Some(recorded) = recorded.filter(|recorded| *recorded > 0) else {
        return Verdict { text: "is not recorded".to_owned(), bad: true };
    };
    let ratio = count as f64 / recorded as f64;
    let bad = ratio > TOLERATED;
    let remark = if bad { "  GREW" } else { "" };
    Verdict { text: format!("{:+.1} %{remark}", (ratio - 1.0) * 100.0), bad }
}

/// All hot paths, on all processors.
fn count_all() -> Result<BTreeMap<String, u64>> {
    let waiting = Mutex::new(hot_paths::names());
    let next = || waiting.lock().ok()?.pop();
    let work = || -> Result<Vec<(String, u64)>> {
        std::iter::from_fn(next).map(|name| Ok((name.clone(), count(&name)?))).collect()
    };
    let counts = thread::scope(|scope| {
        let workers: Vec<_> = (0..thread::available_parallelism()?.get()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect::<Result<Vec<_>>>()
    })?;
    Ok(counts.into_iter().flatten().collect())
}

/// The instructions of one repetition.
fn count(name: &str) -> Result<u64> {
    let few = run(name, COMMON)?;
    let many = run(name, COMMON + REPETITIONS)?;
    ensure!(many > few, "callgrind counted {few} instructions for {name}, and not more with more repetitions");
    Ok((many - few) / u64::from(REPETITIONS))
}

/// The instructions of a process that does the work of a hot path.
fn run(name: &str, repetitions: u32) -> Result<u64> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["hot-path", name, &repetitions.to_string()])
        .output()
        .context("cannot run valgrind; install the package valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let Some(counted) = collected(&said).filter(|_| output.status.success()) else {
        bail!("valgrind failed for {name}: {said}");
    };
    Ok(counted)
}

/// The number in the line `==123== Collected : 456`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grows_by_more_than_a_tenth_is_bad() {
        assert!(!verdict(110, Some(100)).bad);
        assert!(verdict(111, Some(100)).bad);
        assert!(!verdict(10, Some(100)).bad);
        assert!(verdict(1, None).bad);
    }

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 230511\n==7== \n==7== I   refs:      230,511\n";
        assert_eq!(collected(said), Some(230_511));
        assert_eq!(collected("==7== Killed\n"), None);
    }
}
