//! A plugin that answers what the test wants.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use crate::SOON;
use crate::support::wait::until_within;

/// Notes its process, and answers what is in `says`. Whether the process of the run before is still there, it notes, too.
const SCRIPT: &str = "#!/bin/sh\ncd DIR || exit 3\nlast=$(tail -n 1 runs)\n\
    [ -n \"$last\" ] && kill -0 \"$last\" 2>/dev/null && echo \"$last\" >> overlaps\n\
    echo $$ >> runs\nread -r says < says\n\
    [ \"$says\" = hang ] && { echo waiting; sleep 1000; exit 0; }\n\
    echo \"said $says\"\nexit \"$says\"\n";

/// A program, and the directory that it is in.
pub struct Script {
    directory: TempDir,
}

impl Script {
    /// A plugin that says OK.
    pub fn new() -> Self {
        let script = Script { directory: tempfile::tempdir().unwrap() };
        fs::write(script.path("runs"), "").unwrap();
        script.says("0");
        let directory = script.directory.path().to_str().unwrap();
        fs::write(script.path("plugin"), SCRIPT.replace("DIR", directory)).unwrap();
        fs::set_permissions(script.path("plugin"), fs::Permissions::from_mode(0o755)).unwrap();
        script
    }

    /// What it answers from now on: a return code, or `hang`, and then it never ends by itself.
    pub fn says(&self, answer: &str) {
        fs::write(self.path("new"), format!("{answer}\n")).unwrap();
        fs::rename(self.path("new"), self.path("says")).unwrap();
    }

    /// Its section in a standby's configuration; `kind` is `probe` or `witness`, `more` are further lines.
    pub fn section(&self, kind: &str, more: &str) -> String {
        format!("[[failover.{kind}]]\nname = \"script\"\ncommand = [{:?}]\n{more}", self.path("plugin"))
    }

    /// The processes that have run.
    pub fn runs(&self) -> Vec<u32> {
        fs::read_to_string(self.path("runs")).unwrap().lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Waits until it has been run so many times from now on.
    #[track_caller]
    pub fn wait_for_runs(&self, more: usize) {
        let wanted = self.runs().len() + more;
        until_within(SOON, "the plugin to run again", || (self.runs().len() >= wanted).then_some(()));
    }

    /// No run began while another one was there.
    #[track_caller]
    pub fn assert_one_at_a_time(&self) {
        let overlaps = fs::read_to_string(self.path("overlaps")).unwrap_or_default();
        assert_eq!(overlaps, "", "these still ran when the next one began");
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::join(self.directory.path(), name)
    }
}
