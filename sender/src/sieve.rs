//! Which of the core's results go on: not the echoes, and not what was passive where that is not wanted.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use nagios::echo::Echoes;
use nagios::{CheckResult, CheckType};

use crate::status::Counters;

/// What the intakes ask before they write a result into the spool.
#[derive(Clone)]
pub(crate) struct Sieve {
    echoes: Arc<Mutex<Echoes>>,
    relay_passive: bool,
    counters: Arc<Counters>,
}

impl Sieve {
    pub(crate) fn new(echoes: Arc<Mutex<Echoes>>, relay_passive: bool, counters: Arc<Counters>) -> Sieve {
        Sieve { echoes, relay_passive, counters }
    }

    /// Whether a result that the core tells goes on. To be asked once for each result: an echo is expected once.
    pub(crate) fn keeps(&self, result: &CheckResult, now: Instant) -> bool {
        if result.check_type != Some(CheckType::Passive) {
            return true;
        }
        let is_echo = self.echoes.lock().unwrap_or_else(PoisonError::into_inner).consume(result, now);
        if is_echo {
            self.counters.echoes.fetch_add(1, Relaxed);
            return false;
        }
        if !self.relay_passive {
            self.counters.not_relayed.fetch_add(1, Relaxed);
        }
        self.relay_passive
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbered;

    #[test]
    fn echoes_go_once_and_passive_results_where_they_are_not_wanted() {
        let passive = CheckResult { check_type: Some(CheckType::Passive), ..numbered(1) };
        let active = CheckResult { check_type: Some(CheckType::Active), ..numbered(1) };
        let now = Instant::now();
        for relay_passive in [true, false] {
            let (echoes, counters) = (Arc::new(Mutex::new(Echoes::default())), Arc::new(Counters::default()));
            let sieve = Sieve::new(Arc::clone(&echoes), relay_passive, Arc::clone(&counters));
            echoes.lock().unwrap().expect(&passive, now);
            assert!(sieve.keeps(&active, now) && sieve.keeps(&numbered(1), now));
            assert!(!sieve.keeps(&passive, now));
            assert_eq!(sieve.keeps(&passive, now), relay_passive);
            let status = counters.snapshot();
            assert_eq!((status.echoes, status.not_relayed), (1, u64::from(!relay_passive)));
        }
    }
}
