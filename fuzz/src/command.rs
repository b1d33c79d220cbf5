//! External commands.

use nagios::command::{PIPE_BUF, atomic_writes, parse, process_check_result};
use nagios::{CheckResult, Flavour, Timestamp};

use super::submission::one_line_each;

/// `data`: lines of a command file.
///
/// What a line submits is one line again for every flavour, and the same result when Nagios 4's line is parsed. Writes
/// are the lines, whole, and short enough not to be torn.
pub fn command(data: &[u8]) {
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        if let Ok(result) = parse(line) {
            check(&result);
        }
    }
    // No line ends in it, so the parser sees newlines only where `data` as a whole has them.
    if let Ok(result) = parse(data) {
        check(&result);
    }
    check_writes(data);
}

fn check(result: &CheckResult) {
    one_line_each(result);
    let mut line = Vec::new();
    if process_check_result(Flavour::Nagios4, result, &mut line).cut {
        return;
    }
    // A line carries whole seconds; the first and the last moment that can be told are none.
    let seconds = Timestamp::from_seconds(result.check_time.seconds());
    let expected = CheckResult { check_time: seconds, ..result.clone() };
    assert_eq!(parse(&line).as_ref(), Ok(&expected));
}

fn check_writes(lines: &[u8]) {
    let mut rest = lines;
    for write in atomic_writes(lines) {
        assert!(rest.starts_with(write) && !write.is_empty(), "a write is not what comes next");
        rest = &rest[write.len()..];
        assert!(rest.is_empty() || write.ends_with(b"\n"), "a line was torn");
        let one_line = write[..write.len() - 1].iter().all(|byte| *byte != b'\n');
        assert!(write.len() <= PIPE_BUF || one_line, "several lines that could be torn");
    }
    assert!(rest.is_empty(), "lines are missing");
}
