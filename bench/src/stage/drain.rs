//! A command file in the place of a core's: read as fast as it is written, its lines counted.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::Mode;

use super::PATIENCE;

/// A stock `nsca` drops silently what a full pipe does not take. This is what the system gives to everybody.
const PIPE_BYTES: libc::c_int = 1 << 20;

/// A FIFO with a reader of its own. The reader ends with the process.
pub(crate) struct Drain {
    path: PathBuf,
    /// Keeps the reader from seeing an end.
    _writer: File,
    counted: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    count: usize,
    /// When they were read.
    last: Option<Instant>,
}

impl Drain {
    /// Makes the FIFO. When this returns, it has a reader.
    pub(crate) fn new(path: PathBuf) -> Result<Drain> {
        Drain::with(path, |_, _| {})
    }

    /// As [`new`](Self::new); `note` gets everything that is read, and when, before its lines are counted.
    pub(crate) fn with(path: PathBuf, note: impl FnMut(&[u8], Instant) + Send + 'static) -> Result<Drain> {
        nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).context("cannot make a FIFO")?;
        // Without a writer of its own, opening would wait for one.
        let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path)?;
        let writer = OpenOptions::new().write(true).open(&path)?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::empty()))?;
        fcntl(&reader, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)).context("cannot enlarge a FIFO")?;
        let counted = Arc::<Counted>::default();
        let counting = counted.clone();
        std::thread::spawn(move || counting.count(reader, note));
        Ok(Drain { path, _writer: writer, counted })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The lines of our `[core]` that say where it is.
    pub(crate) fn core(&self) -> String {
        format!("flavour = \"nagios4\"\ncommand_file = \"{}\"", self.path.display())
    }

    /// Waits until there are `count` lines, and forgets them; when the last one was read.
    pub(crate) fn take(&self, count: usize) -> Result<Instant> {
        let lines = self.counted.lock();
        let (mut lines, timeout) = self
            .counted
            .more
            .wait_timeout_while(lines, PATIENCE, |lines| lines.count < count)
            .unwrap_or_else(PoisonError::into_inner);
        let Lines { count: found, last } = std::mem::take(&mut *lines);
        match last {
            Some(last) if found == count => Ok(last),
            _ if timeout.timed_out() => bail!("{found} of {count} lines came into the command file"),
            _ => bail!("{found} lines came into the command file instead of {count}"),
        }
    }
}

impl Counted {
    fn count(&self, mut reader: File, mut note: impl FnMut(&[u8], Instant)) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(bytes @ 1..) = reader.read(&mut buffer) {
            let now = Instant::now();
            note(&buffer[..bytes], now);
            let lines = memchr::memchr_iter(b'\n', &buffer[..bytes]).count();
            let mut counted = self.lock();
            counted.count += lines;
            counted.last = Some(now);
            drop(counted);
            self.more.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
