//! What a core remembers of one host or service, and a check result does not carry.
//!
//! A core decides by it whether to notify: which states of a problem somebody was told of, how often, when again, whether
//! somebody has taken it over. [`crate::status`] reads it; [`crate::retention`] gives it to another core.
//!
//! All times are Unix seconds, and 0 is "never", as in the core's own files. States are the core's numbers: of a host 0 up,
//! 1 down, 2 unreachable, of a service 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

use crate::result::StateType;

/// The number of the state in which nothing is wrong, OK and UP.
pub const FINE: u8 = 0;

/// How many states there are.
pub const STATES: usize = 4;

/// What a core remembers of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `has_been_checked`: without it, states and times say nothing.
    pub checked: bool,
    /// `last_check`.
    pub last_check: i64,
    /// `current_state`.
    pub state: u8,
    /// `state_type`.
    pub state_type: StateType,
    /// `current_attempt`, from 1.
    pub attempt: u32,
    /// `last_hard_state`.
    pub last_hard_state: u8,
    /// `last_state_change`.
    pub last_state_change: i64,
    /// `last_hard_state_change`.
    pub last_hard_state_change: i64,
    /// `last_time_ok`, `last_time_up` and so on, by the state's number.
    pub last_times: [i64; STATES],
    /// `notified_on_*`: the states of the present problem that somebody was told of. A status file does not tell them:
    /// there it is the present state, if anybody was told of the problem at all.
    pub notified_on: States,
    /// `current_notification_number`: how often somebody was told of the present problem.
    pub notifications: u32,
    /// `last_notification`.
    pub last_notification: i64,
    /// `next_notification`: not before then. A retention file does not tell it.
    pub next_notification: i64,
    /// `no_more_notifications`: one was enough.
    pub no_more_notifications: bool,
    /// `problem_has_been_acknowledged` and `acknowledgement_type`.
    pub acknowledgement: Option<Acknowledgement>,
    /// What is switched on.
    pub switches: Switches,
    /// `modified_attributes`: what operators changed, also of what is no switch.
    pub modified: Switches,
    /// `is_flapping`.
    pub flapping: bool,
    /// `percent_state_change`, in hundredths of a percent.
    pub percent_state_change: u16,
    /// `scheduled_downtime_depth`: how many downtimes it is in.
    pub downtime_depth: u32,
}

/// An object of which nothing is known yet, with everything switched on.
impl Default for Memory {
    fn default() -> Self {
        Self {
            checked: false,
            last_check: 0,
            state: FINE,
            state_type: StateType::Hard,
            attempt: 1,
            last_hard_state: FINE,
            last_state_change: 0,
            last_hard_state_change: 0,
            last_times: [0; STATES],
            notified_on: States::default(),
            notifications: 0,
            last_notification: 0,
            next_notification: 0,
            no_more_notifications: false,
            acknowledgement: None,
            switches: Switches::ALL,
            modified: Switches::default(),
            flapping: false,
            percent_state_change: 0,
            downtime_depth: 0,
        }
    }
}

impl Memory {
    /// Whether something is wrong with the object, be it confirmed or not.
    pub fn is_problem(&self) -> bool {
        self.checked && self.state != FINE
    }

    /// Which attempt a SOFT state has reached; none of a HARD one, where it means nothing more: a passive host is HARD at its
    /// first, and after reading a retention file Nagios 4 shows the last one for it.
    pub fn soft_attempt(&self) -> Option<u32> {
        (self.state_type == StateType::Soft).then_some(self.attempt)
    }
}

/// Who takes care of a problem, and for how long that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// 1: until the state changes.
    Normal,
    /// 2: until all is well.
    Sticky,
}

/// A set of states other than [`FINE`]; bit n is state n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States(u8);

impl States {
    /// From bits. Those that are no problem's are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b1110)
    }

    /// Bit n is state n.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Only `state`.
    pub const fn only(state: u8) -> Self {
        if state < 8 { Self::from_bits(1 << state) } else { Self(0) }
    }

    /// These and those.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `state` is one of them.
    pub const fn contains(self, state: u8) -> bool {
        Self::only(state).0 & self.0 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Switches of an object, with the numbers that cores give them in `modified_attributes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches(u32);

impl Switches {
    /// `notifications_enabled`
    pub const NOTIFICATIONS: Self = Self(1);
    /// `active_checks_enabled`
    pub const ACTIVE_CHECKS: Self = Self(2);
    /// `passive_checks_enabled`
    pub const PASSIVE_CHECKS: Self = Self(4);
    /// `event_handler_enabled`
    pub const EVENT_HANDLER: Self = Self(8);
    /// `flap_detection_enabled`
    pub const FLAP_DETECTION: Self = Self(16);
    /// `process_performance_data`
    pub const PERFORMANCE_DATA: Self = Self(64);
    /// `obsess`
    pub const OBSESSING: Self = Self(128);
    /// Each of the above.
    pub const ALL: Self = Self(1 | 2 | 4 | 8 | 16 | 64 | 128);

    /// From the number in the core's file. Bits beyond [`Switches::ALL`] stand for what is no switch, and are kept.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The number in the core's file.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With or without those of `other`.
    #[must_use]
    pub const fn with(self, other: Self, on: bool) -> Self {
        if on { Self(self.0 | other.0) } else { Self(self.0 & !other.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_count_while_a_state_is_soft() {
        let soft = Memory { state_type: StateType::Soft, attempt: 2, ..Memory::default() };
        assert_eq!((soft.soft_attempt(), Memory::default().soft_attempt()), (Some(2), None));
    }

    #[test]
    fn a_set_of_states_holds_problems_only() {
        let states = States::only(2).union(States::only(3));
        assert_eq!(states.bits(), 0b1100);
        assert!(states.contains(2) && states.contains(3) && !states.contains(1) && !states.contains(200));
        assert!(States::only(FINE).is_empty() && States::only(4).is_empty() && States::from_bits(1).is_empty());
    }

    #[test]
    fn switches_have_the_numbers_of_the_cores() {
        let on = Switches::from_bits(1 | 512).with(Switches::OBSESSING, true);
        assert_eq!(on.bits(), 1 | 128 | 512, "what is no switch is kept");
        assert!(on.contains(Switches::NOTIFICATIONS) && !on.contains(Switches::ALL));
        assert!(!on.with(Switches::NOTIFICATIONS, false).contains(Switches::NOTIFICATIONS));
    }
}
