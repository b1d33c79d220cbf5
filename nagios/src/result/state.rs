//! Return codes, and the words that cores use for them.

use std::fmt;

/// What a plugin returned, as it is on the wire; nothing is refused here.
///
/// Cores read a service's code outside 0–3 as UNKNOWN, and refuse a host's outside 0–2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReturnCode(i16);

impl ReturnCode {
    /// Any number that NSCA's packet can hold.
    pub const fn new(code: i16) -> Self {
        Self(code)
    }

    /// The number.
    pub const fn get(self) -> i16 {
        self.0
    }

    /// From `OK`, `WARNING`, `CRITICAL`, `UNKNOWN` in any case, or a number.
    pub fn from_service_word(word: &str) -> Result<Self, StateWordError> {
        Self::from_word(word, &ServiceState::WORDS)
    }

    /// From `UP`, `DOWN`, `UNREACHABLE` in any case, or a number.
    pub fn from_host_word(word: &str) -> Result<Self, StateWordError> {
        Self::from_word(word, &HostState::WORDS)
    }

    /// What a core makes of it for a service.
    pub fn service_state(self) -> ServiceState {
        match self.0 {
            0 => ServiceState::Ok,
            1 => ServiceState::Warning,
            2 => ServiceState::Critical,
            _ => ServiceState::Unknown,
        }
    }

    /// What a core makes of it for a host; none where the core refuses the result.
    pub fn host_state(self) -> Option<HostState> {
        match self.0 {
            0 => Some(HostState::Up),
            1 => Some(HostState::Down),
            2 => Some(HostState::Unreachable),
            _ => None,
        }
    }

    fn from_word(word: &str, words: &'static [&'static str]) -> Result<Self, StateWordError> {
        let word = word.trim();
        (0i16..)
            .zip(words)
            .find(|(_, known)| known.eq_ignore_ascii_case(word))
            .map(|(code, _)| code)
            .or_else(|| word.parse().ok())
            .map(Self)
            .ok_or_else(|| StateWordError { word: word.chars().take(40).collect(), words })
    }
}

impl fmt::Display for ReturnCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A state that is neither a word of the core nor a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no state: write {} or a number", words.join(", "))]
pub struct StateWordError {
    word: String,
    words: &'static [&'static str],
}

/// A service's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceState {
    /// 0
    Ok,
    /// 1
    Warning,
    /// 2
    Critical,
    /// 3, and every other code
    Unknown,
}

impl ServiceState {
    const WORDS: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
}

impl From<ServiceState> for ReturnCode {
    fn from(state: ServiceState) -> Self {
        Self(state as i16)
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::WORDS[*self as usize])
    }
}

/// A host's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostState {
    /// 0
    Up,
    /// 1
    Down,
    /// 2
    Unreachable,
}

impl HostState {
    const WORDS: [&str; 3] = ["UP", "DOWN", "UNREACHABLE"];
}

impl From<HostState> for ReturnCode {
    fn from(state: HostState) -> Self {
        Self(state as i16)
    }
}

impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::WORDS[*self as usize])
    }
}

/// Whether a state has been confirmed by retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateType {
    /// Not yet: 0 in the status file.
    Soft,
    /// It has: 1 in the status file.
    Hard,
}

/// Who ran the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckType {
    /// The core itself: 0 in the status file.
    Active,
    /// Somebody else, who submitted the result: 1 in the status file.
    Passive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_both_states() {
        let service = |word: &str| ReturnCode::from_service_word(word).map(ReturnCode::get);
        let host = |word: &str| ReturnCode::from_host_word(word).map(ReturnCode::get);
        for (code, word) in (0..).zip(["ok", "WARNING", "Critical", "UNKNOWN"]) {
            assert_eq!(service(word), Ok(code));
            assert_eq!(service(&code.to_string()), Ok(code));
        }
        for (code, word) in (0..).zip(["UP", "DOWN", "UNREACHABLE"]) {
            assert_eq!(host(word), Ok(code));
        }
        assert_eq!(service("-1"), Ok(-1));
        assert!(service("UP").is_err() && host("OK").is_err() && service("").is_err() && service("99999").is_err());
        assert_eq!(
            service("FINE").unwrap_err().to_string(),
            "`FINE` is no state: write OK, WARNING, CRITICAL, UNKNOWN or a number"
        );
    }

    #[test]
    fn codes_out_of_range_are_what_cores_make_of_them() {
        assert_eq!(ReturnCode::new(7).service_state(), ServiceState::Unknown);
        assert_eq!(ReturnCode::new(-1).service_state(), ServiceState::Unknown);
        assert_eq!(ReturnCode::new(3).host_state(), None);
        assert_eq!(ReturnCode::from(HostState::Unreachable).host_state(), Some(HostState::Unreachable));
        assert_eq!(ReturnCode::from(ServiceState::Critical).service_state().to_string(), "CRITICAL");
    }
}
