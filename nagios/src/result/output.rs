//! What a plugin printed, on one line.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};

/// What a plugin printed, in the **escaped single-line form** of the command files.
///
/// ```text
/// true text       escaped        shape of the whole
/// ---------       -------        ------------------
/// newline         \n             output|performance data\nlong output
/// backslash       \\
/// anything else   itself
/// ```
///
/// NSCA's packet holds the true text; whoever writes it into a command file escapes it.
///
/// **Invariant:** holds no NUL and no LF byte, so that no text can end a line.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginOutput(Bytes);

/// Makes outputs that share memory: of many, none is an allocation of its own.
///
/// As long as one of them lives, its neighbours' memory does, `CHUNK_BYTES` at most. Who keeps an output for long takes
/// [its own copy](PluginOutput::detached).
#[derive(Debug, Default)]
pub struct Outputs(BytesMut);

/// How much memory outputs share.
const CHUNK_BYTES: usize = 16 << 10;

impl Outputs {
    /// What a plugin prints, with real newlines. Newlines and carriage returns at its end are trimmed, NULs dropped.
    pub fn from_text(&mut self, text: &[u8]) -> PluginOutput {
        self.make(trimmed(text), escape)
    }

    /// From bytes that are escaped already: a macro, a line of a command file.
    ///
    /// Kept byte for byte, except that a raw LF becomes `\n`, and NULs are dropped.
    pub fn from_escaped(&mut self, bytes: &[u8]) -> PluginOutput {
        self.make(bytes, keep_escaped)
    }

    /// What `append` makes of the text, which is at most twice as long.
    fn make(&mut self, text: &[u8], append: fn(&[u8], &mut BytesMut)) -> PluginOutput {
        let most = 2 * text.len();
        if self.0.capacity() < most {
            self.0.reserve(most.max(CHUNK_BYTES));
        }
        append(text, &mut self.0);
        PluginOutput(self.0.split().freeze())
    }
}

impl PluginOutput {
    /// As [`Outputs::from_text`], in memory of its own.
    pub fn from_text(text: &[u8]) -> Self {
        let text = trimmed(text);
        let mut escaped = BytesMut::with_capacity(text.len());
        escape(text, &mut escaped);
        Self(escaped.freeze())
    }

    /// From true texts, as a status file or a perfdata line tells them one by one.
    pub fn from_parts(output: &[u8], perfdata: &[u8], long_output: &[u8]) -> Self {
        let mut escaped = BytesMut::with_capacity(output.len() + perfdata.len() + long_output.len() + 3);
        escape(output, &mut escaped);
        if !perfdata.is_empty() {
            escaped.extend_from_slice(b"|");
            escape(perfdata, &mut escaped);
        }
        if !long_output.is_empty() {
            escaped.extend_from_slice(b"\\n");
            escape(long_output, &mut escaped);
        }
        if long_output.last().is_some_and(u8::is_ascii_whitespace) {
            // Cores strip blanks at the end of a command, and keep those in front of performance data, even of none.
            escaped.extend_from_slice(b"|");
        }
        Self(escaped.freeze())
    }

    /// As [`Outputs::from_escaped`], in memory of its own.
    pub fn from_escaped(bytes: &[u8]) -> Self {
        let mut escaped = BytesMut::with_capacity(bytes.len());
        keep_escaped(bytes, &mut escaped);
        Self(escaped.freeze())
    }

    /// A copy that shares its memory with nobody.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The escaped single-line form.
    pub fn escaped(&self) -> &[u8] {
        &self.0
    }

    /// The true text, with real newlines and single backslashes.
    pub fn text(&self) -> Cow<'_, [u8]> {
        match memchr::memchr(b'\\', &self.0) {
            None => Cow::Borrowed(&self.0),
            Some(_) => Cow::Owned(unescape(&self.0)),
        }
    }

    /// As [`text`](Self::text), for who keeps it.
    pub fn to_text(&self) -> Vec<u8> {
        self.text().into_owned()
    }
}

impl fmt::Debug for PluginOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PluginOutput({:?})", String::from_utf8_lossy(&self.0))
    }
}

/// Undoes the escaping of [`PluginOutput`]: `\n` becomes a newline, `\\` a backslash, anything else stays.
pub fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        let (byte, taken) = match rest.get(at + 1) {
            Some(b'n') => (b'\n', 2),
            Some(b'\\') => (b'\\', 2),
            _ => (b'\\', 1),
        };
        text.push(byte);
        rest = &rest[at + taken..];
    }
    text.extend_from_slice(rest);
    text
}

/// Without what cannot be told from the end of the line.
fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    &text[..end]
}

fn escape(text: &[u8], escaped: &mut BytesMut) {
    let mut rest = text;
    while let Some(at) = memchr::memchr3(b'\n', b'\\', 0, rest) {
        escaped.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            _ => {} // A NUL is dropped.
        }
        rest = &rest[at + 1..];
    }
    escaped.extend_from_slice(rest);
}

fn keep_escaped(bytes: &[u8], escaped: &mut BytesMut) {
    if memchr::memchr2(0, b'\n', bytes).is_none() {
        escaped.extend_from_slice(bytes);
        return;
    }
    let start = escaped.len();
    for &byte in bytes {
        match byte {
            b'\n' => {
                // A lone backslash would swallow the newline's own: `\`, `\n` would read as `\\`, `n`.
                if ends_in_lone_backslash(&escaped[start..]) {
                    escaped.extend_from_slice(b"\\");
                }
                escaped.extend_from_slice(b"\\n");
            }
            _ if ends_lines(byte) => {}
            _ => escaped.extend_from_slice(&[byte]),
        }
    }
}

/// Bytes that end a line or a C string somewhere on the way to a core.
fn ends_lines(byte: u8) -> bool {
    matches!(byte, 0 | b'\n')
}

/// Whether the last backslash is half of an escape: runs are read in pairs from their start.
fn ends_in_lone_backslash(escaped: &[u8]) -> bool {
    escaped.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_escaped_and_trailing_newlines_are_trimmed() {
        let output = PluginOutput::from_text(b"OK C:\\new|a=1\r\nsecond\n\n");
        assert_eq!(output.escaped(), b"OK C:\\\\new|a=1\r\\nsecond");
        assert_eq!(output.to_text(), b"OK C:\\new|a=1\r\nsecond");
        assert_eq!(PluginOutput::from_text(b"\n\r\n").escaped(), b"");
    }

    #[test]
    fn parts_are_joined_as_a_plugin_prints_them() {
        let parts = |output: &str, perfdata: &str, long: &str| {
            PluginOutput::from_parts(output.as_bytes(), perfdata.as_bytes(), long.as_bytes()).to_text()
        };
        assert_eq!(parts("OK", "", ""), b"OK");
        assert_eq!(parts("OK", "a=1", ""), b"OK|a=1");
        assert_eq!(parts("OK", "", "x\ny"), b"OK\nx\ny");
        assert_eq!(parts("OK", "a=1", "x\\y"), b"OK|a=1\nx\\y");
        assert_eq!(parts("OK", "a=1", "x "), b"OK|a=1\nx |", "cores keep the blank in front of a bar only");
    }

    #[test]
    fn escaped_bytes_stay_as_they_are() {
        for bytes in [&b"a\\nb"[..], b"a\\\\b", b"a\\tb\\", b"\xff\xfe|;"] {
            assert_eq!(PluginOutput::from_escaped(bytes).escaped(), bytes);
        }
        assert_eq!(PluginOutput::from_escaped(b"a\r\nb\nc\rd\0e").escaped(), b"a\r\\nb\\nc\rde");
        assert_eq!(PluginOutput::from_escaped(b"C:\\\nb").to_text(), b"C:\\\nb");
    }

    #[test]
    fn unknown_escapes_stay() {
        assert_eq!(unescape(b"\\t\\\\n\\n\\"), b"\\t\\n\n\\");
    }

    proptest! {
        #[test]
        fn text_survives_the_round_trip(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let kept: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
            let trimmed = kept.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
            let output = PluginOutput::from_text(&text);
            prop_assert!(!output.escaped().iter().any(|byte| ends_lines(*byte)));
            prop_assert_eq!(output.to_text(), &kept[..trimmed]);
        }

        #[test]
        fn no_bytes_can_end_a_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!PluginOutput::from_escaped(&bytes).escaped().iter().any(|byte| ends_lines(*byte)));
        }
    }
}
