//! A real Nagios 4 in a directory of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;

use nagios::status::{BlockKind, StatusReader};
use nagios::{Flavour, Object};

use super::process::{Running, understudy_ocsp};
use super::wait;

/// The real program; `make test` installs it.
const NAGIOS4: &str = "/usr/sbin/nagios4";

/// What most sites strip from outputs in macros.
pub const ILLEGAL_MACRO_OUTPUT_CHARS: &str = "`~$&|'\"<>";

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The lines of the README for `ocsp_command` and `ochp_command`.
const SERVICE_COMMAND: &str = "service '$HOSTNAME$' '$SERVICEDESC$' '$SERVICESTATEID$' '$SERVICEOUTPUT$' \
    --perfdata '$SERVICEPERFDATA$' --long '$LONGSERVICEOUTPUT$' --check-time '$LASTSERVICECHECK$' \
    --state-type '$SERVICESTATETYPE$' --attempt '$SERVICEATTEMPT$' --check-type '$SERVICECHECKTYPE$'";
const HOST_COMMAND: &str = "host '$HOSTNAME$' '$HOSTSTATEID$' '$HOSTOUTPUT$' \
    --perfdata '$HOSTPERFDATA$' --long '$LONGHOSTOUTPUT$' --check-time '$LASTHOSTCHECK$' \
    --state-type '$HOSTSTATETYPE$' --attempt '$HOSTATTEMPT$' --check-type '$HOSTCHECKTYPE$'";

/// What a core is to watch.
pub struct Objects {
    pub hosts: usize,
    pub services_per_host: usize,
    /// Run with host, service and the number of the object as arguments; the service of a host check is empty.
    pub check: PathBuf,
    /// Seconds between two checks of one object.
    pub interval: u32,
}

/// A running core.
pub struct Nagios4 {
    directory: PathBuf,
    pub process: Running,
}

/// What a status file says of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub state: i16,
    pub output: String,
    pub performance_data: String,
    pub long_output: String,
}

impl Nagios4 {
    /// Starts a core in `directory`. `settings` are added to its main configuration, `commands` are `name` and `line`.
    #[track_caller]
    pub fn start(directory: &Path, objects: &Objects, settings: &str, commands: &[(&str, &str)]) -> Self {
        assert!(Path::new(NAGIOS4).exists(), "{NAGIOS4} is missing: apt-get install nagios4-core");
        fs::create_dir_all(directory.join("checkresults")).unwrap();
        fs::write(directory.join("nagios.cfg"), main_config(directory, settings)).unwrap();
        fs::write(directory.join("objects.cfg"), object_config(objects, commands)).unwrap();
        let process = Running::start(Command::new(NAGIOS4).arg(directory.join("nagios.cfg")));
        let core = Nagios4 { directory: directory.to_owned(), process };
        wait::until("the core's status file", || core.status_file().exists().then_some(()));
        core
    }

    pub fn main_config(&self) -> PathBuf {
        self.directory.join("nagios.cfg")
    }

    pub fn status_file(&self) -> PathBuf {
        self.directory.join("status.dat")
    }

    /// Writes one external command.
    #[track_caller]
    pub fn command(&self, command: &str) {
        fs::write(self.directory.join("nagios.cmd"), format!("[1] {command}\n")).unwrap();
    }

    /// What its status file says of every object that was checked.
    pub fn shown(&self) -> BTreeMap<Object, Shown> {
        let mut shown = BTreeMap::new();
        let mut reader = StatusReader::new(BufReader::new(File::open(self.status_file()).unwrap()));
        while let Some(block) = reader.next_block().unwrap() {
            if !matches!(block.kind(), BlockKind::Host | BlockKind::Service) {
                continue;
            }
            let status = block.object_status().unwrap();
            if status.has_been_checked() {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let said = Shown {
                    state: status.state().unwrap().get(),
                    output: text(status.plugin_output()),
                    performance_data: text(status.performance_data()),
                    long_output: text(&status.long_text(Flavour::Nagios4)),
                };
                shown.insert(status.object().unwrap(), said);
            }
        }
        shown
    }
}

/// Settings and commands for a core that hands every result over to the sender whose files are in `directory`.
pub fn obsessing(directory: &Path) -> (String, [(&'static str, String); 2]) {
    let program = understudy_ocsp();
    let program = program.display();
    let places = format!("--socket {0}/ocsp.sock --spill {0}/spill", directory.display());
    let settings = "obsess_over_services=1\nocsp_command=understudy-service\nobsess_over_hosts=1\n\
        ochp_command=understudy-host\n";
    let service = format!("{program} {SERVICE_COMMAND} {places}");
    let host = format!("{program} {HOST_COMMAND} {places}");
    (settings.to_owned(), [("understudy-service", service), ("understudy-host", host)])
}

fn main_config(directory: &Path, settings: &str) -> String {
    let path = directory.display();
    let owner = nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap();
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::current()).unwrap().unwrap();
    format!(
        "log_file={path}/nagios.log\ncfg_file={path}/objects.cfg\nobject_cache_file={path}/objects.cache\n\
         precached_object_file={path}/objects.precache\nstatus_file={path}/status.dat\nstatus_update_interval=1\n\
         command_file={path}/nagios.cmd\nquery_socket={path}/nagios.qh\nlock_file={path}/nagios.lock\n\
         temp_file={path}/nagios.tmp\ntemp_path={path}\ncheck_result_path={path}/checkresults\n\
         state_retention_file={path}/retention.dat\nlog_archive_path={path}\n\
         nagios_user={}\nnagios_group={}\n\
         illegal_macro_output_chars={ILLEGAL_MACRO_OUTPUT_CHARS}\n\
         check_external_commands=1\ninterval_length=1\nretain_state_information=0\ncheck_for_updates=0\n\
         check_service_freshness=0\ncheck_host_freshness=0\nenable_notifications=0\n\
         passive_host_checks_are_soft=1\nlog_passive_checks=0\nservice_inter_check_delay_method=n\n\
         host_inter_check_delay_method=n\ncached_host_check_horizon=0\nlog_external_commands=0\n{settings}",
        owner.name, group.name
    )
}

fn object_config(objects: &Objects, commands: &[(&str, &str)]) -> String {
    let Objects { hosts, services_per_host, check, interval } = objects;
    let mut text = format!(
        "define command {{\n command_name check\n command_line /bin/sh {} $ARG1$ $ARG2$ $ARG3$\n}}\n\
         define timeperiod {{\n timeperiod_name always\n alias always\n{}}}\n\
         define command {{\n command_name notify\n command_line /bin/true\n}}\n\
         define contact {{\n contact_name nobody\n host_notification_period always\n \
         service_notification_period always\n host_notification_commands notify\n \
         service_notification_commands notify\n}}\n",
        check.display(),
        DAYS.map(|day| format!(" {day} 00:00-24:00\n")).concat()
    );
    for (name, line) in commands {
        write!(text, "define command {{\n command_name {name}\n command_line {line}\n}}\n").unwrap();
    }
    let common = format!(
        " check_interval {interval}\n retry_interval {interval}\n max_check_attempts 3\n check_period always\n \
         notification_period always\n \
         contacts nobody\n"
    );
    for host in 0..*hosts {
        write!(
            text,
            "define host {{\n host_name host-{host}\n address 127.0.0.1\n check_command check!host-{host}!''!{host}\n\
             {common}}}\n"
        )
        .unwrap();
        for service in 0..*services_per_host {
            let number = host * services_per_host + service;
            write!(
                text,
                "define service {{\n host_name host-{host}\n service_description service {service}\n \
                 check_command check!host-{host}!'service {service}'!{number}\n{common}}}\n"
            )
            .unwrap();
        }
    }
    text
}
