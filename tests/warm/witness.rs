//! Follows a core's log, which tells at once what the core does.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::clock::{Moment, now};

/// A line of the log.
pub struct Line {
    /// When it was seen.
    pub seen: Moment,
    /// Without the time in front.
    pub text: String,
    /// Whether the core notified then.
    pub notifies: bool,
}

/// All that a core has logged.
pub struct Witness {
    log: PathBuf,
    position: u64,
    begun: Vec<u8>,
    pub lines: Vec<Line>,
    /// Whether the core notifies.
    pub notifies: bool,
}

impl Witness {
    pub fn new(log: &Path, notifies: bool) -> Self {
        Witness { log: log.to_owned(), position: 0, begun: Vec::new(), lines: Vec::new(), notifies }
    }

    /// Reads on; gives the index of the first new line.
    pub fn poll(&mut self) -> usize {
        let first = self.lines.len();
        let Ok(mut file) = File::open(&self.log) else { return first };
        file.seek(SeekFrom::Start(self.position)).unwrap();
        let read = file.read_to_end(&mut self.begun).unwrap();
        self.position += u64::try_from(read).unwrap();
        let seen = now();
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let text = line.split_once("] ").map_or("", |(_, text)| text).trim_end().to_owned();
            // Commands without arguments are logged with an empty one.
            match text.trim_end_matches(';') {
                "EXTERNAL COMMAND: ENABLE_NOTIFICATIONS" => self.notifies = true,
                "EXTERNAL COMMAND: DISABLE_NOTIFICATIONS" => self.notifies = false,
                _ => {}
            }
            self.lines.push(Line { seen, text, notifies: self.notifies });
        }
        first
    }

    /// The core was killed: the next one begins as it is configured.
    pub fn handle_kill(&mut self) {
        self.poll();
        self.notifies = false;
        self.begun.clear();
    }
}

impl Line {
    /// The command or the result that the core has taken, as it was written into its command file, without the time.
    pub fn taken(&self) -> Option<String> {
        let taken = |begin: &str, command: &str| Some(format!("{command}{}", self.text.strip_prefix(begin)?));
        taken("PASSIVE SERVICE CHECK: ", "PROCESS_SERVICE_CHECK_RESULT;")
            .or_else(|| taken("PASSIVE HOST CHECK: ", "PROCESS_HOST_CHECK_RESULT;"))
            .or_else(|| taken("EXTERNAL COMMAND: ", ""))
    }

    /// Whether it is about this object.
    pub fn names(&self, object: &str) -> bool {
        // A host's name is also the beginning of its services' names.
        let is_there = |(at, _): (usize, &str)| {
            let rest = &self.text[at + object.len()..];
            let is_host = !object.contains(';');
            rest.is_empty() || (rest.starts_with(';') && !(is_host && rest.starts_with(";service-")))
        };
        self.text.match_indices(object).any(is_there)
    }
}
