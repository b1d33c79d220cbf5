//! Keeps what is remembered of peers on disk.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Peers, file};
use crate::episode::Episode;

/// How long something remembered may wait before the file is written. With the time that the disk takes, a crash repeats
/// what was acknowledged in the last quarter of a second.
const WRITE_WITHIN: Duration = Duration::from_millis(200);

/// The pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// The peers of a running receiver, and their file.
#[derive(Default)]
pub(crate) struct Keeper {
    peers: Mutex<Peers>,
    path: PathBuf,
    changed: Notify,
    at_once: Notify,
}

impl Keeper {
    /// Knows nobody yet.
    pub(crate) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Keeper { path, ..Keeper::default() })
    }

    /// Goes on with what the file holds. Where it cannot be used, everybody sends again what they still have.
    pub(crate) fn read(&self) {
        let file = self.path.display();
        match file::read(&self.path) {
            Ok(file::Found::Whole(peers)) => *self.lock() = peers,
            Ok(file::Found::Missing) => {}
            Ok(file::Found::Damaged) => {
                tracing::warn!(%file, "damaged: sealed senders repeat what they still have");
            }
            Err(error) => {
                tracing::warn!(%file, %error, "cannot be read: sealed senders repeat what they still have");
            }
        }
    }

    /// Nothing that is done under this lock waits for anything.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Peers> {
        // No operation can panic half-way.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something may have changed.
    pub(crate) fn note(&self) {
        self.changed.notify_one();
    }

    /// Something has changed, and nothing more is to be expected.
    pub(crate) fn note_last(&self) {
        self.changed.notify_one();
        self.at_once.notify_one();
    }

    /// Writes the file whenever something changed, until `ended`, and then once more.
    pub(crate) async fn keep_written(self: Arc<Self>, ended: CancellationToken) {
        let mut trouble = Episode::default();
        while !ended.is_cancelled() {
            tokio::select! {
                () = self.changed.notified() => {}
                () = ended.cancelled() => break,
            }
            self.pause(WRITE_WITHIN, &ended).await;
            while !self.write(&mut trouble).await && !ended.is_cancelled() {
                self.pause(RETRY, &ended).await;
            }
        }
        self.write(&mut trouble).await;
    }

    async fn pause(&self, time: Duration, ended: &CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.at_once.notified() => {}
            () = ended.cancelled() => {}
        }
    }

    async fn write(self: &Arc<Self>, trouble: &mut Episode) -> bool {
        let bytes = {
            let mut peers = self.lock();
            if !std::mem::take(&mut peers.changed) {
                return true;
            }
            file::encode(&peers)
        };
        let keeper = self.clone();
        let written = tokio::task::spawn_blocking(move || spool::disk::replace(&keeper.path, &bytes)).await;
        let written = written.map_err(std::io::Error::from).and_then(|written| written);
        let (file, now) = (self.path.display(), Instant::now());
        match &written {
            Ok(()) => {
                if let Some(lasted) = trouble.ends(now) {
                    tracing::info!(%file, after_seconds = lasted.as_secs(), "written again");
                }
            }
            Err(error) => {
                self.lock().changed = true;
                if let Some(lasts) = trouble.goes_on(Duration::ZERO, now) {
                    let for_seconds = lasts.as_secs();
                    tracing::error!(%file, %error, for_seconds, "cannot write: after a crash, sealed senders repeat more");
                }
            }
        }
        written.is_ok()
    }
}
