//! What `send_nsca` reads on its standard input, as nsca 2.10.2 was found to read it.
//!
//! ```text
//! host ⇥ service ⇥ code ⇥ output      a service check
//! host ⇥ code ⇥ output                a host check
//! ```
//!
//! **Sets** are separated by ETB (0x17) or another byte. A newline does not end a set: two lines without ETB
//! are one set, whose output has two lines. The last set need not be ended. A set that is ended by its separator
//! has at most 5119 bytes, the last one, without separator, 5120. A longer one ends the whole run; sets before
//! it are sent.
//!
//! **In a set**, first everything from a NUL on is dropped, then blanks, tabs, CRs and LFs at its end (not
//! vertical tabs and form feeds). At its beginning nothing is dropped: the newline after an ETB becomes part of
//! the next host's name.
//!
//! **Fields** are separated by tab or another byte. Several separators count as one, and those at the beginning
//! not at all, so that neither host nor service nor code can be empty: `host⇥⇥2⇥text` is a host check. The
//! output starts right after the separator that ends the code, and keeps all separators in it. If nothing is left
//! for it, the code is taken for the output and the service for the code: `host⇥service⇥2⇥` is a host check with
//! code 0 and output `2`. Sets of fewer than three fields are skipped without a word.
//!
//! **The code** is read like C's `atoi`: blanks, a sign, digits; the rest is ignored and no digits are 0. It
//! is cut to 16 bits: 70000 is sent as 4464.
//!
//! **The output** goes into the packet as it is, with its newlines and backslashes; it is the daemon that
//! escapes them. Texts that are longer than their fields are cut.

/// What separates fields unless `-d` says otherwise.
pub const FIELD_DELIMITER: u8 = b'\t';
/// What separates sets unless `-ds` says otherwise: ETB, the end of a transmission block.
pub const SET_DELIMITER: u8 = 0x17;
/// Length of the longest set, which must be the last one; one that its separator ends is shorter by one byte.
pub const MAX_SET_BYTES: usize = 5120;

/// One check result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<'a> {
    /// The host's name, never empty.
    pub host: &'a [u8],
    /// The service's description; empty for a host check.
    pub service: &'a [u8],
    /// The plugin's return code.
    pub code: i16,
    /// The plugin's text with real newlines, never empty.
    pub output: &'a [u8],
}

/// Reads one set; `None` if it has fewer than three fields and is to be skipped.
pub fn parse(set: &[u8], delimiter: u8) -> Option<Set<'_>> {
    let mut rest = trim_end(until_nul(set));
    let host = next_field(&mut rest, delimiter)?;
    let second = next_field(&mut rest, delimiter)?;
    let third = next_field(&mut rest, delimiter)?;
    Some(if rest.is_empty() {
        Set { host, service: b"", code: atoi(second), output: third }
    } else {
        Set { host, service: second, code: atoi(third), output: rest }
    })
}

/// Reads the argument of `-d` or `-ds`: one character, or the character's number as C writes it (`0x17`, `027`,
/// `23`). Of several characters that are no number the first one counts, and none at all is NUL.
pub fn delimiter(argument: &[u8]) -> u8 {
    match argument {
        [] => 0,
        [character] => *character,
        [first, ..] => number_prefix(argument).unwrap_or(*first),
    }
}

/// A set exceeded [`MAX_SET_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a set is longer than the {MAX_SET_BYTES} bytes that send_nsca allows: end each set with the separator (ETB, \
     0x17, unless -ds says otherwise), or shorten its output"
)]
pub struct SetTooLong;

/// Cuts a stream into sets, holding one at a time.
///
/// Call [`handle_bytes`](Self::handle_bytes) with what was read, [`poll_set`](Self::poll_set) after each call,
/// and again with what was not taken; at the end [`handle_eof`](Self::handle_eof), then `poll_set` once more.
#[derive(Debug)]
pub struct Splitter {
    delimiter: u8,
    set: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Collecting,
    Complete,
    Polled,
    TooLong,
}

impl Splitter {
    /// A splitter for sets that `delimiter` separates.
    pub fn new(delimiter: u8) -> Self {
        Splitter { delimiter, set: Vec::new(), state: State::Collecting }
    }

    /// Takes bytes up to the end of the current set, and returns how many, the separator included: none while
    /// a complete set waits for [`poll_set`](Self::poll_set).
    ///
    /// # Errors
    ///
    /// When the set is too long; from then on always.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<usize, SetTooLong> {
        match self.state {
            State::Complete => return Ok(0),
            State::TooLong => return Err(SetTooLong),
            State::Polled => {
                self.set.clear();
                self.state = State::Collecting;
            }
            State::Collecting => {}
        }
        let end = bytes.iter().position(|byte| *byte == self.delimiter);
        let text = &bytes[..end.unwrap_or(bytes.len())];
        let max = if end.is_some() { MAX_SET_BYTES - 1 } else { MAX_SET_BYTES };
        if self.set.len() + text.len() > max {
            self.state = State::TooLong;
            return Err(SetTooLong);
        }
        self.set.extend_from_slice(text);
        if end.is_some() {
            self.state = State::Complete;
        }
        Ok(text.len() + usize::from(end.is_some()))
    }

    /// Says that the stream has ended, and with it its last set.
    pub fn handle_eof(&mut self) {
        if self.state == State::Collecting {
            self.state = State::Complete;
        }
    }

    /// The set that has been completed, once.
    pub fn poll_set(&mut self) -> Option<&[u8]> {
        if self.state != State::Complete {
            return None;
        }
        self.state = State::Polled;
        Some(&self.set)
    }
}

/// Takes the next field from the beginning of `rest`, with the separator that ends it. Like C's `strtok`.
fn next_field<'a>(rest: &mut &'a [u8], delimiter: u8) -> Option<&'a [u8]> {
    let start = rest.iter().position(|byte| *byte != delimiter)?;
    let text = &rest[start..];
    let end = text.iter().position(|byte| *byte == delimiter).unwrap_or(text.len());
    *rest = text.get(end + 1..).unwrap_or_default();
    Some(&text[..end])
}

fn until_nul(set: &[u8]) -> &[u8] {
    set.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn trim_end(set: &[u8]) -> &[u8] {
    let kept = set.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    &set[..kept.map_or(0, |last| last + 1)]
}

/// C's `atoi` on a 64-bit machine, stored in 16 bits.
fn atoi(text: &[u8]) -> i16 {
    let (negative, digits) = sign(text);
    let number = digits_to_i64(digits, 10, negative).unwrap_or(0);
    let [low, high, ..] = number.to_le_bytes();
    i16::from_le_bytes([low, high])
}

/// C's `strtol` with base 0, stored in 8 bits; `None` without digits.
fn number_prefix(text: &[u8]) -> Option<u8> {
    let (negative, digits) = sign(text);
    let number = match digits {
        [b'0', b'x' | b'X', hex @ ..] => Some(digits_to_i64(hex, 16, negative).unwrap_or(0)),
        [b'0', ..] => digits_to_i64(digits, 8, negative),
        _ => digits_to_i64(digits, 10, negative),
    };
    number.map(|number| number.to_le_bytes()[0])
}

/// Skips blanks and a sign.
fn sign(text: &[u8]) -> (bool, &[u8]) {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    }
}

/// The number that `text` begins with, at most what 64 bits hold; `None` without digits.
fn digits_to_i64(text: &[u8], base: u32, negative: bool) -> Option<i64> {
    let digits = || text.iter().map_while(|byte| char::from(*byte).to_digit(base));
    digits().next()?;
    Some(digits().fold(0i64, |number, digit| {
        let digit = if negative { -i64::from(digit) } else { i64::from(digit) };
        number.saturating_mul(base.into()).saturating_add(digit)
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn service<'a>(host: &'a str, service: &'a str, code: i16, output: &'a str) -> Option<Set<'a>> {
        Some(Set { host: host.as_bytes(), service: service.as_bytes(), code, output: output.as_bytes() })
    }

    fn host<'a>(host: &'a str, code: i16, output: &'a str) -> Option<Set<'a>> {
        service(host, "", code, output)
    }

    /// What a real send_nsca 2.10.2 made of each input, seen on the wire.
    #[test]
    fn sets_are_read_as_the_original_reads_them() {
        let cases = [
            ("h\ts\t1\tout\n", service("h", "s", 1, "out")),
            ("h\ts\t1\tout", service("h", "s", 1, "out")),
            ("h\t1\tout\n", host("h", 1, "out")),
            ("h\ts\t1\tout\r\n", service("h", "s", 1, "out")),
            ("\nh\ts\t1\tout\n", service("\nh", "s", 1, "out")),
            ("\r\nh2\t2\to\r\n", host("\r\nh2", 2, "o")),
            ("h\ni\ts\t1\tout\n", service("h\ni", "s", 1, "out")),
            ("  h\t s\t 1\t out \n", service("  h", " s", 1, " out")),
            ("\th\ts\t1\tout\n", service("h", "s", 1, "out")),
            ("\ts\t2\tout\n", host("s", 2, "out")),
            ("h\t\t2\tout\n", host("h", 2, "out")),
            ("h\ts\t\tout\n", host("h", 0, "out")),
            ("h\ts\tout\n", host("h", 0, "out")),
            ("h\ts\t2\t\n", host("h", 0, "2")),
            ("h\t5\t1", host("h", 5, "1")),
            ("h\ts\t2\tout\tmore\tx\n", service("h", "s", 2, "out\tmore\tx")),
            ("h\ts\t1\t\tout\n", service("h", "s", 1, "\tout")),
            ("h\ts\t2\tl1\nl2\nl3\n", service("h", "s", 2, "l1\nl2\nl3")),
            ("h\ts\t1\ta\r\nb\r\n", service("h", "s", 1, "a\r\nb")),
            ("h\ts\t2\tl1\\nl2\\x\\\\y\n", service("h", "s", 2, "l1\\nl2\\x\\\\y")),
            ("h\ts\t1\tout  \n \n", service("h", "s", 1, "out")),
            ("h\ts\t1\tout\x0b\x0c\x1c \r\n", service("h", "s", 1, "out\x0b\x0c\x1c")),
            ("h\ts\t1\to\0ut\n", service("h", "s", 1, "o")),
            ("h\ts\t1\tout\nh2\ts2\t2\tout2\n", service("h", "s", 1, "out\nh2\ts2\t2\tout2")),
            ("h\t2\n", None),
            ("h\t2\t \n", None),
            ("h\n", None),
            ("", None),
            ("   \n", None),
        ];
        for (input, expected) in cases {
            assert_eq!(parse(input.as_bytes(), FIELD_DELIMITER), expected, "{input:?}");
        }
    }

    #[test]
    fn other_delimiters_are_read_as_the_original_reads_them() {
        let cases = [
            ("h;s;2;out;put\n", service("h", "s", 2, "out;put")),
            ("h;s;2;\n", host("h", 0, "2")),
            ("h;s;2; \n", host("h", 0, "2")),
            ("h;s;2;;x\n", service("h", "s", 2, ";x")),
            (";;h;;s;;2;out\n", service("h", "s", 2, "out")),
            ("h;s;2;out\t \n\t", service("h", "s", 2, "out")),
        ];
        for (input, expected) in cases {
            assert_eq!(parse(input.as_bytes(), b';'), expected, "{input:?}");
        }
    }

    #[test]
    fn codes_are_read_as_the_original_reads_them() {
        let cases = [
            ("2x", 2),
            ("foo", 0),
            ("+2", 2),
            ("-7", -7),
            ("--2", 0),
            (" \n 2", 2),
            ("\x0b\x0c2", 2),
            ("010", 10),
            ("0x2", 0),
            ("32768", -32768),
            ("70000", 4464),
            ("2147483648", 0),
            ("4294967297", 1),
            ("-99999999999", 6145),
            ("9223372036854775807", -1),
            ("99999999999999999999", -1),
            ("-9223372036854775809", 0),
        ];
        for (text, code) in cases {
            assert_eq!(atoi(text.as_bytes()), code, "{text:?}");
        }
    }

    #[test]
    fn delimiter_arguments_are_read_as_the_original_reads_them() {
        let cases: [(&[u8], u8); 15] = [
            (b";", b';'),
            (b"5", b'5'),
            (b"x", b'x'),
            (b"\n", b'\n'),
            (b"23", 23),
            (b"59", b';'),
            (b"0x17", 0x17),
            (b"0x3b", b';'),
            (b"017", 0x0f),
            (b"300", b','),
            (b"0x", 0),
            (b";y", b';'),
            (b",1", b','),
            (b"\\t", b'\\'),
            (b"", 0),
        ];
        for (argument, expected) in cases {
            assert_eq!(delimiter(argument), expected, "{argument:?}");
        }
    }

    /// All sets of `stream`, fed in pieces of `piece` bytes, and whether it was too long.
    fn split(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
        let mut splitter = Splitter::new(SET_DELIMITER);
        let mut sets = Vec::new();
        for mut bytes in stream.chunks(piece) {
            while !bytes.is_empty() {
                match splitter.handle_bytes(bytes) {
                    Ok(taken) => bytes = &bytes[taken..],
                    Err(SetTooLong) => return (sets, true),
                }
                sets.extend(splitter.poll_set().map(<[u8]>::to_vec));
            }
        }
        splitter.handle_eof();
        sets.extend(splitter.poll_set().map(<[u8]>::to_vec));
        (sets, false)
    }

    #[test]
    fn sets_have_the_maximum_length_of_the_original() {
        let set = |len, end: &str| [&vec![b'x'; len][..], end.as_bytes(), b"next"].concat();
        for piece in [1, 1000, 6000] {
            assert_eq!(split(&set(5119, "\x17"), piece).0.len(), 2);
            assert_eq!(split(&set(5120, "\x17"), piece), (vec![], true));
            assert_eq!(split(&[b'x'; 5120], piece).0.len(), 1);
            assert_eq!(split(&[b'x'; 5121], piece), (vec![], true));
        }
    }

    #[test]
    fn a_set_that_was_not_taken_is_kept() {
        let mut splitter = Splitter::new(b',');
        assert_eq!(splitter.handle_bytes(b"one,two"), Ok(4));
        assert_eq!(splitter.handle_bytes(b"two"), Ok(0));
        assert_eq!(splitter.poll_set(), Some(&b"one"[..]));
        assert_eq!(splitter.poll_set(), None);
        assert_eq!(splitter.handle_bytes(b"two"), Ok(3));
        splitter.handle_eof();
        assert_eq!(splitter.poll_set(), Some(&b"two"[..]));
        splitter.handle_eof();
        assert_eq!(splitter.poll_set(), None);
    }

    proptest! {
        #[test]
        fn where_a_stream_is_cut_makes_no_difference(stream in "[a\\x17]{0,200}", piece in 1usize..20) {
            let whole: Vec<Vec<u8>> = stream.split('\x17').map(|set| set.as_bytes().to_vec()).collect();
            let (mut sets, _) = split(stream.as_bytes(), piece);
            // An empty rest is no set of its own when the stream ends with a separator.
            if sets.len() < whole.len() {
                sets.push(Vec::new());
            }
            prop_assert_eq!(sets, whole);
        }

        #[test]
        fn nothing_makes_it_panic(set: Vec<u8>, delimiter: u8) {
            if let Some(set) = parse(&set, delimiter) {
                prop_assert!(!set.host.is_empty() && !set.output.is_empty());
            }
            super::delimiter(&set);
        }
    }
}
