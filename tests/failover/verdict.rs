//! What a real core leaves in the file system when it lives, falls and is stopped.

use std::fs;

use config::Config;
use failover::verdict::CoreFiles;
use nsca::sealed::CoreVerdict;

use crate::SOON;
use crate::core::Core;
use crate::support::wait::until_within;

#[test]
fn a_core_that_lives_falls_and_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = Core::new(&directory.path().join("core"), "");
    let file = directory.path().join("understudy.toml");
    let main = core.main_config();
    fs::write(&file, format!("[core]\nmain_config = {main:?}\n[failover]\nrole = \"master\"\n")).unwrap();
    let mut files = CoreFiles::new(Config::read(&file).unwrap().core.as_ref().unwrap());
    let mut verdict = |wanted: CoreVerdict| {
        until_within(SOON, &format!("{wanted:?}"), || (files.verdict() == wanted).then_some(()));
    };

    verdict(CoreVerdict::DeadClean);
    core.start();
    verdict(CoreVerdict::Alive);
    core.kill();
    verdict(CoreVerdict::DeadCrash);
    core.start();
    verdict(CoreVerdict::Alive);
    core.stop();
    verdict(CoreVerdict::DeadClean);
    assert!(!core.status_file().exists(), "an orderly stop removes the status file");
}
