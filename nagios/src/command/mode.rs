//! External commands that change what the core does as a whole.
//!
//! ```text
//! [unix seconds] NAME␊
//! ```

use std::io::Write as _;

use crate::result::Timestamp;

/// A command without arguments. All are idempotent, but for those that read: of what they find, comments and downtimes are
/// added once more each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModeCommand {
    /// Notify of problems and recoveries.
    EnableNotifications,
    /// Notify of nothing.
    DisableNotifications,
    /// Run service checks.
    StartExecutingServiceChecks,
    /// Run no service checks, except those of results that are not fresh.
    StopExecutingServiceChecks,
    /// Run host checks.
    StartExecutingHostChecks,
    /// Run no host checks, except those of results that are not fresh.
    StopExecutingHostChecks,
    /// Tell each service result by `ocsp_command`.
    StartObsessingOverServices,
    /// Tell no service results.
    StopObsessingOverServices,
    /// Tell each host result by `ochp_command`.
    StartObsessingOverHosts,
    /// Tell no host results.
    StopObsessingOverHosts,
    /// Write the retention file now.
    SaveStateInformation,
    /// Read the retention file now: Nagios 3 and 4, Naemon, Icinga 1.
    ReadStateInformation,
    /// Read the `sync_retention_file` now, and remove it: Icinga 1.
    SyncStateInformation,
}

impl ModeCommand {
    /// The name of the command.
    pub fn name(self) -> &'static str {
        match self {
            ModeCommand::EnableNotifications => "ENABLE_NOTIFICATIONS",
            ModeCommand::DisableNotifications => "DISABLE_NOTIFICATIONS",
            ModeCommand::StartExecutingServiceChecks => "START_EXECUTING_SVC_CHECKS",
            ModeCommand::StopExecutingServiceChecks => "STOP_EXECUTING_SVC_CHECKS",
            ModeCommand::StartExecutingHostChecks => "START_EXECUTING_HOST_CHECKS",
            ModeCommand::StopExecutingHostChecks => "STOP_EXECUTING_HOST_CHECKS",
            ModeCommand::StartObsessingOverServices => "START_OBSESSING_OVER_SVC_CHECKS",
            ModeCommand::StopObsessingOverServices => "STOP_OBSESSING_OVER_SVC_CHECKS",
            ModeCommand::StartObsessingOverHosts => "START_OBSESSING_OVER_HOST_CHECKS",
            ModeCommand::StopObsessingOverHosts => "STOP_OBSESSING_OVER_HOST_CHECKS",
            ModeCommand::SaveStateInformation => "SAVE_STATE_INFORMATION",
            ModeCommand::ReadStateInformation => "READ_STATE_INFORMATION",
            ModeCommand::SyncStateInformation => "SYNC_STATE_INFORMATION",
        }
    }

    /// Whether it keeps the core from doing something: such a command may overtake check results that wait. One that makes
    /// it notify must come after them.
    pub fn silences(self) -> bool {
        match self {
            ModeCommand::DisableNotifications
            | ModeCommand::StopExecutingServiceChecks
            | ModeCommand::StopExecutingHostChecks
            | ModeCommand::StopObsessingOverServices
            | ModeCommand::StopObsessingOverHosts => true,
            ModeCommand::EnableNotifications
            | ModeCommand::StartExecutingServiceChecks
            | ModeCommand::StartExecutingHostChecks
            | ModeCommand::StartObsessingOverServices
            | ModeCommand::StartObsessingOverHosts
            | ModeCommand::SaveStateInformation
            | ModeCommand::ReadStateInformation
            | ModeCommand::SyncStateInformation => false,
        }
    }

    /// Whether it makes the core do something from then on, so that the states that it begins with matter.
    pub fn enables(self) -> bool {
        match self {
            ModeCommand::EnableNotifications
            | ModeCommand::StartExecutingServiceChecks
            | ModeCommand::StartExecutingHostChecks
            | ModeCommand::StartObsessingOverServices
            | ModeCommand::StartObsessingOverHosts => true,
            ModeCommand::DisableNotifications
            | ModeCommand::StopExecutingServiceChecks
            | ModeCommand::StopExecutingHostChecks
            | ModeCommand::StopObsessingOverServices
            | ModeCommand::StopObsessingOverHosts
            | ModeCommand::SaveStateInformation
            | ModeCommand::ReadStateInformation
            | ModeCommand::SyncStateInformation => false,
        }
    }

    /// Whether it makes the core read what was put in place for it: then it belongs to the commands around it.
    pub fn reads(self) -> bool {
        matches!(self, ModeCommand::ReadStateInformation | ModeCommand::SyncStateInformation)
    }

    /// Appends it to `out` as one whole line.
    pub fn encode(self, at: Timestamp, out: &mut Vec<u8>) {
        writeln!(out, "[{}] {}", at.seconds(), self.name()).expect("a Vec takes every write");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_with_the_time_in_brackets() {
        let mut out = Vec::new();
        ModeCommand::StopExecutingServiceChecks.encode(Timestamp::from_seconds(1_700_000_000), &mut out);
        ModeCommand::EnableNotifications.encode(Timestamp::from_seconds(1_700_000_001), &mut out);
        let expected = "[1700000000] STOP_EXECUTING_SVC_CHECKS\n[1700000001] ENABLE_NOTIFICATIONS\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
