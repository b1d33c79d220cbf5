//! Whose memory counts: that of the core which notified last.
//!
//! | the peer's core notified | this one | a core that does not notify now |
//! | --- | --- | --- |
//! | never | never | inherits on a standby, keeps its own on a master |
//! | once | never | inherits |
//! | never | once | keeps its own |
//! | last | before it | inherits |
//! | before it | last | keeps its own |
//! | at the same time, for longer than [`SLACK`], and since then alone for less than that time | | joins both |
//!
//! A cycle of failures, as both nodes see it:
//!
//! ```text
//! master   ████████ killed      back, silent│ ████████
//! standby            ██████████████████████ │ silent
//!                                           └ hand-back
//! on the master, from its return until the hand-back:  the standby's counts
//! on the standby, after the hand-back:                 the master's counts
//! ```
//!
//! Each core's times are by its own clock. Clocks that differ by less than [`SLACK`] do not turn a sequence into a partition: of
//! two activities that ended about the same time, the one that began later is the later one.

/// By how much the clocks of two machines may differ, in seconds.
pub const SLACK: i64 = 15;

/// Pictures that are further apart, in seconds, do not tell what was between them.
const MAX_GAP: i64 = 120;

/// When a core notified last: the first and the last picture in a row that show it, in Unix seconds by the core's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// The first of them.
    pub since: i64,
    /// The last of them; while it notifies, the newest picture.
    pub until: i64,
}

/// Whose memory counts for a core that does not notify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authority {
    /// The peer's, as [`inherit`](crate::inherit::inherit) has it.
    Inherit,
    /// This core's own.
    #[default]
    Nothing,
    /// Both, as [`inherit_union`](crate::inherit::inherit_union) has it.
    Union,
}

impl Activity {
    /// What is known after a picture of `created` that shows whether the core notifies. `before` is what was known, and
    /// `notified` what the picture before it showed.
    pub fn after(before: Option<Self>, notified: Option<bool>, notifies: Option<bool>, created: i64) -> Option<Self> {
        if notifies != Some(true) {
            return before;
        }
        let goes_on = |before: &Self| notified == Some(true) && created - before.until <= MAX_GAP;
        let since = before.filter(goes_on).map_or(created, |before| before.since.min(created));
        Some(Self { since, until: created })
    }

    /// For how long both went on at the same time, in seconds.
    fn overlap(self, other: Self) -> i64 {
        (self.until.min(other.until) - self.since.max(other.since)).max(0)
    }

    fn is_later_than(self, other: Self) -> bool {
        let (ended, began) = (self.until - other.until, self.since - other.since);
        if ended.abs() <= SLACK && began.abs() > SLACK { began > 0 } else { (ended, began) > (0, 0) }
    }
}

/// Whose memory counts for this core, by when each of the two notified last.
pub fn authority(peer: Option<Activity>, own: Option<Activity>, is_standby: bool) -> Authority {
    let (peer, own) = match (peer, own) {
        (Some(peer), Some(own)) => (peer, own),
        (Some(_), None) => return Authority::Inherit,
        (None, None) if is_standby => return Authority::Inherit,
        (None, Some(_) | None) => return Authority::Nothing,
    };
    let (together, alone) = (peer.overlap(own), (peer.until - own.until).abs());
    match peer.is_later_than(own) {
        // What was told since then alone has more weight, and a recovery that is owed is known from one memory only.
        _ if together > SLACK && alone <= together => Authority::Union,
        true => Authority::Inherit,
        false => Authority::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(since: i64, until: i64) -> Option<Activity> {
        Some(Activity { since, until })
    }

    /// For both nodes: the master first, then the standby.
    fn both(master: Option<Activity>, standby: Option<Activity>) -> (Authority, Authority) {
        (authority(standby, master, false), authority(master, standby, true))
    }

    #[test]
    fn before_anybody_notified_the_role_decides() {
        assert_eq!(both(None, None), (Authority::Nothing, Authority::Inherit));
        assert_eq!(both(from(0, 100), None), (Authority::Nothing, Authority::Inherit));
        assert_eq!(both(None, from(0, 100)), (Authority::Inherit, Authority::Nothing));
    }

    #[test]
    fn over_a_cycle_of_failures_the_memory_follows_the_one_in_charge() {
        for skew in -SLACK..=SLACK {
            let standby = |since: i64, until: i64| from(since + skew, until + skew);
            let (inherits, keeps) = (Authority::Inherit, Authority::Nothing);
            // The master notified, was killed, and the standby took over.
            assert_eq!(both(from(0, 1000), standby(1002, 1010)), (inherits, keeps), "{skew}");
            // The master's core is back, and silent.
            assert_eq!(both(from(0, 1000), standby(1002, 1500)), (inherits, keeps), "{skew}");
            // The standby handed back.
            assert_eq!(both(from(1502, 1540), standby(1002, 1500)), (keeps, inherits), "{skew}");
            assert_eq!(both(from(1502, 9000), standby(1002, 1500)), (keeps, inherits), "{skew}");
            // The master was killed again.
            assert_eq!(both(from(1502, 9000), standby(9002, 9020)), (inherits, keeps), "{skew}");
        }
    }

    #[test]
    fn a_healed_partition_joins_both() {
        let (master, standby) = (from(0, 1000), from(700, 1000));
        assert_eq!(both(master, standby), (Authority::Union, Authority::Union));
        // Either side goes on alone.
        assert_eq!(both(from(0, 1200), standby), (Authority::Union, Authority::Union));
        assert_eq!(both(from(0, 1301), standby), (Authority::Nothing, Authority::Inherit));
        assert_eq!(both(master, from(700, 1301)), (Authority::Inherit, Authority::Nothing));
    }

    #[test]
    fn an_activity_is_what_pictures_in_a_row_show() {
        let mut known = None;
        let mut notified = None;
        let mut show = |notifies, created| {
            known = Activity::after(known, notified, notifies, created);
            notified = notifies;
            known
        };
        assert_eq!(show(Some(false), 90), None);
        assert_eq!(show(Some(true), 100), from(100, 100));
        assert_eq!(show(Some(true), 110), from(100, 110));
        assert_eq!(show(Some(false), 120), from(100, 110));
        assert_eq!(show(Some(true), 130), from(130, 130), "it was silent between");
        assert_eq!(
            show(Some(true), 131 + MAX_GAP),
            from(131 + MAX_GAP, 131 + MAX_GAP),
            "nobody knows what was between"
        );
        assert_eq!(show(None, 140 + MAX_GAP), from(131 + MAX_GAP, 131 + MAX_GAP));
    }

    #[test]
    fn a_clock_that_was_set_back_begins_no_activity_in_the_future() {
        assert_eq!(Activity::after(from(100, 110), Some(true), Some(true), 50), from(50, 50));
    }
}
