//! Puts snapshots on the disk, one at a time, without holding up the machine for long.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::disk;
use crate::machine::Snapshot;

/// How long the machine waits for the disk. A disk that hangs must not keep a standby from taking over.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// After which time a snapshot that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Writes the newest snapshot.
pub(super) struct Saver {
    wanted: watch::Sender<(u64, Option<Snapshot>)>,
    written: watch::Receiver<u64>,
    task: AbortHandle,
}

impl Saver {
    pub(super) fn start(directory: PathBuf) -> Self {
        let (wanted, newest) = watch::channel((0, None));
        let (done, written) = watch::channel(0);
        let task = tokio::spawn(write_all(directory, newest, done)).abort_handle();
        Saver { wanted, written, task }
    }

    /// Returns when `snapshot` is on the disk, or after [`PATIENCE`].
    pub(super) async fn save(&mut self, snapshot: Snapshot) {
        let mut number = 0;
        self.wanted.send_modify(|(last, wanted)| {
            *last += 1;
            number = *last;
            *wanted = Some(snapshot);
        });
        if timeout(PATIENCE, self.written.wait_for(|written| *written >= number)).await.is_err() {
            tracing::warn!("going on before the failover's state is on the disk");
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write_all(directory: PathBuf, mut newest: watch::Receiver<(u64, Option<Snapshot>)>, done: watch::Sender<u64>) {
    while newest.changed().await.is_ok() {
        loop {
            let (number, snapshot) = newest.borrow_and_update().clone();
            let Some(snapshot) = snapshot else { break };
            let directory = directory.clone();
            let writing = tokio::task::spawn_blocking(move || disk::write_snapshot(&directory, &snapshot));
            match writing.await {
                Ok(Ok(())) => {
                    done.send_replace(number);
                    break;
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "cannot write the failover's state: check the state directory's disk");
                    // A newer one is written at once.
                    let _ = timeout(RETRY, newest.changed()).await;
                }
                Err(_) => return,
            }
        }
    }
}
