//! The core's status file.

use std::io::{BufRead, BufReader};

use nagios::status::{Block, StatusError, StatusReader};
use nagios::{Flavour, PluginOutput};

/// A block's name and fields.
type Contents = (Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);
/// The same as slices of the input.
type Slices<'a> = (&'a [u8], Vec<(&'a [u8], &'a [u8])>);

/// `data`: the size of the reader's buffer (u8), and the file.
///
/// Blocks and errors do not depend on the buffer. Blocks are, line by line, what stands in the file, but for lines that are no
/// fields and neither the first of a block nor a head, and their fields are found by name. What is read from a block is fit for a command file.
pub fn status(data: &[u8]) {
    let Some((capacity, file)) = data.split_first() else { return };
    let (blocks, end) = read(file);
    let (buffered, buffered_end) = read(BufReader::with_capacity(usize::from(*capacity) + 1, file));
    assert!(blocks == buffered, "the buffer makes a difference: {blocks:?} {buffered:?}");
    let error = |end: &Result<(), StatusError>| end.as_ref().err().map(ToString::to_string);
    assert_eq!(error(&end), error(&buffered_end));

    let (expected, whole) = slices(file);
    let expected: Vec<Contents> = expected.into_iter().map(owned).collect();
    assert_eq!(blocks, expected);
    assert_eq!(end.is_ok(), whole, "{end:?}");
}

fn read(input: impl BufRead) -> (Vec<Contents>, Result<(), StatusError>) {
    let mut reader = StatusReader::new(input);
    let mut blocks = Vec::new();
    loop {
        match reader.next_block() {
            Ok(Some(block)) => {
                look_at(&block);
                blocks.push(owned((block.name(), block.fields().collect())));
            }
            Ok(None) => return (blocks, Ok(())),
            Err(error) => {
                assert!(matches!(reader.next_block(), Ok(None)), "an error is the end");
                return (blocks, Err(error));
            }
        }
    }
}

fn owned((name, fields): Slices<'_>) -> Contents {
    (name.into(), fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}

/// The blocks of a file whose lines are all in memory, and whether the file is nothing but blocks.
fn slices(file: &[u8]) -> (Vec<Slices<'_>>, bool) {
    let mut blocks = Vec::new();
    let mut open: Option<Slices<'_>> = None;
    let mut is_next_first = false;
    for line in file.split(|byte| *byte == b'\n') {
        let trimmed = line.trim_ascii();
        let is_first = std::mem::take(&mut is_next_first);
        if trimmed.is_empty() || trimmed.starts_with(b"#") {
            continue;
        }
        let Some((_, fields)) = &mut open else {
            let Some(name) = trimmed.strip_suffix(b"{") else { return (blocks, false) };
            open = Some((name.trim_ascii(), Vec::new()));
            is_next_first = true;
            continue;
        };
        if trimmed == b"}" {
            blocks.extend(open.take());
            continue;
        }
        let text = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
        match text.iter().position(|byte| *byte == b'=') {
            Some(at) => fields.push((&text[..at], &text[at + 1..])),
            // Where there must be a field.
            None if is_first || line.ends_with(b"{") => return (blocks, false),
            None => {}
        }
    }
    (blocks, open.is_none())
}

fn look_at(block: &Block<'_>) {
    for (key, _) in block.fields() {
        let first = block.fields().find(|field| field.0 == key).map(|field| field.1);
        if let Some(key) = str::from_utf8(key).ok().filter(|key| !key.is_empty()) {
            assert_eq!(block.get(key), first, "{key} is not found by its name");
        }
    }
    if let Some(info) = block.info_status() {
        let _ = (info.created(), info.version());
    }
    if let Some(program) = block.program_status() {
        let _ = (program.program_start(), program.pid(), program.enable_notifications());
        let _ = (program.active_service_checks_enabled(), program.active_host_checks_enabled());
    }
    let remark = block.comment().map(|it| (it.author, it.text)).or(block.downtime().map(|it| (it.author, it.text)));
    if let Some((author, text)) = remark {
        assert!(![author.as_bytes(), text.as_bytes()].concat().iter().any(u8::is_ascii_control));
        assert!(!author.as_bytes().contains(&b';'), "{author:?}");
    }
    assert_eq!(block.memory().is_some(), block.object_status().is_some());
    if let Some(object) = block.object_status() {
        let _ = (object.has_been_checked(), object.state(), object.state_type(), object.check_type());
        let _ = (object.current_attempt(), object.last_check(), object.object());
        for flavour in Flavour::all() {
            fits_one_line(&object.output(flavour));
        }
    }
}

fn fits_one_line(output: &PluginOutput) {
    assert!(!output.escaped().iter().any(|byte| matches!(byte, 0 | b'\n')), "{output:?}");
}
