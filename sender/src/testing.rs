//! What the unit tests share.

use std::sync::Arc;

use nagios::{CheckResult, HostName, Object, PluginOutput, ReturnCode, ServiceDescription, Timestamp};

/// A result that is told from others by its number.
pub(crate) fn numbered(number: u64) -> Arc<CheckResult> {
    let host = HostName::try_from("web").unwrap();
    let service = ServiceDescription::try_from("http").unwrap();
    Arc::new(CheckResult {
        object: Object::Service(host, service),
        code: ReturnCode::new(0),
        output: PluginOutput::from_text(format!("{number:020}").as_bytes()),
        check_time: Timestamp::from_seconds(1),
        state_type: None,
        attempt: None,
        check_type: None,
    })
}

/// The number of a [`numbered`] result.
pub(crate) fn number(result: &CheckResult) -> u64 {
    String::from_utf8_lossy(result.output.escaped()).parse().unwrap()
}
