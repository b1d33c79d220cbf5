//! What a real core leaves in the file system when it lives, falls, hangs and is stopped.

use std::fs;
use std::path::Path;

use config::Config;
use failover::verdict::{CoreFiles, Fifo};
use nsca::sealed::CoreVerdict;
use tempfile::TempDir;

use crate::SOON;
use crate::core::Core;
use crate::support::wait::until_within;

/// A core, and what is seen of it.
struct Seen {
    core: Core,
    files: CoreFiles,
    directory: TempDir,
}

impl Seen {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let core = Core::new(&directory.path().join("core"), "");
        let main = core.main_config();
        let config = format!("[core]\nmain_config = {main:?}\n[failover]\nrole = \"master\"\n");
        fs::write(directory.path().join("understudy.toml"), config).unwrap();
        Seen { core, files: files(directory.path()), directory }
    }

    #[track_caller]
    fn wait_for(&mut self, wanted: CoreVerdict) {
        until_within(SOON, &format!("{wanted:?}"), || (self.files.verdict() == wanted).then_some(()));
    }
}

/// As a daemon sees them that was started just now.
fn files(directory: &Path) -> CoreFiles {
    CoreFiles::new(Config::read(&directory.join("understudy.toml")).unwrap().core.as_ref().unwrap())
}

#[test]
fn a_core_that_lives_falls_and_is_stopped() {
    let mut seen = Seen::new();
    seen.wait_for(CoreVerdict::DeadClean);
    seen.core.start();
    seen.wait_for(CoreVerdict::Alive);
    seen.core.kill();
    seen.wait_for(CoreVerdict::DeadCrash);
    seen.core.start();
    seen.wait_for(CoreVerdict::Alive);
    seen.core.stop();
    seen.wait_for(CoreVerdict::DeadClean);
    assert!(!seen.core.status_file().exists(), "an orderly stop removes the status file");
}

#[test]
fn a_core_whose_worker_reads_on_has_fallen_all_the_same() {
    let mut seen = Seen::new();
    seen.core.start();
    seen.wait_for(CoreVerdict::Alive);
    let left_behind = seen.core.kill_uncollected();
    seen.wait_for(CoreVerdict::DeadCrash);
    assert_eq!(seen.files.observe().command_file, Fifo::Read, "the worker reads on");
    seen.files = files(seen.directory.path());
    seen.wait_for(CoreVerdict::DeadCrash);
    drop(left_behind);
    seen.wait_for(CoreVerdict::DeadCrash);
    seen.core.launch();
    seen.wait_for(CoreVerdict::Alive);
}

#[test]
fn a_core_that_reloads_or_hangs_has_not_fallen() {
    let mut seen = Seen::new();
    seen.core.start();
    seen.wait_for(CoreVerdict::Alive);
    let run = seen.core.shown().unwrap().program_start;
    seen.core.reload();
    until_within(SOON, "the next run", || {
        assert_ne!(seen.files.verdict(), CoreVerdict::DeadCrash);
        seen.core.shown().filter(|shown| shown.program_start != run)
    });
    seen.core.pause();
    until_within(SOON, "a stale status file", || {
        let verdict = seen.files.verdict();
        assert!(matches!(verdict, CoreVerdict::Alive | CoreVerdict::Unknown), "{verdict:?}");
        (verdict == CoreVerdict::Unknown).then_some(())
    });
    seen.core.resume();
    seen.wait_for(CoreVerdict::Alive);
}
