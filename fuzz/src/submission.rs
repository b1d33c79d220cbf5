//! What becomes of a report in the receiver: a check result, and a line in the command file.

use nagios::command::process_check_result;
use nagios::{CheckResult, Flavour, HostName, Object, PluginOutput, ReturnCode, ServiceDescription, Timestamp};
use nsca::packet::Report;

/// Submits `report` to every flavour of core. Names that would break a line are refused, as by the receiver.
pub(super) fn submit(report: &Report<'_>) {
    let Some(object) = object(report) else { return };
    let result = CheckResult::new(
        object,
        ReturnCode::new(report.code),
        PluginOutput::from_text(report.output),
        Timestamp::from_seconds(report.timestamp.into()),
    );
    one_line_each(&result);
}

/// Whatever it holds, a result is exactly one line for every flavour, and its names cannot be taken for separators.
pub(super) fn one_line_each(result: &CheckResult) {
    let service = result.object.service().map_or(&b""[..], ServiceDescription::as_bytes);
    for name in [result.object.host().as_bytes(), service] {
        assert!(!name.iter().any(|byte| byte.is_ascii_control() || *byte == b';'), "a name breaks lines");
    }
    let was_utf8 = [result.object.host().as_bytes(), service, result.output.escaped()]
        .iter()
        .all(|text| str::from_utf8(text).is_ok());
    for flavour in Flavour::all() {
        let mut line = Vec::new();
        let encoded = process_check_result(flavour, result, &mut line);
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "not one line");
        assert!(!line.contains(&0), "a NUL, which ends the line for a core");
        assert!(line.len() <= flavour.max_line_bytes(), "longer than {flavour} reads");
        assert!(!was_utf8 || str::from_utf8(&line).is_ok(), "a character was split for {flavour}");
        let counted = encoded.cut || encoded.altered;
        assert!(counted || line.len() > result.output.to_text().len(), "a part of the output is lost uncounted");
    }
}

fn object(report: &Report<'_>) -> Option<Object> {
    let host = HostName::try_from(report.host).ok()?;
    Some(if report.service.is_empty() {
        Object::Host(host)
    } else {
        Object::Service(host, ServiceDescription::try_from(report.service).ok()?)
    })
}
