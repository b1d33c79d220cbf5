//! What the unit tests share.

use std::sync::Arc;

use nagios::{CheckResult, HostName, Object, PluginOutput, ReturnCode, ServiceDescription, Timestamp};
use tempfile::TempDir;

use crate::outbox::Outbox;

/// An outbox with one destination, in a directory of its own.
pub(crate) fn outbox() -> (TempDir, Arc<Outbox>) {
    let directory = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(directory.path(), config::Spool::default(), [String::from("standby")]).unwrap();
    (directory, Arc::new(outbox))
}

/// As [`outbox`], and so small and full of results of different objects that it takes no more.
pub(crate) fn full_outbox() -> (TempDir, Arc<Outbox>) {
    let directory = tempfile::tempdir().unwrap();
    let least = config::Spool { max_size: spool::MIN_MAX_SIZE };
    let outbox = Outbox::open(directory.path(), least, [String::from("standby")]).unwrap();
    let mut objects = 0..;
    for text_bytes in [1000, 100, 0] {
        let mut filler = || {
            let host = HostName::try_from(format!("{}", objects.next().unwrap()).as_str()).unwrap();
            CheckResult {
                object: Object::Host(host),
                output: PluginOutput::from_text(&vec![b'x'; text_bytes]),
                ..numbered(0)
            }
        };
        while outbox.append(&[filler()])[0].is_ok() {}
    }
    (directory, Arc::new(outbox))
}

/// What a future gives, where there is no runtime.
pub(crate) fn done<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// A result that is told from others by its number.
pub(crate) fn numbered(number: u64) -> CheckResult {
    let host = HostName::try_from("web").unwrap();
    let service = ServiceDescription::try_from("http").unwrap();
    CheckResult {
        object: Object::Service(host, service),
        code: ReturnCode::new(0),
        output: PluginOutput::from_text(format!("{number:020}").as_bytes()),
        check_time: Timestamp::from_seconds(1),
        state_type: None,
        attempt: None,
        check_type: None,
    }
}

/// The number of a [`numbered`] result.
pub(crate) fn number(result: &CheckResult) -> u64 {
    String::from_utf8_lossy(result.output.escaped()).parse().unwrap()
}
