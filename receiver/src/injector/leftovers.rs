//! The end of the injector: what the core did not take.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nagios::Attributed;

use super::{Worker, sink};
use crate::backlog::Waiting;

impl Worker {
    /// Says what is left, and without a journal saves it. Nobody's commands are written any more.
    pub(super) fn end(mut self, left: &[Attributed]) {
        self.desk.close();
        let mut lines = self.sink.unload();
        match &mut self.waiting {
            Waiting::Memory(queue) => {
                sink::dump(self.flavour, left.iter().map(|left| &left.result), &mut lines);
                sink::dump(self.flavour, queue.rest().iter(), &mut lines);
                self.save(&lines);
            }
            Waiting::Journal(tail) => match tail.depth() {
                0 => {}
                results => {
                    tracing::warn!(results, "results wait in the journal until the daemon and the core run again");
                }
            },
        }
    }

    /// Puts what could not be injected into the dump file, as nsca does when the core is away, or counts it as lost.
    fn save(&self, lines: &[u8]) {
        let results = lines.iter().filter(|byte| **byte == b'\n').count();
        if results == 0 {
            return;
        }
        let Some(dump_file) = &self.dump_file else {
            self.counters.lost.add(results);
            return tracing::error!(results, "results lost: the core did not take them before the daemon stopped");
        };
        match append(dump_file, lines) {
            Ok(()) => {
                self.counters.dumped.add(results);
                tracing::warn!(results, file = %dump_file.display(), "the core did not take results: they are in the dump file");
            }
            Err(error) => {
                self.counters.lost.add(results);
                tracing::error!(results, file = %dump_file.display(), %error, "results lost: the dump file cannot be written");
            }
        }
    }
}

fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(lines)
}
