//! The core's command file: a FIFO that the core creates, reads and removes.
//!
//! What is met, and what is done about it:
//!
//! ```text
//! path absent                       Missing     the core is stopped or starting
//! FIFO, nobody reads                NoReader    the core was killed, or stopped between two runs
//! FIFO, pipe full                   Full        the core is slow: wait_writable, then go on
//! another inode than the open one   reopened    the core was restarted
//! not a FIFO                        NotAFifo    refused: a write would fill a regular file that nobody reads
//! ```
//!
//! **Invariant:** never blocks, never creates anything, never writes into anything but a FIFO.
//!
//! **Invariant:** a line is never continued in another FIFO than the one that it began in. Writes of at most
//! [`PIPE_BUF`] bytes are atomic. A longer one may be taken in parts: the caller goes on with
//! the rest. If the FIFO is replaced, or is seen without a reader, in the middle of such a line,
//! [`CommandFileError::Torn`] tells the caller to begin that line again; in the same FIFO the torn part is ended first, also
//! by the next process, if there is a [mark](CommandFile::with_mark). (A reader that is replaced unnoticed between two parts may see the second part as a line: whoever can,
//! keeps lines within `PIPE_BUF` or uses the check-result directory.)
//!
//! The FIFO is kept open while nobody reads it, because what is in it survives only as long as some writer has it open.

mod error;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::command::{PIPE_BUF, atomic_writes};
pub use error::CommandFileError;

/// Ends a torn line, if there is one. Else it is a custom command, which no core acts on. Not an empty line: after one, which
/// it takes for malformed, Nagios 4.4.6 runs the command before the last of a read twice, and the last one not at all.
const END_OF_LINE: &[u8] = b"[1] _UNDERSTUDY\n";

/// A writer of the core's FIFO. Synchronous; every call returns at once, except [`CommandFile::wait_writable`].
#[derive(Debug)]
pub struct CommandFile {
    path: PathBuf,
    open: Option<OpenFifo>,
    line: Line,
    mark: Option<Mark>,
}

/// A file that exists while a part of a line may be in the FIFO. It outlives a killed process, as the FIFO does; a machine
/// that stops takes the FIFO's content with it.
#[derive(Debug)]
struct Mark {
    path: PathBuf,
    is_set: bool,
}

#[derive(Debug)]
struct OpenFifo {
    file: File,
    inode: Inode,
}

/// Device and inode number. No other FIFO can have the open one's: an inode lives as long as it is open.
type Inode = (u64, u64);

/// What became of the line that was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// All of it was taken.
    Complete,
    /// A part was taken: the next bytes are its rest.
    Begun,
    /// A part was taken by a FIFO that is no longer open, and the caller does not know yet.
    Lost,
    /// A part was taken by the open FIFO, and the caller was told to begin again, or it was left by the process before: the
    /// part must be ended first.
    Unended,
}

impl CommandFile {
    /// A command file at `path`; nothing is opened yet, and it need not exist.
    pub fn new(path: PathBuf) -> Self {
        Self { path, open: None, line: Line::Complete, mark: None }
    }

    /// Keeps a mark at `mark` while a line is longer than one write. If the process before left it, what may be a part of
    /// a line is ended before anything is written.
    #[must_use]
    pub fn with_mark(self, mark: PathBuf) -> Self {
        let is_set = mark.exists();
        let line = if is_set { Line::Unended } else { self.line };
        Self { line, mark: Some(Mark { path: mark, is_set }), ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` and returns how many were taken: all of them, or, of more than
    /// [`PIPE_BUF`], perhaps a part.
    ///
    /// After a part, the next call must go on with the rest.
    ///
    /// # Errors
    /// Nothing was taken. After [`CommandFileError::Torn`] the line that was begun must be written again from its start.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, CommandFileError> {
        self.refresh()?;
        self.write_open(bytes)
    }

    /// Writes whole lines as [`atomic_writes`], with one look at the path for all of them.
    ///
    /// Returns how many bytes were taken, which is less than all when the pipe became full.
    ///
    /// # Errors
    /// As [`CommandFile::write`], and only if nothing was taken.
    pub fn write_lines(&mut self, lines: &[u8]) -> Result<usize, CommandFileError> {
        self.refresh()?;
        let mut taken = 0;
        for write in atomic_writes(lines) {
            match self.write_open(write) {
                Ok(bytes) => taken += bytes,
                Err(error) if taken == 0 => return Err(error),
                Err(_) => break,
            }
            if self.line == Line::Begun {
                break;
            }
        }
        Ok(taken)
    }

    /// Waits until the FIFO can take an atomic write, at most `timeout`. False if it could not in that time.
    ///
    /// # Errors
    /// At once, if there is nothing to wait for: no FIFO, or nobody reads it.
    pub fn wait_writable(&mut self, timeout: Duration) -> Result<bool, CommandFileError> {
        let deadline = Instant::now() + timeout;
        self.refresh()?;
        loop {
            match poll_writable(&self.fifo().file, deadline.saturating_duration_since(Instant::now())) {
                Ok(None) => return Ok(false),
                Ok(Some(seen)) if seen.contains(PollFlags::POLLERR) => return Err(self.reader_is_gone()),
                Ok(Some(_)) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.error(errno.into())),
            }
        }
    }

    /// Makes the FIFO that is at the path now the open one.
    fn refresh(&mut self) -> Result<(), CommandFileError> {
        let inode = self.inode_at_path().inspect_err(|_| self.close())?;
        if self.open.as_ref().is_some_and(|open| open.inode != inode) {
            self.close();
        }
        if self.open.is_none() {
            self.open = Some(self.open_fifo()?);
        }
        if self.line == Line::Lost {
            self.line = Line::Complete;
            return Err(self.torn());
        }
        Ok(())
    }

    fn write_open(&mut self, bytes: &[u8]) -> Result<usize, CommandFileError> {
        if self.line == Line::Unended {
            self.write_once(END_OF_LINE)?;
            self.line = Line::Complete;
        }
        if bytes.len() > PIPE_BUF {
            self.mark.iter_mut().for_each(Mark::set);
        }
        let taken = self.write_once(bytes)?;
        if let Some(last) = taken.checked_sub(1) {
            self.line = if taken == bytes.len() || bytes[last] == b'\n' { Line::Complete } else { Line::Begun };
        }
        if self.line == Line::Complete {
            self.mark.iter_mut().for_each(Mark::clear);
        }
        Ok(taken)
    }

    fn write_once(&mut self, bytes: &[u8]) -> Result<usize, CommandFileError> {
        loop {
            match self.fifo().file.write(bytes) {
                Ok(taken) => return Ok(taken),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(self.reader_is_gone()),
                Err(error) => return Err(self.error(error)),
            }
        }
    }

    /// The FIFO stays open: what is in it is kept for the next reader only by an open writer.
    fn reader_is_gone(&mut self) -> CommandFileError {
        if self.line == Line::Begun {
            self.line = Line::Unended;
            return self.torn();
        }
        CommandFileError::NoReader { path: self.path.clone() }
    }

    fn close(&mut self) {
        self.open = None;
        self.line = match self.line {
            Line::Begun | Line::Lost => Line::Lost,
            Line::Complete | Line::Unended => Line::Complete,
        };
    }

    fn open_fifo(&self) -> Result<OpenFifo, CommandFileError> {
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.path)
            .map_err(|error| self.error(error))?;
        let found = file.metadata().map_err(|error| self.error(error))?;
        Ok(OpenFifo { inode: self.fifo_inode(&found)?, file })
    }

    fn inode_at_path(&self) -> Result<Inode, CommandFileError> {
        let found = fs::metadata(&self.path).map_err(|error| self.error(error))?;
        self.fifo_inode(&found)
    }

    fn fifo_inode(&self, found: &fs::Metadata) -> Result<Inode, CommandFileError> {
        if found.file_type().is_fifo() {
            Ok((found.dev(), found.ino()))
        } else {
            Err(CommandFileError::NotAFifo { path: self.path.clone() })
        }
    }

    fn fifo(&mut self) -> &mut OpenFifo {
        self.open.as_mut().expect("refresh() opened it and only refresh() closes it")
    }

    fn torn(&self) -> CommandFileError {
        CommandFileError::Torn { path: self.path.clone() }
    }

    fn error(&self, source: io::Error) -> CommandFileError {
        CommandFileError::new(&self.path, source)
    }
}

impl Mark {
    /// Where that fails, results matter more than the part of one that a kill could leave.
    fn set(&mut self) {
        self.is_set = self.is_set || File::create(&self.path).is_ok();
    }

    /// A mark that is left for nothing costs one line that does nothing.
    fn clear(&mut self) {
        self.is_set = self.is_set && fs::remove_file(&self.path).is_err();
    }
}

/// What poll(2) saw; none after `timeout`.
fn poll_writable(file: &File, timeout: Duration) -> Result<Option<PollFlags>, Errno> {
    // Rounded up, so that a rest of less than a millisecond does not spin.
    let timeout = timeout.saturating_add(Duration::from_micros(999));
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut watched, timeout)? == 0 {
        return Ok(None);
    }
    Ok(watched[0].revents())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    /// A FIFO in a directory of its own, and whoever plays the core.
    struct Stage {
        directory: tempfile::TempDir,
        file: CommandFile,
    }

    impl Stage {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let file = CommandFile::new(directory.path().join("nagios.cmd"));
            Self { directory, file }
        }

        fn with_fifo() -> Self {
            let stage = Self::new();
            stage.make_fifo();
            stage
        }

        fn make_fifo(&self) {
            mkfifo(self.file.path(), Mode::from_bits_truncate(0o600)).unwrap();
        }

        fn core(&self) -> File {
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(self.file.path()).unwrap()
        }

        /// Writes lines until the pipe is full.
        fn fill(&mut self) {
            while self.file.write(&[b'\n'; 4096]).is_ok() {}
        }
    }

    fn drain(core: &mut File) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = core.read(&mut buffer) {
            all.extend_from_slice(&buffer[..bytes]);
        }
        all
    }

    fn long_line() -> Vec<u8> {
        let mut line = vec![b'x'; 100_000];
        line.push(b'\n');
        line
    }

    #[test]
    fn a_missing_file_is_not_created() {
        let mut stage = Stage::new();
        assert!(matches!(stage.file.write(b"a\n"), Err(CommandFileError::Missing { .. })));
        assert!(matches!(stage.file.wait_writable(Duration::ZERO), Err(CommandFileError::Missing { .. })));
        assert_eq!(fs::read_dir(stage.directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_regular_file_is_refused_and_left_alone() {
        let mut stage = Stage::new();
        fs::write(stage.file.path(), "kept").unwrap();
        let error = stage.file.write(b"a\n").unwrap_err();
        assert!(matches!(error, CommandFileError::NotAFifo { .. }));
        assert!(error.to_string().contains("restart the core"), "{error}");
        assert_eq!(fs::read(stage.file.path()).unwrap(), b"kept");
    }

    #[test]
    fn lines_arrive_whole() {
        let mut stage = Stage::with_fifo();
        assert!(matches!(stage.file.write(b"a\n"), Err(CommandFileError::NoReader { .. })));
        let mut core = stage.core();
        assert_eq!(stage.file.write(b"a\n").unwrap(), 2);
        assert_eq!(stage.file.write_lines(b"b\nc\n").unwrap(), 4);
        assert_eq!(drain(&mut core), b"a\nb\nc\n");
    }

    #[test]
    fn a_full_pipe_is_waited_for() {
        let mut stage = Stage::with_fifo();
        let mut core = stage.core();
        stage.fill();
        assert!(matches!(stage.file.write(b"a\n"), Err(CommandFileError::Full { .. })));
        assert!(!stage.file.wait_writable(Duration::from_millis(1)).unwrap());
        // It stays open: a command file that nobody reads is not waited for.
        let reader = std::thread::spawn(move || {
            drain(&mut core);
            core
        });
        assert!(stage.file.wait_writable(Duration::from_secs(60)).unwrap());
        reader.join().unwrap();
    }

    #[test]
    fn lines_are_taken_up_to_a_full_pipe() {
        let mut stage = Stage::with_fifo();
        let mut core = stage.core();
        let lines = b"0123456789\n".repeat(20_000);
        let taken = stage.file.write_lines(&lines).unwrap();
        assert!(taken > 4096 && taken < lines.len() && taken.is_multiple_of(11));
        assert_eq!(drain(&mut core), lines[..taken]);
    }

    #[test]
    fn what_a_dead_core_left_is_kept_for_the_next() {
        let mut stage = Stage::with_fifo();
        let core = stage.core();
        stage.file.write(b"a\n").unwrap();
        drop(core);
        assert!(matches!(stage.file.write(b"b\n"), Err(CommandFileError::NoReader { .. })));
        assert!(matches!(stage.file.wait_writable(Duration::ZERO), Err(CommandFileError::NoReader { .. })));
        let mut core = stage.core();
        stage.file.write(b"c\n").unwrap();
        assert_eq!(drain(&mut core), b"a\nc\n");
    }

    #[test]
    fn a_fifo_that_was_created_again_is_opened_again() {
        let mut stage = Stage::with_fifo();
        let mut old_core = stage.core();
        stage.file.write(b"a\n").unwrap();
        fs::rename(stage.file.path(), stage.directory.path().join("old")).unwrap();
        assert!(matches!(stage.file.write(b"b\n"), Err(CommandFileError::Missing { .. })));
        stage.make_fifo();
        let mut core = stage.core();
        stage.file.write(b"c\n").unwrap();
        assert_eq!((drain(&mut old_core), drain(&mut core)), (b"a\n".to_vec(), b"c\n".to_vec()));
    }

    #[test]
    fn a_long_line_is_continued_where_it_was_cut() {
        let mut stage = Stage::with_fifo();
        let mut core = stage.core();
        let (line, mut arrived, mut rest) = (long_line(), Vec::new(), 0);
        while rest < line.len() {
            rest += stage.file.write(&line[rest..]).unwrap();
            arrived.extend(drain(&mut core));
        }
        assert_eq!(arrived, line);
    }

    #[test]
    fn the_rest_of_a_line_is_kept_out_of_a_new_fifo() {
        let mut stage = Stage::with_fifo();
        let _old_core = stage.core();
        let line = long_line();
        let taken = stage.file.write(&line).unwrap();
        assert!(taken < line.len());
        fs::remove_file(stage.file.path()).unwrap();
        stage.make_fifo();
        let mut core = stage.core();
        assert!(matches!(stage.file.write(&line[taken..]), Err(CommandFileError::Torn { .. })));
        assert_eq!(stage.file.write(b"again\n").unwrap(), 6);
        assert_eq!(drain(&mut core), b"again\n");
    }

    #[test]
    fn a_line_torn_by_a_dead_core_is_ended_before_the_next() {
        let mut stage = Stage::with_fifo();
        let core = stage.core();
        let line = long_line();
        let taken = stage.file.write(&line).unwrap();
        drop(core);
        assert!(matches!(stage.file.write(&line[taken..]), Err(CommandFileError::Torn { .. })));
        assert!(matches!(stage.file.write(b"again\n"), Err(CommandFileError::NoReader { .. })));
        let mut core = stage.core();
        assert_eq!(drain(&mut core), line[..taken]);
        assert_eq!(stage.file.write(b"again\n").unwrap(), 6);
        assert_eq!(drain(&mut core), [END_OF_LINE, b"again\n"].concat());
    }

    #[test]
    fn a_line_torn_by_a_killed_writer_is_ended_by_the_next() {
        let mut stage = Stage::with_fifo();
        let mut core = stage.core();
        let mark = stage.directory.path().join("mark");
        let next = || CommandFile::new(stage.directory.path().join("nagios.cmd")).with_mark(mark.clone());
        let line = long_line();
        let taken = next().write(&line).unwrap();
        assert!(taken < line.len() && mark.exists());
        assert_eq!(drain(&mut core), line[..taken]);
        let mut file = next();
        assert_eq!(file.write(b"whole\n").unwrap(), 6);
        assert_eq!(file.write(b"next\n").unwrap(), 5);
        assert_eq!(drain(&mut core), [END_OF_LINE, b"whole\nnext\n"].concat());
        assert!(!mark.exists());
        stage.file = next();
        stage.file.write(b"a third one\n").unwrap();
        assert_eq!(drain(&mut core), b"a third one\n");
    }

    #[test]
    fn a_long_line_that_was_taken_leaves_no_mark() {
        let stage = Stage::with_fifo();
        let mut core = stage.core();
        let mark = stage.directory.path().join("mark");
        let mut file = CommandFile::new(stage.file.path().to_owned()).with_mark(mark.clone());
        let (line, mut rest) = (long_line(), 0);
        while rest < line.len() {
            rest += file.write(&line[rest..]).unwrap();
            drain(&mut core);
            assert_eq!(mark.exists(), rest < line.len());
        }
    }
}
