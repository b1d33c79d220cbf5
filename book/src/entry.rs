//! What the book says of one object, and how one entry becomes the next.

use nagios::Memory;
use nagios::remark::{Comment, Downtime};

/// How many comments, and how many downtimes, of one object are kept: the newest.
pub const MAX_REMARKS: usize = 64;

/// What the book says of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What the core remembers.
    pub memory: Memory,
    /// What people and the core say of it, at most [`MAX_REMARKS`], in the order of their numbers.
    pub comments: Vec<Comment>,
    /// When nobody is to be told of it, at most [`MAX_REMARKS`], in the order of their numbers.
    pub downtimes: Vec<Downtime>,
}

/// A part of an entry that changes, and travels, as a whole. The number is its bit in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// States and flags.
    Status = 0,
    /// `current_attempt`
    Attempt = 1,
    /// `last_check`
    LastCheck = 2,
    /// `last_state_change`
    StateChange = 3,
    /// `last_hard_state_change`
    HardStateChange = 4,
    /// The last time in state 0.
    LastTime0 = 5,
    /// The last time in state 1.
    LastTime1 = 6,
    /// The last time in state 2.
    LastTime2 = 7,
    /// The last time in state 3.
    LastTime3 = 8,
    /// `notified_on_*` and `current_notification_number`
    Notified = 9,
    /// `last_notification`
    LastNotification = 10,
    /// `next_notification`
    NextNotification = 11,
    /// What is switched on, and what operators changed.
    Switches = 12,
    /// `percent_state_change`
    PercentStateChange = 13,
    /// `scheduled_downtime_depth`
    DowntimeDepth = 14,
    /// All comments.
    Comments = 15,
    /// All downtimes.
    Downtimes = 16,
}

impl Field {
    /// Every field, in the order in which they travel.
    pub const ALL: [Self; 17] = [
        Self::Status,
        Self::Attempt,
        Self::LastCheck,
        Self::StateChange,
        Self::HardStateChange,
        Self::LastTime0,
        Self::LastTime1,
        Self::LastTime2,
        Self::LastTime3,
        Self::Notified,
        Self::LastNotification,
        Self::NextNotification,
        Self::Switches,
        Self::PercentStateChange,
        Self::DowntimeDepth,
        Self::Comments,
        Self::Downtimes,
    ];

    /// Its bit in a record.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Which of the last times it is.
    pub(crate) const fn last_time(self) -> Option<usize> {
        match self {
            Self::LastTime0 => Some(0),
            Self::LastTime1 => Some(1),
            Self::LastTime2 => Some(2),
            Self::LastTime3 => Some(3),
            _ => None,
        }
    }

    /// Makes this field of `to` what it is in `from`.
    fn copy(self, from: &Entry, to: &mut Entry) {
        let (new, old) = (&from.memory, &mut to.memory);
        match self {
            Self::Status => {
                (old.checked, old.state, old.state_type) = (new.checked, new.state, new.state_type);
                (old.last_hard_state, old.flapping) = (new.last_hard_state, new.flapping);
                (old.no_more_notifications, old.acknowledgement) = (new.no_more_notifications, new.acknowledgement);
            }
            Self::Attempt => old.attempt = new.attempt,
            Self::LastCheck => old.last_check = new.last_check,
            Self::StateChange => old.last_state_change = new.last_state_change,
            Self::HardStateChange => old.last_hard_state_change = new.last_hard_state_change,
            Self::LastTime0 | Self::LastTime1 | Self::LastTime2 | Self::LastTime3 => {
                let at = self.last_time().expect("these are the last times");
                old.last_times[at] = new.last_times[at];
            }
            Self::Notified => {
                (old.notified_on, old.notifications) = (new.notified_on, new.notifications);
            }
            Self::LastNotification => old.last_notification = new.last_notification,
            Self::NextNotification => old.next_notification = new.next_notification,
            Self::Switches => (old.switches, old.modified) = (new.switches, new.modified),
            Self::PercentStateChange => old.percent_state_change = new.percent_state_change,
            Self::DowntimeDepth => old.downtime_depth = new.downtime_depth,
            Self::Comments => to.comments.clone_from(&from.comments),
            Self::Downtimes => to.downtimes.clone_from(&from.downtimes),
        }
    }

    /// Whether it is the same in both.
    fn is_same(self, a: &Entry, b: &Entry) -> bool {
        let (x, y) = (&a.memory, &b.memory);
        match self {
            Self::Status => {
                (x.checked, x.state, x.state_type, x.last_hard_state)
                    == (y.checked, y.state, y.state_type, y.last_hard_state)
                    && (x.flapping, x.no_more_notifications, x.acknowledgement)
                        == (y.flapping, y.no_more_notifications, y.acknowledgement)
            }
            Self::Attempt => x.attempt == y.attempt,
            Self::LastCheck => x.last_check == y.last_check,
            Self::StateChange => x.last_state_change == y.last_state_change,
            Self::HardStateChange => x.last_hard_state_change == y.last_hard_state_change,
            Self::LastTime0 | Self::LastTime1 | Self::LastTime2 | Self::LastTime3 => {
                let at = self.last_time().expect("these are the last times");
                x.last_times[at] == y.last_times[at]
            }
            Self::Notified => (x.notified_on, x.notifications) == (y.notified_on, y.notifications),
            Self::LastNotification => x.last_notification == y.last_notification,
            Self::NextNotification => x.next_notification == y.next_notification,
            Self::Switches => (x.switches, x.modified) == (y.switches, y.modified),
            Self::PercentStateChange => x.percent_state_change == y.percent_state_change,
            Self::DowntimeDepth => x.downtime_depth == y.downtime_depth,
            Self::Comments => a.comments == b.comments,
            Self::Downtimes => a.downtimes == b.downtimes,
        }
    }
}

/// Some fields of an entry. The others mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub(crate) fields: u32,
    pub(crate) entry: Entry,
}

impl Change {
    /// What makes `new` of `old`; none if they are the same.
    pub fn between(old: &Entry, new: &Entry) -> Option<Self> {
        let mut change = Self { fields: 0, entry: Entry::default() };
        for field in Field::ALL.into_iter().filter(|field| !field.is_same(old, new)) {
            change.fields |= field.bit();
            field.copy(new, &mut change.entry);
        }
        (change.fields != 0).then_some(change)
    }

    /// What makes `entry` of an entry of which nothing is known.
    pub fn whole(entry: &Entry) -> Self {
        Self::between(&Entry::default(), entry).unwrap_or(Self { fields: 0, entry: Entry::default() })
    }

    /// These fields, by their bits, as they are in `entry`.
    pub(crate) fn of(entry: &Entry, fields: u32) -> Self {
        let mut change = Self { fields, entry: Entry::default() };
        Field::ALL
            .into_iter()
            .filter(|field| fields & field.bit() != 0)
            .for_each(|field| field.copy(entry, &mut change.entry));
        change
    }

    /// The bits of what changes.
    pub(crate) fn fields(&self) -> u32 {
        self.fields
    }

    /// Makes the change.
    pub fn apply(&self, entry: &mut Entry) {
        Field::ALL.into_iter().filter(|field| self.touches(*field)).for_each(|field| field.copy(&self.entry, entry));
    }

    /// Whether `field` changes.
    pub fn touches(&self, field: Field) -> bool {
        self.fields & field.bit() != 0
    }
}

/// Keeps the newest of too many remarks, and orders them by number.
pub(crate) fn limit<R>(remarks: &mut Vec<R>, number: impl Fn(&R) -> u64) {
    remarks.sort_by_key(number);
    let surplus = remarks.len().saturating_sub(MAX_REMARKS);
    remarks.drain(..surplus);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use nagios::StateType;
    use nagios::memory::{Acknowledgement, States, Switches};
    use nagios::remark::{CommentKind, RemarkText};
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = RemarkText> {
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| RemarkText::field(&bytes))
    }

    fn comment() -> impl Strategy<Value = Comment> {
        let kinds = [CommentKind::User, CommentKind::Downtime, CommentKind::Flapping, CommentKind::Acknowledgement];
        let numbers = any::<(u64, i64, bool, i64)>();
        (numbers, 0..4_usize, text(), text()).prop_map(
            move |((id, entered, persistent, expires), kind, author, text)| Comment {
                id,
                kind: kinds[kind],
                entered,
                persistent,
                expires,
                author,
                text,
            },
        )
    }

    fn downtime() -> impl Strategy<Value = Downtime> {
        let numbers = any::<(u64, i64, i64, i64, bool, i64, u64, bool, i64)>();
        (numbers, text(), text()).prop_map(|(numbers, author, text)| {
            let (id, entered, start, end, fixed, duration, triggered_by, in_effect, began) = numbers;
            Downtime { id, entered, start, end, fixed, duration, triggered_by, in_effect, began, author, text }
        })
    }

    fn memory() -> impl Strategy<Value = Memory> {
        let acknowledgements = [None, Some(Acknowledgement::Normal), Some(Acknowledgement::Sticky)];
        let state = (any::<bool>(), 0..4_u8, any::<bool>(), 0..4_u8, any::<(u32, i64, i64, i64)>());
        let told = (any::<(u8, u32, i64, i64, bool)>(), 0..3_usize);
        (state, any::<[i64; 4]>(), told, any::<(u32, u32, bool, u16, u32)>()).prop_map(
            move |(state, last_times, (told, acknowledgement), (switches, modified, flapping, percent, depth))| {
                let (checked, state, hard, last_hard_state, times) = state;
                Memory {
                    checked,
                    last_check: times.1,
                    state,
                    state_type: if hard { StateType::Hard } else { StateType::Soft },
                    attempt: times.0,
                    last_hard_state,
                    last_state_change: times.2,
                    last_hard_state_change: times.3,
                    last_times,
                    notified_on: States::from_bits(told.0),
                    notifications: told.1,
                    last_notification: told.2,
                    next_notification: told.3,
                    no_more_notifications: told.4,
                    acknowledgement: acknowledgements[acknowledgement],
                    switches: Switches::from_bits(switches),
                    modified: Switches::from_bits(modified),
                    flapping,
                    percent_state_change: percent,
                    downtime_depth: depth,
                }
            },
        )
    }

    pub(crate) fn entry() -> impl Strategy<Value = Entry> {
        let remarks = (proptest::collection::vec(comment(), 0..3), proptest::collection::vec(downtime(), 0..3));
        (memory(), remarks).prop_map(|(memory, (comments, downtimes))| Entry { memory, comments, downtimes })
    }

    #[test]
    fn only_what_changed_is_a_change() {
        let old = Entry::default();
        assert_eq!(Change::between(&old, &old), None);
        let memory = Memory { last_check: 7, ..Memory::default() };
        let change = Change::between(&old, &Entry { memory, ..Entry::default() }).unwrap();
        assert_eq!(change.fields, Field::LastCheck.bit());
        assert!(change.touches(Field::LastCheck) && !change.touches(Field::Status));
    }

    #[test]
    fn the_newest_remarks_are_kept() {
        let mut numbers: Vec<u64> = (0..MAX_REMARKS as u64 + 5).rev().collect();
        limit(&mut numbers, |number| *number);
        assert_eq!((numbers.len(), numbers[0]), (MAX_REMARKS, 5));
    }

    proptest! {
        #[test]
        fn a_change_makes_the_new_of_the_old(old in entry(), new in entry()) {
            let mut changed = old.clone();
            if let Some(change) = Change::between(&old, &new) {
                change.apply(&mut changed);
            }
            prop_assert_eq!(&changed, &new);
            let mut first = Entry::default();
            Change::whole(&new).apply(&mut first);
            prop_assert_eq!(&first, &new);
        }
    }
}
