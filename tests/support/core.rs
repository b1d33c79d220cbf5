//! A directory with the files of a real Nagios 4, and the core that runs in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use failover::machine::Shown;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Group, Uid, User};

use super::process::Running;
use super::wait::until_within;

/// The real program; `make test` installs it.
const NAGIOS4: &str = "/usr/sbin/nagios4";

/// How long a core may take to start: generous, since much runs at the same time.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// What every test wants of a core, unless its settings say otherwise: a minute of the objects lasts a second, nothing is
/// put off, and the core says within a second what it does.
const SETTINGS: [(&str, &str); 16] = [
    ("check_external_commands", "1"),
    ("check_for_updates", "0"),
    ("interval_length", "1"),
    ("status_update_interval", "1"),
    ("use_retained_program_state", "0"),
    ("enable_notifications", "0"),
    ("execute_service_checks", "0"),
    ("execute_host_checks", "0"),
    ("passive_host_checks_are_soft", "1"),
    ("service_inter_check_delay_method", "n"),
    ("host_inter_check_delay_method", "n"),
    ("cached_host_check_horizon", "0"),
    ("check_service_freshness", "0"),
    ("check_host_freshness", "0"),
    ("log_passive_checks", "0"),
    ("enable_environment_macros", "0"),
];

/// The files of a core, which outlive its processes.
pub struct Core {
    directory: PathBuf,
    process: Option<Running>,
}

impl Core {
    /// Writes its configuration; what is in `settings` wins over what is usual here. Starts nothing.
    #[track_caller]
    pub fn new(directory: &Path, settings: &str, objects: &str) -> Self {
        assert!(Path::new(NAGIOS4).exists(), "{NAGIOS4} is missing: apt-get install nagios4-core");
        fs::create_dir_all(directory.join("checkresults")).unwrap();
        let core = Core { directory: directory.to_owned(), process: None };
        core.configure(settings);
        fs::write(core.path("objects.cfg"), objects).unwrap();
        core
    }

    /// Writes its main configuration anew.
    pub fn configure(&self, settings: &str) {
        fs::write(self.main_config(), main_config(&self.directory, settings)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn main_config(&self) -> PathBuf {
        self.path("nagios.cfg")
    }

    pub fn status_file(&self) -> PathBuf {
        self.path("status.dat")
    }

    pub fn command_file(&self) -> PathBuf {
        self.path("nagios.cmd")
    }

    pub fn retention_file(&self) -> PathBuf {
        self.path("retention.dat")
    }

    pub fn log_file(&self) -> PathBuf {
        self.path("nagios.log")
    }

    /// Starts it, and waits for its first status file.
    #[track_caller]
    pub fn start(&mut self) {
        let _ = fs::remove_file(self.status_file());
        self.launch();
        until_within(STARTS_WITHIN, "the core's status file", || self.shown());
    }

    /// Starts it beside what its last run left behind, and waits for a status file of its own.
    #[track_caller]
    pub fn start_again(&mut self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed();
        self.launch();
        // Two runs may begin in one second.
        until_within(STARTS_WITHIN, "the next run", || self.shown().filter(|shown| shown.created > now));
    }

    /// Starts it, whatever its last run left behind, and waits for nothing.
    #[track_caller]
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it runs");
        self.process = Some(Running::start(Command::new(NAGIOS4).arg(self.main_config())));
    }

    /// The running process.
    #[track_caller]
    pub fn process(&mut self) -> &mut Running {
        self.process.as_mut().expect("it runs")
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

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read(self.log_file()).map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into_owned())
    }

    /// Writes one external command.
    #[track_caller]
    pub fn command(&self, command: &str) {
        fs::write(self.command_file(), format!("[1] {command}\n")).unwrap();
    }
}

/// A timeperiod called `always`.
pub fn always() -> String {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let days: String = days.iter().map(|day| format!(" {day} 00:00-24:00\n")).collect();
    format!("define timeperiod {{\n timeperiod_name always\n alias always\n{days}}}\n")
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
         nagios_user={user}\nnagios_group={group}\n"
    );
    let is_set = |key: &str| settings.lines().any(|line| line.split('=').next() == Some(key));
    for (key, value) in SETTINGS.iter().filter(|(key, _)| !is_set(key)) {
        text += &format!("{key}={value}\n");
    }
    text + settings
}
