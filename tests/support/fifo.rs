//! A command file that a test reads in the place of a core.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nix::sys::stat::Mode;

use super::wait;

/// Makes a FIFO.
pub fn make(path: &Path) {
    nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
}

/// Reads a FIFO in a thread of its own and keeps the lines, as a core does.
pub struct Recorder {
    own_writer: File,
    lines: Arc<Mutex<Vec<Vec<u8>>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the recorder writes itself to end its thread.
const END: &[u8] = b"the recorder ends\n";

impl Recorder {
    /// Makes the FIFO at `path` if need be, and reads it. When this returns, it has a reader.
    pub fn start(path: &Path) -> Self {
        if !path.exists() {
            make(path);
        }
        // Without a writer of its own, opening would wait for one.
        let reader = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).unwrap();
        let own_writer = OpenOptions::new().write(true).open(path).unwrap();
        nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
        let lines = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = lines.clone();
        let thread = std::thread::spawn(move || record(reader, &kept));
        Recorder { own_writer, lines, thread: Some(thread) }
    }

    /// The lines so far, without their newlines.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.lines.lock().unwrap().clone()
    }

    /// The lines so far without the time in front, as text.
    pub fn commands(&self) -> Vec<String> {
        self.lines().iter().map(|line| without_time(&String::from_utf8_lossy(line))).collect()
    }

    /// Waits until there are `count` lines, and gives them without the time in front.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<String> {
        wait::until(&format!("{count} lines in the command file"), || {
            let enough = self.lines.lock().unwrap().len() >= count;
            enough.then(|| self.commands())
        })
    }
}

fn record(reader: impl Read, lines: &Mutex<Vec<Vec<u8>>>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).unwrap() == 0 || line == END {
            return;
        }
        line.pop();
        lines.lock().unwrap().push(line);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let (Ok(()), Some(thread)) = (self.own_writer.write_all(END), self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// `[1234] COMMAND` without its time.
#[track_caller]
pub fn without_time(line: &str) -> String {
    let (time, command) = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")).expect("a time in front");
    assert!(time.bytes().all(|b| b.is_ascii_digit()), "{line}");
    command.to_owned()
}
