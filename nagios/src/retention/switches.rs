//! The switches in the retention file, which a core reads when it starts.
//!
//! ```text
//! info {
//! created=1795384720
//! }
//! program {
//! modified_host_attributes=3         bit 0: of enable_notifications, bit 1: of active_host_checks_enabled
//! modified_service_attributes=3      bit 1: of active_service_checks_enabled
//! enable_notifications=1
//! active_service_checks_enabled=1
//! active_host_checks_enabled=1
//! …
//! }
//! host {                             then every object, 1 kB each
//! ```
//!
//! A switch counts only if its bit says that a command has changed it; otherwise the core begins with its configuration's.
//! With `use_retained_program_state=0` none of them counts, with `retain_state_information=0` nothing of the file. Tried on
//! Nagios 4.4.6.
//!
//! **Invariant:** a switch is one digit, so setting it moves no other byte.

use std::ops::Range;

/// How much of a retention file's beginning holds all that this module wants, in bytes. Cores write less than a tenth of it
/// before the first object.
pub const HEAD_BYTES: usize = 64 << 10;

/// A switch of the core as a whole that it keeps across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetainedSwitch {
    /// Whether notifications are sent.
    Notifications,
    /// Whether services are checked actively.
    ServiceChecks,
    /// Whether hosts are checked actively.
    HostChecks,
}

/// It holds no switches of a core, and was not changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no `program` block at the file's beginning: is it the core's state_retention_file?")]
pub struct NotARetentionFile;

/// Turns those of `switches` off that are on in `head`, the beginning of a retention file, and count there. Says which those
/// were.
///
/// # Errors
/// See [`NotARetentionFile`].
pub fn silence(head: &mut [u8], switches: &[RetainedSwitch]) -> Result<Vec<RetainedSwitch>, NotARetentionFile> {
    let block = program_block(head).ok_or(NotARetentionFile)?;
    let is_on = |switch: &RetainedSwitch| {
        let (attributes, bit) = switch.modified();
        let modified = value(head, &block, attributes).and_then(|value| number(&head[value]));
        let place = value(head, &block, switch.key()).filter(|value| head[value.clone()] == *b"1")?;
        modified.is_some_and(|modified| modified & bit != 0).then_some((*switch, place.start))
    };
    let on: Vec<_> = switches.iter().filter_map(is_on).collect();
    for (_, place) in &on {
        head[*place] = b'0';
    }
    Ok(on.into_iter().map(|(switch, _)| switch).collect())
}

impl RetainedSwitch {
    /// Its name in the file.
    pub fn key(self) -> &'static str {
        match self {
            RetainedSwitch::Notifications => "enable_notifications",
            RetainedSwitch::ServiceChecks => "active_service_checks_enabled",
            RetainedSwitch::HostChecks => "active_host_checks_enabled",
        }
    }

    /// The bit that says whether it counts, and in which attributes.
    fn modified(self) -> (&'static str, u64) {
        match self {
            RetainedSwitch::Notifications => ("modified_host_attributes", 1),
            RetainedSwitch::HostChecks => ("modified_host_attributes", 2),
            RetainedSwitch::ServiceChecks => ("modified_service_attributes", 2),
        }
    }
}

/// The lines of the `program` block, if all of it is there.
fn program_block(head: &[u8]) -> Option<Range<usize>> {
    let mut start = None;
    for line in lines(head, 0..head.len()) {
        match (start, head[line.clone()].trim_ascii()) {
            (None, b"program {") => start = Some(line.end),
            (Some(start), b"}") => return Some(start..line.start),
            _ => {}
        }
    }
    None
}

/// Where the value of `key` is.
fn value(head: &[u8], block: &Range<usize>, key: &str) -> Option<Range<usize>> {
    lines(head, block.clone()).find_map(|line| {
        let text = head[line.clone()].trim_ascii();
        let value = text.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
        let end = line.start + head[line].trim_ascii_end().len();
        Some(end - value.len()..end)
    })
}

/// Where the lines of `range` are, without their ends.
fn lines(head: &[u8], range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = range.start;
    head[range].split(|byte| *byte == b'\n').map(move |line| {
        let line = start..start + line.len();
        start = line.end + 1;
        line
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use RetainedSwitch::{HostChecks, Notifications, ServiceChecks};

    const ALL: [RetainedSwitch; 3] = [Notifications, ServiceChecks, HostChecks];

    fn file(host_attributes: u8, service_attributes: u8, on: u8) -> String {
        format!(
            "# DO NOT MODIFY\ninfo {{\ncreated=1\nenable_notifications=1\n}}\nprogram {{\n\
             modified_host_attributes={host_attributes}\nmodified_service_attributes={service_attributes}\n\
             enable_notifications={on}\nactive_service_checks_enabled={on}\npassive_service_checks_enabled=1\n\
             active_host_checks_enabled={on}\nglobal_host_event_handler=\n}}\n\
             host {{\nhost_name=web1\nenable_notifications=1\nactive_host_checks_enabled=1\n}}\n"
        )
    }

    fn silenced(text: &str, switches: &[RetainedSwitch]) -> (String, Vec<RetainedSwitch>) {
        let mut head = text.as_bytes().to_vec();
        let changed = silence(&mut head, switches).unwrap();
        (String::from_utf8(head).unwrap(), changed)
    }

    #[test]
    fn what_is_on_is_turned_off_and_nothing_else_changes() {
        assert_eq!(silenced(&file(3, 3, 1), &ALL), (file(3, 3, 0), ALL.to_vec()));
        assert_eq!(silenced(&file(3, 3, 0), &ALL), (file(3, 3, 0), vec![]));
        let (text, changed) = silenced(&file(3, 3, 1), &[Notifications]);
        assert_eq!(changed, [Notifications]);
        assert_eq!(text, file(3, 3, 1).replace("=3\nenable_notifications=1", "=3\nenable_notifications=0"));
    }

    #[test]
    fn a_switch_that_no_command_changed_does_not_count() {
        for (host_attributes, service_attributes, counts) in
            [(0, 0, vec![]), (1, 1, vec![Notifications]), (2, 0, vec![HostChecks]), (12, 2, vec![ServiceChecks])]
        {
            let text = file(host_attributes, service_attributes, 1);
            assert_eq!(silenced(&text, &ALL).1, counts, "{host_attributes} {service_attributes}");
        }
    }

    #[test]
    fn blanks_are_no_matter_and_other_values_are_left_alone() {
        let (text, changed) =
            silenced("program {\n\tmodified_host_attributes=1\n\tenable_notifications=1 \n\t}\n", &ALL);
        assert_eq!(text, "program {\n\tmodified_host_attributes=1\n\tenable_notifications=0 \n\t}\n");
        assert_eq!(changed, [Notifications]);
        let odd = "program {\nmodified_host_attributes=1\nenable_notifications=10\n}\n";
        assert_eq!(silenced(odd, &ALL), (odd.to_owned(), vec![]));
    }

    #[test]
    fn what_is_cut_anywhere_is_changed_only_if_the_whole_block_is_there() {
        let whole = file(3, 3, 1);
        let end = whole.find("}\nhost").unwrap();
        for cut in 0..whole.len() {
            let mut head = whole.as_bytes()[..cut].to_vec();
            let changed = silence(&mut head, &ALL);
            assert_eq!(changed.is_ok(), cut > end, "cut at {cut}");
            assert_eq!(head.len(), cut);
            assert!(changed.is_ok() || head == whole.as_bytes()[..cut], "cut at {cut}");
        }
    }
}
