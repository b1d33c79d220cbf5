//! From the bytes of the perfdata FIFO to check results.
//!
//! [`template`](super::template) describes the frame. Invariant: a result comes out only of a frame that begins with a
//! start marker, has exactly its number of fields, names the same object and second at both ends, and closes with the
//! end marker before the line does. Whatever else arrives is counted and passed over, up to the next start marker or
//! line; nothing that was torn becomes a result. A plugin whose output holds one of the markers loses that result.

use memchr::{memchr, memmem};
use nagios::{
    CheckResult, CheckType, HostName, Object, PluginOutput, ReturnCode, ServiceDescription, StateType, Timestamp,
    unescape,
};

use super::template::{END, HOST_MACROS, HOST_START, SEPARATOR, SERVICE_MACROS, SERVICE_START};

/// The longest line that is read. Nagios keeps at most 8 KiB of a plugin's output, and 64 KiB of a passive result's.
pub const MAX_LINE_BYTES: usize = 256 << 10;

/// The length of every marker.
const MARKER_BYTES: usize = 7;
const _: () = assert!(SERVICE_START.len() == MARKER_BYTES && HOST_START.len() == MARKER_BYTES);
const _: () = assert!(SEPARATOR.len() == MARKER_BYTES && END.len() == MARKER_BYTES);

/// What all markers begin with.
const MARKER_HEAD: &[u8] = b"<us1:";

/// Cuts a stream into lines, and holds back the one that is not complete yet.
#[derive(Default)]
pub struct Lines {
    partial: Vec<u8>,
    /// Whether the line is already too long and is being passed over.
    overlong: bool,
}

/// One line of the stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line as it came, without its newline. Empty if it was longer than [`MAX_LINE_BYTES`].
    pub raw: &'a [u8],
    /// The results in it, usually one.
    pub results: Vec<CheckResult>,
    /// How many frames in it were torn, glued or otherwise not whole.
    pub damaged: u64,
    /// What stands before the first frame: the line of another template, or nothing.
    pub foreign: &'a [u8],
}

impl Lines {
    /// Takes bytes as they were read and hands every complete line to `sink`.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Line<'_>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.overlong || self.partial.len() + head.len() > MAX_LINE_BYTES {
                self.partial.clear();
                self.overlong = false;
                sink(Line { raw: b"", results: Vec::new(), damaged: 1, foreign: b"" });
            } else if self.partial.is_empty() {
                sink(parse(head));
            } else {
                self.partial.extend_from_slice(head);
                sink(parse(&self.partial));
                self.partial.clear();
            }
        }
        if self.overlong || self.partial.len() + bytes.len() > MAX_LINE_BYTES {
            self.overlong = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }
}

impl Line<'_> {
    /// What the former owner of the perfdata file expects: the part of the line that another template made, or the
    /// whole line if there is no other.
    #[must_use]
    pub fn for_copy(&self) -> &[u8] {
        if self.foreign.trim_ascii().is_empty() { self.raw } else { self.foreign.trim_ascii_end() }
    }
}

/// Reads one line, without its newline.
#[must_use]
pub fn parse(raw: &[u8]) -> Line<'_> {
    let first = find_start(raw).unwrap_or(raw.len());
    let (foreign, mut rest) = raw.split_at(first);
    let mut line = Line { raw, results: Vec::new(), damaged: 0, foreign };
    while !rest.is_empty() {
        // A frame may be glued to the next, which begins with the next start marker.
        let next = find_start(&rest[MARKER_BYTES..]).map_or(rest.len(), |at| at + MARKER_BYTES);
        match frame(&rest[..next]) {
            Some(result) => line.results.push(result),
            None => line.damaged += 1,
        }
        rest = &rest[next..];
    }
    // The rest of a frame whose beginning was lost. Its words must not pass for another template's.
    if [SEPARATOR, END].iter().any(|marker| find(line.foreign, marker).is_some()) {
        line.damaged += 1;
        line.foreign = b"";
    }
    line
}

/// Reads from a start marker to before the next one.
fn frame(bytes: &[u8]) -> Option<CheckResult> {
    let (start, rest) = bytes.split_at_checked(MARKER_BYTES)?;
    let body = &rest[..find(rest, END)?];
    if start == SERVICE_START.as_bytes() {
        let [host, service, time, id, state_type, attempt, check_type, output, perfdata, long, host2, service2, time2] =
            fields::<{ SERVICE_MACROS.len() }>(body)?;
        let object = Object::Service(HostName::try_from(host).ok()?, ServiceDescription::try_from(service).ok()?);
        ((host, service, time) == (host2, service2, time2))
            .then(|| result(object, time, [id, state_type, attempt, check_type], [output, perfdata, long]))?
    } else {
        let [host, time, id, state_type, attempt, check_type, output, perfdata, long, host2, time2] =
            fields::<{ HOST_MACROS.len() }>(body)?;
        let object = Object::Host(HostName::try_from(host).ok()?);
        ((host, time) == (host2, time2))
            .then(|| result(object, time, [id, state_type, attempt, check_type], [output, perfdata, long]))?
    }
}

fn result(object: Object, time: &[u8], short: [&[u8]; 4], texts: [&[u8]; 3]) -> Option<CheckResult> {
    let [id, state_type, attempt, check_type] = short;
    let [output, perfdata, long_output] = texts;
    Some(CheckResult {
        object,
        code: ReturnCode::new(number(id)?),
        output: PluginOutput::from_parts(output, perfdata, &unescape(long_output)),
        check_time: Timestamp::from_seconds(number::<u32>(time)?.into()),
        state_type: match state_type {
            b"SOFT" => Some(StateType::Soft),
            b"HARD" => Some(StateType::Hard),
            _ => return None,
        },
        attempt: Some(number(attempt)?),
        check_type: match check_type {
            b"ACTIVE" => Some(CheckType::Active),
            b"PASSIVE" => Some(CheckType::Passive),
            _ => None,
        },
    })
}

/// Digits and nothing else.
fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    let digits = field.iter().all(u8::is_ascii_digit).then_some(field)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Exactly `N` fields.
fn fields<const N: usize>(mut body: &[u8]) -> Option<[&[u8]; N]> {
    let mut fields = [&b""[..]; N];
    for field in &mut fields[..N - 1] {
        let end = find(body, SEPARATOR)?;
        *field = &body[..end];
        body = &body[end + MARKER_BYTES..];
    }
    fields[N - 1] = body;
    find(body, SEPARATOR).is_none().then_some(fields)
}

fn find_start(bytes: &[u8]) -> Option<usize> {
    memmem::find_iter(bytes, MARKER_HEAD)
        .find(|at| [SERVICE_START, HOST_START].iter().any(|start| bytes[*at..].starts_with(start.as_bytes())))
}

fn find(bytes: &[u8], marker: &str) -> Option<usize> {
    memmem::find(bytes, marker.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn service_line(second: u32, output: &str) -> Vec<u8> {
        let s = SEPARATOR;
        format!(
            "{SERVICE_START}web ö{s}http|x{s}{second}{s}2{s}HARD{s}3{s}ACTIVE{s}{output}{s}time=1s{s}a \\\\ b\\nlast{s}\
             web ö{s}http|x{s}{second}{END}"
        )
        .into_bytes()
    }

    fn host_line(second: u32, output: &str) -> Vec<u8> {
        let s = SEPARATOR;
        format!("{HOST_START}web{s}{second}{s}1{s}SOFT{s}1{s}$HOSTCHECKTYPE${s}{output}{s}{s}{s}web{s}{second}{END}")
            .into_bytes()
    }

    fn read(stream: &[u8]) -> (Vec<CheckResult>, u64) {
        let (mut results, mut damaged) = (Vec::new(), 0);
        Lines::default().feed(stream, &mut |line| {
            results.extend(line.results);
            damaged += line.damaged;
        });
        (results, damaged)
    }

    #[test]
    fn a_whole_service_line() {
        let bytes = service_line(1_700_000_000, "CRIT: \"$x\" `y` \t ; \\n");
        let line = parse(&bytes);
        assert_eq!((line.results.len(), line.damaged, line.foreign), (1, 0, &b""[..]));
        let result = &line.results[0];
        assert_eq!(result.object.to_string(), "web ö;http|x");
        assert_eq!(result.code.get(), 2);
        assert_eq!(result.check_time, Timestamp::from_seconds(1_700_000_000));
        assert_eq!((result.state_type, result.attempt), (Some(StateType::Hard), Some(3)));
        assert_eq!(result.check_type, Some(CheckType::Active));
        assert_eq!(result.output.to_text(), b"CRIT: \"$x\" `y` \t ; \\n|time=1s\na \\ b\nlast");
    }

    #[test]
    fn a_whole_host_line_with_empty_texts_and_an_unknown_macro() {
        let bytes = host_line(5, "");
        let line = parse(&bytes);
        assert_eq!((line.results.len(), line.damaged), (1, 0));
        assert_eq!(line.results[0].object.to_string(), "web");
        assert_eq!((line.results[0].code.get(), line.results[0].check_type), (1, None));
        assert_eq!(line.results[0].output.to_text(), b"");
    }

    #[test]
    fn frames_glued_whole_are_all_read() {
        let stream = [service_line(1, "a"), host_line(2, "b"), b"\n".to_vec()].concat();
        let (results, damaged) = read(&stream);
        assert_eq!((results.len(), damaged), (2, 0));
    }

    #[test]
    fn what_is_not_whole_is_no_result() {
        let whole = service_line(1, "out");
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]).results, [], "cut at {end}");
            assert_eq!(parse(&whole[end + 1..]).results, [], "without the first {}", end + 1);
        }
        let text = String::from_utf8(whole).unwrap();
        for (from, to) in [
            ("<us1:|>HARD", "<us1:|>WARM"),
            ("<us1:|>3<us1:|>", "<us1:|>-3<us1:|>"),
            ("<us1:|>2<us1:|>", "<us1:|>99999<us1:|>"),
            ("<us1:|>2<us1:|>", "<us1:|><us1:|>"),
            ("web ö<us1:|>http|x<us1:|>1<us1:.>", "web2<us1:|>http|x<us1:|>1<us1:.>"),
            ("<us1:|>1<us1:.>", "<us1:|>2<us1:.>"),
            ("<us1:|>out<us1:|>", "<us1:|>out<us1:|><us1:|>"),
            ("<us1:|>out<us1:|>", "<us1:|>"),
            ("http|x", "http\x01x"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let line = parse(changed.as_bytes());
            assert_eq!((line.results.len(), line.damaged), (0, 1), "{changed}");
        }
    }

    #[test]
    fn an_output_with_markers_forges_nothing() {
        let s = SEPARATOR;
        let forged = format!("{SERVICE_START}db{s}disk{s}1{s}0{s}HARD{s}1{s}ACTIVE{s}fine{s}{s}{s}db{s}disk{s}1");
        for output in [forged.clone(), format!("{forged}{s}"), "x<us1:.>".into(), "<us1:H>".into(), s.into()] {
            assert_eq!(parse(&service_line(1, &output)).results, [], "{output}");
        }
    }

    #[test]
    fn another_template_may_stand_in_front() {
        let former = "DATATYPE::SERVICEPERFDATA\tTIMET::1\t";
        let bytes = [former.as_bytes(), &service_line(1, "out")].concat();
        let line = parse(&bytes);
        assert_eq!((line.results.len(), line.damaged), (1, 0));
        assert_eq!(line.for_copy(), former.trim_end().as_bytes());
        let bytes = service_line(1, "out");
        assert_eq!(parse(&bytes).for_copy(), bytes);
    }

    #[test]
    fn the_rest_of_a_torn_line_is_not_passed_on_as_another_template_s() {
        let stream = [&service_line(1, "out")[20..], &service_line(2, "out")].concat();
        let line = parse(&stream);
        assert_eq!((line.results.len(), line.damaged, line.foreign), (1, 1, &b""[..]));
    }

    #[test]
    fn lines_are_bounded() {
        let mut lines = Lines::default();
        let (mut results, mut damaged) = (0, 0);
        let mut count = |line: Line<'_>| {
            results += line.results.len();
            damaged += line.damaged;
        };
        for _ in 0..4 {
            lines.feed(&vec![b'x'; MAX_LINE_BYTES / 2], &mut count);
        }
        assert!(lines.partial.capacity() <= MAX_LINE_BYTES);
        lines.feed(b"\n", &mut count);
        lines.feed(&[service_line(1, "after"), b"\n".to_vec()].concat(), &mut count);
        assert_eq!((results, damaged), (1, 1));
    }

    /// A line as the core may write it: a head of it, and its newline or not.
    fn torn() -> impl Strategy<Value = (u8, usize, bool)> {
        (0_u8..3, prop_oneof![3 => Just(usize::MAX), 2 => 0_usize..300], prop::bool::weighted(0.8))
    }

    proptest! {
        #[test]
        fn tearing_makes_no_result_that_was_not_written(
            lines in prop::collection::vec(torn(), 1..12),
            chunk in 1_usize..400,
        ) {
            let (mut stream, mut written, mut whole) = (Vec::new(), Vec::new(), 0);
            for (second, (kind, kept, newline)) in (1_700_000_000_u32..).zip(lines) {
                let line = match kind {
                    0 => host_line(second, "up"),
                    _ => service_line(second, "a longer output\twith 'quotes'"),
                };
                written.extend(parse(&line).results);
                whole += usize::from(kept >= line.len());
                stream.extend_from_slice(&line[..kept.min(line.len())]);
                stream.extend(newline.then_some(b'\n'));
            }
            stream.push(b'\n');
            let mut results = Vec::new();
            let mut reader = Lines::default();
            for piece in stream.chunks(chunk) {
                reader.feed(piece, &mut |line| results.extend(line.results));
            }
            prop_assert_eq!(results.len(), whole);
            prop_assert!(results.iter().all(|result| written.contains(result)));
        }

        /// A hole from within one line to within a later one.
        #[test]
        fn holes_make_no_result_that_was_not_written(from in 0_usize..1000, length in 0_usize..1000) {
            let lines: Vec<_> = (0..4).map(|n| service_line(1_700_000_000 + n, &format!("output {n}"))).collect();
            let written: Vec<_> = lines.iter().flat_map(|line| parse(line).results).collect();
            let mut stream = lines.join(&b'\n');
            stream.push(b'\n');
            let from = from.min(stream.len());
            let to = (from + length).min(stream.len());
            prop_assume!(stream[from..to].contains(&b'\n'));
            stream.drain(from..to);
            let (results, _) = read(&stream);
            prop_assert!(results.iter().all(|result| written.contains(result)));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            read(&[&bytes[..], b"\n"].concat());
        }
    }
}
