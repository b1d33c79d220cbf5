//! A block of a host or service into what the core remembers of it.
//!
//! **Invariant:** a block is gone through once, and nothing is allocated.

use super::{Block, BlockKind};
use crate::memory::{Acknowledgement, Memory, States, Switches};
use crate::result::StateType;

pub(super) fn of(block: &Block<'_>) -> Option<Memory> {
    if !matches!(block.kind(), BlockKind::Host | BlockKind::Service) {
        return None;
    }
    let mut reading =
        Reading { memory: Memory::default(), tells_notified_on: false, acknowledged: false, sticky: false };
    for (key, value) in block.fields() {
        reading.take(key, value);
    }
    Some(reading.done())
}

struct Reading {
    memory: Memory,
    /// `notified_on_*` was there: it is a retention file.
    tells_notified_on: bool,
    acknowledged: bool,
    sticky: bool,
}

impl Reading {
    fn take(&mut self, key: &[u8], value: &[u8]) {
        let memory = &mut self.memory;
        match key {
            b"has_been_checked" => memory.checked = flag(value),
            b"last_check" => memory.last_check = time(value),
            b"current_state" => memory.state = state(value),
            b"state_type" => memory.state_type = if flag(value) { StateType::Hard } else { StateType::Soft },
            b"current_attempt" => memory.attempt = count(value),
            b"last_hard_state" => memory.last_hard_state = state(value),
            b"last_state_change" => memory.last_state_change = time(value),
            b"last_hard_state_change" => memory.last_hard_state_change = time(value),
            b"last_notification" => memory.last_notification = time(value),
            b"next_notification" => memory.next_notification = time(value),
            b"current_notification_number" => memory.notifications = count(value),
            b"no_more_notifications" => memory.no_more_notifications = flag(value),
            b"problem_has_been_acknowledged" => self.acknowledged = flag(value),
            b"acknowledgement_type" => self.sticky = number(value) == 2,
            b"modified_attributes" => memory.modified = Switches::from_bits(count(value)),
            b"is_flapping" => memory.flapping = flag(value),
            b"percent_state_change" => memory.percent_state_change = hundredths(value),
            b"scheduled_downtime_depth" => memory.downtime_depth = count(value),
            _ => self.take_numbered(key, value),
        }
    }

    /// Fields of which there are several of a kind.
    fn take_numbered(&mut self, key: &[u8], value: &[u8]) {
        let memory = &mut self.memory;
        if let Some(word) = key.strip_prefix(b"last_time_") {
            if let Some(state) = state_called(word) {
                memory.last_times[usize::from(state)] = time(value);
            }
        } else if let Some(word) = key.strip_prefix(b"notified_on_") {
            self.tells_notified_on = true;
            let told = state_called(word).filter(|_| flag(value)).map_or(States::default(), States::only);
            memory.notified_on = memory.notified_on.union(told);
        } else if let Some(switch) = switch_called(key) {
            memory.switches = memory.switches.with(switch, flag(value));
        }
    }

    fn done(self) -> Memory {
        let mut memory = self.memory;
        if !self.tells_notified_on && memory.notifications > 0 && memory.is_problem() {
            memory.notified_on = States::only(memory.state);
        }
        let kind = if self.sticky { Acknowledgement::Sticky } else { Acknowledgement::Normal };
        memory.acknowledgement = self.acknowledged.then_some(kind);
        memory
    }
}

fn state_called(word: &[u8]) -> Option<u8> {
    match word {
        b"ok" | b"up" => Some(0),
        b"warning" | b"down" => Some(1),
        b"critical" | b"unreachable" => Some(2),
        b"unknown" => Some(3),
        _ => None,
    }
}

fn switch_called(key: &[u8]) -> Option<Switches> {
    match key {
        b"notifications_enabled" => Some(Switches::NOTIFICATIONS),
        b"active_checks_enabled" => Some(Switches::ACTIVE_CHECKS),
        b"passive_checks_enabled" => Some(Switches::PASSIVE_CHECKS),
        b"event_handler_enabled" => Some(Switches::EVENT_HANDLER),
        b"flap_detection_enabled" => Some(Switches::FLAP_DETECTION),
        b"process_performance_data" => Some(Switches::PERFORMANCE_DATA),
        b"obsess" | b"obsess_over_host" | b"obsess_over_service" => Some(Switches::OBSESSING),
        _ => None,
    }
}

fn state(value: &[u8]) -> u8 {
    u8::try_from(number(value)).ok().filter(|state| *state < 4).unwrap_or(3)
}

fn flag(value: &[u8]) -> bool {
    number(value) != 0
}

fn count(value: &[u8]) -> u32 {
    u32::try_from(number(value)).unwrap_or(u32::MAX)
}

pub(super) fn time(value: &[u8]) -> i64 {
    i64::try_from(number(value)).unwrap_or(0)
}

/// `6.25` is 625.
fn hundredths(value: &[u8]) -> u16 {
    let (whole, fraction) = value.split_at(value.iter().position(|byte| *byte == b'.').unwrap_or(value.len()));
    let digit =
        |at: usize| fraction.get(at).filter(|byte| byte.is_ascii_digit()).map_or(0, |byte| u64::from(byte - b'0'));
    let all = number(whole).saturating_mul(100) + 10 * digit(1) + digit(2);
    u16::try_from(all).unwrap_or(u16::MAX)
}

/// The digits at the beginning; what is no number is 0, and what is too large the largest.
pub(super) fn number(value: &[u8]) -> u64 {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0u64, |number, byte| number.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::StatusReader;

    fn memory(text: &str) -> Memory {
        StatusReader::new(text.as_bytes()).next_block().unwrap().unwrap().memory().unwrap()
    }

    #[test]
    fn a_block_of_a_status_file_is_understood() {
        let service = memory(
            "servicestatus {\n\thost_name=web1\n\tservice_description=S\n\tmodified_attributes=513\n\thas_been_checked=1\n\
             \tcurrent_state=2\n\tlast_hard_state=1\n\tcurrent_attempt=4\n\tmax_attempts=5\n\tstate_type=0\n\
             \tlast_state_change=11\n\tlast_hard_state_change=12\n\tlast_time_ok=13\n\tlast_time_warning=14\n\
             \tlast_time_unknown=15\n\tlast_time_critical=16\n\tlast_check=17\n\tcurrent_notification_number=3\n\
             \tlast_notification=18\n\tnext_notification=19\n\tno_more_notifications=1\n\tnotifications_enabled=0\n\
             \tactive_checks_enabled=0\n\tobsess=1\n\tproblem_has_been_acknowledged=1\n\tacknowledgement_type=2\n\
             \tis_flapping=1\n\tpercent_state_change=6.25\n\tscheduled_downtime_depth=2\n\t}\n",
        );
        let expected = Memory {
            checked: true,
            last_check: 17,
            state: 2,
            state_type: StateType::Soft,
            attempt: 4,
            last_hard_state: 1,
            last_state_change: 11,
            last_hard_state_change: 12,
            last_times: [13, 14, 16, 15],
            notified_on: States::only(2),
            notifications: 3,
            last_notification: 18,
            next_notification: 19,
            no_more_notifications: true,
            acknowledgement: Some(Acknowledgement::Sticky),
            switches: Switches::from_bits(Switches::ALL.bits() & !3),
            modified: Switches::from_bits(513),
            flapping: true,
            percent_state_change: 625,
            downtime_depth: 2,
        };
        assert_eq!(service, expected);
    }

    #[test]
    fn a_retention_file_tells_which_states_were_notified() {
        let host = memory(
            "host {\nhost_name=web1\nhas_been_checked=1\ncurrent_state=2\nnotified_on_down=1\nnotified_on_unreachable=0\n\
             current_notification_number=7\nlast_time_up=1\nlast_time_down=2\nlast_time_unreachable=3\n}\n",
        );
        assert_eq!(host.notified_on, States::only(1), "not what the number would imply");
        assert_eq!(host.last_times, [1, 2, 3, 0]);
        assert_eq!((host.next_notification, host.acknowledgement), (0, None));
    }

    #[test]
    fn a_number_is_no_problem_without_a_problem() {
        let quiet =
            memory("servicestatus {\n\thas_been_checked=1\n\tcurrent_state=0\n\tcurrent_notification_number=1\n\t}\n");
        assert!(quiet.notified_on.is_empty());
        assert!(StatusReader::new(&b"info {\n\t}\n"[..]).next_block().unwrap().unwrap().memory().is_none());
    }

    #[test]
    fn nonsense_is_bounded() {
        let odd = memory(
            "host {\ncurrent_state=77\nlast_check=99999999999999999999999\ncurrent_attempt=-4\n\
             current_notification_number=5000000000\npercent_state_change=x\nlast_time_odd=1\nnotified_on_x=1\n}\n",
        );
        assert_eq!((odd.state, odd.last_check, odd.attempt), (3, 0, 0));
        assert_eq!((odd.notifications, odd.percent_state_change), (u32::MAX, 0));
        assert_eq!(hundredths(b"100.009"), 10_000);
        assert_eq!(hundredths(b"7.5"), 750);
        assert_eq!(hundredths(b"99999999"), u16::MAX);
    }
}
