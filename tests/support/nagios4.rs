//! A real Nagios 4 that checks, and what it shows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use nagios::status::{BlockKind, StatusReader};
use nagios::{Flavour, Object};

use super::core::{Core, always};
use super::process::understudy_ocsp;
use super::wait;

/// What most sites strip from outputs in macros.
pub const ILLEGAL_MACRO_OUTPUT_CHARS: &str = "`~$&|'\"<>";

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
pub struct Nagios4(Core);

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
        let settings = format!(
            "illegal_macro_output_chars={ILLEGAL_MACRO_OUTPUT_CHARS}\nretain_state_information=0\nlog_external_commands=0\n\
             execute_service_checks=1\nexecute_host_checks=1\n{settings}"
        );
        let mut core = Core::new(directory, &settings, &object_config(objects, commands));
        core.launch();
        wait::until("the core's status file", || core.status_file().exists().then_some(()));
        Nagios4(core)
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

impl Deref for Nagios4 {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.0
    }
}

impl DerefMut for Nagios4 {
    fn deref_mut(&mut self) -> &mut Core {
        &mut self.0
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

fn object_config(objects: &Objects, commands: &[(&str, &str)]) -> String {
    let Objects { hosts, services_per_host, check, interval } = objects;
    let mut text = format!(
        "define command {{\n command_name check\n command_line /bin/sh {} $ARG1$ $ARG2$ $ARG3$\n}}\n\
         {}\
         define command {{\n command_name notify\n command_line /bin/true\n}}\n\
         define contact {{\n contact_name nobody\n host_notification_period always\n \
         service_notification_period always\n host_notification_commands notify\n \
         service_notification_commands notify\n}}\n",
        check.display(),
        always()
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
