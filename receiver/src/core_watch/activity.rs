//! Whether the core acts on what it is told: notifies, or runs checks itself. Without I/O.
//!
//! Its status file tells, some seconds late. What this receiver wrote tells at once, and counts until a status file is
//! newer: results that follow an ENABLE at once are already those of an active core.

use nagios::ModeCommand;
use nagios::status::ProgramStatus;

/// How much newer than a command a status file must be to know of it, in seconds: its time is whole seconds, and the core
/// reads its command file before it writes.
const KNOWS_AFTER: i64 = 2;

/// What is known of one core.
#[derive(Debug, Default)]
pub(super) struct Activity {
    told: bool,
    /// When it was last told to become active and no status file since knows better, in Unix seconds.
    enabled_at: Option<i64>,
}

impl Activity {
    /// The status file, written at `written` in Unix seconds, says so.
    pub(super) fn handle_status(&mut self, active: bool, written: i64) {
        self.told = active;
        if self.enabled_at.is_some_and(|enabled| written >= enabled.saturating_add(KNOWS_AFTER)) {
            self.enabled_at = None;
        }
    }

    /// The core was told this at `now`, in Unix seconds.
    pub(super) fn handle_command(&mut self, command: ModeCommand, now: i64) {
        match command {
            ModeCommand::EnableNotifications
            | ModeCommand::StartExecutingServiceChecks
            | ModeCommand::StartExecutingHostChecks => self.enabled_at = Some(now),
            ModeCommand::DisableNotifications
            | ModeCommand::StopExecutingServiceChecks
            | ModeCommand::StopExecutingHostChecks => self.enabled_at = None,
            ModeCommand::StartObsessingOverServices
            | ModeCommand::StopObsessingOverServices
            | ModeCommand::StartObsessingOverHosts
            | ModeCommand::StopObsessingOverHosts
            | ModeCommand::SaveStateInformation
            | ModeCommand::ReadStateInformation
            | ModeCommand::SyncStateInformation => {}
        }
    }

    /// Whether it notifies or checks. Of a core without a status file it is known only from commands.
    pub(super) fn is_active(&self) -> bool {
        self.told || self.enabled_at.is_some()
    }
}

/// Whether any of the flags is on that make a core act. A flag that is missing is off.
pub(super) fn is_active(status: &ProgramStatus<'_>) -> bool {
    [status.enable_notifications(), status.active_service_checks_enabled(), status.active_host_checks_enabled()]
        .contains(&Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nagios::status::StatusReader;

    fn says(flags: &str) -> bool {
        let file = format!("programstatus {{\n{flags}\t}}\n");
        let mut reader = StatusReader::new(file.as_bytes());
        is_active(&reader.next_block().unwrap().unwrap().program_status().unwrap())
    }

    #[test]
    fn each_flag_alone_makes_a_core_active() {
        for flag in ["enable_notifications", "active_service_checks_enabled", "active_host_checks_enabled"] {
            assert!(says(&format!("\tprogram_start=1\n\t{flag}=1\n")), "{flag}");
            assert!(!says(&format!("\t{flag}=0\n")), "{flag}");
        }
        assert!(!says("\tpassive_service_checks_enabled=1\n"));
    }

    #[test]
    fn a_command_counts_until_a_status_file_knows_of_it() {
        let mut core = Activity::default();
        core.handle_status(false, 100);
        core.handle_command(ModeCommand::EnableNotifications, 105);
        core.handle_status(false, 106);
        assert!(core.is_active(), "that status file may have been on its way");
        core.handle_status(false, 107);
        assert!(!core.is_active(), "somebody disabled them again");
        core.handle_status(true, 108);
        core.handle_command(ModeCommand::DisableNotifications, 109);
        assert!(core.is_active(), "active checks may be on: the status file tells");
        core.handle_command(ModeCommand::SaveStateInformation, 110);
        core.handle_status(false, 111);
        assert!(!core.is_active());
    }
}
