//! What the status file shows of some objects, as results of their last checks.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use nagios::status::{Look, ObjectStatus, StatusError, look};
use nagios::{CheckResult, Flavour, Object};

/// What the status file, or the retention file, at `path` shows of `objects`. Reads it once.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path, flavour: Flavour, objects: &BTreeSet<Object>) -> io::Result<Vec<CheckResult>> {
    let mut results = Vec::new();
    if objects.is_empty() {
        return Ok(results);
    }
    let Look::New(_, mut reader) = look(path, None).map_err(|error| failed(path, error))? else {
        let message = format!("there is no status file {}: is the core running?", path.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    };
    while let Some(block) = reader.next_block().map_err(|error| failed(path, error))? {
        let Some(status) = block.object_status() else { continue };
        let Ok(object) = status.object() else { continue };
        if objects.contains(&object) {
            results.extend(result(object, &status, flavour));
        }
    }
    Ok(results)
}

/// The result of its last check; none before the first.
fn result(object: Object, status: &ObjectStatus<'_>, flavour: Flavour) -> Option<CheckResult> {
    if !status.has_been_checked() {
        return None;
    }
    let result = CheckResult::new(object, status.state()?, status.output(flavour), status.last_check()?);
    Some(CheckResult {
        state_type: status.state_type(),
        attempt: status.current_attempt(),
        check_type: status.check_type(),
        ..result
    })
}

fn failed(path: &Path, error: StatusError) -> io::Error {
    let kind = match &error {
        StatusError::Io { source, .. } => source.kind(),
        StatusError::NotAStatusFile { .. } | StatusError::BlockTooLong { .. } | StatusError::Truncated { .. } => {
            io::ErrorKind::InvalidData
        }
    };
    io::Error::new(kind, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nagios::{CheckType, HostName, StateType};

    #[test]
    fn results_are_those_of_the_objects_that_were_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.dat");
        let host = |name: &str| Object::Host(HostName::try_from(name).unwrap());
        let wanted = BTreeSet::from([host("a"), host("b"), host("c")]);
        let error = read(&path, Flavour::Nagios4, &wanted).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("is the core running?"), "{error}");
        let block = |name: &str, checked: u8| {
            format!(
                "hoststatus {{\n\thost_name={name}\n\thas_been_checked={checked}\n\tcheck_type=1\n\tcurrent_state=1\n\
                 \tstate_type=0\n\tcurrent_attempt=2\n\tlast_check=100\n\tplugin_output=out\n\tlong_plugin_output=x\\ny\n\
                 \tperformance_data=p=1\n\t}}\n"
            )
        };
        std::fs::write(&path, [block("a", 1), block("b", 0), block("x", 1)].concat()).unwrap();
        let results = read(&path, Flavour::Nagios4, &wanted).unwrap();
        let [result] = &results[..] else { panic!("{results:?}") };
        assert_eq!((&result.object, result.code.get(), result.check_time.seconds()), (&host("a"), 1, 100));
        assert_eq!(result.output.to_text(), b"out|p=1\nx\ny");
        assert_eq!((result.state_type, result.attempt), (Some(StateType::Soft), Some(2)));
        assert_eq!(result.check_type, Some(CheckType::Passive));
        std::fs::write(&path, "x").unwrap();
        assert_eq!(read(&path, Flavour::Nagios4, &wanted).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
