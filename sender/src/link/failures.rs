//! Which failures of a link are logged, and how loudly.
//!
//! **Invariant:** a failure of another kind than the one before is logged at once, so that a wrong key is not hidden by
//! a connection that was refused just before.

use std::mem::{Discriminant, discriminant};
use std::time::Instant;

use nsca::sealed::{Reason, SealedError};

use super::error::LinkError;
use crate::throttle::Throttle;

/// Failures in a row from which on somebody must act.
const FAILURES_TO_ACT: u32 = 8;

/// The failures since the last success.
#[derive(Default)]
pub(super) struct Failures {
    in_a_row: u32,
    kind: Option<Kind>,
    throttle: Throttle,
}

/// What kind of failure it is, whatever the numbers and names in it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    error: Discriminant<LinkError>,
    sealed: Option<Discriminant<SealedError>>,
    reason: Option<Reason>,
}

impl Failures {
    /// Counts a failure; says whether it is to be logged now.
    pub(super) fn count(&mut self, error: &LinkError, now: Instant) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let kind = Kind::of(error);
        if self.kind.replace(kind) != Some(kind) {
            self.throttle = Throttle::default();
        }
        self.throttle.count(1, now).is_some()
    }

    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Whether somebody must act because of this failure, which was counted.
    pub(super) fn need_somebody(&self, error: &LinkError) -> bool {
        self.in_a_row >= FAILURES_TO_ACT || error.needs_somebody()
    }

    /// The destination was there, and nothing waits for it.
    pub(super) fn met(&mut self) {
        self.in_a_row = 0;
    }

    /// The destination took results.
    pub(super) fn succeeded(&mut self) {
        *self = Failures::default();
    }
}

impl Kind {
    fn of(error: &LinkError) -> Self {
        let (sealed, reason) = match error {
            LinkError::Sealed { error: error @ SealedError::Refused(reason), .. } => {
                (Some(discriminant(error)), Some(*reason))
            }
            LinkError::Sealed { error, .. } => (Some(discriminant(error)), None),
            LinkError::PeerLeft { reason, .. } => (None, Some(*reason)),
            _ => (None, None),
        };
        Kind { error: discriminant(error), sealed, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::QUIET;
    use std::io;
    use std::net::SocketAddr;

    const ADDRESS: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 5667));

    fn ordinary() -> LinkError {
        LinkError::Connect { address: ADDRESS, source: io::ErrorKind::ConnectionRefused.into() }
    }

    fn sealed(error: SealedError) -> LinkError {
        LinkError::Sealed { address: ADDRESS, error }
    }

    #[test]
    fn another_kind_of_failure_is_logged_at_once() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        assert!(failures.count(&ordinary(), now));
        assert!(!failures.count(&ordinary(), now));
        for error in [SealedError::WrongKey, SealedError::MarkStripped, SealedError::Refused(Reason::OwnName)] {
            assert!(failures.count(&sealed(error.clone()), now), "{error}");
            assert!(!failures.count(&sealed(error.clone()), now), "{error}");
            assert!(failures.need_somebody(&sealed(error)));
        }
        assert!(failures.count(&sealed(SealedError::Refused(Reason::NameInUse)), now));
        assert!(failures.count(&sealed(SealedError::Refused(Reason::NameInUse)), now + QUIET));
    }

    #[test]
    fn somebody_must_act_after_many_in_a_row_but_not_of_a_destination_that_lacks_nothing() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for _ in 1..FAILURES_TO_ACT {
            failures.count(&ordinary(), now);
            assert!(!failures.need_somebody(&ordinary()));
        }
        failures.count(&ordinary(), now);
        assert!(failures.need_somebody(&ordinary()));
        failures.met();
        assert!(!failures.count(&ordinary(), now), "it is the same failure");
        assert!(!failures.need_somebody(&ordinary()));
    }
}
