//! A real Nagios 4 that notifies, in a directory of its own: one host, one service that is checked, one that is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use failover::machine::{Flag, Shown};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Group, Uid, User};

use crate::SOON;
use crate::support::process::Running;
use crate::support::wait::until_within;

const NAGIOS4: &str = "/usr/sbin/nagios4";

/// Its `status_update_interval`.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Settings of a core that checks and notifies when it starts. Without them it does neither.
pub const NOTIFYING: &str = "enable_notifications=1\nexecute_service_checks=1\nexecute_host_checks=1\n";

/// What a take-over switches in mode failover.
pub const SWITCHES: [Flag; 3] = [Flag::ServiceChecks, Flag::HostChecks, Flag::Notifications];

/// Its files, which outlive its processes.
pub struct Core {
    directory: PathBuf,
    process: Option<Running>,
}

impl Core {
    /// Writes its configuration; `settings` come last, so they win. Starts nothing.
    pub fn new(directory: &Path, settings: &str) -> Self {
        Core::with_objects(directory, settings, "")
    }

    /// The same, with `objects` beside its own.
    pub fn with_objects(directory: &Path, settings: &str, more: &str) -> Self {
        assert!(Path::new(NAGIOS4).exists(), "{NAGIOS4} is missing: apt-get install nagios4-core");
        fs::create_dir_all(directory.join("checkresults")).unwrap();
        let core = Core { directory: directory.to_owned(), process: None };
        core.configure(settings);
        fs::write(directory.join("objects.cfg"), objects(directory) + more).unwrap();
        core
    }

    /// Writes its main configuration anew.
    pub fn configure(&self, settings: &str) {
        fs::write(self.main_config(), main_config(&self.directory, settings)).unwrap();
    }

    pub fn main_config(&self) -> PathBuf {
        self.directory.join("nagios.cfg")
    }

    pub fn status_file(&self) -> PathBuf {
        self.directory.join("status.dat")
    }

    pub fn command_file(&self) -> PathBuf {
        self.directory.join("nagios.cmd")
    }

    pub fn retention_file(&self) -> PathBuf {
        self.directory.join("retention.dat")
    }

    /// Starts it, and waits for its first status file.
    #[track_caller]
    pub fn start(&mut self) {
        let _ = fs::remove_file(self.status_file());
        self.launch();
        until_within(SOON, "the core's status file", || self.shown());
    }

    /// Starts it beside what its last run left behind, and waits for a status file of its own.
    #[track_caller]
    pub fn start_again(&mut self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed();
        self.launch();
        // Two runs may begin in one second.
        until_within(SOON, "the next run", || self.shown().filter(|shown| shown.created > now));
    }

    /// Starts it, whatever its last run left behind, and waits for nothing.
    #[track_caller]
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it runs");
        self.process = Some(Running::start(Command::new(NAGIOS4).arg(self.main_config())));
    }

    /// Ends it as a crash does; its workers end, too.
    #[track_caller]
    pub fn kill(&mut self) {
        drop(self.process.take().expect("it runs"));
    }

    /// Ends its main process as kill -9 does; its workers see that within half a second.
    #[track_caller]
    pub fn kill_main_process(&mut self) -> Running {
        let mut process = self.kill_uncollected();
        process.wait();
        process
    }

    /// The same, but nobody collects it before the value is dropped: until then its command worker takes it for alive, and
    /// reads the command file on.
    #[track_caller]
    pub fn kill_uncollected(&mut self) -> Running {
        let process = self.process.take().expect("it runs");
        process.signal(Signal::SIGKILL);
        process
    }

    /// Ends it as an init system does.
    #[track_caller]
    pub fn stop(&mut self) {
        self.process.take().expect("it runs").terminate();
    }

    /// Has it read its configuration again.
    pub fn reload(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGHUP);
    }

    /// Lets it hang.
    pub fn pause(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGCONT);
    }

    /// The last status file; none while there is none.
    pub fn shown(&self) -> Option<Shown> {
        failover::flags::read(&self.status_file()).ok().flatten()
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
        fs::read_to_string(self.directory.join("notified")).unwrap_or_default()
    }

    /// How many active checks it has run.
    pub fn checks(&self) -> usize {
        fs::read(self.directory.join("checked")).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read(self.directory.join("nagios.log"))
            .map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into_owned())
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

    /// Writes one external command.
    pub fn command(&self, command: &str) {
        fs::write(self.command_file(), format!("[1] {command}\n")).unwrap();
    }
}

fn main_config(directory: &Path, settings: &str) -> String {
    let path = directory.display();
    let user = User::from_uid(Uid::current()).unwrap().unwrap().name;
    let group = Group::from_gid(Gid::current()).unwrap().unwrap().name;
    let mut text = format!(
        "log_file={path}/nagios.log\ncfg_file={path}/objects.cfg\nobject_cache_file={path}/objects.cache\n\
         precached_object_file={path}/objects.precache\nstatus_file={path}/status.dat\ncommand_file={path}/nagios.cmd\n\
         query_socket={path}/nagios.qh\nlock_file={path}/nagios.lock\ntemp_file={path}/nagios.tmp\ntemp_path={path}\n\
         check_result_path={path}/checkresults\nstate_retention_file={path}/retention.dat\nlog_archive_path={path}\n\
         nagios_user={user}\nnagios_group={group}\ninterval_length=1\ncheck_for_updates=0\n\
         passive_host_checks_are_soft=1\nservice_inter_check_delay_method=n\nhost_inter_check_delay_method=n\n\
         cached_host_check_horizon=0\ncheck_service_freshness=0\ncheck_host_freshness=0\n"
    );
    for (key, value) in [
        ("status_update_interval", "1"),
        ("check_external_commands", "1"),
        ("use_retained_program_state", "0"),
        ("enable_notifications", "0"),
        ("execute_service_checks", "0"),
        ("execute_host_checks", "0"),
    ] {
        if !settings.contains(key) {
            text += &format!("{key}={value}\n");
        }
    }
    text + settings
}

fn objects(directory: &Path) -> String {
    let path = directory.display();
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let always: String = days.iter().map(|day| format!(" {day} 00:00-24:00\n")).collect();
    let common = " check_interval 1\n retry_interval 1\n max_check_attempts 1\n check_period always\n \
                  notification_period always\n notification_interval 0\n contacts somebody\n";
    format!(
        "define timeperiod {{\n timeperiod_name always\n alias always\n{always}}}\n\
         define command {{\n command_name check\n command_line /bin/sh -c 'echo x >> {path}/checked'\n}}\n\
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
