//! When the core last checked each object itself, as its status file says.
//!
//! The file of a large core is 130 MB, so it is read by a thread of its own: only when it changed, and only while somebody
//! asks. What was read is used for a while after the file changed; whoever finds it too old waits for the next reading,
//! but not for ever: a file that cannot be read holds nothing up.
//!
//! **Invariant:** memory is bounded by one block of the file and [`MAX_OBJECTS`] times.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use nagios::status::{StatusError, StatusReader, Version};
use nagios::{CheckType, Object, Timestamp};
use tokio::sync::Notify;

/// How many objects are remembered, of 16 bytes each and what the table takes. Of objects beyond that nothing is known.
const MAX_OBJECTS: usize = 1 << 18;

/// How much of the file is read at once.
const READ_BYTES: usize = 256 << 10;

/// How long times are used after they were read, if the file changed meanwhile and is not read again yet.
const USED_FOR: Duration = Duration::from_secs(60);

/// How long somebody waits for the file to be read. After that, what is known is used.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// When the core checked objects itself.
#[derive(Debug, Default)]
pub(crate) struct OwnTimes {
    random: RandomState,
    /// Seconds by the object's hash.
    seconds: HashMap<u64, i64>,
}

impl OwnTimes {
    /// When the core last checked `object` itself, if its last check was its own.
    pub(crate) fn of(&self, object: &Object) -> Option<Timestamp> {
        self.seconds.get(&self.random.hash_one(object)).copied().map(Timestamp::from_seconds)
    }

    /// Reads a status file to its end.
    pub(crate) fn read(path: &Path) -> Result<Self, StatusError> {
        let unreadable = |source: io::Error| StatusError::Io { line: 0, source };
        let file = File::open(path).map_err(unreadable)?;
        let mut reader = StatusReader::new(BufReader::with_capacity(READ_BYTES, file));
        let mut times = OwnTimes::default();
        while let Some(block) = reader.next_block()? {
            let Some(status) = block.object_status() else { continue };
            let own = status.has_been_checked() && status.check_type() == Some(CheckType::Active);
            if let (true, Some(last), Ok(object)) = (own, status.last_check(), status.object()) {
                if times.seconds.len() >= MAX_OBJECTS {
                    break;
                }
                times.seconds.insert(times.random.hash_one(&object), last.seconds());
            }
        }
        Ok(times)
    }
}

/// The reading thread, and what it has read.
pub(crate) struct OwnChecks {
    status_file: PathBuf,
    shared: Arc<Shared>,
    /// Wakes the thread, which is started by the first request and ends when this is dropped.
    requests: Option<mpsc::SyncSender<Version>>,
    /// Since when somebody waits in vain.
    waiting_since: Option<Instant>,
}

struct Shared {
    latest: Mutex<Latest>,
    /// Wakes whoever waits for the times.
    wake: Arc<Notify>,
}

#[derive(Default)]
struct Latest {
    times: Arc<OwnTimes>,
    /// What was read, and when.
    read: Option<(Version, Instant)>,
    is_reading: bool,
}

impl OwnChecks {
    pub(super) fn new(status_file: PathBuf, wake: Arc<Notify>) -> Self {
        let shared = Arc::new(Shared { latest: Mutex::default(), wake });
        OwnChecks { status_file, shared, requests: None, waiting_since: None }
    }

    /// What is known, if it is young enough: none if it has to be read first. `version` is the file's present one.
    pub(crate) fn known(&mut self, version: Option<Version>, now: Instant) -> Option<Arc<OwnTimes>> {
        let latest = self.shared.lock();
        let usable = match (latest.read, version) {
            // Without a file there is nothing to wait for.
            (_, None) => true,
            (Some((read, at)), Some(version)) => read == version || now.saturating_duration_since(at) < USED_FOR,
            (None, Some(_)) => false,
        };
        if usable {
            self.waiting_since = None;
        }
        let in_vain = self.waiting_since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
        (usable || in_vain).then(|| latest.times.clone())
    }

    /// Somebody uses the times: has the file read if it changed.
    pub(crate) fn want(&mut self, version: Option<Version>, now: Instant) {
        let Some(version) = version else { return };
        {
            let mut latest = self.shared.lock();
            if latest.read.is_some_and(|(read, _)| read == version) {
                self.waiting_since = None;
                return;
            }
            if latest.read.is_none_or(|(_, at)| now.saturating_duration_since(at) >= USED_FOR) {
                self.waiting_since.get_or_insert(now);
            }
            if std::mem::replace(&mut latest.is_reading, true) {
                return;
            }
        }
        let requests = self.requests.get_or_insert_with(|| start(self.status_file.clone(), self.shared.clone()));
        if requests.try_send(version).is_err() {
            // The thread could not be started: what is known has to do.
            self.shared.lock().is_reading = false;
        }
    }
}

/// Starts the reading thread.
fn start(status_file: PathBuf, shared: Arc<Shared>) -> mpsc::SyncSender<Version> {
    let (requests, requested) = mpsc::sync_channel(1);
    let read = move || {
        while let Ok(version) = requested.recv() {
            shared.take(version, OwnTimes::read(&status_file), &status_file);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("status-reader".into()).spawn(read) {
        tracing::error!(%error, "cannot start a thread to read the status file; raise this user's limit on processes");
    }
    requests
}

impl Shared {
    fn take(&self, version: Version, times: Result<OwnTimes, StatusError>, path: &Path) {
        let mut latest = self.lock();
        latest.is_reading = false;
        match times {
            Ok(times) => {
                tracing::debug!(objects = times.seconds.len(), "read when the core checked objects itself");
                latest.times = Arc::new(times);
            }
            // The watch of the core tells in the log that the file cannot be read, once.
            Err(error) => tracing::debug!(file = %path.display(), %error, "cannot read the core's own checks"),
        }
        latest.read = Some((version, Instant::now()));
        drop(latest);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Version = Version { modified: 1, nanoseconds: 0, inode: 1 };
    use std::fs;

    const FILE: &str = "\
info {
\tcreated=1
\t}
servicestatus {
\thost_name=a
\tservice_description=own
\tcheck_type=0
\thas_been_checked=1
\tlast_check=100
\t}
servicestatus {
\thost_name=a
\tservice_description=passive
\tcheck_type=1
\thas_been_checked=1
\tlast_check=100
\t}
hoststatus {
\thost_name=a
\tcheck_type=0
\thas_been_checked=0
\tlast_check=0
\t}
";

    fn service(name: &str) -> Object {
        Object::Service("a".try_into().unwrap(), name.try_into().unwrap())
    }

    #[test]
    fn only_checks_that_the_core_did_itself_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.dat");
        fs::write(&path, FILE).unwrap();
        let times = OwnTimes::read(&path).unwrap();
        assert_eq!(times.of(&service("own")), Some(Timestamp::from_seconds(100)));
        assert_eq!(times.of(&service("passive")), None);
        assert_eq!(times.of(&Object::Host("a".try_into().unwrap())), None, "it was never checked");
    }

    #[tokio::test]
    async fn the_file_is_read_on_request_and_once_for_each_version() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.dat");
        fs::write(&path, FILE).unwrap();
        let wake = Arc::new(Notify::new());
        let mut own = OwnChecks::new(path.clone(), wake.clone());
        let version = Some(FIRST);
        let now = Instant::now();
        assert!(own.known(version, now).is_none(), "nobody asked");
        own.want(version, now);
        wake.notified().await;
        let now = Instant::now();
        let of_own = |times: Arc<OwnTimes>| times.of(&service("own")).map(Timestamp::seconds);
        assert_eq!(of_own(own.known(version, now).unwrap()), Some(100));
        fs::write(&path, FILE.replace("100", "160")).unwrap();
        own.want(version, now);
        assert_eq!(of_own(own.known(version, now).unwrap()), Some(100), "the same version is not read twice");
        let next = Some(Version { modified: 2, ..FIRST });
        assert_eq!(of_own(own.known(next, now).unwrap()), Some(100), "good for a while");
        assert!(own.known(next, now + USED_FOR).is_none());
        own.want(next, now);
        wake.notified().await;
        assert_eq!(of_own(own.known(next, Instant::now()).unwrap()), Some(160));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_holds_nothing_up() {
        let wake = Arc::new(Notify::new());
        let mut own = OwnChecks::new("/nonexistent/status.dat".into(), wake.clone());
        let now = Instant::now();
        assert!(own.known(None, now).is_some(), "there is no file");
        own.want(Some(FIRST), now);
        assert!(own.known(Some(FIRST), now + PATIENCE).is_some(), "it takes too long");
        wake.notified().await;
        assert!(own.known(Some(FIRST), now).is_some(), "there is nothing to be had from this version");
    }
}
