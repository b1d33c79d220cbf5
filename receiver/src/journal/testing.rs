//! Journals for tests.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nagios::{Attributed, CheckResult, Object, PluginOutput, ReturnCode, Timestamp, stored};
use spool::NewRecord;

use super::{Journal, Tail};
use crate::counts::Counters;

/// When every result of a test was checked, in Unix seconds.
pub(crate) const CHECKED: i64 = 1_700_000_000;

/// The configuration of a journal in `directory`.
pub(crate) fn config(directory: &Path) -> config::Journal {
    config::Journal { directory: directory.join("journal"), max_size: 16 << 20, status_file: None }
}

/// Opens the journal in `directory`.
pub(crate) fn open(directory: &Path, counters: &Arc<Counters>) -> (Arc<Journal>, Tail) {
    open_with(directory, counters, false)
}

/// Opens the journal in `directory`, for a relay, too.
pub(crate) fn open_with(directory: &Path, counters: &Arc<Counters>, has_relay: bool) -> (Arc<Journal>, Tail) {
    Journal::open(&config(directory), [7; 16], has_relay, Arc::default(), counters.clone()).unwrap()
}

/// The first letter is the host; in upper case, the result is of a peer.
pub(crate) fn result(output: &str) -> Attributed {
    let letter = &output[..1];
    let origin = if letter.chars().all(char::is_uppercase) { "peer" } else { "" };
    let object = Object::Host(letter.to_lowercase().as_str().try_into().unwrap());
    let (code, output) = (ReturnCode::new(0), PluginOutput::from_text(output.as_bytes()));
    let result = CheckResult::new(object, code, output, Timestamp::from_seconds(CHECKED));
    Attributed { result, origin: origin.into() }
}

/// What [`result`] was made of.
pub(crate) fn output(result: &Attributed) -> String {
    String::from_utf8_lossy(result.result.output.escaped()).into_owned()
}

/// Appends what is made of `outputs`, with one write.
pub(crate) fn append(journal: &Journal, outputs: &[&str]) {
    let records: Vec<(Vec<u8>, Vec<u8>)> = outputs
        .iter()
        .map(|output| {
            let Attributed { result, origin } = result(output);
            let (mut key, mut payload) = (Vec::new(), Vec::new());
            stored::key(&result.object, &mut key);
            stored::encode(&result, origin.as_bytes(), &mut payload);
            (key, payload)
        })
        .collect();
    let records = records.iter().map(|(key, payload)| NewRecord { key, payload });
    journal.spool.blocking_lock().append(records, Instant::now()).unwrap();
    journal.appended.notify_one();
    journal.appended_for_relay.notify_one();
}
