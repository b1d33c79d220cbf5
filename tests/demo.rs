//! `understudy demo`, as a person runs it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::process::UNDERSTUDY;

/// The demonstration ends by itself within this time.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs the demonstration to its end and gives what it told.
fn play(arguments: &[&str]) -> String {
    let started = Instant::now();
    let ended = Command::new(UNDERSTUDY).arg("demo").args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(started.elapsed() < LONGEST, "{:?}", started.elapsed());
    assert!(told.contains("AGREED: 25 of 25 hosts and services are the same"), "{told}");
    let (_, directory) = told.lines().next().unwrap().split_once(", in ").expect("where it is");
    assert!(!Path::new(directory.trim_end_matches('.')).exists(), "it left {directory} behind");
    told
}

#[test]
fn with_built_in_cores_it_needs_nothing_and_ends_in_agreement() {
    let told = play(&["--core", "builtin"]);
    assert!(told.contains("built-in miniature cores"), "{told}");
}

#[test]
fn where_nagios4_is_installed_it_shows_two_of_them() {
    let told = play(&[]);
    assert!(told.contains("Nagios 4"), "{told}");
}
