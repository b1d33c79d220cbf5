//! A plugin's output as each flavour of core reads it. [`crate::flavour`] has the table and its sources.

use memchr::memchr;

use crate::flavour::Flavour;
use crate::result::PluginOutput;

/// Stands for a backslash before an `n` where a core would read a newline in any case: nearly always a path
/// (`C:\nagios`), and a path it remains.
const BACKSLASH_BEFORE_N: u8 = b'/';

/// Appends `output` as `flavour` reads it from its command file. True if something had to be altered.
pub(super) fn encode_output(flavour: Flavour, output: &PluginOutput, out: &mut Vec<u8>) -> bool {
    let escaped = output.escaped();
    if memchr(b'\\', escaped).is_none() {
        out.extend_from_slice(escaped);
        return false;
    }
    match flavour {
        Flavour::Nagios4 => {
            out.extend_from_slice(escaped);
            false
        }
        Flavour::Nagios3 | Flavour::Icinga1 => spare_backslashes(escaped, b"\\\\", out),
        Flavour::Icinga2 => spare_backslashes(escaped, b"\\", out),
        Flavour::Naemon => flatten(&output.to_text(), out),
    }
}

/// Appends `output` as `flavour` reads it from a check-result file: as from its command file, except that Naemon knows
/// newlines there.
pub(crate) fn encode_spooled_output(flavour: Flavour, output: &PluginOutput, out: &mut Vec<u8>) -> bool {
    match flavour {
        Flavour::Naemon => spare_backslashes(output.escaped(), b"\\", out),
        Flavour::Nagios3 | Flavour::Nagios4 | Flavour::Icinga1 | Flavour::Icinga2 => {
            encode_output(flavour, output, out)
        }
    }
}

/// For cores that take every `\n` for a newline: passes escapes on, with `backslash` for an escaped one, except before an `n`.
fn spare_backslashes(escaped: &[u8], backslash: &[u8], out: &mut Vec<u8>) -> bool {
    let mut altered = false;
    let mut rest = escaped;
    while let Some(at) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if !rest.starts_with(b"\\\\") {
            let taken = rest.len().min(if rest.starts_with(b"\\n") { 2 } else { 1 });
            out.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            continue;
        }
        rest = &rest[2..];
        if rest.first() == Some(&b'n') {
            out.push(BACKSLASH_BEFORE_N);
            altered = true;
        } else {
            out.extend_from_slice(backslash);
        }
    }
    out.extend_from_slice(rest);
    altered
}

/// For cores that take lines raw: one line in which newlines are the two characters `\n`, and all performance data comes last.
///
/// Without moving it, all long output behind the first `|` would become performance data.
fn flatten(text: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(end) = memchr(b'\n', text) else {
        out.extend_from_slice(text);
        return false;
    };
    let (output, perfdata) = split_perfdata(&text[..end]);
    let (long_output, more_perfdata) = split_perfdata(&text[end + 1..]);
    out.extend_from_slice(output);
    for line in long_output.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"\\n");
        out.extend_from_slice(line);
    }
    let mut separator = b'|';
    for part in std::iter::once(perfdata).chain(more_perfdata.split(|byte| *byte == b'\n')) {
        if !part.is_empty() {
            out.push(separator);
            out.extend_from_slice(part);
            separator = b' ';
        }
    }
    true
}

fn split_perfdata(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'|', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

/// The largest length up to `max_bytes` at which `text`, which is longer, can be cut without splitting a UTF-8 character
/// or an escape.
pub(super) fn cut_at(text: &[u8], max_bytes: usize) -> usize {
    let mut end = character_boundary(text, max_bytes);
    // A run of backslashes is read in pairs from its start, so an odd run ends in half an escape.
    let run = text[..end].iter().rev().take_while(|byte| **byte == b'\\').count();
    end -= run % 2;
    end
}

fn character_boundary(text: &[u8], max_bytes: usize) -> usize {
    let is_continuation = |at: usize| text[at] & 0b1100_0000 == 0b1000_0000;
    let boundary = (max_bytes.saturating_sub(3)..=max_bytes).rev().find(|&at| !is_continuation(at));
    match boundary {
        // Only a byte that begins a character of several bytes makes the continuations behind it one with it.
        Some(at) if at == max_bytes || text[at] >= 0b1100_0000 => at,
        _ => max_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(flavour: Flavour, escaped: &str) -> (String, bool) {
        let mut out = Vec::new();
        let altered = encode_output(flavour, &PluginOutput::from_escaped(escaped.as_bytes()), &mut out);
        (String::from_utf8(out).unwrap(), altered)
    }

    #[test]
    fn escapes_that_survive_pass_byte_for_byte() {
        let text = r"OK; C:\\temp \\\\srv|a=1\nlong\\\nmore \t \\";
        for flavour in [Flavour::Nagios3, Flavour::Nagios4, Flavour::Icinga1] {
            assert_eq!(encode(flavour, text), (text.to_owned(), false), "{flavour}");
        }
    }

    #[test]
    fn a_backslash_before_n_is_replaced_where_it_would_become_a_newline() {
        for flavour in [Flavour::Nagios3, Flavour::Icinga1] {
            assert_eq!(encode(flavour, r"C:\\new\nC:\\\\net"), (r"C:/new\nC:\\/net".to_owned(), true), "{flavour}");
        }
        assert_eq!(encode(Flavour::Icinga2, r"C:\\new\nD:\\\\x"), (r"C:/new\nD:\\x".to_owned(), true));
        assert_eq!(encode(Flavour::Nagios4, r"C:\\new"), (r"C:\\new".to_owned(), false));
    }

    #[test]
    fn naemon_gets_single_backslashes_and_performance_data_last() {
        assert_eq!(encode(Flavour::Naemon, r"C:\\new|a=1"), (r"C:\new|a=1".to_owned(), false));
        assert_eq!(
            encode(Flavour::Naemon, r"OK|a=1\none\ntwo|b=2\nc=3"),
            (r"OK\none\ntwo|a=1 b=2 c=3".to_owned(), true)
        );
        assert_eq!(encode(Flavour::Naemon, r"OK\none"), (r"OK\none".to_owned(), true));
    }

    #[test]
    fn naemon_gets_newlines_through_its_spool() {
        let mut out = Vec::new();
        let output = PluginOutput::from_text(b"C:\\temp|a=1\ntwo C:\\new");
        assert!(encode_spooled_output(Flavour::Naemon, &output, &mut out));
        assert_eq!(out, b"C:\\temp|a=1\\ntwo C:/new");
    }

    #[test]
    fn cuts_respect_characters_and_escapes() {
        let cut = |text: &str, max| cut_at(text.as_bytes(), max);
        assert_eq!((cut("aü", 2), cut("a€b", 3), cut("a𝄞b", 4), cut("a𝄞b", 5)), (1, 1, 1, 5));
        assert_eq!((cut(r"a\nb", 2), cut(r"a\nb", 3), cut(r"a\\nb", 3), cut(r"a\\\nb", 4)), (1, 3, 3, 3));
        assert_eq!(cut_at(b"\xbf\xbf\xbf\xbf\xbf\xbf", 5), 5, "no UTF-8 at all");
    }

    /// What Icinga 1 and Nagios 3 make of an output: one scan for escapes, then one more for newlines.
    fn read_twice(bytes: &[u8]) -> Vec<u8> {
        let mut text = crate::result::unescape(bytes);
        while let Some(at) = text.windows(2).position(|pair| pair == b"\\n") {
            text.splice(at..at + 2, [b'\n']);
        }
        text
    }

    proptest! {
        #[test]
        fn icinga_1_reads_what_was_meant(text in "[\\\\n\na|]{0,30}") {
            let output = PluginOutput::from_text(text.as_bytes());
            let mut out = Vec::new();
            encode_output(Flavour::Icinga1, &output, &mut out);
            prop_assert_eq!(read_twice(&out), String::from_utf8(output.to_text()).unwrap().replace("\\n", "/n").into_bytes());
        }
    }
}
