//! A real Nagios 4 that notifies: one host, one service that is checked, one that is told.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use failover::machine::Flag;

use crate::SOON;
use crate::support::core::{self, always};
use crate::support::wait::until_within;

/// Its `status_update_interval`.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Settings of a core that checks and notifies when it starts. Without them it does neither.
pub const NOTIFYING: &str = "enable_notifications=1\nexecute_service_checks=1\nexecute_host_checks=1\n";

/// What a take-over switches in mode failover.
pub const SWITCHES: [Flag; 3] = [Flag::ServiceChecks, Flag::HostChecks, Flag::Notifications];

/// Its files, which outlive its processes.
pub struct Core(core::Core);

impl Core {
    /// Writes its configuration; `settings` win. Starts nothing.
    pub fn new(directory: &Path, settings: &str) -> Self {
        Core::with_objects(directory, settings, "")
    }

    /// The same, with `objects` beside its own.
    pub fn with_objects(directory: &Path, settings: &str, more: &str) -> Self {
        Core(core::Core::new(directory, settings, &(objects(directory) + more)))
    }

    /// Whether its switches for checks and notifications are all on, or off.
    pub fn are(&self, flags: &[Flag], on: bool) -> bool {
        self.shown().is_some_and(|shown| flags.iter().all(|flag| shown.flags.get(flag) == Some(&on)))
    }

    /// Waits until its switches for checks and notifications are all on, or off.
    #[track_caller]
    pub fn wait_for(&self, on: bool) {
        until_within(SOON, &format!("switches {on}"), || self.are(&SWITCHES, on).then_some(()));
    }

    /// What its contact was notified of: `TYPE/host/service/state/output`, a line each.
    pub fn notifications(&self) -> String {
        fs::read_to_string(self.path("notified")).unwrap_or_default()
    }

    /// How many active checks it has run.
    pub fn checks(&self) -> usize {
        fs::read(self.path("checked")).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count())
    }

    /// It is told that its service `passive` was well and has the new problem `output`. When this returns, it has decided
    /// whether it notifies.
    #[track_caller]
    pub fn hears_of(&self, output: &str) {
        self.command("PROCESS_SERVICE_CHECK_RESULT;web1;passive;0;well");
        self.command(&format!("PROCESS_SERVICE_CHECK_RESULT;web1;passive;2;{output}"));
        let marker = format!("ADD_HOST_COMMENT;web1;0;test;after {output}");
        self.command(&marker);
        until_within(SOON, "the core's next command", || self.log().contains(&marker).then_some(()));
        assert!(
            self.log().contains(&format!("SERVICE ALERT: web1;passive;CRITICAL;HARD;1;{output}")),
            "{}",
            self.log()
        );
    }
}

impl Deref for Core {
    type Target = core::Core;

    fn deref(&self) -> &core::Core {
        &self.0
    }
}

impl DerefMut for Core {
    fn deref_mut(&mut self) -> &mut core::Core {
        &mut self.0
    }
}

fn objects(directory: &Path) -> String {
    let path = directory.display();
    let always = always();
    let common = " check_interval 1\n retry_interval 1\n max_check_attempts 1\n check_period always\n \
                  notification_period always\n notification_interval 0\n contacts somebody\n";
    format!(
        "{always}define command {{\n command_name check\n command_line /bin/sh -c 'echo x >> {path}/checked'\n}}\n\
         define command {{\n command_name notify\n command_line /bin/sh -c \
         'echo \"$NOTIFICATIONTYPE$/$HOSTNAME$/$SERVICEDESC$/$SERVICESTATE$/$SERVICEOUTPUT$\" >> {path}/notified'\n}}\n\
         define contact {{\n contact_name somebody\n host_notification_period always\n \
         service_notification_period always\n host_notification_commands notify\n \
         service_notification_commands notify\n host_notification_options n\n \
         service_notification_options w,u,c,r\n}}\n\
         define host {{\n host_name web1\n address 127.0.0.1\n check_command check\n{common}}}\n\
         define service {{\n host_name web1\n service_description disk\n check_command check\n{common}}}\n\
         define service {{\n host_name web1\n service_description passive\n check_command check\n \
         active_checks_enabled 0\n{common}}}\n"
    )
}
