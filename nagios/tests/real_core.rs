//! What a real Nagios 4 makes of what this crate writes, and this crate of what it writes. Needs `nagios4` on PATH.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nagios::check_result_dir::CheckResultDir;
use nagios::command::{atomic_writes, process_check_result};
use nagios::command_file::CommandFile;
use nagios::main_config::MainConfig;
use nagios::status::StatusReader;
use nagios::{
    CheckResult, CheckType, Flavour, HostName, Object, PluginOutput, ReturnCode, ServiceDescription, Timestamp,
};

/// How long a slow machine may take for what takes the core a second.
const PATIENCE: Duration = Duration::from_secs(60);

const SERVICES: [&str; 4] = ["Disk C:", "Back\\", "Empty", "Long"];

/// A Nagios 4 in a directory of its own, which ends with it.
struct Core {
    directory: tempfile::TempDir,
    process: Child,
}

impl Core {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        write_configuration(directory.path());
        let said = File::create(directory.path().join("said")).unwrap();
        let process = Command::new("nagios4")
            .arg(directory.path().join("nagios.cfg"))
            .stdout(said)
            .stderr(Stdio::null())
            .spawn()
            .expect("nagios4 must be installed (Debian: nagios4-core)");
        let mut core = Self { directory, process };
        let command_file = core.config().command_file().unwrap();
        wait_for("the core's command file", || {
            if let Some(status) = core.process.try_wait().unwrap() {
                let said = fs::read_to_string(core.directory.path().join("said")).unwrap_or_default();
                panic!("nagios4 ended with {status}: {said}");
            }
            let is_fifo = fs::metadata(&command_file).is_ok_and(|found| found.file_type().is_fifo());
            is_fifo && CommandFile::new(command_file.clone()).wait_writable(Duration::ZERO).is_ok()
        });
        core
    }

    fn config(&self) -> MainConfig {
        MainConfig::read(&self.directory.path().join("nagios.cfg")).unwrap()
    }

    /// What the status file says of `object` as (code, output, check time), once it has been checked.
    fn status_of(&self, object: &Object) -> Option<(ReturnCode, PluginOutput, Timestamp)> {
        let file = File::open(self.config().status_file().unwrap()).ok()?;
        let mut reader = StatusReader::new(BufReader::new(file));
        while let Some(block) = reader.next_block().unwrap() {
            let Some(status) = block.object_status() else {
                continue;
            };
            if status.object().unwrap() == *object && status.has_been_checked() {
                assert_eq!(status.check_type(), Some(CheckType::Passive));
                return Some((status.state()?, status.output(Flavour::Nagios4), status.last_check()?));
            }
        }
        None
    }

    /// Waits until the status file shows each of `results` as it was submitted.
    fn must_show(&self, results: &[CheckResult]) {
        for result in results {
            let submitted = (result.code, result.output.clone(), Timestamp::from_seconds(result.check_time.seconds()));
            let mut seen = None;
            let deadline = Instant::now() + PATIENCE;
            while seen.as_ref() != Some(&submitted) {
                assert!(Instant::now() < deadline, "{}: {submitted:?} became {seen:?}", result.object);
                std::thread::sleep(Duration::from_millis(50));
                seen = self.status_of(&result.object);
            }
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // SIGTERM lets the core end its own workers, which SIGKILL would leave behind.
        let pid = nix::unistd::Pid::from_raw(self.process.id().try_into().expect("a pid"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn write_configuration(directory: &Path) {
    let path = |name: &str| -> PathBuf { directory.join(name) };
    for name in ["spool", "archive", "temp"] {
        fs::create_dir(path(name)).unwrap();
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
        main.push_str(&format!("{key}={}\n", path(name).display()));
    }
    main.push_str("check_external_commands=1\nstatus_update_interval=1\ncheck_result_reaper_frequency=1\n");
    fs::write(path("nagios.cfg"), main).unwrap();
    fs::write(path("objects.cfg"), objects()).unwrap();
}

fn objects() -> String {
    const COMMON: &str = " host_name web1\n check_command nothing\n check_period always\n max_check_attempts 3\n \
                          active_checks_enabled 0\n notifications_enabled 0\n";
    let mut objects = format!(
        "define command {{\n command_name nothing\n command_line /bin/true\n}}\n\
         define timeperiod {{\n timeperiod_name always\n alias always\n}}\n\
         define contact {{\n contact_name admin\n host_notification_commands nothing\n \
         service_notification_commands nothing\n host_notification_period always\n \
         service_notification_period always\n}}\n\
         define host {{\n address 127.0.0.1\n{COMMON}}}\n"
    );
    for service in SERVICES {
        // At the end of a line, the core takes two backslashes for one.
        let description = if service.ends_with('\\') { format!("{service}\\") } else { service.to_owned() };
        objects.push_str(&format!("define service {{\n service_description {description}\n{COMMON}}}\n"));
    }
    objects
}

fn service(description: &str) -> Object {
    let host = HostName::try_from("web1").unwrap();
    Object::Service(host, ServiceDescription::try_from(description).unwrap())
}

/// Results that are hard to carry, checked `seconds_ago`.
fn hard_results(seconds_ago: i64) -> Vec<CheckResult> {
    let check_time = Timestamp::from_seconds(Timestamp::from(SystemTime::now()).seconds() - seconds_ago);
    let result = |object: Object, code: i16, text: &[u8]| {
        CheckResult::new(object, ReturnCode::new(code), PluginOutput::from_text(text), check_time)
    };
    vec![
        result(service("Disk C:"), 2, "full: C:\\new 'ü' $x$ `y`|a=1;2;3\nC:\\temp\\\\x\nlast \"line\"\\".as_bytes()),
        result(service("Back\\"), 3, b"latin \xe9 ends in \\"),
        result(Object::Host(HostName::try_from("web1").unwrap()), 1, b"down|rta=0.1ms"),
        result(service("Long"), 1, &[b"long\n".as_slice(), &b"0123456789".repeat(900)].concat()),
    ]
}

#[test]
fn results_arrive_unharmed_through_the_spool_of_check_results() {
    let core = Core::start();
    let spool_path = core.config().check_result_path().unwrap();
    let mut spool = CheckResultDir::new(spool_path.clone(), Flavour::Nagios4);
    let mut results = hard_results(3);
    let empty = CheckResult { object: service("Empty"), output: PluginOutput::default(), ..results[0].clone() };
    spool.submit(&[results.as_slice(), std::slice::from_ref(&empty)].concat()).unwrap();
    // What the core says in place of no output.
    results.push(CheckResult { output: PluginOutput::from_text(b"(No output returned from plugin)"), ..empty });
    core.must_show(&results);
    assert_eq!(fs::read_dir(spool_path).unwrap().count(), 0, "the core removes what it has read");
}

#[test]
fn results_arrive_unharmed_through_the_command_file() {
    let core = Core::start();
    let mut command_file = CommandFile::new(core.config().command_file().unwrap());
    let results = hard_results(2);
    let mut lines = Vec::new();
    for result in &results {
        assert!(!process_check_result(Flavour::Nagios4, result, &mut lines).cut);
    }
    assert!(atomic_writes(&lines).count() > 1);
    assert_eq!(command_file.write_lines(&lines).unwrap(), lines.len());
    core.must_show(&results);
}

#[test]
fn the_core_is_recognised() {
    let core = Core::start();
    assert_eq!(core.config().flavour(), Flavour::Nagios4);
    let status_file = core.config().status_file().unwrap();
    wait_for("the status file", || status_file.exists());
    let mut reader = StatusReader::new(BufReader::new(File::open(status_file).unwrap()));
    let (mut version, mut pid) = (None, None);
    while let Some(block) = reader.next_block().unwrap() {
        version = version.or(block.info_status().and_then(|info| info.version().map(<[u8]>::to_vec)));
        pid = pid.or(block.program_status().and_then(|program| program.pid()));
    }
    assert!(version.unwrap().starts_with(b"4."));
    assert_eq!(pid, Some(core.process.id()));
}
