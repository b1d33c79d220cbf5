//! Reading and writing the fields of records: big-endian numbers, and texts behind their length.
//!
//! **Invariant:** a reader never gives more than it was given, and copies nothing: a length that lies costs nothing.

/// What is left to be read of a record. Every method is `None` when the record is too short for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A text behind a length of two bytes.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        Some(text)
    }
}

/// The counterpart of [`Reader::text`]. The text's length was checked where the text came from.
pub(crate) fn put_text(text: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("texts have up to 65,535 bytes");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}
