//! Reading and writing the fields of messages: big-endian numbers, and texts behind their length.
//!
//! **Invariant:** a reader never gives more than it was given, and copies nothing: a length that lies costs
//! nothing.

/// What is left to be read of a message. Every method is `None` when the message is too short for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A text behind a length of one byte.
    pub(super) fn short_text(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.bytes(length.into())
    }

    /// A text behind a length of two bytes.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.bytes(length.into())
    }

    /// A text behind a length of four bytes.
    pub(super) fn long_text(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(usize::try_from(length).ok()?)
    }
}

/// The counterpart of [`Reader::short_text`]. The text's length was checked where the text came from.
pub(super) fn put_short_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(u8::try_from(text.len()).expect("short texts have up to 255 bytes"));
    out.extend_from_slice(text);
}

/// The counterpart of [`Reader::text`].
pub(super) fn put_text(text: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("texts have up to 65,535 bytes");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}

/// The counterpart of [`Reader::long_text`].
pub(super) fn put_long_text(text: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(text.len()).expect("long texts fit into a frame");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}
