//! One block of a status file.

use memchr::{memchr, memmem, memrchr};

use super::{InfoStatus, ObjectStatus, ProgramStatus};

/// What a block is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockKind {
    /// `info`: the file itself.
    Info,
    /// `programstatus`: the core.
    Program,
    /// `hoststatus`: a host.
    Host,
    /// `servicestatus`: a service.
    Service,
    /// `contactstatus`: a contact.
    Contact,
    /// `hostcomment`.
    HostComment,
    /// `servicecomment`.
    ServiceComment,
    /// `hostdowntime`.
    HostDowntime,
    /// `servicedowntime`.
    ServiceDowntime,
    /// Anything else: [`Block::name`] says what.
    #[default]
    Other,
}

impl BlockKind {
    fn of(name: &[u8]) -> Self {
        match name {
            b"info" => Self::Info,
            b"programstatus" => Self::Program,
            b"hoststatus" => Self::Host,
            b"servicestatus" => Self::Service,
            b"contactstatus" => Self::Contact,
            b"hostcomment" => Self::HostComment,
            b"servicecomment" => Self::ServiceComment,
            b"hostdowntime" => Self::HostDowntime,
            b"servicedowntime" => Self::ServiceDowntime,
            _ => Self::Other,
        }
    }
}

/// One `name { key=value … }`.
#[derive(Debug, Default)]
pub struct Block {
    kind: BlockKind,
    name_bytes: usize,
    /// The name, a newline, and the lines of fields as they are in the file, without the closing brace.
    pub(super) text: Vec<u8>,
}

impl Block {
    /// What it is about.
    pub fn kind(&self) -> BlockKind {
        self.kind
    }

    /// The word before the brace.
    pub fn name(&self) -> &[u8] {
        &self.text[..self.name_bytes]
    }

    /// The value of the first field called `key`, byte for byte.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let fields = self.lines();
        let mut from = 0;
        loop {
            let start = from + memmem::find(fields.get(from..)?, key.as_bytes())?;
            let end = start + key.len();
            if fields.get(end) == Some(&b'=') && begins_line(&fields[..start]) {
                return Some(first_line(&fields[end + 1..]));
            }
            // The rest of the line is somebody's text, and may repeat the key as often as it likes.
            from = start + memchr(b'\n', &fields[start..])? + 1;
        }
    }

    /// All fields in the file's order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.lines();
        std::iter::from_fn(move || {
            let (line, others) = rest.split_at(memchr(b'\n', rest).map_or(rest.len(), |end| end + 1));
            rest = others;
            let line = first_line(line).trim_ascii_start();
            let at = memchr(b'=', line)?;
            Some((&line[..at], &line[at + 1..]))
        })
    }

    /// A host's or service's status; none for other kinds.
    pub fn object_status(&self) -> Option<ObjectStatus<'_>> {
        matches!(self.kind, BlockKind::Host | BlockKind::Service).then_some(ObjectStatus::new(self))
    }

    /// The core's status; none for other kinds.
    pub fn program_status(&self) -> Option<ProgramStatus<'_>> {
        (self.kind == BlockKind::Program).then_some(ProgramStatus::new(self))
    }

    /// What the file says of itself; none for other kinds.
    pub fn info_status(&self) -> Option<InfoStatus<'_>> {
        (self.kind == BlockKind::Info).then_some(InfoStatus::new(self))
    }

    /// Takes the text read so far, which begins with a name of `name_bytes`, as the head of a block.
    pub(super) fn begin(&mut self, name_bytes: usize) {
        let blanks = self.text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.drain(..blanks);
        self.text.truncate(name_bytes);
        self.text.push(b'\n');
        self.name_bytes = name_bytes;
        self.kind = BlockKind::of(self.name());
    }

    /// The line that begins at `start`, without surrounding blanks.
    pub(super) fn line_from(&self, start: usize) -> &[u8] {
        self.text[start..].trim_ascii()
    }

    fn lines(&self) -> &[u8] {
        self.text.get(self.name_bytes + 1..).unwrap_or_default()
    }
}

/// Whether nothing but blanks is between the end of `before` and the beginning of its last line.
fn begins_line(before: &[u8]) -> bool {
    let line = memrchr(b'\n', before).map_or(0, |end| end + 1);
    before[line..].trim_ascii().is_empty()
}

fn first_line(text: &[u8]) -> &[u8] {
    let line = memchr(b'\n', text).map_or(text, |end| &text[..end]);
    line.strip_suffix(b"\r").unwrap_or(line)
}
