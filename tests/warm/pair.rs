//! A master's core that checks and notifies, and a standby beside it, both of any size. What the two cores show is compared
//! by the rules of `understudy verify`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use book::verify::{self, Aspect};
use book::{Book, Entry};
use nagios::Object;
use nagios::status::StatusReader;
use tempfile::TempDir;

use crate::clock::now;
use crate::support::core::{Core, always};
use crate::support::process::{Running, UNDERSTUDY};
use crate::support::site::{free_port, run};
use crate::support::standby::{PASSWORD, write_secret};
use crate::support::wait::{until, until_within};

/// What both cores have. A minute of a downtime or an interval lasts a second.
const SETTINGS: &str = "retain_state_information=1\nretention_update_interval=60\nlog_notifications=1\n\
                        log_external_commands=0\nlog_passive_checks=0\nenable_flap_detection=0\n";

const SERVICES_PER_HOST: usize = 50;

/// How long a core may take for what it is told, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// One machine.
pub struct Side {
    pub core: Core,
    daemon: Option<Running>,
    directory: PathBuf,
    config: PathBuf,
    says: &'static str,
}

/// Both machines.
pub struct Pair {
    pub master: Side,
    pub standby: Side,
    /// How many services each has.
    services: usize,
    _directory: TempDir,
}

/// What a core shows, and when it wrote that.
pub struct Picture {
    pub book: Book,
    pub created: i64,
}

impl Pair {
    /// The master with its daemon, which sends to a standby that is not there, and has nothing to tell it yet.
    #[track_caller]
    pub fn new(services: usize) -> Self {
        let directory = TempDir::new().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut pair = Pair {
            master: Side::master(&directory.path().join("master"), address, services),
            standby: Side::standby(&directory.path().join("standby"), address, services),
            services,
            _directory: directory,
        };
        pair.master.start_daemon();
        pair.master.core.start();
        pair
    }

    /// Gives the master's core a result of each service, and waits until it shows them. A service's code is what `code` makes
    /// of its number.
    #[track_caller]
    pub fn check_all(&self, code: impl Fn(usize) -> Option<u8>) {
        let second = now() / 1000;
        let mut lines = String::new();
        let mut expected = BTreeMap::new();
        for number in 0..self.services {
            let Some(code) = code(number) else { continue };
            let (host, service) = names(number);
            writeln!(lines, "[{second}] PROCESS_SERVICE_CHECK_RESULT;{host};{service};{code};said {code}").unwrap();
            expected.insert(number, i64::try_from(second).unwrap());
        }
        self.master.write(&lines);
        until_within(PATIENCE, "the master's core to show all results", || {
            let picture = self.master.picture()?;
            let shows = |(number, second): (&usize, &i64)| {
                let entry = picture.book.entry(&object(*number));
                entry.is_some_and(|entry| entry.memory.last_check >= *second)
            };
            expected.iter().all(shows).then_some(())
        });
    }

    /// Waits until the standby's core shows what the master's shows, in all aspects that `matters` names; says how many
    /// objects that are.
    #[track_caller]
    pub fn wait_until_they_agree(&self, within: Duration, matters: impl Fn(Aspect) -> bool) -> usize {
        let mut last = "nothing is shown yet".to_owned();
        let agrees = || {
            let (master, standby) = (self.master.picture()?, self.standby.picture()?);
            let shown = standby.book.entries().map(|(object, Entry { memory, .. })| (object, memory));
            let mut report = verify::compare(&master.book, shown);
            report.differing.retain(|_, difference| difference.aspects.iter().any(|aspect| matters(*aspect)));
            last = format!("{} of {}: {:?}", report.differing.len(), report.objects, report.differing.iter().take(8));
            (report.objects > self.services && report.agrees()).then_some(report.objects)
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until_within(within, "both cores to agree", agrees)
        }));
        outcome.unwrap_or_else(|_| panic!("they differ after {within:?}: {last}\n{}", self.standby.status()))
    }
}

impl Side {
    fn master(directory: &Path, standby: SocketAddr, services: usize) -> Self {
        let perfdata = sender::perfdata::template::core_configuration(&directory.join("perfdata.fifo"));
        let sections = format!(
            "[sender]\nsocket = \"{0}/ocsp.sock\"\nspill = \"{0}/spill\"\nperfdata_fifo = \"{0}/perfdata.fifo\"\n\
             [sender.spool]\nmax_size = \"32MiB\"\n\
             [[sender.destination]]\nname = \"standby\"\naddress = \"{standby}\"\npassword = \"{PASSWORD}\"\n",
            directory.display(),
        );
        let settings = format!("{SETTINGS}{perfdata}enable_notifications=1\n");
        Side::new(directory, &settings, &sections, services, "sender sends")
    }

    fn standby(directory: &Path, own: SocketAddr, services: usize) -> Self {
        let sections = format!(
            "[[receiver.listener]]\naddress = \"{own}\"\npassword = \"{PASSWORD}\"\n\
             [failover]\nrole = \"standby\"\ninterval = \"1s\"\n[failover.heartbeat]\nnode = \"master\"\n",
        );
        Side::new(directory, SETTINGS, &sections, services, "receiver listens")
    }

    fn new(directory: &Path, settings: &str, sections: &str, services: usize, says: &'static str) -> Self {
        let core = Core::new(&directory.join("core"), settings, &configuration(services));
        fs::create_dir_all(directory.join("state")).unwrap();
        let name = directory.file_name().unwrap().to_string_lossy();
        let config = write_secret(
            &directory.join("understudy.toml"),
            &format!(
                "[node]\nname = \"{name}\"\nstate_directory = \"{0}/state\"\ncontrol_socket = \"{0}/control.sock\"\n\
                 [core]\nmain_config = \"{1}\"\n{sections}",
                directory.display(),
                core.main_config().display()
            ),
        );
        Side { core, daemon: None, directory: directory.to_owned(), config, says }
    }

    /// Starts its daemon, which has its place when this returns.
    #[track_caller]
    pub fn start_daemon(&mut self) {
        let daemon = Running::start(Command::new(UNDERSTUDY).arg("run").arg("--config").arg(&self.config));
        daemon.wait_for(self.says);
        self.daemon = Some(daemon);
    }

    /// Ends its daemon in order.
    #[track_caller]
    pub fn stop_daemon(&mut self) {
        let status = self.daemon.take().expect("it runs").terminate();
        assert!(status.success(), "{status}");
    }

    /// Its daemon forgets everything; it must be stopped.
    pub fn lose_state(&self) {
        assert!(self.daemon.is_none(), "it runs");
        fs::remove_dir_all(self.directory.join("state")).unwrap();
        fs::create_dir_all(self.directory.join("state")).unwrap();
    }

    /// Where results are handed over to its daemon.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("ocsp.sock")
    }

    /// Writes lines into its core's command file, as fast as that takes them.
    #[track_caller]
    pub fn write(&self, lines: &str) {
        let mut file = OpenOptions::new();
        // A core that has just started makes it after its status file.
        let mut file = until("the command file", || file.write(true).open(self.core.command_file()).ok());
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// What its core's status file shows, if there is one.
    pub fn picture(&self) -> Option<Picture> {
        let mut reader = StatusReader::new(BufReader::new(File::open(self.core.status_file()).ok()?));
        let mut picture = Picture { book: Book::default(), created: 0 };
        while let Some(block) = reader.next_block().unwrap() {
            if let Some(info) = block.info_status() {
                picture.created = info.created()?.seconds();
                picture.book.begin_picture(picture.created);
            }
            picture.book.handle_block(&block);
        }
        picture.book.end_picture();
        Some(picture)
    }

    /// Waits until its core shows what `condition` wants.
    #[track_caller]
    pub fn shows(&self, what: &str, condition: impl Fn(&Book) -> bool) {
        until_within(PATIENCE, what, || self.picture().filter(|picture| condition(&picture.book)).map(drop));
    }

    /// What `understudy verify` says, which is to find no difference.
    #[track_caller]
    pub fn verified(&self) -> String {
        let said = run(Command::new(UNDERSTUDY).arg("verify").arg("--config").arg(&self.config), b"");
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out
    }

    /// What `understudy status` says, for whoever reads a failure.
    pub fn status(&self) -> String {
        run(Command::new(UNDERSTUDY).arg("status").arg("--config").arg(&self.config), b"").out
    }
}

/// Host and description of a service.
pub fn names(number: usize) -> (String, String) {
    (format!("host-{:03}", number / SERVICES_PER_HOST), format!("service-{:02}", number % SERVICES_PER_HOST))
}

/// The service with this number.
pub fn object(number: usize) -> Object {
    let (host, service) = names(number);
    Object::Service(host.as_str().try_into().unwrap(), service.as_str().try_into().unwrap())
}

/// As many attempts has each service.
pub const ATTEMPTS: u32 = 5;

/// Whether a service's first bad result is a problem already.
pub fn is_hard_at_once(number: usize) -> bool {
    number % 10 < 5
}

fn configuration(services: usize) -> String {
    let mut text = format!(
        "{}define command {{\n command_name nothing\n command_line /bin/true\n}}\n\
         define contact {{\n contact_name admin\n host_notification_period always\n \
         service_notification_period always\n host_notification_commands nothing\n \
         service_notification_commands nothing\n host_notification_options d,u,r,s\n \
         service_notification_options w,u,c,r,s\n}}\n",
        always()
    );
    let common = " check_command nothing\n active_checks_enabled 0\n check_period always\n notification_period always\n \
                  notification_interval 0\n contacts admin\n";
    for number in 0..services {
        let (host, service) = names(number);
        if number.is_multiple_of(SERVICES_PER_HOST) {
            writeln!(text, "define host {{\n host_name {host}\n address 127.0.0.1\n max_check_attempts 3\n{common}}}")
                .unwrap();
        }
        let attempts = if is_hard_at_once(number) { 1 } else { ATTEMPTS };
        writeln!(
            text,
            "define service {{\n host_name {host}\n service_description {service}\n max_check_attempts {attempts}\n{common}}}"
        )
        .unwrap();
    }
    text
}
