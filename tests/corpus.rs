//! Replays what fuzzing has found, and what its seeds are, against the invariants of `fuzz/`.

#[allow(unreachable_pub, reason = "public for the fuzzer's targets, which are another crate")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fuzz::{Invariant, TARGETS};

/// Calls `invariant` with every file in `corpus`; what went wrong, a line for each file.
fn replay(corpus: &Path, invariant: Invariant) -> Result<(), String> {
    let entries = fs::read_dir(corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder is readable").path()).collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: no inputs, so nothing was tried", corpus.display()));
    }
    let violated = files.iter().filter(|file| {
        let input = fs::read(file).expect("the file is readable");
        catch_unwind(AssertUnwindSafe(|| invariant(&input))).is_err()
    });
    let violated: Vec<String> = violated.map(|file| file.display().to_string()).collect();
    if violated.is_empty() { Ok(()) } else { Err(format!("the invariant is violated by\n{}", violated.join("\n"))) }
}

fn in_fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder)
}

#[test]
fn every_input_of_the_corpus_is_survived() {
    let results = TARGETS.map(|(target, invariant)| replay(&in_fuzz("corpus").join(target), invariant));
    let failures: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_target_without_inputs_and_a_violated_invariant_fail() {
    let corpus = tempfile::tempdir().unwrap();
    assert!(replay(&corpus.path().join("missing"), |_| ()).is_err());
    assert!(replay(corpus.path(), |_| ()).unwrap_err().contains("no inputs"));
    fs::write(corpus.path().join("good"), "good").unwrap();
    fs::write(corpus.path().join("bad"), "bad").unwrap();
    assert_eq!(replay(corpus.path(), |_| ()), Ok(()));
    let message = replay(corpus.path(), |input| assert_eq!(input, b"good")).unwrap_err();
    assert!(message.contains("bad") && !message.contains("good"), "{message}");
}

#[test]
fn every_target_is_replayed() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(in_fuzz(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let replayed: BTreeSet<String> = TARGETS.map(|(target, _)| target.to_owned()).into();
    assert_eq!(names("fuzz_targets"), replayed);
    assert_eq!(names("corpus"), replayed);
}
