//! Notices a core that runs checks but writes nothing into the FIFO.
//!
//! The core opens the FIFO at its start and gives it up for good if it is absent then. Nothing tells but the status file.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nagios::Timestamp;
use nagios::status::{StatusError, StatusReader};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::status::Counters;
use crate::throttle::Throttle;

/// How often the status file is looked at. With 100,000 services it has 130 MB; more often would cost the core's machine.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How many looks in a row must see checks go on over a silent FIFO.
const LOOKS: u32 = 2;

/// What changed with a look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Checks go on, and nothing comes out of the FIFO.
    FellSilent,
    /// Lines come again.
    Speaks,
}

/// Compares what the status file says with what came out of the FIFO. Pure.
#[derive(Default)]
pub(crate) struct Watch {
    newest_check: Option<Timestamp>,
    frames: u64,
    suspicious_looks: u32,
    silent: bool,
}

impl Watch {
    /// Takes the newest check time in the status file and the number of frames since the start, whole or not.
    pub(crate) fn look(&mut self, newest_check: Option<Timestamp>, frames: u64) -> Option<Change> {
        let spoke = frames > std::mem::replace(&mut self.frames, frames);
        let before = self.newest_check;
        self.newest_check = newest_check.max(before);
        // Before the second look nothing says whether a check is newer than this process.
        let checks_go_on = before.is_some() && self.newest_check > before;
        if spoke {
            self.suspicious_looks = 0;
            return std::mem::take(&mut self.silent).then_some(Change::Speaks);
        }
        self.suspicious_looks += u32::from(checks_go_on);
        if self.suspicious_looks >= LOOKS && !self.silent {
            self.silent = true;
            return Some(Change::FellSilent);
        }
        None
    }
}

/// Looks until `stop`, and logs what changed.
pub(crate) async fn watch(fifo: PathBuf, status_file: PathBuf, counters: Arc<Counters>, stop: CancellationToken) {
    let mut watch = Watch::default();
    let mut unreadable = Throttle::default();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = stop.cancelled() => return,
        }
        let path = status_file.clone();
        let Ok(newest_check) = tokio::task::spawn_blocking(move || newest_check(&path)).await else {
            continue;
        };
        let newest_check = newest_check.unwrap_or_else(|error| {
            if is_absent(&error) {
                // A core that does not run checks nothing.
                debug!(status_file = %status_file.display(), "no status file");
            } else if unreadable.count(1, Instant::now()).is_some() {
                warn!(
                    status_file = %status_file.display(), %error,
                    "without the status file a perfdata FIFO that stays silent goes unnoticed"
                );
            }
            None
        });
        match watch.look(newest_check, counters.perfdata_frames()) {
            Some(Change::FellSilent) => error!(
                fifo = %fifo.display(),
                "the core runs checks but writes nothing into the perfdata FIFO, no result of it is sent; check \
                 process_performance_data=1, the perfdata lines of its main configuration (`understudy config check` \
                 prints them), process_perf_data of hosts and services, and restart the core: it opens the FIFO only then"
            ),
            Some(Change::Speaks) => {
                info!(fifo = %fifo.display(), "the core writes into the perfdata FIFO again");
            }
            None => {}
        }
    }
}

fn is_absent(error: &StatusError) -> bool {
    matches!(error, StatusError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// The time of the newest check in a status file.
fn newest_check(path: &Path) -> Result<Option<Timestamp>, StatusError> {
    let file = File::open(path).map_err(|source| StatusError::Io { line: 0, source })?;
    let mut reader = StatusReader::new(BufReader::with_capacity(1 << 16, file));
    let mut newest = None;
    while let Some(block) = reader.next_block()? {
        newest = newest.max(block.object_status().and_then(|object| object.last_check()));
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::from_seconds(seconds))
    }

    #[test]
    fn checks_over_a_silent_fifo_are_told_once() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(at(10), 0), None);
        assert_eq!(watch.look(at(20), 0), None);
        assert_eq!(watch.look(at(30), 0), Some(Change::FellSilent));
        assert_eq!(watch.look(at(40), 0), None);
        assert_eq!(watch.look(at(50), 7), Some(Change::Speaks));
        assert_eq!(watch.look(at(60), 7), None);
        assert_eq!(watch.look(at(70), 7), Some(Change::FellSilent));
    }

    #[test]
    fn a_core_without_checks_may_be_silent() {
        let mut watch = Watch::default();
        for seen in [None, at(10), at(10), at(10), at(9), at(10), at(10)] {
            assert_eq!(watch.look(seen, 0), None);
        }
    }

    #[test]
    fn lines_now_and_then_are_enough() {
        let mut watch = Watch::default();
        for n in 0..10_u8 {
            assert_eq!(watch.look(at(n.into()), u64::from(n) / 2), None);
        }
    }

    #[test]
    fn the_newest_check_of_hosts_and_services_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.dat");
        let text = "info {\n\tcreated=99\n\t}\nhoststatus {\n\thost_name=a\n\tlast_check=20\n\t}\n\
                    servicestatus {\n\thost_name=a\n\tservice_description=b\n\tlast_check=30\n\t}\n\
                    hoststatus {\n\thost_name=never\n\tlast_check=0\n\t}\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(newest_check(&path).unwrap(), at(30));
        assert!(newest_check(&directory.path().join("absent")).is_err());
    }
}
