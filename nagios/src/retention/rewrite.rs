//! The retention file of a core that is stopped.

use std::io::{self, Read, Write};

use super::Patch;
use crate::memory::Memory;
use crate::result::Object;
use crate::status::{BlockKind, StatusError, StatusReader};

/// Copies a retention file from `input` to `output`, with what `patch` makes of each object that it knows.
///
/// `patch` gets the object and what the core remembers of it. All other fields and blocks stay as they are, comments in the
/// file go. The core must not run: it would overwrite the file at its end.
///
/// # Errors
/// `input` is no such file, or one of both cannot be read or written. Then `output` is worth nothing.
pub fn rewrite(
    input: impl Read,
    output: &mut impl Write,
    mut patch: impl FnMut(&Object, &Memory) -> Option<Patch>,
) -> Result<(), StatusError> {
    let mut reader = StatusReader::new(input);
    let mut line = Vec::new();
    while let Some(block) = reader.next_block()? {
        let mut fields = Vec::new();
        if matches!(block.kind(), BlockKind::Host | BlockKind::Service)
            && let (Ok(object), Some(memory)) = (block.object(), block.memory())
        {
            fields = patch(&object, &memory).map(|patch| patch.fields(&object)).unwrap_or_default();
        }
        line.clear();
        line.extend_from_slice(block.name());
        line.extend_from_slice(b" {\n");
        for (key, value) in block.fields() {
            line.extend_from_slice(key);
            line.push(b'=');
            match fields.iter().position(|(new, _)| new.as_bytes() == key) {
                Some(at) => line.extend_from_slice(fields.swap_remove(at).1.to_string().as_bytes()),
                None => line.extend_from_slice(value),
            }
            line.push(b'\n');
        }
        fields.sort_unstable();
        for (key, value) in fields {
            super::append_field(&mut line, key, value);
        }
        line.extend_from_slice(b"}\n");
        output.write_all(&line).map_err(unwritable)?;
    }
    output.flush().map_err(unwritable)
}

fn unwritable(source: io::Error) -> StatusError {
    StatusError::Io { line: 0, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::States;
    use crate::retention::Scope;

    const FILE: &str = "\
info {
created=1700000000
}
program {
enable_notifications=1
}
service {
host_name=web1
service_description=S
current_state=2
has_been_checked=1
plugin_output=last_notification=7
last_check=90
notified_on_critical=0
current_notification_number=0
last_notification=0
state_history=0,1,2
}
host {
host_name=web1
plugin_output=
}
servicecomment {
host_name=web1
service_description=S
comment_data=x = y
}
";

    #[test]
    fn only_what_is_meant_is_changed() {
        let mut out = Vec::new();
        rewrite(FILE.as_bytes(), &mut out, |object, memory| {
            object.service()?;
            assert_eq!((memory.last_check, memory.state), (90, 2));
            let notified_on = States::only(2);
            let memory = Memory { notified_on, notifications: 3, last_notification: 80, ..memory.clone() };
            Some(Patch { memory, scope: Scope::Notifications })
        })
        .unwrap();
        let expected = FILE
            .replace("notified_on_critical=0", "notified_on_critical=1")
            .replace("current_notification_number=0", "current_notification_number=3")
            .replace("\nlast_notification=0", "\nlast_notification=80")
            .replace(
                "0,1,2\n",
                "0,1,2\nacknowledgement_type=0\nis_flapping=0\nnotified_on_unknown=0\nnotified_on_warning=0\n\
                 problem_has_been_acknowledged=0\n",
            );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn without_a_patch_nothing_is_changed() {
        let mut out = Vec::new();
        rewrite(FILE.as_bytes(), &mut out, |_, _| None).unwrap();
        assert_eq!(out, FILE.as_bytes());
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let cut = &FILE.as_bytes()[..FILE.len() - 3];
        assert!(matches!(rewrite(cut, &mut Vec::new(), |_, _| None), Err(StatusError::Truncated { .. })));
    }
}
