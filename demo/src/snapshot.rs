//! What a core's status file shows at one moment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::Context;
use nagios::status::StatusReader;
use nagios::{Object, Timestamp};

/// All objects of one core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Which run of the core it is, in Unix seconds.
    pub(crate) program_start: Option<i64>,
    /// Whether the core checks services or hosts itself.
    pub(crate) active_checks: bool,
    /// Whether it notifies.
    pub(crate) notifications: bool,
    pub(crate) objects: BTreeMap<Object, Shown>,
}

/// One object, as the status file shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// None before the first result.
    pub(crate) last_check: Option<Timestamp>,
    pub(crate) state: i16,
    pub(crate) output: Vec<u8>,
    pub(crate) perfdata: Vec<u8>,
    pub(crate) long_output: Vec<u8>,
}

impl Snapshot {
    /// None while the file does not exist: the core has not begun.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Self::parse(file).map(Some).with_context(|| path.display().to_string())
    }

    fn parse(input: impl io::Read) -> anyhow::Result<Self> {
        let mut snapshot = Self::default();
        let mut reader = StatusReader::new(BufReader::new(input));
        while let Some(block) = reader.next_block()? {
            if let Some(program) = block.program_status() {
                snapshot.program_start = program.program_start().map(Timestamp::seconds);
                snapshot.notifications = program.enable_notifications() == Some(true);
                snapshot.active_checks = program.active_service_checks_enabled() == Some(true)
                    || program.active_host_checks_enabled() == Some(true);
            } else if let Some(object) = block.object_status() {
                let shown = Shown {
                    last_check: object.last_check().filter(|_| object.has_been_checked()),
                    state: object.state().context("an object without current_state")?.get(),
                    output: object.plugin_output().to_vec(),
                    perfdata: object.performance_data().to_vec(),
                    long_output: object.long_plugin_output().to_vec(),
                };
                snapshot.objects.insert(object.object()?, shown);
            }
        }
        Ok(snapshot)
    }

    /// How many objects have had a result.
    pub(crate) fn checked(&self) -> usize {
        self.objects.values().filter(|shown| shown.last_check.is_some()).count()
    }
}

/// The state in the operator's words.
pub(crate) fn state_word(object: &Object, state: i16) -> &'static str {
    match (object, state) {
        (Object::Service(..), state) => service_state_word(state),
        (Object::Host(_), 0) => "UP",
        (Object::Host(_), 1) => "DOWN",
        (Object::Host(_), _) => "UNREACHABLE",
    }
}

/// The same for a service.
pub(crate) fn service_state_word(state: i16) -> &'static str {
    match state {
        0 => "OK",
        1 => "WARNING",
        2 => "CRITICAL",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A snapshot of `host;service=state/output/perfdata/long` texts.
    pub(crate) fn snapshot(objects: &[&str]) -> Snapshot {
        let mut text = String::new();
        for object in objects {
            let (name, parts) = object.split_once('=').unwrap();
            let (host, service) = name.split_once(';').unwrap();
            let [state, output, perfdata, long] = parts.splitn(4, '/').collect::<Vec<_>>().try_into().unwrap();
            text += &format!(
                "servicestatus {{\n\thost_name={host}\n\tservice_description={service}\n\tcurrent_state={state}\n\
                 \thas_been_checked={}\n\tlast_check=1700000000\n\tplugin_output={output}\n\
                 \tperformance_data={perfdata}\n\tlong_plugin_output={long}\n\t}}\n",
                u8::from(!output.is_empty())
            );
        }
        Snapshot::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn objects_and_flags() {
        let text = "programstatus {\n\tactive_service_checks_enabled=0\n\tactive_host_checks_enabled=1\n\t}\n\
                    hoststatus {\n\thost_name=web1\n\tcurrent_state=1\n\thas_been_checked=0\n\tlast_check=0\n\t}\n";
        let snapshot = Snapshot::parse(text.as_bytes()).unwrap();
        assert!(snapshot.active_checks);
        assert_eq!((snapshot.objects.len(), snapshot.checked()), (1, 0));
    }

    #[test]
    fn texts() {
        let snapshot = snapshot(&["web1;disk=2/full/a=1/b", "web1;load=0///"]);
        let shown = snapshot.objects.values().next().unwrap();
        assert_eq!((shown.state, &shown.output[..]), (2, &b"full"[..]));
        assert_eq!((&shown.perfdata[..], &shown.long_output[..]), (&b"a=1"[..], &b"b"[..]));
        assert_eq!(snapshot.checked(), 1);
    }

    #[test]
    fn an_absent_file_is_no_error() {
        assert_eq!(Snapshot::read(Path::new("/nonexistent/status.dat")).unwrap(), None);
    }
}
