//! Bytes into lines, as they come.

use memchr::memchr;

/// How much of a line is kept, in bytes. The rest is dropped: what matters stands at the beginning.
pub const MAX_LOG_LINE_BYTES: usize = 1 << 16;

/// Cuts a stream of bytes into lines.
///
/// **Invariant:** at most [`MAX_LOG_LINE_BYTES`] are kept, whatever comes.
#[derive(Debug, Default)]
pub struct LogLines {
    /// The beginning of a line whose end is still to come.
    begun: Vec<u8>,
}

impl LogLines {
    /// Hands each line that `bytes` ends to `take`, without its newline.
    pub fn handle_bytes(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            if self.begun.is_empty() {
                take(&rest[..end.min(MAX_LOG_LINE_BYTES)]);
            } else {
                self.keep(&rest[..end]);
                take(&self.begun);
                self.begun.clear();
            }
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// What was begun has no end any more: the file was cut or replaced.
    pub fn reset(&mut self) {
        self.begun.clear();
    }

    /// How many bytes wait for the end of their line, at most [`MAX_LOG_LINE_BYTES`].
    pub fn begun_bytes(&self) -> usize {
        self.begun.len()
    }

    fn keep(&mut self, part: &[u8]) {
        let room = MAX_LOG_LINE_BYTES - self.begun.len();
        self.begun.extend_from_slice(&part[..part.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut all) = (LogLines::default(), Vec::new());
        for chunk in chunks {
            lines.handle_bytes(chunk, |line| all.push(line.to_vec()));
        }
        all
    }

    #[test]
    fn a_line_counts_when_it_has_ended() {
        assert_eq!(lines(&[b"a\nb", b"c", b"\n\nd"]), [&b"a"[..], b"bc", b""]);
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = vec![b'x'; 3 * MAX_LOG_LINE_BYTES];
        for line in lines(&[&long, &long, b"\n", &long, b"\n", &[&long[..], b"\n"].concat()]) {
            assert_eq!(line.len(), MAX_LOG_LINE_BYTES);
        }
    }

    #[test]
    fn what_was_begun_can_be_forgotten() {
        let (mut lines, mut all) = (LogLines::default(), Vec::new());
        lines.handle_bytes(b"half", |_| panic!("no line yet"));
        assert_eq!(lines.begun_bytes(), 4);
        lines.reset();
        lines.handle_bytes(b"a whole one\n", |line| all.push(line.to_vec()));
        assert_eq!(all, [b"a whole one"]);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(text in "[a\n]{0,40}", at in 0..40_usize) {
            let (head, tail) = text.as_bytes().split_at(at.min(text.len()));
            prop_assert_eq!(lines(&[head, tail]), lines(&[text.as_bytes()]));
        }
    }
}
