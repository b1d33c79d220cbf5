//! Results, and commands about objects, as lines of the command file, and how far they are written.

use nagios::command::process_check_result;
use nagios::command_file::{CommandFile, CommandFileError};
use nagios::{CheckResult, Flavour};

use super::sink::Blocked;

/// The lines of results that the core is to take. Their memory is used again.
pub(crate) struct Lines {
    flavour: Flavour,
    bytes: Vec<u8>,
    /// Where the line of each result ends.
    ends: Vec<usize>,
    /// How many bytes are written.
    written: usize,
    /// How many lines were told as written.
    told: usize,
}

impl Lines {
    pub(crate) fn new(flavour: Flavour) -> Lines {
        Lines { flavour, bytes: Vec::new(), ends: Vec::new(), written: 0, told: 0 }
    }

    /// Takes results in place of those before. Counts those whose output was cut to the core's line limit.
    pub(crate) fn load<'a>(&mut self, results: impl Iterator<Item = &'a CheckResult>) -> usize {
        self.clear();
        let mut cut = 0;
        for result in results {
            cut += usize::from(process_check_result(self.flavour, result, &mut self.bytes).cut);
            self.ends.push(self.bytes.len());
        }
        cut
    }

    /// Takes whole lines in place of those before.
    pub(super) fn load_lines(&mut self, lines: &[u8]) {
        self.clear();
        self.bytes.extend_from_slice(lines);
        self.ends.extend((1..=lines.len()).filter(|end| lines[end - 1] == b'\n'));
    }

    /// All lines.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes what is not written yet, as much as the core takes without waiting.
    pub(super) fn write(&mut self, file: &mut CommandFile) -> Result<(), Blocked> {
        while self.written < self.bytes.len() {
            match file.write_lines(&self.bytes[self.written..]) {
                Ok(bytes) => self.written += bytes,
                // The core was replaced in the middle of a long line: the new one gets all of it.
                Err(error @ CommandFileError::Torn { .. }) => {
                    self.written = self.line_start();
                    return Err(Blocked::from_command_file(error));
                }
                Err(error) => return Err(Blocked::from_command_file(error)),
            }
        }
        Ok(())
    }

    /// How many results were written to their end since this was asked last.
    pub(super) fn take_written(&mut self) -> usize {
        let whole = self.whole();
        whole - std::mem::replace(&mut self.told, whole)
    }

    /// Whether the next byte begins a line.
    pub(super) fn is_between_lines(&self) -> bool {
        self.line_start() == self.written
    }

    /// The lines that are not written to their end.
    pub(super) fn unload(&mut self) -> Vec<u8> {
        let rest = self.bytes.split_off(self.line_start());
        self.clear();
        rest
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        (self.written, self.told) = (0, 0);
    }

    /// How many lines are written to their end.
    fn whole(&self) -> usize {
        self.told + self.ends[self.told..].partition_point(|end| *end <= self.written)
    }

    /// Where the line begins that the next byte belongs to.
    fn line_start(&self) -> usize {
        self.whole().checked_sub(1).map_or(0, |last| self.ends[last])
    }
}
