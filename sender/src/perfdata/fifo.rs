//! The perfdata FIFO, on a thread that does nothing but read it.
//!
//! Invariants: the FIFO is made once and never removed, since the core opens it only at its start; it is open for
//! writing here too, so that reading never ends; it is read at once, since the core tears lines when it is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tracing::{error, info, trace, warn};

use super::copy::Copy;
use super::frame::{Line, Lines};
use crate::error::StartError;
use crate::outbox::Outbox;
use crate::sieve::Sieve;
use crate::status::Counters;
use crate::throttle::Throttle;
use crate::wait;

/// What the FIFO is enlarged to; the most that an unprivileged process gets by default.
const PIPE_BYTES: i32 = 1 << 20;

/// How much one read takes at most.
const READ_BYTES: usize = 256 << 10;

/// How many reads one pipe gets before others, and the stop, have their turn. All that the pipe can hold, and more.
const READS_PER_TURN: usize = 16;

/// How often the path is compared with the FIFO that is open.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The FIFO, open.
pub(crate) struct Fifo {
    path: PathBuf,
    mode: u32,
    group: Option<u32>,
    pipe: Pipe,
    /// What `path` was before somebody replaced it. A core that started then writes into it until its restart.
    former: Option<Pipe>,
}

struct Pipe {
    file: File,
    inode: u64,
    lines: Lines,
}

/// Where the lines go.
pub(crate) struct Drain {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) sieve: Sieve,
    pub(crate) copy: Option<Copy>,
}

impl Fifo {
    /// Makes the FIFO if it is absent, for `group` to write into, and opens it.
    pub(crate) fn open(path: &Path, mode: u32, group: Option<u32>) -> Result<Fifo, StartError> {
        Ok(Fifo { path: path.to_owned(), mode, group, pipe: Pipe::open(path, mode, group)?, former: None })
    }

    /// Reads until `stop`.
    pub(crate) fn serve(mut self, mut drain: Drain, stop: &AtomicBool) {
        let mut buffer = vec![0; READ_BYTES];
        let mut told = Told::default();
        let mut next_look = Instant::now() + LOOK_EVERY;
        while !stop.load(Relaxed) {
            for pipe in std::iter::once(&mut self.pipe).chain(&mut self.former) {
                pipe.drain(&mut buffer, &mut drain, &mut told);
            }
            if Instant::now() >= next_look {
                self.look(&mut told);
                next_look = Instant::now() + LOOK_EVERY;
            }
            let open: Vec<_> = std::iter::once(&self.pipe).chain(&self.former).map(|pipe| pipe.file.as_fd()).collect();
            wait::readable(&open, wait::STEP);
        }
        // What the core wrote before the stop.
        self.pipe.drain(&mut buffer, &mut drain, &mut told);
    }

    /// Puts the FIFO back when somebody removed or replaced it.
    fn look(&mut self, told: &mut Told) {
        if fs::metadata(&self.path).is_ok_and(|file| file.ino() == self.pipe.inode) {
            return;
        }
        match Pipe::open(&self.path, self.mode, self.group) {
            Ok(pipe) => {
                warn!(
                    fifo = %self.path.display(),
                    "the perfdata FIFO was removed or replaced; it is there again, restart the core so that it writes into it"
                );
                self.former = Some(std::mem::replace(&mut self.pipe, pipe));
            }
            Err(error) => {
                if told.broken.count(1, Instant::now()).is_some() {
                    error!(%error, "the perfdata FIFO was removed or replaced and cannot be put back");
                }
            }
        }
    }
}

impl Pipe {
    fn open(path: &Path, mode: u32, group: Option<u32>) -> Result<Pipe, StartError> {
        create_if_absent(path, mode, group)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)
            .map_err(StartError::io(path, "open the perfdata FIFO"))?;
        let about = file.metadata().map_err(StartError::io(path, "look at the perfdata FIFO"))?;
        if !about.file_type().is_fifo() {
            return Err(in_the_way(path, about.is_file()));
        }
        if let Err(error) = fcntl(&file, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)) {
            warn!(
                fifo = %path.display(), %error, bytes = PIPE_BYTES,
                "the perfdata FIFO could not be enlarged, a burst of results may tear lines; \
                 raise fs.pipe-max-size and fs.pipe-user-pages-soft"
            );
        }
        Ok(Pipe { file, inode: about.ino(), lines: Lines::default() })
    }

    /// Reads what is there, within a turn's limit.
    fn drain(&mut self, buffer: &mut [u8], drain: &mut Drain, told: &mut Told) {
        for _ in 0..READS_PER_TURN {
            match (&self.file).read(buffer) {
                Ok(0) => return,
                Ok(bytes) => drain.take(&mut self.lines, &buffer[..bytes], told),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    if told.broken.count(1, Instant::now()).is_some() {
                        error!(%error, "the perfdata FIFO cannot be read");
                    }
                    return;
                }
            }
        }
    }
}

impl Drain {
    fn take(&mut self, lines: &mut Lines, bytes: &[u8], told: &mut Told) {
        let (mut results, mut damaged, mut foreign) = (Vec::new(), 0, 0);
        lines.feed(bytes, &mut |line: Line<'_>| {
            if let Some(copy) = &mut self.copy {
                copy.line(line.for_copy());
            }
            damaged += line.damaged;
            foreign += u64::from(line.results.is_empty() && line.damaged == 0 && !line.raw.is_empty());
            results.extend(line.results);
        });
        for result in &results {
            trace!(object = %result.object, code = result.code.get(), "read from the perfdata FIFO");
        }
        self.counters.perfdata.fetch_add(results.len() as u64, Relaxed);
        self.counters.damaged.fetch_add(damaged, Relaxed);
        self.counters.foreign.fetch_add(foreign, Relaxed);
        let now = Instant::now();
        results.retain(|result| self.sieve.keeps(result, now));
        let lost = self.outbox.append(&results).iter().filter(|outcome| outcome.is_err()).count();
        self.counters.lost.fetch_add(lost as u64, Relaxed);
        if let Some(copy) = &mut self.copy {
            self.counters.not_copied.fetch_add(copy.flush(now), Relaxed);
        }
        told.complain(damaged, foreign, now);
    }
}

/// What was logged when.
#[derive(Default)]
struct Told {
    damaged: Throttle,
    foreign: Throttle,
    broken: Throttle,
}

impl Told {
    fn complain(&mut self, damaged: u64, foreign: u64, now: Instant) {
        if let Some(frames) = self.damaged.count(damaged, now) {
            warn!(
                frames,
                "perfdata lines were torn or glued together and are lost; the FIFO was full, or a plugin prints our markers"
            );
        }
        if let Some(lines) = self.foreign.count(foreign, now) {
            warn!(
                lines,
                "perfdata lines without our frame; set service_perfdata_file_template and host_perfdata_file_template \
                 as `understudy config check` prints them, and restart the core"
            );
        }
    }
}

fn create_if_absent(path: &Path, mode: u32, group: Option<u32>) -> Result<(), StartError> {
    match fs::metadata(path) {
        Ok(file) if file.file_type().is_fifo() => return Ok(()),
        Ok(file) => return Err(in_the_way(path, file.is_file())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(StartError::io(path, "look at the perfdata FIFO")(error)),
    }
    let create = StartError::io(path, "create the perfdata FIFO");
    // Open for its owner only until the group is right.
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|error| create(error.into()))?;
    chown(path, None, group).map_err(StartError::io(path, "give the perfdata FIFO to socket_group"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(StartError::io(path, "set the perfdata FIFO's permissions"))?;
    info!(fifo = %path.display(), "perfdata FIFO created; the core writes into it after its next restart");
    Ok(())
}

fn in_the_way(path: &Path, is_file: bool) -> StartError {
    if is_file {
        StartError::RegularPerfdataFile(path.to_owned())
    } else {
        StartError::InTheWay { path: path.to_owned(), expected: "FIFO" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifo_is_made_once_enlarged_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("perfdata.fifo");
        let fifo = Fifo::open(&path, 0o660, None).unwrap();
        let about = fs::metadata(&path).unwrap();
        assert_eq!(about.mode() & 0o777, 0o660);
        assert_eq!(fcntl(&fifo.pipe.file, FcntlArg::F_GETPIPE_SZ).unwrap(), PIPE_BYTES);
        drop(fifo);
        let again = Fifo::open(&path, 0o660, None).unwrap();
        assert_eq!(again.pipe.inode, about.ino());
    }

    #[test]
    fn a_regular_file_is_an_error_with_advice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("perfdata.fifo");
        fs::write(&path, "what a core wrote").unwrap();
        let Err(error) = Fifo::open(&path, 0o660, None) else { panic!("a file was taken for a FIFO") };
        assert!(matches!(error, StartError::RegularPerfdataFile(_)));
        assert!(error.to_string().contains("restart the core"), "{error}");
        assert!(matches!(Fifo::open(directory.path(), 0o660, None), Err(StartError::InTheWay { .. })));
    }
}
