//! The core's log.

use nagios::log::{LogEvent, LogLines, MAX_LOG_LINE_BYTES};

/// `data`: the size of the pieces in which it comes (u8), and the log.
///
/// The lines are the same however they come. What a notification says stands in its line, and its object is fit for a command
/// file.
pub fn log(data: &[u8]) {
    let Some((size, log)) = data.split_first() else { return };
    let whole = lines([log]);
    assert_eq!(lines(log.chunks(usize::from(*size) + 1)), whole, "the pieces make a difference");
    for line in &whole {
        assert!(line.len() <= MAX_LOG_LINE_BYTES && !line.contains(&b'\n'));
        if let Some(LogEvent::Notification(told)) = LogEvent::parse(line) {
            let host = told.object.host().as_bytes();
            let service = told.object.service().map_or(&b""[..], |service| service.as_bytes());
            for text in [told.contact, host, service, told.command, told.output] {
                assert!(text.is_empty() || line.windows(text.len()).any(|part| part == text), "{told:?}");
            }
            assert!(![host, service].concat().iter().any(|byte| byte.is_ascii_control() || *byte == b';'));
            assert!(told.state < 4);
        }
    }
}

fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut lines, mut all) = (LogLines::default(), Vec::new());
    for piece in pieces {
        lines.handle_bytes(piece, |line| all.push(line.to_vec()));
    }
    all
}
