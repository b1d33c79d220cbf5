//! A core that writes down what it is told, and when. It can be slow, and be replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::support::fifo;

/// What ends a reader's thread.
const END: &[u8] = b"the recorder ends\n";

/// How soon a reader that was stopped notices that it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A line of the command file, without its newline.
#[derive(Clone)]
pub struct Line {
    pub at: Instant,
    pub text: Vec<u8>,
}

/// The core.
pub struct Recorder {
    command_file: PathBuf,
    stopped: Arc<AtomicBool>,
    runs: Vec<Run>,
}

/// A core from its start on. One that was replaced still reads what was written to it, so that nothing goes uncounted.
struct Run {
    lines: Arc<Mutex<Vec<Line>>>,
    own_writer: File,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Makes the command file and reads it.
    pub fn start(command_file: &Path) -> Self {
        let stopped = Arc::<AtomicBool>::default();
        let runs = vec![Run::start(command_file, stopped.clone())];
        Recorder { command_file: command_file.to_owned(), stopped, runs }
    }

    /// As a core that ended and was started again.
    pub fn restart(&mut self) {
        fs::remove_file(&self.command_file).unwrap();
        self.runs.push(Run::start(&self.command_file, self.stopped.clone()));
    }

    /// Reads no more, or goes on.
    pub fn stop(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Relaxed);
    }

    /// Everything that it was told, in order.
    pub fn lines(&self) -> Vec<Line> {
        self.runs.iter().flat_map(|run| run.lines.lock().unwrap().clone()).collect()
    }

    /// How many lines there are.
    pub fn count(&self) -> usize {
        self.runs.iter().map(|run| run.lines.lock().unwrap().len()).sum()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop(false);
    }
}

impl Run {
    fn start(command_file: &Path, stopped: Arc<AtomicBool>) -> Self {
        // Nobody must find it before it has a reader.
        let hidden = command_file.with_extension("new");
        fifo::make(&hidden);
        let reader = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&hidden).unwrap();
        let own_writer = OpenOptions::new().write(true).open(&hidden).unwrap();
        nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
        fs::rename(&hidden, command_file).unwrap();
        let lines = Arc::<Mutex<Vec<Line>>>::default();
        let kept = lines.clone();
        let thread = std::thread::spawn(move || record(reader, &kept, &stopped));
        Run { lines, own_writer, thread: Some(thread) }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let (Ok(()), Some(thread)) = (self.own_writer.write_all(END), self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn record(reader: File, lines: &Mutex<Vec<Line>>, stopped: &AtomicBool) {
    let mut reader = BufReader::new(reader);
    loop {
        while stopped.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK_EVERY);
        }
        let mut text = Vec::new();
        reader.read_until(b'\n', &mut text).unwrap();
        if text.is_empty() || text.ends_with(END) {
            return;
        }
        text.pop();
        lines.lock().unwrap().push(Line { at: Instant::now(), text });
    }
}
