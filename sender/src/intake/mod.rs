//! Results from `understudy-ocsp`: over the socket, and out of the spill directory.
//!
//! Invariants:
//! - [`Answer::Taken`] is given only after the result was written into the spool: it survives the death of this process;
//! - results of the spill directory go ahead of those of the socket, since they are older: while any wait there
//!   that the spool does not take, the socket answers [`Answer::Full`];
//! - a hand-over that comes both ways is queued once;
//! - what the [sieve](crate::sieve) keeps back is answered as taken, and goes no further.

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

use crate::outbox::{NotTaken, Outbox};
use crate::sieve::Sieve;
use crate::status::Counters;
use recent::Recent;

/// Where both ways end.
pub(crate) struct Intake {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    sieve: Sieve,
    recent: Recent,
}

impl Intake {
    pub(crate) fn new(outbox: Arc<Outbox>, counters: Arc<Counters>, sieve: Sieve) -> Intake {
        Intake { outbox, counters, sieve, recent: Recent::default() }
    }

    /// Writes one result into the spool, or says why not.
    fn take(&mut self, handover: HandOver, now: Instant) -> Answer {
        self.take_all([handover], now).pop().expect("one answer for each hand-over")
    }

    /// Writes results into the spool at once; one answer for each.
    pub(crate) fn take_all(&mut self, handovers: impl IntoIterator<Item = HandOver>, now: Instant) -> Vec<Answer> {
        let (mut ids, mut results) = (Vec::new(), Vec::new());
        // No answer yet for those that the spool is asked about.
        let mut answers = Vec::new();
        for handover in handovers {
            let id = handover.id;
            answers.push(if self.recent.contains(&id) {
                self.counters.duplicates.fetch_add(1, Relaxed);
                Some(Answer::Taken)
            } else if ids.contains(&id) {
                // It comes again by the spill directory, when it is known what became of the first one.
                Some(Answer::Full)
            } else {
                match check_result(handover) {
                    Ok(result) if !self.sieve.keeps(&result, now) => {
                        // An echo is expected once: a retry is known by its id.
                        self.recent.remember(id, now);
                        Some(Answer::Taken)
                    }
                    Ok(result) => {
                        trace!(object = %result.object, code = result.code.get(), "handed over");
                        ids.push(id);
                        results.push(result);
                        None
                    }
                    Err(reason) => Some(self.refuse(reason)),
                }
            });
        }
        let mut outcomes = self.outbox.append(&results).into_iter().zip(ids);
        let answer = |answer: Option<Answer>| {
            answer.unwrap_or_else(|| match outcomes.next().expect("one outcome for each result") {
                (Ok(()), id) => {
                    self.recent.remember(id, now);
                    self.counters.handed_over.fetch_add(1, Relaxed);
                    Answer::Taken
                }
                (Err(NotTaken::TooLong(reason)), _) => self.refuse(reason),
                (Err(NotTaken::Spool(_) | NotTaken::Stopped), _) => Answer::Full,
            })
        };
        answers.into_iter().map(answer).collect()
    }

    fn refuse(&self, reason: String) -> Answer {
        self.counters.refused.fetch_add(1, Relaxed);
        Answer::Refused(reason)
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
    use std::sync::Mutex;

    use nagios::echo::Echoes;

    use super::*;
    use crate::testing::done;

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

    /// An intake, and the directory of its spool.
    pub(super) fn intake() -> (tempfile::TempDir, Intake) {
        let (directory, outbox) = crate::testing::outbox();
        (directory, on(outbox, Arc::default(), true))
    }

    pub(super) fn on(outbox: Arc<Outbox>, echoes: Arc<Mutex<Echoes>>, relay_passive: bool) -> Intake {
        let counters = Arc::default();
        let sieve = Sieve::new(echoes, relay_passive, Arc::clone(&counters));
        Intake::new(outbox, counters, sieve)
    }

    /// The hosts of what is queued.
    pub(super) fn queued(intake: &Intake) -> Vec<String> {
        let waiting = done(intake.outbox.read(0, 0, usize::MAX)).unwrap();
        waiting.results.iter().map(|result| result.object.host().to_string()).collect()
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
        let (_directory, mut intake) = intake();
        let now = Instant::now();
        assert!(matches!(intake.take(handover(1, "a;b"), now), Answer::Refused(_)));
        assert!(matches!(intake.take(handover(2, ""), now), Answer::Refused(_)));
        assert_eq!(intake.take(handover(3, "a"), now), Answer::Taken);
        assert_eq!(intake.take(handover(3, "a"), now), Answer::Taken);
        assert_eq!(queued(&intake), ["a"]);
    }

    #[test]
    fn each_of_a_batch_gets_its_own_answer() {
        let (_directory, mut intake) = intake();
        let mut long = handover(3, "long");
        long.output = vec![b'x'; spool::MAX_PAYLOAD_BYTES];
        let batch = [handover(1, "a"), handover(2, ";"), long, handover(1, "a"), handover(4, "b")];
        let answers = intake.take_all(batch, Instant::now());
        let [first, nameless, long, twice, last] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((first, twice, last), (&Answer::Taken, &Answer::Full, &Answer::Taken));
        assert!(matches!((nameless, long), (Answer::Refused(_), Answer::Refused(_))));
        assert_eq!(queued(&intake), ["a", "b"]);
    }

    #[test]
    fn an_echo_is_taken_and_goes_no_further_and_its_retry_is_no_second_one() {
        let (_directory, outbox) = crate::testing::outbox();
        let echoes = Arc::new(Mutex::new(Echoes::default()));
        let mut intake = on(outbox, Arc::clone(&echoes), true);
        let now = Instant::now();
        // Two that look alike were given to the core.
        let given = check_result(handover(0, "web")).unwrap();
        (0..2).for_each(|_| echoes.lock().unwrap().expect(&given, now));
        let echo = || handover(1, "web");
        assert_eq!(intake.take_all([echo(), echo()], now), [Answer::Taken, Answer::Taken]);
        assert_eq!(intake.take(echo(), now), Answer::Taken);
        assert_eq!(echoes.lock().unwrap().len(), 1, "one hand-over is one echo");
        let active = HandOver { check_type: Some(handover::CheckType::Active), ..handover(2, "web") };
        assert_eq!(intake.take(active, now), Answer::Taken);
        assert_eq!(intake.take(handover(3, "web"), now), Answer::Taken);
        assert_eq!(intake.take(handover(4, "web"), now), Answer::Taken);
        assert_eq!(queued(&intake), ["web", "web"], "the active one, and a passive one that nobody expects");
        let status = intake.counters.snapshot();
        assert_eq!((status.echoes, status.duplicates, status.handed_over), (2, 2, 2));
    }

    #[test]
    fn passive_results_go_no_further_where_they_are_not_wanted() {
        let (_directory, outbox) = crate::testing::outbox();
        let mut intake = on(outbox, Arc::default(), false);
        let active = HandOver { check_type: Some(handover::CheckType::Active), ..handover(2, "active") };
        let unknown = HandOver { check_type: None, ..handover(3, "unknown") };
        let answers = intake.take_all([handover(1, "passive"), active, unknown], Instant::now());
        assert_eq!(answers, [Answer::Taken, Answer::Taken, Answer::Taken]);
        assert_eq!(queued(&intake), ["active", "unknown"]);
        assert_eq!(intake.counters.snapshot().not_relayed, 1);
    }
}
