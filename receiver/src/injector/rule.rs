//! Which of the accepted results go into the core. Without I/O.
//!
//! A core that stands by takes all of them, in order: it only learns. A core that is active, because it notifies or runs
//! checks itself, acts on each: old states would page people for what is over, and set back what it has seen itself since.
//!
//! | result | core stands by | core is active |
//! | --- | --- | --- |
//! | of a classic client | goes in | goes in |
//! | of a peer, while a newer one of the same object waits | goes in | is superseded |
//! | of a peer, older than the core's own last check of the object | goes in | is older than own |
//! | of a peer, otherwise | goes in | goes in |
//!
//! Times are compared in whole seconds, and equal ones pass. The core's own last check is an active one, as its status file
//! tells it, which is late by `status_update_interval` and the time it takes to be read. Without a status file only what
//! this receiver told the core makes it active, and nothing is older than its own.
//!
//! Results of classic clients have no other way into the core and were sent to this node alone, so that nothing is
//! known that would be better. Only before commands that make the core active, everything that waits is reduced to the newest of
//! each object, theirs too: the last states are what such a core is to begin with.

use nagios::{Attributed, Timestamp};

/// What holds at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The core notifies or runs checks itself.
    pub(crate) is_active: bool,
    /// Commands that make it do so wait for the results.
    pub(crate) before_commands: bool,
}

/// What becomes of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    GoesIn,
    /// A newer one of the same object goes in.
    Superseded,
    /// The core has seen the object later itself.
    OlderThanOwn,
}

impl Rule {
    /// Whether judging needs to know which results are the newest of their objects.
    pub(crate) fn looks_ahead(self) -> bool {
        self.is_active || self.before_commands
    }

    /// Whether judging a result of this origin needs the times of the core's own checks.
    pub(crate) fn needs_own_times(self, origin: &str) -> bool {
        self.is_active && !origin.is_empty()
    }

    /// Judges a result. `own_check` is when the core last checked the object itself.
    pub(crate) fn judge(
        self,
        result: &Attributed,
        is_newest: bool,
        own_check: impl FnOnce() -> Option<Timestamp>,
    ) -> Judgement {
        let of_peer = !result.origin.is_empty();
        if !is_newest && (self.before_commands || self.is_active && of_peer) {
            return Judgement::Superseded;
        }
        let checked = result.result.check_time.seconds();
        if self.is_active && of_peer && own_check().is_some_and(|own| checked < own.seconds()) {
            return Judgement::OlderThanOwn;
        }
        Judgement::GoesIn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nagios::{CheckResult, Object, PluginOutput, ReturnCode};

    const STANDBY: Rule = Rule { is_active: false, before_commands: false };
    const ACTIVE: Rule = Rule { is_active: true, before_commands: false };
    const BECOMES_ACTIVE: Rule = Rule { is_active: false, before_commands: true };

    fn judge(rule: Rule, origin: &str, is_newest: bool, own_check: Option<i64>) -> Judgement {
        let object = Object::Host("h".try_into().unwrap());
        let (code, output) = (ReturnCode::new(0), PluginOutput::default());
        let result = CheckResult::new(object, code, output, Timestamp::from_micros(100_900_000));
        let result = Attributed { result, origin: origin.into() };
        rule.judge(&result, is_newest, || own_check.map(Timestamp::from_seconds))
    }

    #[test]
    fn a_core_that_stands_by_takes_everything() {
        for origin in ["", "peer"] {
            for is_newest in [true, false] {
                assert_eq!(judge(STANDBY, origin, is_newest, Some(200)), Judgement::GoesIn);
            }
        }
        assert!(!STANDBY.looks_ahead() && !STANDBY.needs_own_times("peer"));
    }

    #[test]
    fn an_active_core_takes_of_peers_what_is_newest_and_newer_than_its_own() {
        assert_eq!(judge(ACTIVE, "peer", false, None), Judgement::Superseded);
        assert_eq!(judge(ACTIVE, "peer", true, Some(101)), Judgement::OlderThanOwn);
        assert_eq!(judge(ACTIVE, "peer", true, Some(100)), Judgement::GoesIn, "within the same second");
        assert_eq!(judge(ACTIVE, "peer", true, None), Judgement::GoesIn);
        assert!(ACTIVE.looks_ahead() && ACTIVE.needs_own_times("peer"));
    }

    #[test]
    fn classic_clients_are_judged_only_before_commands() {
        assert_eq!(judge(ACTIVE, "", false, Some(200)), Judgement::GoesIn);
        assert_eq!(judge(BECOMES_ACTIVE, "", false, None), Judgement::Superseded);
        assert_eq!(judge(BECOMES_ACTIVE, "", true, Some(200)), Judgement::GoesIn);
        assert_eq!(judge(BECOMES_ACTIVE, "peer", false, None), Judgement::Superseded);
        assert!(BECOMES_ACTIVE.looks_ahead() && !ACTIVE.needs_own_times(""));
    }
}
