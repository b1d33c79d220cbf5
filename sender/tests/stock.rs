//! Against the real programs: `nsca --single` of NSCA 2.10 and `nagios4`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics, its helpers too")]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use common::daemon::Daemon;
use common::{configuration, destination, eventually, numbered, secret, start_in};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, mkfifo};
use sender::perfdata::template;

/// A program that ends with the test.
struct Program(Pid);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        // Fails for a daemon, which is not our child.
        let _ = waitpid(self.0, None);
    }
}

/// A core's command file, read by the test.
struct CommandFile {
    file: File,
    text: Mutex<String>,
}

impl CommandFile {
    fn create(path: &Path) -> Arc<CommandFile> {
        mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
        let file = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).unwrap();
        Arc::new(CommandFile { file, text: Mutex::default() })
    }

    /// The commands so far, without their times.
    fn commands(&self) -> Vec<String> {
        let (mut buffer, mut text) = ([0; 65536], self.text.lock().unwrap());
        while let Ok(bytes) = (&self.file).read(&mut buffer) {
            text.push_str(std::str::from_utf8(&buffer[..bytes]).unwrap());
        }
        text.lines().map(|line| line.split_once("] ").unwrap().1.to_string()).collect()
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn nsca(directory: &Path, port: u16, password: &str) -> Program {
    let (config, pid_file) = (directory.join("nsca.cfg"), directory.join("nsca.pid"));
    let text = format!(
        "server_address=127.0.0.1\nserver_port={port}\ncommand_file={}\npassword={password}\ndecryption_method=1\n\
         max_packet_age=30\naggregate_writes=0\nappend_to_file=0\ndebug=0\n\
         pid_file={}\n",
        directory.join("nagios.cmd").display(),
        pid_file.display()
    );
    fs::write(&config, text).unwrap();
    let status = Command::new("nsca").arg("-c").arg(&config).arg("--single").status();
    assert!(status.expect("Debian's package nsca is installed").success());
    // It goes into the background, and says there who it is.
    let mut pid = None;
    eventually("nsca runs", || {
        pid = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
        pid.is_some()
    })
    .await;
    Program(Pid::from_raw(pid.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_nsca_gets_every_result() {
    let directory = tempfile::tempdir().unwrap();
    let commands = CommandFile::create(&directory.path().join("nagios.cmd"));
    let port = free_port();
    let destinations = vec![destination("standby", &format!("127.0.0.1:{port}"))];
    let sender = start_in(&configuration(directory.path(), destinations), directory.path()).await.unwrap();
    (0..300).for_each(|number| sender.submit(numbered(number)).unwrap());
    let mut odd = numbered(300);
    odd.output = nagios::PluginOutput::from_parts(b"a \\ b; \xc3\xa4", b"t=1", b"second\nthird");
    sender.submit(odd).unwrap();
    let _nsca = nsca(directory.path(), port, "a password").await;
    eventually("all commands are written", || commands.commands().len() >= 301).await;
    let mut expected: Vec<_> =
        (0..300).map(|number| format!("PROCESS_SERVICE_CHECK_RESULT;web;count;0;{number}")).collect();
    expected.push("PROCESS_SERVICE_CHECK_RESULT;web;count;0;a \\\\ b; ä|t=1\\nsecond\\nthird".into());
    assert_eq!(commands.commands(), expected);
    eventually("all are confirmed", || sender.status().destinations[0].queued == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_nsca_with_another_password_confirms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let commands = CommandFile::create(&directory.path().join("nagios.cmd"));
    let port = free_port();
    let _nsca = nsca(directory.path(), port, "another password").await;
    let destinations = vec![destination("standby", &format!("127.0.0.1:{port}"))];
    let sender = start_in(&configuration(directory.path(), destinations), directory.path()).await.unwrap();
    sender.submit(numbered(0)).unwrap();
    eventually("the refusal is noticed", || {
        let status = &sender.status().destinations[0];
        status.failure.as_ref().is_some_and(|failure| failure.message.contains("wrong password"))
    })
    .await;
    assert_eq!(sender.status().destinations[0].queued, 1);
    assert_eq!(commands.commands(), [""; 0]);
}

const PLUGIN: &str =
    "#!/bin/sh\nprintf '%s\\n' 'a \"q\" $HOME$ `b` \\n \\\\ <x> \t tab ü|p=1 q=2' 'long \\ one' 'two'; exit 1\n";

const OBJECTS: &str = "\
define timeperiod {\n timeperiod_name always\n alias always\n monday 00:00-24:00\n tuesday 00:00-24:00\n \
wednesday 00:00-24:00\n thursday 00:00-24:00\n friday 00:00-24:00\n saturday 00:00-24:00\n sunday 00:00-24:00\n}\n\
define command {\n command_name plugin\n command_line DIR/plugin\n}\n\
define contact {\n contact_name nobody\n host_notifications_enabled 0\n service_notifications_enabled 0\n \
host_notification_commands plugin\n service_notification_commands plugin\n host_notification_period always\n \
service_notification_period always\n}\n\
define host {\n host_name web\n address 127.0.0.1\n max_check_attempts 3\n check_command plugin\n \
check_interval 1\n contacts nobody\n check_period always\n}\n\
define service {\n host_name web\n service_description disk /\n check_command plugin\n max_check_attempts 3\n \
check_interval 1\n contacts nobody\n check_period always\n}\n";

fn nagios4(directory: &Path) -> Program {
    let dir = directory.display();
    for folder in ["results", "archive", "temp"] {
        fs::create_dir(directory.join(folder)).unwrap();
    }
    fs::write(directory.join("plugin"), PLUGIN).unwrap();
    fs::set_permissions(directory.join("plugin"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(directory.join("objects.cfg"), OBJECTS.replace("DIR", &dir.to_string())).unwrap();
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    let text = format!(
        "log_file={dir}/nagios.log\ncfg_file={dir}/objects.cfg\nobject_cache_file={dir}/objects.cache\n\
         precached_object_file={dir}/objects.pre\nstatus_file={dir}/status.dat\ncommand_file={dir}/nagios.cmd\n\
         query_socket={dir}/nagios.qh\nlock_file={dir}/nagios.lock\ntemp_file={dir}/nagios.tmp\n\
         temp_path={dir}/temp\ncheck_result_path={dir}/results\nstate_retention_file={dir}/retention.dat\n\
         log_archive_path={dir}/archive\nnagios_user={user}\nnagios_group={user}\ninterval_length=1\n\
         service_inter_check_delay_method=n\nhost_inter_check_delay_method=n\n\
         illegal_macro_output_chars=`~$&|'\"<>\n{}",
        template::core_configuration(&directory.join("perfdata.fifo"))
    );
    fs::write(directory.join("nagios.cfg"), text).unwrap();
    let child = Command::new("nagios4").arg(directory.join("nagios.cfg")).stdout(Stdio::null()).spawn();
    let pid = child.expect("Debian's package nagios4-core is installed").id();
    Program(Pid::from_raw(pid.try_into().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_core_s_perfdata_arrives_with_nothing_stripped() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start("127.0.0.1:0", secret(), &[]);
    let destinations = vec![destination("standby", &daemon.address.to_string())];
    let sender = start_in(&configuration(directory.path(), destinations), directory.path()).await.unwrap();
    let _core = nagios4(directory.path());
    eventually("host and service arrived", || {
        ["web;;", "web;disk /;"].iter().all(|object| daemon.results().iter().any(|line| line.starts_with(object)))
    })
    .await;
    let text = "a \"q\" $HOME$ `b` \\n \\\\ <x> \t tab ü|p=1 q=2\nlong \\ one\ntwo";
    for line in daemon.results() {
        let expected = [format!("web;disk /;1;{text}"), format!("web;;0;{text}")];
        assert!(expected.contains(&line), "{line}");
    }
    let intake = sender.status().intake;
    assert_eq!((intake.damaged, intake.foreign), (0, 0));
}
