//! A core's memory of its objects, written for another core to take.
//!
//! ```text
//! info {
//! version=…
//! }
//! service {
//! host_name=web1
//! service_description=Disk C:
//! last_check=1700000000            Icinga 1 only, right here: a block older than the core's own by it is skipped
//! notified_on_critical=1           … and the other fields of `Patch`
//! }
//! ```
//!
//! | core | how it takes a partial file |
//! | --- | --- |
//! | Nagios 4, Naemon | put in the place of `state_retention_file`; `READ_STATE_INFORMATION` |
//! | Icinga 1 | put where `sync_retention_file` says; `SYNC_STATE_INFORMATION`; the core removes it |
//! | any that is stopped | no partial file: its own full one is rewritten ([`rewrite()`]) |
//!
//! Tried on Nagios 4.4.6. What must not be in a partial file: `created` in `info`, which would make the core believe the
//! times of next checks; `program` blocks, which carry switches; comments and downtimes, which are added again at every
//! read; output, `last_check`, `next_check`, `check_options`, which would revert what came since; `modified_attributes`, which
//! would make the core forget what its operators changed. `is_flapping` must be in every block: with
//! `use_large_installation_tweaks` its absence clears it. `next_notification` the core computes itself. Reading can set
//! `notified_on_…`, and never clears it.
//!
//! **A partial file left behind is a disaster**: a core that dies and starts with it has forgotten everything else.
//! [`RetentionFile`] keeps the old one, and knows one of ours by [`MARK`].

mod beside;
mod file;
mod rewrite;
mod switches;

pub use beside::Beside;
pub use file::{RetentionError, RetentionFile};
pub use rewrite::rewrite;
pub use switches::{HEAD_BYTES, NotARetentionFile, RetainedSwitch, silence};

use std::io::Write as _;

use crate::flavour::Flavour;
use crate::memory::{Acknowledgement, Memory};
use crate::result::{Object, StateType};

/// The first line of every partial file.
pub const MARK: &[u8] = b"# understudy: a partial retention file, to be read once and not to be kept\n";

/// What a core is to remember of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The values.
    pub memory: Memory,
    /// Which of them.
    pub scope: Scope,
}

/// How much of a memory a core is to take. Each takes what the one before takes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The time, number and states of notifications, acknowledgement, flapping.
    Notifications,
    /// State type, attempt, last hard state and times of states: right only if the core's newest result is this one.
    Course,
    /// The state itself, which takes the core back to it: its newest result has to be given to it again.
    State,
}

/// Writes a partial file.
#[derive(Debug)]
pub struct PartialFile {
    flavour: Flavour,
    text: Vec<u8>,
    objects: usize,
}

impl PartialFile {
    /// An empty one for a core of `flavour`.
    pub fn new(flavour: Flavour) -> Self {
        let text = [MARK, b"info {\nversion=understudy\n}\n"].concat();
        Self { flavour, text, objects: 0 }
    }

    /// Adds an object, each at most once.
    pub fn push(&mut self, object: &Object, patch: &Patch) {
        let out = &mut self.text;
        match object {
            Object::Host(host) => append_text(out, &[b"host {\nhost_name=", host.as_bytes(), b"\n"]),
            Object::Service(host, service) => {
                append_text(out, &[b"service {\nhost_name=", host.as_bytes()]);
                append_text(out, &[b"\nservice_description=", service.as_bytes(), b"\n"]);
            }
        }
        if self.flavour == Flavour::Icinga1 {
            append_field(out, "last_check", patch.memory.last_check);
        }
        for (key, value) in patch.fields(object) {
            append_field(out, key, value);
        }
        out.extend_from_slice(b"}\n");
        self.objects += 1;
    }

    /// How many objects are in it.
    pub fn objects(&self) -> usize {
        self.objects
    }

    /// What the file is to hold.
    pub fn into_bytes(self) -> Vec<u8> {
        self.text
    }
}

impl Patch {
    /// The fields in the core's own order.
    fn fields(&self, object: &Object) -> Vec<(&'static str, i64)> {
        let memory = &self.memory;
        let is_host = object.service().is_none();
        let mut fields = Vec::with_capacity(20);
        if self.scope >= Scope::State {
            fields.push(("current_state", memory.state.into()));
        }
        if self.scope >= Scope::Course {
            fields.extend([
                ("last_hard_state", memory.last_hard_state.into()),
                ("current_attempt", memory.attempt.into()),
                ("state_type", i64::from(memory.state_type == StateType::Hard)),
                ("last_state_change", memory.last_state_change),
                ("last_hard_state_change", memory.last_hard_state_change),
            ]);
            let times: &[(&str, usize)] = if is_host { &HOST_TIMES } else { &SERVICE_TIMES };
            fields.extend(times.iter().map(|(key, state)| (*key, memory.last_times[*state])));
        }
        let notified: &[(&str, u8)] = if is_host { &HOST_NOTIFIED } else { &SERVICE_NOTIFIED };
        fields.extend(notified.iter().map(|(key, state)| (*key, i64::from(memory.notified_on.contains(*state)))));
        fields.extend([
            ("last_notification", memory.last_notification),
            ("current_notification_number", memory.notifications.into()),
            ("problem_has_been_acknowledged", i64::from(memory.acknowledgement.is_some())),
            ("acknowledgement_type", memory.acknowledgement.map_or(0, acknowledgement_type)),
            ("is_flapping", i64::from(memory.flapping)),
        ]);
        fields
    }
}

const HOST_TIMES: [(&str, usize); 3] = [("last_time_up", 0), ("last_time_down", 1), ("last_time_unreachable", 2)];
const SERVICE_TIMES: [(&str, usize); 4] =
    [("last_time_ok", 0), ("last_time_warning", 1), ("last_time_unknown", 3), ("last_time_critical", 2)];
const HOST_NOTIFIED: [(&str, u8); 2] = [("notified_on_down", 1), ("notified_on_unreachable", 2)];
const SERVICE_NOTIFIED: [(&str, u8); 3] =
    [("notified_on_unknown", 3), ("notified_on_warning", 1), ("notified_on_critical", 2)];

fn acknowledgement_type(acknowledgement: Acknowledgement) -> i64 {
    match acknowledgement {
        Acknowledgement::Normal => 1,
        Acknowledgement::Sticky => 2,
    }
}

fn append_text(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn append_field(out: &mut Vec<u8>, key: &str, value: i64) {
    writeln!(out, "{key}={value}").expect("a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::States;
    use crate::result::{HostName, ServiceDescription};
    use crate::status::StatusReader;

    fn service() -> Object {
        Object::Service(HostName::try_from("web1").unwrap(), ServiceDescription::try_from("S").unwrap())
    }

    fn problem() -> Memory {
        Memory {
            checked: true,
            last_check: 90,
            state: 2,
            attempt: 3,
            last_hard_state: 2,
            last_state_change: 50,
            last_hard_state_change: 60,
            last_times: [40, 0, 90, 0],
            notified_on: States::only(2),
            notifications: 4,
            last_notification: 80,
            next_notification: 100,
            acknowledgement: Some(Acknowledgement::Sticky),
            ..Memory::default()
        }
    }

    fn text(flavour: Flavour, object: &Object, scope: Scope) -> String {
        let mut file = PartialFile::new(flavour);
        file.push(object, &Patch { memory: problem(), scope });
        assert_eq!(file.objects(), 1);
        String::from_utf8(file.into_bytes()).unwrap()
    }

    #[test]
    fn a_partial_file_holds_the_fields_meant_and_no_others() {
        let expected = "\
# understudy: a partial retention file, to be read once and not to be kept
info {
version=understudy
}
service {
host_name=web1
service_description=S
notified_on_unknown=0
notified_on_warning=0
notified_on_critical=1
last_notification=80
current_notification_number=4
problem_has_been_acknowledged=1
acknowledgement_type=2
is_flapping=0
}
";
        assert_eq!(text(Flavour::Nagios4, &service(), Scope::Notifications), expected);
        assert_eq!(text(Flavour::Naemon, &service(), Scope::Notifications), expected);
        let for_icinga = expected.replace("description=S\n", "description=S\nlast_check=90\n");
        assert_eq!(text(Flavour::Icinga1, &service(), Scope::Notifications), for_icinga, "right after the identifiers");
    }

    #[test]
    fn with_the_state_it_reads_as_it_was() {
        for (object, last_times) in
            [(service(), problem().last_times), (Object::Host(service().host().clone()), [40, 0, 90, 0])]
        {
            let text = text(Flavour::Icinga1, &object, Scope::Course);
            let mut reader = StatusReader::new(text.as_bytes());
            reader.next_block().unwrap();
            let block = reader.next_block().unwrap().unwrap();
            assert_eq!(block.object().unwrap(), object);
            // What it does not hold, or what is no field of a retention file.
            let expected = Memory { checked: false, state: 0, next_notification: 0, last_times, ..problem() };
            assert_eq!(block.memory().unwrap(), expected);
        }
    }
}
