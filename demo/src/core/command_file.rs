//! The core's side of the command file: creates the FIFO, reads lines from it, removes it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::thread;

use anyhow::Context;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::Event;

/// Longer lines come in pieces, which the core then refuses. As long as Nagios 4 takes them.
const MAX_LINE_BYTES: u64 = 64 * 1024;

pub(super) struct CommandFile {
    path: PathBuf,
}

impl CommandFile {
    /// Replaces a FIFO that a killed core left behind.
    pub(super) fn create(path: &Path, events: Sender<Event>) -> anyhow::Result<Self> {
        let describe = || format!("cannot create the command file {}", path.display());
        if path.exists() {
            fs::remove_file(path).with_context(describe)?;
        }
        mkfifo(path, Mode::from_bits_truncate(0o660)).with_context(describe)?;
        // Open for writing as well: otherwise every writer that closes it would end the file.
        let fifo = OpenOptions::new().read(true).write(true).open(path).with_context(describe)?;
        thread::spawn(move || read_lines(fifo, &events));
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for CommandFile {
    fn drop(&mut self) {
        // It may be gone already, with its directory.
        let _ = fs::remove_file(&self.path);
    }
}

fn read_lines(fifo: File, events: &Sender<Event>) {
    let mut fifo = BufReader::new(fifo);
    loop {
        let mut line = Vec::new();
        if fifo.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).is_err() {
            return;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if !line.is_empty() && events.send(Event::Command(line)).is_err() {
            return;
        }
    }
}
