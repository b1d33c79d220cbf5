//! Results from `understudy-ocsp`: over the socket, and out of the spill directory.
//!
//! Invariants:
//! - [`Answer::Taken`] is given only after the result is in the queue of every destination;
//! - results of the spill directory go ahead of those of the socket, since they are older: while any wait there
//!   that the queues have no room for, the socket answers [`Answer::Full`];
//! - a hand-over that comes both ways is queued once.

mod recent;
pub(crate) mod socket;
pub(crate) mod spill;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use nagios::{
    CheckResult, CheckType, HostName, Object, PluginOutput, ReturnCode, ServiceDescription, StateType, Timestamp,
};
use ocsp::handover::{self, Answer, HandOver};
use tracing::trace;

use crate::outbox::Outbox;
use crate::status::Counters;
use recent::Recent;

/// Where both ways end.
pub(crate) struct Intake {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    recent: Recent,
}

impl Intake {
    pub(crate) fn new(outbox: Arc<Outbox>, counters: Arc<Counters>) -> Intake {
        Intake { outbox, counters, recent: Recent::default() }
    }

    /// Queues one result, or says why not.
    fn take(&mut self, handover: HandOver, now: Instant) -> Answer {
        let id = handover.id;
        if self.recent.contains(&id) {
            self.counters.duplicates.fetch_add(1, Relaxed);
            return Answer::Taken;
        }
        let result = match check_result(handover) {
            Ok(result) => result,
            Err(reason) => {
                self.counters.refused.fetch_add(1, Relaxed);
                return Answer::Refused(reason);
            }
        };
        trace!(object = %result.object, code = result.code.get(), "handed over");
        if self.outbox.offer(result).is_err() {
            return Answer::Full;
        }
        self.recent.remember(id, now);
        self.counters.handed_over.fetch_add(1, Relaxed);
        Answer::Taken
    }
}

/// The result that the core's macros described; else what is wrong with its names.
fn check_result(handover: HandOver) -> Result<CheckResult, String> {
    let HandOver { host, service, output, perfdata, long_output, .. } = &handover;
    let host = HostName::try_from(&host[..]).map_err(|error| error.to_string())?;
    let object = match service {
        None => Object::Host(host),
        Some(service) => {
            let service = ServiceDescription::try_from(&service[..]).map_err(|error| error.to_string())?;
            Object::Service(host, service)
        }
    };
    Ok(CheckResult {
        object,
        code: ReturnCode::new(handover.code),
        output: PluginOutput::from_parts(output, perfdata, &nagios::unescape(long_output)),
        check_time: Timestamp::from_micros(handover.check_time_us),
        state_type: handover.state_type.map(|kind| match kind {
            handover::StateType::Soft => StateType::Soft,
            handover::StateType::Hard => StateType::Hard,
        }),
        attempt: handover.attempt,
        check_type: handover.check_type.map(|kind| match kind {
            handover::CheckType::Active => CheckType::Active,
            handover::CheckType::Passive => CheckType::Passive,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn handover(id: u8, host: &str) -> HandOver {
        HandOver {
            id: [id; 16],
            host: host.into(),
            service: Some(b"disk /".to_vec()),
            code: 2,
            output: b"DISK \\n".to_vec(),
            perfdata: b"/=90%".to_vec(),
            long_output: b"one\\ntwo \\\\".to_vec(),
            check_time_us: 1_700_000_000_000_001,
            state_type: Some(handover::StateType::Soft),
            attempt: Some(2),
            check_type: Some(handover::CheckType::Passive),
        }
    }

    pub(super) fn intake() -> Intake {
        let outbox = Outbox::new([String::from("standby")].into_iter());
        Intake::new(Arc::new(outbox), Arc::default())
    }

    /// The hosts of what is queued.
    pub(super) fn queued(intake: &Intake) -> Vec<String> {
        let (_, results) = intake.outbox.read(0, 0, usize::MAX);
        results.iter().map(|result| result.object.host().to_string()).collect()
    }

    #[test]
    fn every_field_arrives() {
        let result = check_result(handover(1, "web")).unwrap();
        assert_eq!(result.object.to_string(), "web;disk /");
        assert_eq!(result.code.get(), 2);
        assert_eq!(result.output.to_text(), b"DISK \\n|/=90%\none\ntwo \\");
        assert_eq!(result.check_time.micros(), 1_700_000_000_000_001);
        assert_eq!((result.state_type, result.attempt), (Some(StateType::Soft), Some(2)));
        assert_eq!(result.check_type, Some(CheckType::Passive));
    }

    #[test]
    fn invalid_names_are_refused_and_duplicates_taken_once() {
        let mut intake = intake();
        let now = Instant::now();
        assert!(matches!(intake.take(handover(1, "a;b"), now), Answer::Refused(_)));
        assert!(matches!(intake.take(handover(2, ""), now), Answer::Refused(_)));
        assert_eq!(intake.take(handover(3, "a"), now), Answer::Taken);
        assert_eq!(intake.take(handover(3, "a"), now), Answer::Taken);
        assert_eq!(queued(&intake), ["a"]);
    }
}
