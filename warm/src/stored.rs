//! A book as a file: all of it, then what changed since.
//!
//! All numbers are big-endian.
//!
//! ```text
//!  0  magic    b"understudy book\0"
//! 16  version  u32 = 1
//! 20  crc      u32, CRC-32 (IEEE) of what follows, up to the end of the name
//! 24  base     u64, bytes of the frames that are all of the book
//! 32  name     u8 length, text: whose book it is
//! ..  frames, to the end of the file
//!
//! frame
//!  0  length   u32, of kind and content
//!  4  crc      u32, CRC-32 (IEEE) of kind and content
//!  8  kind     u8: 1 record, 2 heading
//!  9  content  of a record: as `book::record` has it
//!
//! heading: what the other node said of its core
//!  0  program start  i64, Unix seconds
//!  8  created        i64, Unix seconds: of the newest status file in the book
//! 16  notifies       u8: 0 unknown, 1 no, 2 yes
//! 17  whole          u8: 0 a part of the book was missed, 1 it is whole
//! 18  activity       u8: 0 it never notified, 1 from and until
//! 19  since, until   i64 each, Unix seconds
//! ```
//!
//! **Invariant:** a file holds the beginning of what was written. It is replaced as a whole, or appended to: what a crash cut
//! off is the newest, and the rest counts. If less than its base can be read, nothing does.

use std::io::{self, BufReader, Read};

use book::record::{MAX_RECORD_BYTES, Record};
use book::shelf::Heading;
use book::{Activity, Book, Shelf};
use nsca::sealed::NodeName;

const MAGIC: [u8; 16] = *b"understudy book\0";
const VERSION: u32 = 1;
const RECORD: u8 = 1;
const HEADING: u8 = 2;
const HEADING_BYTES: usize = 35;

/// The longest kind and content.
const MAX_FRAME_BYTES: usize = 1 + MAX_RECORD_BYTES;
const _: () = assert!(HEADING_BYTES < MAX_FRAME_BYTES);

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) node: NodeName,
    pub(crate) shelf: Shelf,
    /// Whether something at its end could not be read.
    pub(crate) is_cut: bool,
}

/// Why a file holds nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("it is damaged")]
    Damaged,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// All of a shelf as the bytes of a new file.
pub(crate) fn whole(node: &NodeName, shelf: &Shelf) -> Vec<u8> {
    file(node, shelf.book(), |out| put_heading(shelf, out))
}

/// The same for a book alone.
pub(crate) fn records(node: &NodeName, book: &Book) -> Vec<u8> {
    file(node, book, |_| ())
}

fn file(node: &NodeName, book: &Book, put_end: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::from(MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    let crc_at = out.len();
    out.extend_from_slice(&[0; 4 + 8]);
    out.push(u8::try_from(node.as_bytes().len()).expect("a node's name has up to 255 bytes"));
    out.extend_from_slice(node.as_bytes());
    let start = out.len();
    book.whole().for_each(|record| put_record(&record, &mut out));
    put_end(&mut out);
    let base = (out.len() - start) as u64;
    out[crc_at + 4..crc_at + 12].copy_from_slice(&base.to_be_bytes());
    let crc = crc32fast::hash(&out[crc_at + 4..start]);
    out[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Appends a record as a frame.
pub(crate) fn put_record(record: &Record, out: &mut Vec<u8>) {
    put_frame(RECORD, out, |out| record.encode(out));
}

/// Appends what `shelf` says of itself as a frame.
pub(crate) fn put_heading(shelf: &Shelf, out: &mut Vec<u8>) {
    let Heading { program_start, created, notifies } = shelf.heading();
    let activity = shelf.activity();
    let Activity { since, until } = activity.unwrap_or(Activity { since: 0, until: 0 });
    put_frame(HEADING, out, |out| {
        out.extend_from_slice(&program_start.to_be_bytes());
        out.extend_from_slice(&created.to_be_bytes());
        out.push(notifies.map_or(0, |notifies| 1 + u8::from(notifies)));
        out.push(u8::from(shelf.is_whole()));
        out.push(u8::from(activity.is_some()));
        out.extend_from_slice(&since.to_be_bytes());
        out.extend_from_slice(&until.to_be_bytes());
    });
}

fn put_frame(kind: u8, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.push(kind);
    content(out);
    let length = u32::try_from(out.len() - start - 8).expect("a record is shorter than a mebibyte");
    let crc = crc32fast::hash(&out[start + 8..]);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
}

/// Reads a file again.
///
/// # Errors
/// Nothing of it can be used.
pub(crate) fn read(file: impl Read) -> Result<Stored, ReadError> {
    let mut file = BufReader::with_capacity(256 << 10, file);
    let (node, base) = read_header(&mut file)?.ok_or(ReadError::Damaged)?;
    let mut stored = Stored { node, shelf: Shelf::default(), is_cut: false };
    let (mut content, mut bytes) = (Vec::new(), 0);
    loop {
        match next_frame(&mut file, &mut content)? {
            Next::End => break,
            Next::Frame if take(&content, &mut stored.shelf) => bytes += 8 + content.len() as u64,
            Next::Frame | Next::Damaged => {
                stored.is_cut = true;
                break;
            }
        }
    }
    if bytes < base { Err(ReadError::Damaged) } else { Ok(stored) }
}

fn read_header(file: &mut impl Read) -> io::Result<Option<(NodeName, u64)>> {
    let mut fixed = [0; 33];
    if !fill(file, &mut fixed)? || fixed[..16] != MAGIC || fixed[16..20] != VERSION.to_be_bytes() {
        return Ok(None);
    }
    let mut name = vec![0; fixed[32].into()];
    if !fill(file, &mut name)? {
        return Ok(None);
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&fixed[24..]);
    crc.update(&name);
    if crc.finalize().to_be_bytes() != fixed[20..24] {
        return Ok(None);
    }
    let base = u64::from_be_bytes(*fixed[24..].first_chunk().expect("the header has 33 bytes"));
    let node = str::from_utf8(&name).ok().and_then(|name| NodeName::try_from(name).ok());
    Ok(node.map(|node| (node, base)))
}

enum Next {
    Frame,
    End,
    Damaged,
}

/// Reads kind and content of the next frame.
fn next_frame(file: &mut impl Read, content: &mut Vec<u8>) -> io::Result<Next> {
    let mut header = [0; 8];
    let first = loop {
        match file.read(&mut header[..1]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if first == 0 {
        return Ok(Next::End);
    }
    if !fill(file, &mut header[1..])? {
        return Ok(Next::Damaged);
    }
    let length = u32::from_be_bytes(*header.first_chunk().expect("a frame's header has 8 bytes"));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length == 0 || length > MAX_FRAME_BYTES {
        return Ok(Next::Damaged);
    }
    content.resize(length, 0);
    let is_whole = fill(file, content)? && crc32fast::hash(content).to_be_bytes() == header[4..];
    Ok(if is_whole { Next::Frame } else { Next::Damaged })
}

/// Fills `buffer`, unless the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether it is what it should be.
fn take(frame: &[u8], shelf: &mut Shelf) -> bool {
    let (kind, content) = frame.split_first().expect("a frame has at least its kind");
    match *kind {
        RECORD => Record::decode(content).is_ok_and(|record| shelf.take(record).is_ok()),
        HEADING => take_heading(content, shelf).is_some(),
        _ => false,
    }
}

fn take_heading(content: &[u8], shelf: &mut Shelf) -> Option<()> {
    let content: &[u8; HEADING_BYTES] = content.try_into().ok()?;
    let i64_at = |at: usize| i64::from_be_bytes(*content[at..].first_chunk().expect("within the heading"));
    let notifies = match content[16] {
        0 => None,
        notifies => Some(notifies == 2),
    };
    let heading = Heading { program_start: i64_at(0), created: i64_at(8), notifies };
    let activity = (content[18] != 0).then(|| Activity { since: i64_at(19), until: i64_at(27) });
    shelf.restore(heading, activity, content[17] != 0);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::{Change, Entry};
    use nagios::{HostName, Memory, Object};

    fn host(name: &str) -> Object {
        Object::Host(HostName::try_from(name).unwrap())
    }

    fn record(name: &str, last_check: i64) -> Record {
        let memory = Memory { last_check, ..Memory::default() };
        Record::Whole(host(name), Change::whole(&Entry { memory, ..Entry::default() }))
    }

    fn node() -> NodeName {
        NodeName::try_from("m").unwrap()
    }

    fn shelf() -> Shelf {
        let mut shelf = Shelf::default();
        shelf.head(Heading { program_start: 1, created: 2, notifies: Some(true) });
        shelf.begin();
        shelf.take(record("a", 7)).unwrap();
        shelf.end();
        shelf
    }

    fn seen(shelf: &Shelf) -> Vec<i64> {
        shelf.book().entries().map(|(_, entry)| entry.memory.last_check).collect()
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = whole(&node(), &shelf());
        let mut expected = b"understudy book\0\0\0\0\x01".to_vec();
        // The checksums were computed with Python's zlib.crc32.
        expected.extend(0xb71b_98aa_u32.to_be_bytes());
        expected.extend([0, 0, 0, 0, 0, 0, 0, 72, 1, b'm']);
        expected.extend([0, 0, 0, 20]);
        expected.extend(0xc427_5d47_u32.to_be_bytes());
        expected.extend(b"\x01\x01\x01\0\x01a\0\0\0\0\0\x04\0\0\0\0\0\0\0\x07");
        expected.extend([0, 0, 0, 36]);
        expected.extend(0x8ce5_a4d6_u32.to_be_bytes());
        expected.extend(b"\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\x02\x01\x01");
        expected.extend(b"\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let mut bytes = whole(&node(), &shelf());
        put_record(&record("b", 9), &mut bytes);
        put_record(&Record::Gone(host("a")), &mut bytes);
        let Stored { node: read_node, shelf: read_shelf, is_cut } = read(&bytes[..]).unwrap();
        assert_eq!((read_node, is_cut, seen(&read_shelf)), (node(), false, vec![9]));
        assert_eq!((read_shelf.heading(), read_shelf.is_whole()), (shelf().heading(), true));
        assert_eq!(read_shelf.activity(), Some(Activity { since: 2, until: 2 }));
    }

    #[test]
    fn a_file_that_is_cut_or_damaged_anywhere_gives_what_is_before_or_nothing() {
        let mut bytes = whole(&node(), &shelf());
        let base = bytes.len();
        put_record(&record("b", 9), &mut bytes);
        let second = bytes.len();
        put_record(&record("c", 11), &mut bytes);
        for at in 0..bytes.len() {
            let expected = match at {
                _ if at < base => None,
                _ if at < second => Some(vec![7]),
                _ => Some(vec![7, 9]),
            };
            let is_end = at == base || at == second;
            let cut = read(&bytes[..at]).ok();
            assert_eq!(cut.as_ref().map(|stored| seen(&stored.shelf)), expected, "cut at {at}");
            assert!(cut.is_none_or(|stored| stored.is_cut != is_end), "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let damaged = read(&damaged[..]).ok();
            assert_eq!(damaged.as_ref().map(|stored| seen(&stored.shelf)), expected, "byte {at} changed");
            assert!(damaged.is_none_or(|stored| stored.is_cut));
        }
    }
}
