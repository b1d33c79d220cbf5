//! Frames about books: what the sender's core remembers that results do not tell, and what the receiver wants of it.
//!
//! The layout is in ARCHITECTURE.md, "Frames". What a record says is not this crate's concern.

use super::frame::{ANSWERED, HEADER_BYTES, HEADING, MAX_FRAME_BYTES, WANT, put_header};
use super::wire::{Reader, put_text};

/// How many objects one [`Want`] can name.
pub const MAX_WANTED_OBJECTS: usize = 4096;

/// A name in a [`Want`] is no longer than this.
const MAX_NAME_BYTES: usize = u16::MAX as usize;

/// What comes next of a sender's book, and which core it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heading {
    /// What the records that follow are.
    pub part: Part,
    /// When that core started, in seconds since the Unix epoch; 0 when that is not known.
    pub program_start: i64,
    /// When the newest status file that is in the book was written, in seconds since the Unix epoch; 0 when there is none.
    pub created: i64,
    /// Whether that core notifies, if that is known.
    pub notifies: Option<bool>,
}

/// What records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The whole book follows, up to its [`End`](Part::End): what it does not name until then is to be forgotten there.
    Begin,
    /// The whole book was told.
    End,
    /// What changes from now on.
    News,
}

/// What a receiver wants of its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// The whole book, from its beginning.
    Book,
    /// What the sender's core shows of some objects.
    Results {
        /// Host and service of each; the service is empty for the host itself. At most [`MAX_WANTED_OBJECTS`].
        objects: Vec<(Vec<u8>, Vec<u8>)>,
        /// Whether these are all: otherwise more follow, and are answered together.
        is_last: bool,
    },
}

impl Heading {
    const BYTES: usize = 1 + 8 + 8 + 1;
    pub(super) const FRAME_BYTES: usize = HEADER_BYTES + Self::BYTES;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_header(HEADING, Self::BYTES, out);
        out.push(self.part.code());
        out.extend_from_slice(&self.program_start.to_be_bytes());
        out.extend_from_slice(&self.created.to_be_bytes());
        out.push(match self.notifies {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
    }

    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let mut reader = Reader(content);
        Some(Heading {
            part: Part::from_code(reader.u8()?)?,
            program_start: reader.i64()?,
            created: reader.i64()?,
            notifies: match reader.u8()? {
                1 => Some(false),
                2 => Some(true),
                _ => None,
            },
        })
    }
}

impl Part {
    fn code(self) -> u8 {
        match self {
            Part::Begin => 1,
            Part::End => 2,
            Part::News => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Part::Begin),
            2 => Some(Part::End),
            3 => Some(Part::News),
            _ => None,
        }
    }
}

impl Want {
    const BOOK: u8 = 1;
    const RESULTS: u8 = 2;
    const LAST_RESULTS: u8 = 3;

    /// What is wanted and how many objects follow.
    const FIXED_BYTES: usize = 1 + 2;

    /// What asks for the results of any number of objects: as many wants as that takes, to be sent in this order. Objects
    /// whose names no frame can hold are left out; no core has such.
    pub fn results(objects: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Vec<Want> {
        let mut wants = Vec::new();
        let (mut part, mut bytes) = (Vec::new(), Self::FIXED_BYTES);
        for (host, service) in objects {
            let more = 4 + host.len() + service.len();
            if host.len().max(service.len()) > MAX_NAME_BYTES {
                continue;
            }
            if part.len() == MAX_WANTED_OBJECTS || bytes + more > MAX_FRAME_BYTES {
                wants.push(Want::Results { objects: std::mem::take(&mut part), is_last: false });
                bytes = Self::FIXED_BYTES;
            }
            bytes += more;
            part.push((host, service));
        }
        wants.push(Want::Results { objects: part, is_last: true });
        wants
    }

    /// Length of the frame with its header, or `None` when there are too many objects or their names are too long.
    pub fn frame_bytes(&self) -> Option<usize> {
        let objects = self.objects();
        let names = objects.iter().flat_map(|(host, service)| [host, service]);
        let content = names.clone().fold(Self::FIXED_BYTES, |sum, name| sum.saturating_add(2 + name.len()));
        let fits = objects.len() <= MAX_WANTED_OBJECTS
            && content <= MAX_FRAME_BYTES
            && names.clone().all(|name| name.len() <= MAX_NAME_BYTES);
        fits.then_some(HEADER_BYTES + content)
    }

    /// Appends the frame, whose length [`frame_bytes`](Self::frame_bytes) has said.
    pub(super) fn encode(&self, frame_bytes: usize, out: &mut Vec<u8>) {
        put_header(WANT, frame_bytes - HEADER_BYTES, out);
        let objects = self.objects();
        out.push(match self {
            Want::Book => Self::BOOK,
            Want::Results { is_last: false, .. } => Self::RESULTS,
            Want::Results { is_last: true, .. } => Self::LAST_RESULTS,
        });
        let count = u16::try_from(objects.len()).expect("at most MAX_WANTED_OBJECTS");
        out.extend_from_slice(&count.to_be_bytes());
        for (host, service) in objects {
            put_text(host, out);
            put_text(service, out);
        }
    }

    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let mut reader = Reader(content);
        let what = reader.u8()?;
        let count = usize::from(reader.u16()?);
        if count > MAX_WANTED_OBJECTS {
            return None;
        }
        let mut objects = Vec::new();
        for _ in 0..count {
            objects.push((reader.text()?.to_vec(), reader.text()?.to_vec()));
        }
        match what {
            Self::BOOK => Some(Want::Book),
            Self::RESULTS => Some(Want::Results { objects, is_last: false }),
            Self::LAST_RESULTS => Some(Want::Results { objects, is_last: true }),
            _ => None,
        }
    }

    fn objects(&self) -> &[(Vec<u8>, Vec<u8>)] {
        match self {
            Want::Book => &[],
            Want::Results { objects, .. } => objects,
        }
    }
}

const _: () = assert!(MAX_WANTED_OBJECTS <= u16::MAX as usize);
const _: () = assert!(Want::FIXED_BYTES + 2 * (2 + MAX_NAME_BYTES) <= MAX_FRAME_BYTES);

/// How long a frame is that says how many results were shown.
pub(super) const ANSWERED_FRAME_BYTES: usize = HEADER_BYTES + 4;

pub(super) fn encode_answered(shown: u32, out: &mut Vec<u8>) {
    put_header(ANSWERED, 4, out);
    out.extend_from_slice(&shown.to_be_bytes());
}

pub(super) fn decode_answered(content: &[u8]) -> Option<u32> {
    Reader(content).u32()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADING: Heading = Heading { part: Part::News, program_start: 258, created: -1, notifies: Some(true) };

    fn encoded(want: &Want) -> Vec<u8> {
        let mut out = Vec::new();
        let frame_bytes = want.frame_bytes().unwrap();
        want.encode(frame_bytes, &mut out);
        assert_eq!(out.len(), frame_bytes);
        out
    }

    fn object(host: &str, service: &str) -> (Vec<u8>, Vec<u8>) {
        (host.into(), service.into())
    }

    fn some() -> Want {
        Want::Results { objects: vec![object("web", "http"), object("web", "")], is_last: false }
    }

    #[test]
    fn headings_are_laid_out_as_documented() {
        let mut out = Vec::new();
        HEADING.encode(&mut out);
        let mut expected = vec![0, 0, 0, 18, 5, 3, 0, 0, 0, 0, 0, 0, 1, 2];
        expected.extend([0xff; 8]);
        expected.push(2);
        assert_eq!(out, expected);
        assert_eq!(out.len(), Heading::FRAME_BYTES);
        assert_eq!(Heading::decode(&out[5..]), Some(HEADING));
        for (byte, notifies) in [(0, None), (1, Some(false)), (2, Some(true)), (3, None)] {
            out[22] = byte;
            assert_eq!(Heading::decode(&out[5..]), Some(Heading { notifies, ..HEADING }));
        }
        for (byte, part) in [(1, Some(Part::Begin)), (2, Some(Part::End)), (3, Some(Part::News)), (0, None), (4, None)]
        {
            out[5] = byte;
            assert_eq!(Heading::decode(&out[5..]).map(|heading| heading.part), part);
        }
    }

    #[test]
    fn wants_are_laid_out_as_documented() {
        assert_eq!(encoded(&Want::Book), [0, 0, 0, 3, 7, 1, 0, 0]);
        let frame = encoded(&some());
        assert_eq!(frame, b"\0\0\0\x15\x07\x02\0\x02\0\x03web\0\x04http\0\x03web\0\0");
        assert_eq!(Want::decode(&frame[5..]), Some(some()));
        assert_eq!(encoded(&Want::Results { objects: Vec::new(), is_last: true }), [0, 0, 0, 3, 7, 3, 0, 0]);
    }

    #[test]
    fn answers_are_laid_out_as_documented() {
        let mut out = Vec::new();
        encode_answered(258, &mut out);
        assert_eq!(out, [0, 0, 0, 4, 9, 0, 0, 1, 2]);
        assert_eq!(out.len(), ANSWERED_FRAME_BYTES);
        assert_eq!(decode_answered(&out[5..]), Some(258));
        (0..4).for_each(|end| assert_eq!(decode_answered(&out[5..5 + end]), None));
    }

    #[test]
    fn what_is_too_short_or_unheard_of_is_refused_and_later_additions_are_ignored() {
        let mut heading = Vec::new();
        HEADING.encode(&mut heading);
        (5..heading.len()).for_each(|end| assert_eq!(Heading::decode(&heading[5..end]), None));
        heading.extend(b"more");
        assert_eq!(Heading::decode(&heading[5..]), Some(HEADING));

        let mut want = encoded(&some());
        (5..want.len()).for_each(|end| assert_eq!(Want::decode(&want[5..end]), None));
        want.extend(b"more");
        assert_eq!(Want::decode(&want[5..]), Some(some()));
        for what in [0, 4] {
            want[5] = what;
            assert_eq!(Want::decode(&want[5..]), None);
        }
        let too_many = [&[2, 0x10, 0x01][..], &[0; 4 * 4097]].concat();
        assert_eq!(Want::decode(&too_many), None);
    }

    #[test]
    fn any_number_of_objects_is_asked_for_in_frames_that_fit() {
        assert_eq!(Want::results([]), [Want::Results { objects: Vec::new(), is_last: true }]);
        let objects: Vec<_> = (0..2 * MAX_WANTED_OBJECTS + 1).map(|n| object(&n.to_string(), "s")).collect();
        let long: Vec<_> = (0..40).map(|n| (vec![n; MAX_NAME_BYTES], Vec::new())).collect();
        for (objects, count) in [(objects, 3), (long, 3)] {
            let wants = Want::results(objects.clone());
            assert_eq!(wants.len(), count);
            let mut asked = Vec::new();
            for (at, want) in wants.iter().enumerate() {
                let frame = encoded(want);
                assert_eq!(Want::decode(&frame[5..]).as_ref(), Some(want));
                let Want::Results { objects, is_last } = want else { panic!("{want:?}") };
                assert_eq!(*is_last, at + 1 == count);
                asked.extend(objects.clone());
            }
            assert_eq!(asked, objects);
        }
        let unheard_of = (vec![0; MAX_NAME_BYTES + 1], Vec::new());
        assert_eq!(Want::results([unheard_of.clone()]), Want::results([]));
        assert_eq!(Want::Results { objects: vec![unheard_of], is_last: true }.frame_bytes(), None);
        let too_many = vec![object("h", ""); MAX_WANTED_OBJECTS + 1];
        assert_eq!(Want::Results { objects: too_many, is_last: true }.frame_bytes(), None);
    }

    proptest! {
        #[test]
        fn no_content_makes_a_reader_panic(content: Vec<u8>) {
            let _ = (Heading::decode(&content), Want::decode(&content), decode_answered(&content));
        }
    }
}
