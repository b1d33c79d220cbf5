//! One block of a status file, or of a retention file.

use memchr::{memchr, memchr2, memmem, memrchr};

use super::{InfoStatus, ObjectStatus, ProgramStatus};
use crate::memory::Memory;
use crate::remark::{Comment, Downtime};
use crate::result::{HostName, NameError, Object, ServiceDescription};

/// What a block is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockKind {
    /// `info`: the file itself.
    Info,
    /// `programstatus`, in a retention file `program`: the core.
    Program,
    /// `hoststatus`, in a retention file `host`.
    Host,
    /// `servicestatus`, in a retention file `service`.
    Service,
    /// `contactstatus`, in a retention file `contact`.
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
            b"programstatus" | b"program" => Self::Program,
            b"hoststatus" | b"host" => Self::Host,
            b"servicestatus" | b"service" => Self::Service,
            b"contactstatus" | b"contact" => Self::Contact,
            b"hostcomment" => Self::HostComment,
            b"servicecomment" => Self::ServiceComment,
            b"hostdowntime" => Self::HostDowntime,
            b"servicedowntime" => Self::ServiceDowntime,
            _ => Self::Other,
        }
    }
}

/// One `name { key=value … }`, lent by its reader.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    kind: BlockKind,
    name: &'a [u8],
    /// What is between head and closing brace, as it is in the file.
    lines: &'a [u8],
}

impl<'a> Block<'a> {
    /// The block whose first line is `head`.
    pub(super) fn new(head: &'a [u8], lines: &'a [u8]) -> Self {
        let head = head.trim_ascii();
        let name = head.strip_suffix(b"{").unwrap_or(head).trim_ascii();
        Self { kind: BlockKind::of(name), name, lines }
    }

    /// What it is about.
    pub fn kind(&self) -> BlockKind {
        self.kind
    }

    /// The word before the brace.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The value of the first field called `key`, byte for byte.
    pub fn get(&self, key: &str) -> Option<&'a [u8]> {
        let fields = self.lines;
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

    /// All fields in the file's order: the way to go for who wants more than a few.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.lines;
        std::iter::from_fn(move || {
            while let Some(at) = memchr2(b'=', b'\n', rest) {
                let (key, value) = (&rest[..at], &rest[at + 1..]);
                if rest[at] == b'\n' {
                    rest = value;
                    continue;
                }
                let end = memchr(b'\n', value).unwrap_or(value.len());
                rest = value.get(end + 1..).unwrap_or_default();
                let (key, value) = (key.trim_ascii_start(), &value[..end]);
                if key.first() != Some(&b'#') {
                    return Some((key, value.strip_suffix(b"\r").unwrap_or(value)));
                }
            }
            None
        })
    }

    /// The host or service that it is about, or that a comment or downtime belongs to.
    ///
    /// # Errors
    /// A name is missing, or is none that a command file could carry.
    pub fn object(&self) -> Result<Object, NameError> {
        let host = HostName::try_from(self.get("host_name").unwrap_or_default())?;
        if matches!(self.kind, BlockKind::Host | BlockKind::HostComment | BlockKind::HostDowntime) {
            return Ok(Object::Host(host));
        }
        let service = ServiceDescription::try_from(self.get("service_description").unwrap_or_default())?;
        Ok(Object::Service(host, service))
    }

    /// A host's or service's status; none for other kinds.
    pub fn object_status(&self) -> Option<ObjectStatus<'a>> {
        matches!(self.kind, BlockKind::Host | BlockKind::Service).then_some(ObjectStatus::new(*self))
    }

    /// What the core remembers of a host or service; none for other kinds.
    pub fn memory(&self) -> Option<Memory> {
        super::memory::of(self)
    }

    /// A comment; none for other kinds.
    pub fn comment(&self) -> Option<Comment> {
        super::remark::comment(self)
    }

    /// A downtime; none for other kinds.
    pub fn downtime(&self) -> Option<Downtime> {
        super::remark::downtime(self)
    }

    /// The core's status; none for other kinds.
    pub fn program_status(&self) -> Option<ProgramStatus<'a>> {
        (self.kind == BlockKind::Program).then_some(ProgramStatus::new(*self))
    }

    /// What the file says of itself; none for other kinds.
    pub fn info_status(&self) -> Option<InfoStatus<'a>> {
        (self.kind == BlockKind::Info).then_some(InfoStatus::new(*self))
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
