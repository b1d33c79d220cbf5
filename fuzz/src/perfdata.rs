//! Lines of the perfdata FIFO.

use nagios::{CheckResult, PluginOutput, ServiceDescription, unescape};
use sender::perfdata::frame::{Line, Lines, MAX_LINE_BYTES, parse};
use sender::perfdata::template::{END, HOST_START, SEPARATOR, SERVICE_START};

use super::pieces::{SIZES_BYTES, pieces};
use super::submission::one_line_each;

/// `data`: the sizes of pieces, and what the core and its accidents put into the FIFO.
///
/// Lines do not depend on how the stream is cut. Each result is a frame that stands whole in its line, and each start of
/// a frame gives a result or is counted as damaged. Tearing the line anywhere makes no other result of it.
pub fn perfdata(data: &[u8]) {
    let Some((sizes, stream)) = data.split_first_chunk::<SIZES_BYTES>() else { return };
    if stream.len() > MAX_LINE_BYTES {
        return;
    }
    let whole = read([stream]);
    assert_eq!(whole, read(pieces(stream, *sizes)), "pieces make a difference");
    let mut lines: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    // What follows the last newline is not complete yet.
    lines.pop();
    assert_eq!(whole.len(), lines.len());
    for raw in lines {
        check(&parse(raw), raw);
        tear(raw, usize::from(u16::from_le_bytes([sizes[0], sizes[1]])));
    }
}

/// A line's results, damages and foreign part.
type Read = (Vec<CheckResult>, u64, Vec<u8>);

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Read> {
    let (mut lines, mut all) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.feed(piece, &mut |line| all.push((line.results, line.damaged, line.foreign.to_vec())));
    }
    all
}

fn check(line: &Line<'_>, raw: &[u8]) {
    assert_eq!(line.raw, raw);
    assert!(raw.starts_with(line.foreign), "the foreign part is not the line's beginning");
    let parts = parts(raw);
    let starts = parts.iter().filter(|part| part.begins_frame()).count();
    let counted = line.results.len() + usize::try_from(line.damaged).expect("at most one for each byte");
    assert!(counted == starts || counted == starts + 1, "{starts} frames begin, {counted} are counted");

    let mut frames = (0..parts.len()).filter_map(|at| frame(&parts[at..]));
    for result in &line.results {
        assert!(frames.any(|fields| says(&fields, result)), "no frame says {result:?}");
        one_line_each(result);
    }
}

/// A torn line makes the results before the tear from its head, and those after it from its tail.
fn tear(raw: &[u8], at: usize) {
    let (head, tail) = raw.split_at(at % (raw.len() + 1));
    let (whole, head, tail) = (parse(raw).results, parse(head).results, parse(tail).results);
    assert!(whole.starts_with(&head), "the head of a torn line says {head:?}");
    assert!(whole.ends_with(&tail), "the tail of a torn line says {tail:?}");
}

/// A line is markers and texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Marker(&'static str),
    Text(&'a [u8]),
}

impl Part<'_> {
    fn begins_frame(self) -> bool {
        self == Part::Marker(SERVICE_START) || self == Part::Marker(HOST_START)
    }
}

/// The markers in `raw`, with the text after each, which may be empty.
fn parts(raw: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut text_at, mut at) = (0, 0);
    while at < raw.len() {
        let marker = [SERVICE_START, HOST_START, SEPARATOR, END]
            .into_iter()
            .find(|marker| raw[at..].starts_with(marker.as_bytes()));
        let Some(marker) = marker else {
            at += 1;
            continue;
        };
        parts.extend([Part::Text(&raw[text_at..at]), Part::Marker(marker)]);
        at += marker.len();
        text_at = at;
    }
    parts.push(Part::Text(&raw[text_at..]));
    parts
}

/// The fields of the whole frame that `parts` begin with.
fn frame<'a>(parts: &[Part<'a>]) -> Option<Vec<&'a [u8]>> {
    let (Part::Marker(start), mut rest) = parts.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    let fields = match start {
        SERVICE_START => 13,
        HOST_START => 11,
        _ => return None,
    };
    let mut texts = Vec::new();
    while let [Part::Text(text), Part::Marker(marker), tail @ ..] = rest {
        texts.push(*text);
        rest = tail;
        match *marker {
            SEPARATOR => {}
            END => return (texts.len() == fields).then_some(texts),
            _ => return None,
        }
    }
    None
}

/// Whether the fields of a frame, both ends included, say just what `result` says.
fn says(fields: &[&[u8]], result: &CheckResult) -> bool {
    let names: Vec<&[u8]> = std::iter::once(result.object.host().as_bytes())
        .chain(result.object.service().map(ServiceDescription::as_bytes))
        .collect();
    let ([before @ .., second, id, state_type, attempt, check_type, output, perfdata, long], after) =
        fields.split_at(fields.len() - names.len() - 1)
    else {
        return false;
    };
    let is = |field: &[u8], number: i64| {
        let text = str::from_utf8(field).unwrap_or_default();
        text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse() == Ok(number)
    };
    before == names
        && after == [&names[..], &[second]].concat()
        && is(second, result.check_time.seconds())
        && is(id, result.code.get().into())
        && result.attempt.is_some_and(|number| is(attempt, number.into()))
        && shown(result.state_type) == *state_type
        && (result.check_type.is_none() || shown(result.check_type) == *check_type)
        && result.output == PluginOutput::from_parts(output, perfdata, &unescape(long))
}

/// The core's word for a state type or a check type.
fn shown(value: Option<impl std::fmt::Debug>) -> Vec<u8> {
    value.map(|value| format!("{value:?}").to_ascii_uppercase().into_bytes()).unwrap_or_default()
}
