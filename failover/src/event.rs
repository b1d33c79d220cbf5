//! The documentation's scenario 1: what the core's event handlers tell, and what follows from it.
//!
//! ```text
//! host      HARD DOWN, UNREACHABLE   the master is gone         take over
//! host      HARD UP                  its host is back           hand back, but only if its core is known to live
//! service   HARD CRITICAL            its core is gone           take over
//! service   HARD OK                  its core lives             hand back
//! service   HARD WARNING, UNKNOWN    ┐
//! both      SOFT                     ┘                          nothing
//! ```
//!
//! With the daemon running, events feed the machine. Without it, [`crate::handler`] does what the documented handlers do.

use nagios::{HostState, ReturnCode, ServiceState, StateType, StateWordError};

/// What an event handler tells that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The master's host is down or cannot be reached.
    HostDown,
    /// The master's host is up; its core may not be.
    HostUp,
    /// The master's core is gone.
    ProcessCritical,
    /// The master's core lives.
    ProcessOk,
}

/// Whose state an event handler tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The master's host.
    Host,
    /// The service on it that watches the core, with `check_nagios`.
    Service,
}

/// An argument of an event handler that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The state.
    #[error(transparent)]
    State(#[from] StateWordError),
    /// A host's state has no such number.
    #[error("{0} is no state of a host: write UP, DOWN, UNREACHABLE or 0, 1, 2")]
    HostCode(i16),
    /// The type of the state.
    #[error("`{0}` is no type of a state: write SOFT or HARD, as in $HOSTSTATETYPE$ and $SERVICESTATETYPE$")]
    Type(String),
}

/// What `$HOSTSTATE$ $HOSTSTATETYPE$` or `$SERVICESTATE$ $SERVICESTATETYPE$` mean. `None`: nothing is to be done.
///
/// # Errors
/// An argument is no state, or no type of one.
pub fn decide(kind: Kind, state: &str, state_type: &str) -> Result<Option<Event>, EventError> {
    let event = match kind {
        Kind::Host => {
            let code = ReturnCode::from_host_word(state)?;
            match code.host_state().ok_or(EventError::HostCode(code.get()))? {
                HostState::Up => Some(Event::HostUp),
                HostState::Down | HostState::Unreachable => Some(Event::HostDown),
            }
        }
        Kind::Service => match ReturnCode::from_service_word(state)?.service_state() {
            ServiceState::Ok => Some(Event::ProcessOk),
            ServiceState::Critical => Some(Event::ProcessCritical),
            ServiceState::Warning | ServiceState::Unknown => None,
        },
    };
    match parse_type(state_type)? {
        StateType::Hard => Ok(event),
        StateType::Soft => Ok(None),
    }
}

impl Event {
    /// Whether it speaks for taking over; otherwise it speaks for handing back.
    pub fn is_failure(self) -> bool {
        match self {
            Event::HostDown | Event::ProcessCritical => true,
            Event::HostUp | Event::ProcessOk => false,
        }
    }
}

fn parse_type(text: &str) -> Result<StateType, EventError> {
    match text.trim() {
        word if word.eq_ignore_ascii_case("HARD") => Ok(StateType::Hard),
        word if word.eq_ignore_ascii_case("SOFT") => Ok(StateType::Soft),
        word => Err(EventError::Type(word.chars().take(40).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_decisions_and_no_others() {
        for (kind, state, decision) in [
            (Kind::Host, "UP", Some(Event::HostUp)),
            (Kind::Host, "DOWN", Some(Event::HostDown)),
            (Kind::Host, "unreachable", Some(Event::HostDown)),
            (Kind::Host, "0", Some(Event::HostUp)),
            (Kind::Service, "OK", Some(Event::ProcessOk)),
            (Kind::Service, "WARNING", None),
            (Kind::Service, "CRITICAL", Some(Event::ProcessCritical)),
            (Kind::Service, "2", Some(Event::ProcessCritical)),
            (Kind::Service, "UNKNOWN", None),
        ] {
            assert_eq!(decide(kind, state, "HARD"), Ok(decision), "{kind:?} {state}");
            assert_eq!(decide(kind, state, "soft"), Ok(None), "{kind:?} {state}");
        }
    }

    #[test]
    fn words_that_mean_nothing_are_errors() {
        assert!(decide(Kind::Host, "OK", "HARD").unwrap_err().to_string().contains("UP, DOWN"));
        assert!(decide(Kind::Host, "3", "HARD").unwrap_err().to_string().contains("no state of a host"));
        assert!(decide(Kind::Service, "CRITICAL", "HURD").unwrap_err().to_string().contains("SOFT or HARD"));
    }
}
