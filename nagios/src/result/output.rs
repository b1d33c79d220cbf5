//! What a plugin printed, on one line.

use std::fmt;

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
pub struct PluginOutput(Vec<u8>);

impl PluginOutput {
    /// What a plugin prints, with real newlines. Newlines and carriage returns at its end are trimmed, NULs dropped.
    pub fn from_text(text: &[u8]) -> Self {
        let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
        let mut escaped = Vec::with_capacity(end + 16);
        escape(&text[..end], &mut escaped);
        Self(escaped)
    }

    /// From true texts, as a status file or a perfdata line tells them one by one.
    pub fn from_parts(output: &[u8], perfdata: &[u8], long_output: &[u8]) -> Self {
        let mut escaped = Vec::with_capacity(output.len() + perfdata.len() + long_output.len() + 16);
        escape(output, &mut escaped);
        if !perfdata.is_empty() {
            escaped.push(b'|');
            escape(perfdata, &mut escaped);
        }
        if !long_output.is_empty() {
            escaped.extend_from_slice(b"\\n");
            escape(long_output, &mut escaped);
        }
        if long_output.last().is_some_and(u8::is_ascii_whitespace) {
            // Cores strip blanks at the end of a command, and keep those in front of performance data, even of none.
            escaped.push(b'|');
        }
        Self(escaped)
    }

    /// From bytes that are escaped already: a macro, a line of a command file.
    ///
    /// Kept byte for byte, except that a raw LF becomes `\n`, and NULs are dropped.
    pub fn from_escaped(bytes: &[u8]) -> Self {
        if memchr::memchr2(0, b'\n', bytes).is_none() {
            return Self(bytes.to_vec());
        }
        let mut escaped = Vec::with_capacity(bytes.len() + 16);
        for &byte in bytes {
            match byte {
                b'\n' => {
                    // A lone backslash would swallow the newline's own: `\`, `\n` would read as `\\`, `n`.
                    if ends_in_lone_backslash(&escaped) {
                        escaped.push(b'\\');
                    }
                    escaped.extend_from_slice(b"\\n");
                }
                _ if ends_lines(byte) => {}
                _ => escaped.push(byte),
            }
        }
        Self(escaped)
    }

    /// The escaped single-line form.
    pub fn escaped(&self) -> &[u8] {
        &self.0
    }

    /// The true text, with real newlines and single backslashes.
    pub fn to_text(&self) -> Vec<u8> {
        unescape(&self.0)
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

fn escape(text: &[u8], escaped: &mut Vec<u8>) {
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
