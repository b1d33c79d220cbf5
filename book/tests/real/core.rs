//! A real Nagios 4 in a directory of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use book::{Book, Entry};
use nagios::command_file::CommandFile;
use nagios::retention::RetentionFile;
use nagios::status::StatusReader;
use nagios::{Flavour, HostName, Object, ServiceDescription, Timestamp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a slow machine may take for what takes the core a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every core has one host, `web`, and some services: the name, and how many attempts it has.
pub(crate) type Services<'a> = &'a [(&'a str, u32)];

const SERVICES: Services<'_> = &[("once", 1), ("slow", 5), ("other", 1)];

/// A core, which ends with it.
pub(crate) struct Core {
    directory: tempfile::TempDir,
    process: Option<Child>,
}

/// What a status file shows, and when it was written.
pub(crate) struct Picture {
    pub(crate) book: Book,
    pub(crate) created: i64,
    pub(crate) program_start: i64,
}

impl Core {
    /// A core that notifies, as a master's does.
    pub(crate) fn master() -> Self {
        Self::new("enable_notifications=1\n", SERVICES)
    }

    /// A core that does not.
    pub(crate) fn standby() -> Self {
        Self::new("enable_notifications=0\n", SERVICES)
    }

    pub(crate) fn new(settings: &str, services: Services<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_configuration(directory.path(), settings, services);
        let mut core = Self { directory, process: None };
        core.start();
        core
    }

    pub(crate) fn start(&mut self) {
        // What a killed core left behind, whose command worker may read its FIFO for a moment longer.
        for name in ["status.dat", "nagios.cmd"] {
            let _ = fs::remove_file(self.path(name));
        }
        let said = File::create(self.path("said")).unwrap();
        let mut nagios = Command::new("nagios4");
        let child = nagios.arg(self.path("nagios.cfg")).stdout(said).stderr(Stdio::null()).spawn();
        let mut child = child.expect("nagios4 must be installed (Debian: nagios4-core)");
        wait_for("the core", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("nagios4 ended with {status}: {}", fs::read_to_string(self.path("said")).unwrap_or_default());
            }
            self.path("status.dat").exists()
                && CommandFile::new(self.path("nagios.cmd")).wait_writable(Duration::ZERO).is_ok()
        });
        self.process = Some(child);
    }

    /// SIGTERM makes it save and end its workers, SIGKILL neither.
    pub(crate) fn stop(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            let _ = kill(Pid::from_raw(process.id().try_into().unwrap()), signal);
            let _ = process.wait();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn retention(&self) -> RetentionFile {
        RetentionFile::new(self.path("retention.dat"))
    }

    /// Writes lines into its command file.
    pub(crate) fn write(&self, lines: &[u8]) {
        let written = CommandFile::new(self.path("nagios.cmd")).write_lines(lines).unwrap();
        assert_eq!(written, lines.len());
    }

    /// Gives it an external command.
    pub(crate) fn command(&self, command: &str) {
        self.write(format!("[{}] {command}\n", now()).as_bytes());
    }

    /// Gives it a result of a service that was checked at `time`.
    pub(crate) fn result(&self, service: &str, code: u8, time: i64) {
        self.write(format!("[{time}] PROCESS_SERVICE_CHECK_RESULT;web;{service};{code};said {code}\n").as_bytes());
    }

    /// Gives it a result of its host that was checked at `time`.
    pub(crate) fn host_result(&self, code: u8, time: i64) {
        self.write(format!("[{time}] PROCESS_HOST_CHECK_RESULT;web;{code};said {code}\n").as_bytes());
    }

    /// What its status file shows.
    pub(crate) fn picture(&self) -> Option<Picture> {
        let mut reader = StatusReader::new(File::open(self.path("status.dat")).ok()?);
        let mut picture = Picture { book: Book::default(), created: 0, program_start: 0 };
        while let Some(block) = reader.next_block().unwrap() {
            if let Some(info) = block.info_status() {
                picture.created = info.created()?.seconds();
                picture.book.begin_picture(picture.created);
            }
            if let Some(program) = block.program_status() {
                picture.program_start = program.program_start()?.seconds();
            }
            picture.book.handle_block(&block);
        }
        picture.book.end_picture();
        Some(picture)
    }

    /// Waits until its status file shows what `condition` wants.
    pub(crate) fn shows(&self, what: &str, condition: impl Fn(&Book) -> bool) -> Picture {
        let mut last = None;
        wait_for(what, || {
            last = self.picture().filter(|picture| condition(&picture.book));
            last.is_some()
        });
        last.unwrap()
    }

    /// Waits until it shows the result of `service` that was checked at `time`.
    pub(crate) fn shows_result(&self, service: &str, code: u8, time: i64) -> Picture {
        self.shows_result_of(&object(service), code, time)
    }

    /// Waits until it shows the result of `object` that was checked at `time`.
    pub(crate) fn shows_result_of(&self, object: &Object, code: u8, time: i64) -> Picture {
        self.shows(&format!("{object} {code} of {time}"), |book| {
            book.entry(object).is_some_and(|entry| (entry.memory.last_check, entry.memory.state) == (time, code))
        })
    }

    /// The states of `service` that it has notified of, in their order.
    pub(crate) fn notified(&self, service: &str) -> Vec<String> {
        self.told(&format!("SERVICE NOTIFICATION: admin;web;{service};"))
    }

    /// The states of its host that it has notified of, in their order.
    pub(crate) fn notified_of_host(&self) -> Vec<String> {
        self.told("HOST NOTIFICATION: admin;web;")
    }

    fn told(&self, begin: &str) -> Vec<String> {
        let log = fs::read_to_string(self.path("nagios.log")).unwrap();
        log.lines().filter_map(|line| Some(line.split_once(begin)?.1.split(';').next()?.to_owned())).collect()
    }
}

impl Picture {
    pub(crate) fn entry(&self, service: &str) -> &Entry {
        self.book.entry(&object(service)).unwrap()
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.stop(Signal::SIGTERM);
    }
}

pub(crate) fn host() -> Object {
    Object::Host(HostName::try_from("web").unwrap())
}

pub(crate) fn object(service: &str) -> Object {
    Object::Service(HostName::try_from("web").unwrap(), ServiceDescription::try_from(service).unwrap())
}

pub(crate) fn now() -> i64 {
    Timestamp::from(SystemTime::now()).seconds()
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) const FLAVOUR: Flavour = Flavour::Nagios4;

fn write_configuration(directory: &Path, settings: &str, services: Services<'_>) {
    for name in ["spool", "archive", "temp"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().expect("a user of this id");
    let group = nix::unistd::Group::from_gid(nix::unistd::getegid()).unwrap().expect("a group of this id");
    let mut main = format!("nagios_user={}\nnagios_group={}\n", user.name, group.name);
    for (key, name) in [
        ("log_file", "nagios.log"),
        ("cfg_file", "objects.cfg"),
        ("object_cache_file", "objects.cache"),
        ("precached_object_file", "objects.precache"),
        ("status_file", "status.dat"),
        ("command_file", "nagios.cmd"),
        ("query_socket", "nagios.qh"),
        ("lock_file", "nagios.lock"),
        ("temp_file", "nagios.tmp"),
        ("temp_path", "temp"),
        ("check_result_path", "spool"),
        ("state_retention_file", "retention.dat"),
        ("log_archive_path", "archive"),
    ] {
        main.push_str(&format!("{key}={}\n", directory.join(name).display()));
    }
    // A minute of the configuration lasts a second.
    main.push_str(
        "check_external_commands=1\nstatus_update_interval=1\ninterval_length=1\nlog_notifications=1\n\
         retain_state_information=1\nuse_retained_program_state=0\nretention_update_interval=60\ncheck_workers=1\n",
    );
    // The last one of a kind counts.
    main.push_str(settings);
    fs::write(directory.join("nagios.cfg"), main).unwrap();
    fs::write(directory.join("objects.cfg"), objects(services)).unwrap();
}

fn objects(services: Services<'_>) -> String {
    const COMMON: &str = " check_command nothing\n check_period always\n active_checks_enabled 0\n contacts admin\n \
                          notification_interval 10000\n notification_period always\n";
    let mut objects = "define command {\n command_name nothing\n command_line /bin/true\n}\n\
         define timeperiod {\n timeperiod_name always\n alias always\n"
        .to_owned();
    for day in ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] {
        objects.push_str(&format!(" {day} 00:00-24:00\n"));
    }
    objects.push_str(
        "}\ndefine contact {\n contact_name admin\n host_notification_commands nothing\n \
         service_notification_commands nothing\n host_notification_period always\n service_notification_period always\n \
         host_notification_options d,u,r,f,s\n service_notification_options w,u,c,r,f,s\n}\n",
    );
    objects
        .push_str(&format!("define host {{\n host_name web\n address 127.0.0.1\n max_check_attempts 3\n{COMMON}}}\n"));
    for (service, attempts) in services {
        objects.push_str(&format!(
            "define service {{\n host_name web\n service_description {service}\n max_check_attempts {attempts}\n{COMMON}}}\n"
        ));
    }
    objects
}
