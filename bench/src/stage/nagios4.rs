//! A real Nagios 4 that only listens, with all objects of some results.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use nagios::Object;
use nagios::status::{BlockKind, StatusReader};

use super::programs::Running;
use super::results::{Results, Service};

const NAGIOS4: &str = "/usr/sbin/nagios4";

/// What a core that only takes results is configured with, beside its files.
const LISTENS: &str = "status_update_interval=1\nretain_state_information=0\nenable_notifications=0\n\
                       log_external_commands=0\n";

/// A running core. Dropping it kills it.
pub(crate) struct Nagios4 {
    directory: PathBuf,
    process: Running,
}

impl Nagios4 {
    /// Starts a core in `directory` that knows all objects of `results`, and tells nobody of them. When this returns, it
    /// takes commands.
    pub(crate) fn start(directory: &Path, results: Results) -> Result<Nagios4> {
        Nagios4::start_with(&directory.join("core"), results, LISTENS)
    }

    /// As [`start`](Self::start), in `directory` itself and with `settings`. If it is to notify, it tells somebody who does not
    /// listen.
    pub(crate) fn start_with(directory: &Path, results: Results, settings: &str) -> Result<Nagios4> {
        let directory = directory.to_owned();
        fs::create_dir_all(directory.join("checkresults"))?;
        fs::write(directory.join("nagios.cfg"), main_config(&directory)? + settings)?;
        fs::write(directory.join("objects.cfg"), object_config(results))?;
        let process = Running::start(Command::new(NAGIOS4).arg(directory.join("nagios.cfg")), &directory)?;
        let mut core = Nagios4 { directory, process };
        let [status_file, command_file] = [core.path("status.dat"), core.command_file()];
        core.process.wait_for("the core begins", || Ok(status_file.exists() && command_file.exists()))?;
        Ok(core)
    }

    pub(crate) fn main_config(&self) -> PathBuf {
        self.directory.join("nagios.cfg")
    }

    pub(crate) fn command_file(&self) -> PathBuf {
        self.directory.join("nagios.cmd")
    }

    /// Its file of this name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Waits until something is so that does not tell by itself.
    pub(crate) fn wait_for(&mut self, what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
        self.process.wait_for(what, is_so)
    }

    /// Waits until its status file shows the last of `results` for every object.
    pub(crate) fn wait_until_it_shows(&mut self, results: Results) -> Result<()> {
        let last: HashMap<Object, Vec<u8>> = results.last().map(|service| shown(&service)).collect::<Result<_>>()?;
        let status_file = self.directory.join("status.dat");
        let read = Cell::new(0);
        self.process.wait_for("the core shows the last results", || {
            let inode = fs::metadata(&status_file).map_or(0, |found| found.ino());
            // The core writes a new file each time.
            if inode == read.get() {
                return Ok(false);
            }
            read.set(inode);
            shows(&status_file, &last)
        })
    }
}

/// An object, and what the core shows as its output.
fn shown(service: &Service) -> Result<(Object, Vec<u8>)> {
    let host = service.host.as_str().try_into()?;
    let object = Object::Service(host, service.description.as_str().try_into()?);
    let (output, _perfdata) = service.output.split_once('|').context("no performance data")?;
    Ok((object, output.into()))
}

fn shows(status_file: &Path, last: &HashMap<Object, Vec<u8>>) -> Result<bool> {
    let Ok(file) = File::open(status_file) else { return Ok(false) };
    let mut reader = StatusReader::new(BufReader::new(file));
    let mut found = 0;
    while let Some(block) = reader.next_block()? {
        if block.kind() != BlockKind::Service {
            continue;
        }
        let status = block.object_status().context("a service without its names")?;
        let object = status.object()?;
        if last.get(&object).is_none_or(|output| output.trim_ascii_end() != status.plugin_output().trim_ascii_end()) {
            return Ok(false);
        }
        found += 1;
    }
    Ok(found == last.len())
}

fn main_config(directory: &Path) -> Result<String> {
    let path = directory.display();
    let owner = nix::unistd::User::from_uid(nix::unistd::Uid::current())?.context("this user has no name")?;
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::current())?.context("this group has no name")?;
    Ok(format!(
        "log_file={path}/nagios.log\ncfg_file={path}/objects.cfg\nobject_cache_file={path}/objects.cache\n\
         precached_object_file={path}/objects.precache\nstatus_file={path}/status.dat\n\
         command_file={path}/nagios.cmd\nquery_socket={path}/nagios.qh\nlock_file={path}/nagios.lock\n\
         temp_file={path}/nagios.tmp\ntemp_path={path}\ncheck_result_path={path}/checkresults\n\
         state_retention_file={path}/retention.dat\nlog_archive_path={path}\n\
         nagios_user={}\nnagios_group={}\n\
         check_external_commands=1\naccept_passive_service_checks=1\nexecute_service_checks=0\n\
         execute_host_checks=0\ncheck_for_updates=0\ncheck_service_freshness=0\n\
         check_host_freshness=0\nlog_passive_checks=0\n",
        owner.name, group.name
    ))
}

fn object_config(results: Results) -> String {
    // It insists on somebody who could be told.
    let mut text = "define command {\n command_name none\n command_line /bin/true\n}\n\
                    define timeperiod {\n timeperiod_name always\n alias always\n monday 00:00-24:00\n tuesday 00:00-24:00\n \
                    wednesday 00:00-24:00\n thursday 00:00-24:00\n friday 00:00-24:00\n saturday 00:00-24:00\n \
                    sunday 00:00-24:00\n}\n\
                    define contact {\n contact_name nobody\n host_notification_period always\n \
                    service_notification_period always\n host_notification_commands none\n \
                    service_notification_commands none\n host_notification_options d,u,r,s\n \
                    service_notification_options w,u,c,r,s\n}\n"
        .to_owned();
    let common = "check_command none\n max_check_attempts 3\n active_checks_enabled 0\n check_period always\n \
                  notification_period always\n notification_interval 0\n contacts nobody\n";
    let (hosts, services) = results.inventory();
    for host in hosts {
        write!(text, "define host {{\n host_name {host}\n address 127.0.0.1\n {common}}}\n")
            .expect("a String takes every write");
        for service in services.clone() {
            write!(text, "define service {{\n host_name {host}\n service_description {service}\n {common}}}\n")
                .expect("a String takes every write");
        }
    }
    text
}
