//! A streaming reader of the status file, in which a core writes down all that it knows.
//!
//! ```text
//! # comment
//! servicestatus {
//!     host_name=web1
//!     service_description=Disk C:
//!     plugin_output=…           as the plugin printed it, `;` turned to `:`
//!     long_plugin_output=…      newlines as \n; Nagios and Icinga 1 also write a backslash as \\
//!     performance_data=…        as the plugin printed it
//!     }
//! ```
//!
//! The core writes it under another name and renames it, so an open file is one consistent picture, up to
//! `status_update_interval` seconds old. It is large (1.3 kB for each object): nothing is allocated and nothing copied for
//! a block or a line. [`StatusReader::next_block`] lends each block, and whoever must not be noticed calls it some thousand
//! times, pauses, and goes on.
//!
//! The retention file is written alike, so the same reader reads it: its blocks are called `host` and `service`, and its
//! lines begin without a tab.
//!
//! **Invariant:** memory is bounded by one block of at most [`MAX_BLOCK_BYTES`], whatever the input.

mod block;
mod file;
mod memory;
mod remark;
mod view;

use std::io::{self, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter, memmem, memrchr};

pub use block::{Block, BlockKind};
pub use file::{Look, Version, look};
pub use view::{InfoStatus, ObjectStatus, ProgramStatus};

/// The largest block, and so the longest line, that is read, in bytes: a core's own limits allow about 200 kB.
pub const MAX_BLOCK_BYTES: usize = 1 << 20;

/// What is read at once. It grows for a block that is larger.
const BUFFER_BYTES: usize = 1 << 18;

/// Reads the blocks of a status file one after the other.
#[derive(Debug)]
pub struct StatusReader<R> {
    input: R,
    buffer: Vec<u8>,
    /// What was read and belongs to no block that was lent: its part of the buffer.
    unread: Range<usize>,
    /// How much of it was looked at, in bytes.
    seen: usize,
    /// The number of the line read last, from 1.
    line: u64,
    ended: bool,
}

/// Where a block is in the buffer.
struct Found {
    head: Range<usize>,
    lines: Range<usize>,
}

/// Why a status file cannot be read on. There is nothing more to read after it.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The file cannot be read.
    #[error("cannot read the status file after line {line}: {source}")]
    Io {
        /// The last line that could be read.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A line begins no block, or is no `key=value` where there must be one.
    #[error("line {line} of the status file is neither `name {{` nor `key=value`: is this the core's status_file?")]
    NotAStatusFile {
        /// Its number.
        line: u64,
    },
    /// A block is too large to be one.
    #[error(
        "the block at line {line} of the status file is longer than {MAX_BLOCK_BYTES} bytes: is this the core's status_file?"
    )]
    BlockTooLong {
        /// The line at which the limit was passed.
        line: u64,
    },
    /// The file ends within a block.
    #[error("the status file ends within a block, at line {line}: is its disk full?")]
    Truncated {
        /// The last line.
        line: u64,
    },
}

impl<R: Read> StatusReader<R> {
    /// A reader of `input`, which needs no buffer of its own.
    pub fn new(input: R) -> Self {
        Self { input, buffer: vec![0; BUFFER_BYTES], unread: 0..0, seen: 0, line: 0, ended: false }
    }

    /// The next block, until the next call; none at the end of the file and after an error.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, StatusError> {
        if self.ended {
            return Ok(None);
        }
        let found = self.find_block();
        self.ended = !matches!(found, Ok(Some(_)));
        Ok(found?.map(|found| Block::new(&self.buffer[found.head], &self.buffer[found.lines])))
    }

    fn find_block(&mut self) -> Result<Option<Found>, StatusError> {
        let Some(head) = self.find_head()? else {
            return Ok(None);
        };
        let lines = self.seen;
        let end = self.find_end(lines)?;
        let block = &self.buffer[self.unread.start + lines..self.unread.start + end];
        check_lines(block, self.line)?;
        self.line += memchr_iter(b'\n', block).count() as u64 + 1;
        let start = self.unread.start;
        self.consume();
        Ok(Some(Found { head: start + head.start..start + head.end, lines: start + lines..start + end }))
    }

    /// Reads up to and including the line of the brace that ends the block whose lines begin at `lines`, and says where that
    /// line begins. Looking for braces alone, instead of at each line, takes a quarter of the time.
    fn find_end(&mut self, lines: usize) -> Result<usize, StatusError> {
        let mut searched = lines;
        loop {
            let unread = &self.buffer[self.unread.clone()];
            let brace = memchr(b'}', &unread[searched..]).map(|found| searched + found);
            let end = brace.and_then(|brace| memchr(b'\n', &unread[brace..]).map(|found| brace + found));
            let at_end = match (brace, end) {
                (Some(brace), Some(end)) => {
                    if let Some(line) =
                        begin_of_line(&unread[lines..brace]).filter(|_| is_blank(&unread[brace + 1..end]))
                    {
                        self.seen = end + 1;
                        return if self.seen > MAX_BLOCK_BYTES {
                            Err(self.too_long_at(lines, end))
                        } else {
                            Ok(lines + line)
                        };
                    }
                    searched = brace + 1;
                    continue;
                }
                // The rest of its line may still come.
                (Some(brace), None) => brace,
                (None, _) => unread.len(),
            };
            searched = at_end;
            let known = unread.len();
            if known > MAX_BLOCK_BYTES {
                return Err(self.too_long_at(lines, known));
            }
            if !self.fill()? {
                return self.find_end_of_input(lines, searched);
            }
        }
    }

    /// The last line of the input needs no end.
    fn find_end_of_input(&mut self, lines: usize, brace: usize) -> Result<usize, StatusError> {
        let unread = &self.buffer[self.unread.clone()];
        let is_brace = unread.get(brace) == Some(&b'}') && is_blank(&unread[brace + 1..]);
        if let Some(line) = begin_of_line(&unread[lines..brace]).filter(|_| is_brace) {
            self.seen = unread.len();
            return Ok(lines + line);
        }
        Err(StatusError::Truncated { line: self.line_at(lines, unread.len()) })
    }

    /// Reads up to and including the next `name {`, and says where the line is in what is unread.
    fn find_head(&mut self) -> Result<Option<Range<usize>>, StatusError> {
        loop {
            self.consume();
            let Some(line) = self.next_line()? else {
                return Ok(None);
            };
            match self.text(&line) {
                [] | [b'#', ..] => {}
                [.., b'{'] => return Ok(Some(line)),
                _ => return Err(StatusError::NotAStatusFile { line: self.line }),
            }
        }
    }

    /// Where the next line is in what is unread, without its end; none at the end of the input.
    fn next_line(&mut self) -> Result<Option<Range<usize>>, StatusError> {
        let start = self.seen;
        let mut searched = start;
        self.line += 1;
        loop {
            let unread = &self.buffer[self.unread.clone()];
            if let Some(found) = memchr(b'\n', &unread[searched..]) {
                self.seen = searched + found + 1;
                return if self.seen > MAX_BLOCK_BYTES { Err(self.too_long()) } else { Ok(Some(start..self.seen - 1)) };
            }
            searched = unread.len();
            if searched > MAX_BLOCK_BYTES {
                return Err(self.too_long());
            }
            if !self.fill()? {
                self.seen = searched;
                return Ok((searched > start).then_some(start..searched));
            }
        }
    }

    fn too_long(&self) -> StatusError {
        StatusError::BlockTooLong { line: self.line }
    }

    fn too_long_at(&self, lines: usize, end: usize) -> StatusError {
        StatusError::BlockTooLong { line: self.line_at(lines, end) }
    }

    /// The number of the line at `end` of a block whose lines begin at `lines`.
    fn line_at(&self, lines: usize, end: usize) -> u64 {
        let unread = &self.buffer[self.unread.clone()];
        self.line + memchr_iter(b'\n', &unread[lines..end]).count() as u64 + 1
    }

    /// What was looked at is done with.
    fn consume(&mut self) {
        self.unread.start += self.seen;
        self.seen = 0;
    }

    /// The line without surrounding blanks.
    fn text(&self, line: &Range<usize>) -> &[u8] {
        self.buffer[self.unread.start + line.start..self.unread.start + line.end].trim_ascii()
    }

    /// Reads more; false at the end of the input.
    fn fill(&mut self) -> Result<bool, StatusError> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.unread.end == self.buffer.len() {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.unread.end..]) {
                Ok(bytes) => {
                    self.unread.end += bytes;
                    return Ok(bytes > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(StatusError::Io { line: self.line - 1, source }),
            }
        }
    }
}

/// A file that is no status file is told by its first line of a block, and one that lacks the end of a block by the head of the
/// next one. `head` is the number of the line before.
fn check_lines(block: &[u8], head: u64) -> Result<(), StatusError> {
    let heads = memmem::find_iter(block, b"{\n").map(|at| memrchr(b'\n', &block[..at]).map_or(0, |end| end + 1));
    for line in std::iter::once(0).chain(heads) {
        let text = &block[line..];
        let text = text[..memchr(b'\n', text).unwrap_or(text.len())].trim_ascii();
        if !matches!(text, [] | [b'#', ..]) && memchr(b'=', text).is_none() {
            let before = memchr_iter(b'\n', &block[..line]).count() as u64;
            return Err(StatusError::NotAStatusFile { line: head + before + 1 });
        }
    }
    Ok(())
}

/// Where the last line of `text` begins, if there are only blanks in it.
fn begin_of_line(text: &[u8]) -> Option<usize> {
    let line = memrchr(b'\n', text).map_or(0, |end| end + 1);
    is_blank(&text[line..]).then_some(line)
}

fn is_blank(text: &[u8]) -> bool {
    text.trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flavour::Flavour;
    use crate::result::{CheckType, StateType, Timestamp};
    use proptest::prelude::*;
    use std::io::{BufRead, BufReader};

    const FILE: &str = "\
# comment

info {
\tcreated=1700000009
\tversion=4.4.6
\t}

programstatus {
\tnagios_pid=42
\tenable_notifications=0
\tactive_service_checks_enabled=1
\tactive_host_checks_enabled=x
\tprogram_start=1700000000
\t}

hoststatus {
\thost_name=web1
\thas_been_checked=0
\tlast_check=0
\t}

  servicestatus  {
\thost_name=web1
\tservice_description=Disk C:
\tcheck_type=1
\tcurrent_state=2
\tplugin_output=C:\\new current_attempt=7 =
\tlong_plugin_output=second \\\\ x\\nthird
\tperformance_data=a=1
\thas_been_checked=1
\tlast_check=1700000003
\tcurrent_attempt=3
\tstate_type=1
\t}
strange {
\t}
";

    type Fields = Vec<(Vec<u8>, Vec<u8>)>;

    /// Every block as its name and fields.
    fn read_all(input: impl BufRead) -> Result<Vec<(Vec<u8>, Fields)>, StatusError> {
        let mut reader = StatusReader::new(input);
        let mut all = Vec::new();
        while let Some(block) = reader.next_block()? {
            let fields = block.fields().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            all.push((block.name().to_vec(), fields));
        }
        Ok(all)
    }

    /// Hands the block called `name` to `look`.
    fn with_block(name: &str, look: impl FnOnce(Block<'_>)) {
        let mut reader = StatusReader::new(FILE.as_bytes());
        while let Some(block) = reader.next_block().unwrap() {
            if block.name() == name.as_bytes() {
                return look(block);
            }
        }
        panic!("no block {name}");
    }

    #[test]
    fn the_core_and_the_file_are_understood() {
        with_block("info", |block| {
            let info = block.info_status().unwrap();
            assert_eq!(info.created(), Some(Timestamp::from_seconds(1_700_000_009)));
            assert_eq!(info.version(), Some(&b"4.4.6"[..]));
        });
        with_block("programstatus", |block| {
            let program = block.program_status().unwrap();
            assert_eq!(program.program_start(), Some(Timestamp::from_seconds(1_700_000_000)));
            assert_eq!(program.pid(), Some(42));
            assert_eq!(program.enable_notifications(), Some(false));
            assert_eq!(program.active_service_checks_enabled(), Some(true));
            assert_eq!(program.active_host_checks_enabled(), None, "no number");
            assert!(block.object_status().is_none());
        });
    }

    #[test]
    fn objects_are_understood() {
        with_block("hoststatus", |block| {
            let host = block.object_status().unwrap();
            assert_eq!(host.object().unwrap().to_string(), "web1");
            assert!(!host.has_been_checked());
            assert_eq!((host.last_check(), host.state()), (None, None));
        });
        with_block("servicestatus", |block| {
            let service = block.object_status().unwrap();
            assert_eq!(service.object().unwrap().to_string(), "web1;Disk C:");
            assert!(service.has_been_checked());
            assert_eq!(service.state().unwrap().get(), 2);
            assert_eq!(service.state_type(), Some(StateType::Hard));
            assert_eq!(service.check_type(), Some(CheckType::Passive));
            assert_eq!(service.current_attempt(), Some(3), "not the one in the output");
            assert_eq!(service.last_check(), Some(Timestamp::from_seconds(1_700_000_003)));
            let text = service.output(Flavour::Nagios4).to_text();
            assert_eq!(text, b"C:\\new current_attempt=7 =|a=1\nsecond \\ x\nthird");
            assert_eq!(service.long_text(Flavour::Naemon), b"second \\\\ x\nthird");
        });
    }

    #[test]
    fn unknown_blocks_and_keys_are_no_error() {
        with_block("strange", |block| {
            assert_eq!(block.kind(), BlockKind::Other);
            assert_eq!((block.get("x"), block.get(""), block.fields().count()), (None, None, 0));
        });
    }

    #[test]
    fn blocks_that_lie_across_two_buffers_are_whole() {
        let blocks = BUFFER_BYTES / 50;
        let file: String = (0..blocks)
            .map(|number| format!("info {{\n\tnumber={number}\n\ttext={}\n\t}}\n", "x".repeat(number % 300)))
            .collect();
        assert!(file.len() > 2 * BUFFER_BYTES);
        let read = read_all(file.as_bytes()).unwrap();
        assert_eq!(read.len(), blocks);
        for (number, (_, fields)) in read.iter().enumerate() {
            assert_eq!(fields[0].1, number.to_string().as_bytes());
            assert_eq!(fields[1].1, vec![b'x'; number % 300]);
        }
    }

    #[test]
    fn an_output_full_of_keys_costs_little() {
        let output = "last_check=".repeat(MAX_BLOCK_BYTES / 11 - 10);
        let file = format!("info {{\n\tplugin_output={output}\n\tlast_check=7\n\t}}\n");
        let mut reader = StatusReader::new(file.as_bytes());
        let block = reader.next_block().unwrap().unwrap();
        let start = std::time::Instant::now();
        assert_eq!(block.get("last_check"), Some(&b"7"[..]));
        assert!(start.elapsed() < std::time::Duration::from_secs(1), "as long as the text, not its square");
    }

    #[test]
    fn what_is_no_status_file_is_told_apart() {
        let error = |text: &str| read_all(text.as_bytes()).unwrap_err().to_string();
        assert!(error("define host {\n host_name x\n }\n").contains("line 2"));
        assert!(error("x=1\n").contains("line 1"));
        assert!(error("info {\n\ta=1\n").contains("ends within a block, at line 3"));
        assert!(error("info {\n\ta=1\nhoststatus {\n\ta=1\n\t}\n").contains("line 3"), "the end of a block is missing");
        assert!(error("info {\n\ta=1\n\t}\ninfo {\n\n\ta=1\nb {\n}\n").contains("line 7"));
    }

    #[test]
    fn a_brace_in_a_text_ends_no_block() {
        let text = "info {\n\ta={\n\tb=}\n\tc={}}\n\t#}\n\td=1\n \t} \r\ninfo {\n}";
        let blocks = read_all(text.as_bytes()).unwrap();
        assert_eq!(blocks.len(), 2);
        let keys: Vec<&[u8]> = blocks[0].1.iter().map(|(key, _)| &key[..]).collect();
        assert_eq!(keys, [b"a", b"b", b"c", b"d"]);
    }

    #[test]
    fn a_block_without_end_costs_bounded_memory() {
        let endless = [&b"info {\n"[..], &vec![b'x'; 3 * MAX_BLOCK_BYTES]].concat();
        let mut reader = StatusReader::new(endless.as_slice());
        assert!(matches!(reader.next_block(), Err(StatusError::BlockTooLong { line: 2 })));
        assert!(reader.buffer.capacity() <= 2 * MAX_BLOCK_BYTES);
        assert!(matches!(reader.next_block(), Ok(None)), "an error is the end");
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(capacity in 1..200_usize) {
            let whole = read_all(FILE.as_bytes()).unwrap();
            prop_assert_eq!(whole.len(), 5);
            prop_assert_eq!(read_all(BufReader::with_capacity(capacity, FILE.as_bytes())).unwrap(), whole);
        }

        #[test]
        fn every_field_is_found_by_its_key(fields in proptest::collection::btree_map("[a-c]{1,3}", "[a-c= ]{0,8}", 0..8)) {
            let lines: String = fields.iter().map(|(key, value)| format!("\t{key}={value}\n")).collect();
            let file = format!("info {{\n{lines}\t}}\n");
            let mut reader = StatusReader::new(file.as_bytes());
            let block = reader.next_block().unwrap().unwrap();
            for (key, value) in &fields {
                prop_assert_eq!(block.get(key), Some(value.as_bytes()));
            }
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(
            text in "(info \\{\n|\t\\}\n|a=|b|\n|\\{|\r|#|\\PC){0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = read_all(text.as_bytes());
            let _ = read_all(bytes.as_slice());
        }
    }
}
