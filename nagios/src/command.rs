//! External commands that submit check results: encoded per flavour, grouped into atomic writes, parsed again.
//! [`ObjectCommand`] and [`ModeCommand`] are the others.
//!
//! ```text
//! [unix seconds] PROCESS_SERVICE_CHECK_RESULT;host;description;code;output␊
//! [unix seconds] PROCESS_HOST_CHECK_RESULT;host;code;output␊
//! ```
//!
//! Host, description and code end at a `;`, the output at the end of the line. For Nagios 4 a line is byte for byte what
//! the stock `nsca` writes for what `send_nsca` escaped; [`crate::flavour`] says what other cores need.
//!
//! **Invariant:** what is encoded is exactly one line.

mod escape;
mod mode;
mod object;

use std::io::Write as _;

use crate::flavour::Flavour;
use crate::result::{
    CheckResult, HostName, NameError, Object, PluginOutput, ReturnCode, ServiceDescription, Timestamp,
};
use escape::encode_output;
pub(crate) use escape::encode_spooled_output;
pub use mode::ModeCommand;
pub use object::{ObjectCommand, ObjectSwitch, Order};

/// Writes of at most this many bytes are atomic in a FIFO: nothing of another writer comes in between (Linux).
pub const PIPE_BUF: usize = 4096;
const _: () = assert!(PIPE_BUF == nix::libc::PIPE_BUF);

const SERVICE_RESULT: &[u8] = b"PROCESS_SERVICE_CHECK_RESULT";
const HOST_RESULT: &[u8] = b"PROCESS_HOST_CHECK_RESULT";

/// What became of a result on its way into a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a cut or altered output is worth counting"]
pub struct Encoded {
    /// The core's line limit cut the output; its end is lost.
    pub cut: bool,
    /// The flavour cannot take the output as it is: a backslash was replaced, or newlines flattened.
    pub altered: bool,
}

/// Appends `result` to `out` as one whole line that ends in a newline.
///
/// Writes what it is told: a code that the core will refuse or reinterpret goes out as it is, as with the stock `nsca`.
/// A line longer than [`Flavour::max_line_bytes`] is cut, never inside a UTF-8 character or an escape.
pub fn process_check_result(flavour: Flavour, result: &CheckResult, out: &mut Vec<u8>) -> Encoded {
    let start = out.len();
    write!(out, "[{}] ", result.check_time.seconds()).expect("a Vec takes every write");
    match &result.object {
        Object::Host(host) => append_fields(out, &[HOST_RESULT, host.as_bytes()]),
        Object::Service(host, service) => {
            append_fields(out, &[SERVICE_RESULT, host.as_bytes(), service.as_bytes()]);
        }
    }
    write!(out, "{};", result.code).expect("a Vec takes every write");
    let altered = encode_output(flavour, &result.output, out);
    let cut = cut_line(out, start, flavour.max_line_bytes() - 1);
    out.push(b'\n');
    Encoded { cut, altered }
}

/// Groups whole lines into writes of at most [`PIPE_BUF`] bytes; a longer line is a write of its own.
///
/// What follows the last newline, if anything does, is the last line.
pub fn atomic_writes(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (write, tail) = rest.split_at(atomic_write_bytes(rest));
        rest = tail;
        Some(write)
    })
}

/// A line that submits no check result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseCommandError {
    /// It does not look like `[unix seconds] NAME;arguments`.
    #[error("the line is no external command: it must begin with `[unix seconds] NAME`")]
    NotACommand,
    /// It is another command.
    #[error("the command `{name}` submits no check result")]
    OtherCommand {
        /// Its name, shortened.
        name: String,
    },
    /// It ends before its code, or the code is no number.
    #[error("the command lacks its {field}")]
    Lacks {
        /// Which field is missing or unreadable.
        field: &'static str,
    },
    /// A name in it is none.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Reads a line of [`process_check_result`] again, with or without its newline. A missing output is an empty one.
///
/// # Errors
/// Says why the line submits no check result.
pub fn parse(line: &[u8]) -> Result<CheckResult, ParseCommandError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (seconds, command) = split_time(line).ok_or(ParseCommandError::NotACommand)?;
    let mut fields = Fields { rest: Some(command) };
    let name = fields.next("name")?;
    let object = if name == SERVICE_RESULT {
        let host = HostName::try_from(fields.next("host")?)?;
        Object::Service(host, ServiceDescription::try_from(fields.next("service description")?)?)
    } else if name == HOST_RESULT {
        Object::Host(HostName::try_from(fields.next("host")?)?)
    } else {
        let name = String::from_utf8_lossy(name).chars().take(60).collect();
        return Err(ParseCommandError::OtherCommand { name });
    };
    let code = number(fields.next("return code")?).ok_or(ParseCommandError::Lacks { field: "return code" })?;
    let output = PluginOutput::from_escaped(fields.rest.unwrap_or_default());
    Ok(CheckResult::new(object, ReturnCode::new(code), output, Timestamp::from_seconds(seconds)))
}

fn append_fields(out: &mut Vec<u8>, fields: &[&[u8]]) {
    for field in fields {
        out.extend_from_slice(field);
        out.push(b';');
    }
}

/// Shortens the line that begins at `start` to at most `max_bytes`.
fn cut_line(out: &mut Vec<u8>, start: usize, max_bytes: usize) -> bool {
    let cut = out.len() - start > max_bytes;
    if cut {
        let end = start + escape::cut_at(&out[start..], max_bytes);
        out.truncate(end);
    }
    cut
}

/// How many bytes of `lines`, which is not empty, go into the next write.
fn atomic_write_bytes(lines: &[u8]) -> usize {
    if lines.len() <= PIPE_BUF {
        return lines.len();
    }
    match memchr::memrchr(b'\n', &lines[..PIPE_BUF]) {
        Some(last) => last + 1,
        None => memchr::memchr(b'\n', &lines[PIPE_BUF..]).map_or(lines.len(), |end| PIPE_BUF + end + 1),
    }
}

fn split_time(line: &[u8]) -> Option<(i64, &[u8])> {
    let line = line.strip_prefix(b"[")?;
    let end = memchr::memchr(b']', line)?;
    Some((number(&line[..end])?, line[end + 1..].trim_ascii_start()))
}

fn number<N: std::str::FromStr>(bytes: &[u8]) -> Option<N> {
    std::str::from_utf8(bytes.trim_ascii()).ok()?.parse().ok()
}

/// The fields of a command; `rest` is none after the last one.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn next(&mut self, field: &'static str) -> Result<&'a [u8], ParseCommandError> {
        let rest = self.rest.take().ok_or(ParseCommandError::Lacks { field })?;
        match memchr::memchr(b';', rest) {
            Some(end) => {
                self.rest = Some(&rest[end + 1..]);
                Ok(&rest[..end])
            }
            None => Ok(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn service_result(output: &[u8]) -> CheckResult {
        let host = HostName::try_from("web1").unwrap();
        let object = Object::Service(host, ServiceDescription::try_from("Disk C:").unwrap());
        let output = PluginOutput::from_escaped(output);
        CheckResult::new(object, ReturnCode::new(2), output, Timestamp::from_micros(1_700_000_000_900_000))
    }

    fn line(flavour: Flavour, result: &CheckResult) -> (Vec<u8>, Encoded) {
        let mut out = Vec::new();
        let encoded = process_check_result(flavour, result, &mut out);
        (out, encoded)
    }

    #[test]
    fn lines_are_what_the_stock_nsca_writes() {
        let (text, encoded) = line(Flavour::Nagios4, &service_result(b"full; C:\\\\new|a=1\\nsecond"));
        assert_eq!(
            text.as_slice(),
            b"[1700000000] PROCESS_SERVICE_CHECK_RESULT;web1;Disk C:;2;full; C:\\\\new|a=1\\nsecond\n"
        );
        assert_eq!(encoded, Encoded::default());
        let mut host = service_result(b"");
        host.object = Object::Host(HostName::try_from("web1").unwrap());
        host.code = ReturnCode::new(-1);
        assert_eq!(line(Flavour::Nagios4, &host).0.as_slice(), b"[1700000000] PROCESS_HOST_CHECK_RESULT;web1;-1;\n");
    }

    #[test]
    fn a_line_is_cut_at_the_limit_of_its_core() {
        for flavour in Flavour::all() {
            let long = "ü".repeat(flavour.max_line_bytes());
            let (text, encoded) = line(flavour, &service_result(long.as_bytes()));
            assert!(encoded.cut);
            assert!(text.len() <= flavour.max_line_bytes() && text.len() > flavour.max_line_bytes() - 3);
            assert!(std::str::from_utf8(&text).is_ok(), "cut inside a character");
            assert!(!line(flavour, &service_result(&long.as_bytes()[..8000])).1.cut);
        }
    }

    #[test]
    fn a_line_is_not_cut_inside_an_escape() {
        let head = line(Flavour::Icinga1, &service_result(b"")).0.len() - 1;
        for pad in 0..4 {
            let room = Flavour::Icinga1.max_line_bytes() - 1 - head;
            let mut output = vec![b'x'; room - pad];
            output.extend_from_slice(b"\\\\\\n\\n\\\\");
            let (text, encoded) = line(Flavour::Icinga1, &service_result(&output));
            assert!(encoded.cut);
            let kept = &text[head + room - pad..text.len() - 1];
            assert_eq!(kept, &b"\\\\\\n"[..pad / 2 * 2], "{pad} bytes left");
        }
    }

    #[test]
    fn other_lines_are_told_apart() {
        let error = |line: &str| parse(line.as_bytes()).unwrap_err();
        assert_eq!(error(""), ParseCommandError::NotACommand);
        assert_eq!(error("PROCESS_HOST_CHECK_RESULT;a;0;x"), ParseCommandError::NotACommand);
        assert_eq!(error("[x] PROCESS_HOST_CHECK_RESULT;a;0;x"), ParseCommandError::NotACommand);
        assert_eq!(
            error("[1] SHUTDOWN_PROGRAM\n"),
            ParseCommandError::OtherCommand { name: "SHUTDOWN_PROGRAM".into() }
        );
        assert_eq!(error("[1] PROCESS_HOST_CHECK_RESULT;a"), ParseCommandError::Lacks { field: "return code" });
        assert_eq!(error("[1] PROCESS_HOST_CHECK_RESULT;a;b;"), ParseCommandError::Lacks { field: "return code" });
        assert_eq!(error("[1] PROCESS_HOST_CHECK_RESULT;;0;"), ParseCommandError::Name(NameError::Empty));
        assert_eq!(parse(b"[1] PROCESS_HOST_CHECK_RESULT;a;0").unwrap().output.escaped(), b"");
    }

    #[test]
    fn writes_hold_whole_lines_within_pipe_buf() {
        let mut lines = Vec::new();
        for size in [1, 2000, 2095, 1, 5000, 4096, 4095, 3, 9000] {
            lines.extend(std::iter::repeat_n(b'x', size - 1));
            lines.push(b'\n');
        }
        let writes: Vec<&[u8]> = atomic_writes(&lines).collect();
        assert_eq!(writes.concat(), lines);
        let sizes: Vec<usize> = writes.iter().map(|write| write.len()).collect();
        assert_eq!(sizes, [4096, 1, 5000, 4096, 4095, 3, 9000]);
        assert_eq!(atomic_writes(b"").count(), 0);
        assert_eq!(atomic_writes(b"a\nb").collect::<Vec<_>>(), [b"a\nb"]);
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            any::<u8>().prop_filter("no separator", |byte| !byte.is_ascii_control() && *byte != b';'),
            1..40,
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_for_nagios_4_is_parsed_again(
            host in name(), service in proptest::option::of(name()), code: i16,
            output in proptest::collection::vec(any::<u8>(), 0..300), seconds in 0..4_000_000_000_i64,
        ) {
            let host = HostName::try_from(host.as_slice()).unwrap();
            let object = match service {
                None => Object::Host(host),
                Some(name) => Object::Service(host, ServiceDescription::try_from(name.as_slice()).unwrap()),
            };
            let result = CheckResult::new(
                object, ReturnCode::new(code), PluginOutput::from_text(&output), Timestamp::from_seconds(seconds),
            );
            let (text, encoded) = line(Flavour::Nagios4, &result);
            prop_assert_eq!(encoded, Encoded::default());
            prop_assert_eq!(parse(&text), Ok(result));
        }

        #[test]
        fn every_flavour_gets_exactly_one_line(output in proptest::collection::vec(any::<u8>(), 0..300)) {
            for flavour in Flavour::all() {
                let (text, _) = line(flavour, &service_result(&output));
                prop_assert_eq!(text.iter().position(|byte| *byte == b'\n'), Some(text.len() - 1));
                prop_assert!(!text.contains(&0));
            }
        }

        #[test]
        fn arbitrary_lines_are_parsed_or_refused(line in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&line);
        }

        #[test]
        fn writes_lose_nothing(lines in proptest::collection::vec(prop_oneof![9 => Just(b'x'), 1 => Just(b'\n')], 0..9000)) {
            prop_assert_eq!(atomic_writes(&lines).collect::<Vec<_>>().concat(), lines);
        }
    }
}
