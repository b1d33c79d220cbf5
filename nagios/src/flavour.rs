//! Which core it is, and what that core does to a line of its command file.
//!
//! ```text
//! flavour   longest line        a backslash in the output           a newline in the output
//! nagios3   8,191 bytes         \\; before an n it becomes /        \n
//! nagios4   65,535 bytes        \\                                  \n
//! icinga1   8,191 bytes         \\; before an n it becomes /        \n
//! naemon    65,535 bytes        \                                   the two characters \n
//! icinga2   65,535 bytes        \ ; before an n it becomes /        \n
//! ```
//!
//! Sources, all of them read or tried:
//! - Nagios 3 and Icinga 1 read lines into a buffer of 8,192 bytes (`MAX_EXTERNAL_COMMAND_LENGTH`); what is beyond becomes
//!   **a command of its own**. They un-escape once and then look for `\n` a second time, so a true backslash before an `n`
//!   always ends as a newline.
//! - Nagios 4 reads through a cache of 64 KiB and un-escapes once. 4.4.6 took lines of 65,536 bytes unharmed; of one byte more
//!   it logged errors.
//! - Naemon un-escapes nothing from its command file; early versions read through a cache of 64 KiB, later ones through a
//!   queue that grows. Its status file escapes newlines in long output, but not backslashes.
//! - Icinga 2 replaces `\n` in what its `ExternalCommandListener` reads, and knows no escaped backslash.

use std::fmt;
use std::str::FromStr;

/// A kind of core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flavour {
    /// Nagios 3.
    Nagios3,
    /// Nagios 4, the one that most sites run.
    #[default]
    Nagios4,
    /// Icinga 1.
    Icinga1,
    /// Naemon.
    Naemon,
    /// Icinga 2 with its `command` feature.
    Icinga2,
}

impl Flavour {
    /// Every flavour, in the order of the table above.
    pub const fn all() -> [Self; 5] {
        [Self::Nagios3, Self::Nagios4, Self::Icinga1, Self::Naemon, Self::Icinga2]
    }

    /// The name used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nagios3 => "nagios3",
            Self::Nagios4 => "nagios4",
            Self::Icinga1 => "icinga1",
            Self::Naemon => "naemon",
            Self::Icinga2 => "icinga2",
        }
    }

    /// The longest line, its newline included, that the core reads from its command file as one command.
    pub const fn max_line_bytes(self) -> usize {
        match self {
            Self::Nagios3 | Self::Icinga1 => 8_191,
            Self::Nagios4 | Self::Naemon | Self::Icinga2 => 65_535,
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A flavour that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no flavour of core: write one of nagios3, nagios4, icinga1, naemon, icinga2")]
pub struct UnknownFlavour(String);

impl FromStr for Flavour {
    type Err = UnknownFlavour;

    fn from_str(name: &str) -> Result<Self, UnknownFlavour> {
        Self::all()
            .into_iter()
            .find(|flavour| flavour.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownFlavour(name.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for flavour in Flavour::all() {
            assert_eq!(flavour.to_string().parse(), Ok(flavour));
        }
        let error = "nagios5".parse::<Flavour>().unwrap_err().to_string();
        assert!(error.contains("nagios5") && Flavour::all().iter().all(|flavour| error.contains(flavour.name())));
    }
}
