//! What this node's core remembers at this moment: its log and its status file, followed into a [`book`].
//!
//! ```text
//! log ─────────┐
//! status file ─┴▶ Chronicle ─▶ the sender's links: what each peer has not been told
//!                           └▶ warm: what this core shows
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `own` | what is known of the core, and whom it concerns |
//! | `follower` | the thread: looks at both files, in slices so small that nobody notices |
//! | `subscription` | what one peer is told |
//! | `kept` | what outlives this process: how far the log was read, when the core notified last |
//! | `results` | what the status file shows of some objects, as check results |
//! | `trouble` | what goes wrong is logged once |
//!
//! **Invariant:** the log is read before the status file, whenever there is a new one: what the core logged before it wrote the
//! file is known by then.
//!
//! **Invariant:** while a status file is half-read the book is usable: each object is as the one or the other file shows it, and
//! [`Own::created`] is that of the last one that was read to its end. A file that cannot be read to its end changes nothing else.
//!
//! **At a start** the status file tells how often the core has notified of a problem, and only its present state. Of earlier
//! states of a problem that lasts, the retention file tells, as old as it is, and then the log, from its beginning.
//!
//! **Invariant:** without a status file the book stays as it is. A core that stops removes it.
//!
//! **Invariant:** nobody waits for the follower longer than it takes to write down a few hundred objects.

mod follower;
mod kept;
mod own;
mod results;
mod subscription;
mod trouble;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use nagios::main_config::MainConfig;
use nagios::{CheckResult, Flavour, Object};
use tokio::sync::watch;
use tracing::warn;

pub use book::Activity;
pub use book::shelf::Heading;
pub use own::{Own, Picture};
pub use results::read as results_in;
pub use subscription::{Part, Subscription, Told};

use follower::{Files, Follower};
use own::Shared;

/// What this node's core remembers. The thread that follows it ends when the last of these is dropped, and subscriptions count.
#[derive(Clone, Debug)]
pub struct Chronicle {
    following: Arc<Following>,
}

#[derive(Debug)]
struct Following {
    shared: Arc<Shared>,
    status_file: PathBuf,
    flavour: Flavour,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Chronicle {
    /// Follows `core`. What is to outlive this process is kept in `state_directory/chronicle`. None without a status file, and
    /// where the system gives no thread.
    pub fn start(core: &config::Core, state_directory: &Path) -> Option<Chronicle> {
        let status_file = core.status_file.clone()?;
        let log_file = core.main.as_ref().and_then(MainConfig::log_file);
        if log_file.is_none() {
            warn!(
                "the core's log_file is not known, so what it notifies is known some seconds later: name its main_config in [core]"
            );
        }
        let files = Files {
            status: status_file.clone(),
            log: log_file,
            archive: core.main.as_ref().and_then(|main| main.path_of("log_archive_path")),
            retention: core.main.as_ref().and_then(MainConfig::state_retention_file),
            kept: state_directory.join(kept::FILE_NAME),
        };
        let shared = Arc::new(Shared::default());
        let follower = Follower::new(files, Arc::clone(&shared));
        let thread = match std::thread::Builder::new().name("chronicle".into()).spawn(|| follower.run()) {
            Ok(thread) => thread,
            Err(error) => {
                warn!(%error, "this node's core is not followed: its notifications are unknown to other nodes; restart understudy");
                return None;
            }
        };
        let thread = Mutex::new(Some(thread));
        Some(Chronicle { following: Arc::new(Following { shared, status_file, flavour: core.flavour, thread }) })
    }

    /// Looks at what is known. Everybody else waits meanwhile: copy what takes longer.
    pub fn read<T>(&self, look: impl FnOnce(&Own) -> T) -> T {
        look(&self.following.shared.lock().own)
    }

    /// Changes whenever a status file was read to its end.
    pub fn pictures(&self) -> watch::Receiver<Picture> {
        self.following.shared.pictures.subscribe()
    }

    /// What another node is to be told: the whole book first, then what changes.
    pub fn subscribe(&self) -> Subscription {
        Subscription::new(self.clone())
    }

    /// What the status file shows of `objects`, as results of their last checks. Objects that were never checked are left out, and
    /// those that it does not show. Blocks for as long as it takes to read the file once.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn results(&self, objects: &BTreeSet<Object>) -> io::Result<Vec<CheckResult>> {
        results::read(&self.following.status_file, self.following.flavour, objects)
    }

    /// Ends the thread, and waits for that: some milliseconds. What is known stays as it is.
    pub fn stop(&self) {
        self.following.stop();
    }
}

impl Following {
    fn stop(&self) {
        self.shared.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            warn!("the thread that follows the core has panicked: please report this, and restart understudy");
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop();
    }
}
