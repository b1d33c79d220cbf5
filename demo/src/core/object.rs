//! What is known of one host or service.

use std::collections::BTreeMap;
use std::time::Instant;

use nagios::{CheckType, Object, ReturnCode, StateType, Timestamp};

use super::check::Parts;
use super::config::Config;

/// After how many attempts a problem is HARD.
pub(super) const MAX_ATTEMPTS: u32 = 3;

pub(super) type Objects = BTreeMap<Object, Monitored>;

#[derive(Debug)]
pub(super) struct Monitored {
    command: String,
    /// None while the check runs, and without active checks.
    next_check: Option<Instant>,
    due_again: Option<Instant>,
    /// None before the first result: the state is pending.
    pub(super) last_check: Option<Timestamp>,
    pub(super) last_state_change: Option<Timestamp>,
    pub(super) state: i16,
    pub(super) state_type: StateType,
    pub(super) attempt: u32,
    pub(super) check_type: CheckType,
    pub(super) parts: Parts,
    /// The state of the problem that somebody was told of last; none when its end was told, or never mattered.
    told: Option<i16>,
    /// What a notification is about.
    pub(super) news: News,
}

/// The type of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Problem,
    Recovery,
}

/// All objects of the configuration, their first checks spread over one interval.
pub(super) fn scheduled(config: &Config, now: Instant) -> Objects {
    let count = u32::try_from(config.checks.len()).unwrap_or(u32::MAX).max(1);
    let step = config.check_interval / count;
    let due = (0..).map(|index| now + step * index);
    let monitored = |((object, command), due): ((&Object, &String), Instant)| {
        (object.clone(), Monitored::new(command.clone(), Some(due)))
    };
    config.checks.iter().zip(due).map(monitored).collect()
}

impl Monitored {
    pub(super) fn new(command: String, next_check: Option<Instant>) -> Self {
        Self {
            command,
            next_check,
            due_again: None,
            last_check: None,
            last_state_change: None,
            state: 0,
            state_type: StateType::Hard,
            attempt: 1,
            check_type: CheckType::Active,
            parts: Parts::default(),
            told: None,
            news: News::Recovery,
        }
    }

    pub(super) fn next_check(&self) -> Option<Instant> {
        self.next_check
    }

    /// The command to run; the check is not due again before it has ended.
    pub(super) fn start_check(&mut self, due_again: Instant) -> String {
        self.next_check = None;
        self.due_again = Some(due_again);
        self.command.clone()
    }

    pub(super) fn check_ended(&mut self) {
        self.next_check = self.due_again.take();
    }

    /// Takes a result; false when a core refuses it, a host's code other than 0 to 2.
    pub(super) fn record(
        &mut self,
        object: &Object,
        code: ReturnCode,
        text: &[u8],
        check_time: Timestamp,
        check_type: CheckType,
    ) -> bool {
        let state = match object {
            Object::Service(..) if !(0..=3).contains(&code.get()) => 3,
            Object::Host(_) if !(0..=2).contains(&code.get()) => return false,
            _ => code.get(),
        };
        self.attempt = match (self.state, state) {
            (0, _) | (_, 0) => 1,
            _ => (self.attempt + 1).min(MAX_ATTEMPTS),
        };
        let confirmed = state == 0 || self.attempt == MAX_ATTEMPTS;
        self.state_type = if confirmed { StateType::Hard } else { StateType::Soft };
        if self.last_check.is_none() || self.state != state {
            self.last_state_change = Some(check_time);
        }
        self.state = state;
        self.last_check = Some(check_time);
        self.check_type = check_type;
        self.parts = Parts::of(text);
        true
    }

    /// Whether the state is worth a notification, which then counts as sent: a HARD problem that nobody was told of, or the end
    /// of one that somebody was told of. Without `notifications` nobody is told, now or later.
    pub(super) fn notify(&mut self, notifications: bool) -> bool {
        let told = match (self.state, self.state_type) {
            (0, _) => None,
            (state, StateType::Hard) if notifications => Some(state),
            (_, StateType::Hard | StateType::Soft) => self.told,
        };
        self.news = if told.is_some() { News::Problem } else { News::Recovery };
        let is_news = self.told != told;
        self.told = told;
        is_news && notifications
    }
}

#[cfg(test)]
mod tests {
    use nagios::HostName;

    use super::*;

    #[test]
    fn problems_harden() {
        let host = Object::Host(HostName::try_from("web1").unwrap());
        let mut monitored = Monitored::new(String::new(), None);
        let mut record = |code, seconds| {
            let time = Timestamp::from_seconds(seconds);
            let taken = monitored.record(&host, ReturnCode::new(code), b"x", time, CheckType::Passive);
            (taken, monitored.state, monitored.state_type, monitored.last_state_change.map(Timestamp::seconds))
        };
        assert_eq!(record(0, 1), (true, 0, StateType::Hard, Some(1)));
        assert_eq!(record(1, 2), (true, 1, StateType::Soft, Some(2)));
        assert_eq!(record(1, 3), (true, 1, StateType::Soft, Some(2)));
        assert_eq!(record(1, 4), (true, 1, StateType::Hard, Some(2)));
        assert!(!record(3, 5).0);
        assert_eq!(record(0, 6), (true, 0, StateType::Hard, Some(6)));
    }

    #[test]
    fn a_hard_problem_is_told_once_and_so_is_its_end() {
        let service = Object::Host(HostName::try_from("web1").unwrap());
        let mut monitored = Monitored::new(String::new(), None);
        let mut told = |code, notifications| {
            monitored.record(&service, ReturnCode::new(code), b"x", Timestamp::from_seconds(1), CheckType::Active);
            monitored.notify(notifications).then_some(monitored.news)
        };
        assert_eq!(
            [told(2, true), told(2, true), told(2, true), told(2, true)],
            [None, None, Some(News::Problem), None]
        );
        assert_eq!([told(1, true), told(0, true), told(0, true)], [Some(News::Problem), Some(News::Recovery), None]);
        assert_eq!([told(2, false), told(2, false), told(2, false)], [None, None, None], "silent");
        assert_eq!([told(2, true), told(0, false), told(0, true)], [Some(News::Problem), None, None]);
    }
}
