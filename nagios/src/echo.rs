//! Which results a core tells only because it was given them.
//!
//! A core that obsesses over its results also obsesses over passive ones. What a receiver on this node wrote into the command
//! file therefore comes back to the sender on this node: an echo, which must not travel on as the core's own result.
//! Otherwise two nodes that send to each other would do so for ever.
//!
//! An echo has the object, the state and the second of what was written, and is passive. Texts are never compared, because
//! macros strip characters. Each expectation is good for one echo, and expires.
//!
//! **Invariant:** a result that the core checked itself is never taken for an echo.
//!
//! **Invariant:** memory is bounded by [`MAX_EXPECTED`]. Beyond it the oldest expectation is dropped: its echo then travels
//! on once more, and is an echo on the other node.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::result::{CheckResult, CheckType, Object, ReturnCode};

/// How many echoes are expected at most: those of a core that is told tens of thousands of results a second and obsesses
/// over each with some seconds' delay. Each takes some 40 bytes.
pub const MAX_EXPECTED: usize = 1 << 17;

/// How long an echo may take: longer than a core's reaper and a queue of obsessing commands take.
pub const EXPIRES_AFTER: Duration = Duration::from_secs(300);

/// The echoes that are expected.
#[derive(Debug, Default)]
pub struct Echoes {
    random: RandomState,
    /// How many are expected, by what they have in common.
    expected: HashMap<u64, u32>,
    /// In the order in which they expire.
    order: VecDeque<(Instant, u64)>,
    /// How many of `order` were consumed, by the same key: they are skipped when they expire.
    consumed: HashMap<u64, u32>,
}

impl Echoes {
    /// A passive result is about to be written into the command file.
    pub fn expect(&mut self, result: &CheckResult, now: Instant) {
        self.expire(now);
        if self.order.len() >= MAX_EXPECTED {
            self.drop_oldest();
        }
        let key = self.key(result);
        *self.expected.entry(key).or_default() += 1;
        self.order.push_back((now, key));
    }

    /// Whether `result`, which the core tells, is an echo. It is expected no more then.
    pub fn consume(&mut self, result: &CheckResult, now: Instant) -> bool {
        self.expire(now);
        if result.check_type != Some(CheckType::Passive) {
            return false;
        }
        self.take(self.key(result))
    }

    /// A result that was [expected](Echoes::expect) is not written after all.
    pub fn withdraw(&mut self, result: &CheckResult) {
        self.take(self.key(result));
    }

    /// How many are expected.
    pub fn len(&self) -> usize {
        self.order.len() - self.consumed.values().map(|count| *count as usize).sum::<usize>()
    }

    /// Whether none is expected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one with this key was expected. It is no more then.
    fn take(&mut self, key: u64) -> bool {
        let expected = take_one(&mut self.expected, key);
        if expected {
            *self.consumed.entry(key).or_default() += 1;
        }
        expected
    }

    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) >= EXPIRES_AFTER) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front()
            && !take_one(&mut self.consumed, key)
        {
            take_one(&mut self.expected, key);
        }
    }

    /// What an echo has in common with what was written.
    fn key(&self, result: &CheckResult) -> u64 {
        self.random.hash_one((&result.object, state(&result.object, result.code), result.check_time.seconds()))
    }
}

/// The state that a core makes of a code. DOWN and UNREACHABLE are one: a core decides between them by itself.
fn state(object: &Object, code: ReturnCode) -> i16 {
    match (object, code.get()) {
        (Object::Service(..), code @ 0..=2) => code,
        (Object::Service(..), _) => 3,
        (Object::Host(_), code) => code.min(1),
    }
}

/// Takes one away, if there is one.
fn take_one(counts: &mut HashMap<u64, u32>, key: u64) -> bool {
    let Some(count) = counts.get_mut(&key) else { return false };
    *count -= 1;
    if *count == 0 {
        counts.remove(&key);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{HostName, PluginOutput, ServiceDescription, Timestamp};

    fn service(code: i16, second: i64) -> CheckResult {
        let host = HostName::try_from("web").unwrap();
        let object = Object::Service(host, ServiceDescription::try_from("http").unwrap());
        let time = Timestamp::from_seconds(second);
        CheckResult::new(object, ReturnCode::new(code), PluginOutput::from_text(b"what was sent"), time)
    }

    fn told(code: i16, second: i64) -> CheckResult {
        let output = PluginOutput::from_text(b"what macros left");
        CheckResult { check_type: Some(CheckType::Passive), output, ..service(code, second) }
    }

    #[test]
    fn an_echo_is_consumed_once() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        echoes.expect(&service(2, 100), now);
        assert!(echoes.consume(&told(2, 100), now));
        assert!(!echoes.consume(&told(2, 100), now), "a second one is a result of its own");
        assert!(echoes.is_empty());
    }

    #[test]
    fn what_was_withdrawn_is_not_expected() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        echoes.expect(&service(2, 100), now);
        echoes.expect(&service(2, 100), now);
        echoes.withdraw(&service(2, 100));
        assert_eq!(echoes.len(), 1);
        assert!(echoes.consume(&told(2, 100), now));
        assert!(!echoes.consume(&told(2, 100), now));
        echoes.withdraw(&service(2, 100));
        assert!(echoes.is_empty(), "what is not expected cannot be withdrawn");
    }

    #[test]
    fn other_results_are_no_echoes() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        echoes.expect(&service(2, 100), now);
        let active = CheckResult { check_type: Some(CheckType::Active), ..told(2, 100) };
        let unknown = CheckResult { check_type: None, ..told(2, 100) };
        let host = CheckResult { object: Object::Host(HostName::try_from("web").unwrap()), ..told(2, 100) };
        for other in [active, unknown, host, told(1, 100), told(2, 101)] {
            assert!(!echoes.consume(&other, now), "{other:?}");
        }
        assert!(echoes.consume(&told(2, 100), now));
    }

    #[test]
    fn a_code_is_compared_as_the_state_that_the_core_makes_of_it() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        echoes.expect(&service(-1, 100), now);
        assert!(echoes.consume(&told(3, 100), now));
        let host =
            |result: CheckResult| CheckResult { object: Object::Host(HostName::try_from("a").unwrap()), ..result };
        echoes.expect(&host(service(2, 100)), now);
        assert!(echoes.consume(&host(told(1, 100)), now), "the core decides between DOWN and UNREACHABLE");
    }

    #[test]
    fn expectations_expire_each_at_its_time() {
        let (mut echoes, start) = (Echoes::default(), Instant::now());
        let later = start + EXPIRES_AFTER / 2;
        echoes.expect(&service(0, 1), start);
        echoes.expect(&service(0, 2), start);
        echoes.expect(&service(0, 1), later);
        assert!(echoes.consume(&told(0, 1), later));
        let end = start + EXPIRES_AFTER;
        assert!(!echoes.consume(&told(0, 2), end));
        assert!(echoes.consume(&told(0, 1), end), "one of the two was consumed, the other is not over");
        assert!(!echoes.consume(&told(0, 1), end));
        assert_eq!(echoes.len(), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut echoes, now) = (Echoes::default(), Instant::now());
        for second in 0..=i64::try_from(MAX_EXPECTED).unwrap() {
            echoes.expect(&service(0, second), now);
        }
        assert_eq!(echoes.len(), MAX_EXPECTED);
        assert!(!echoes.consume(&told(0, 0), now));
        assert!(echoes.consume(&told(0, 1), now));
    }
}
