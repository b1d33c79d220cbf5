//! A core that is two files: a status file and a log.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use book::{Record, Shelf};
use chronicle::{Chronicle, Own, Part, Subscription, Told};
use nagios::main_config::MainConfig;
use nagios::{Flavour, HostName, Memory, Object, ServiceDescription};

/// How long a slow machine may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Site {
    pub(crate) directory: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Site {
        let directory = tempfile::tempdir().unwrap();
        for name in ["archive", "state"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Site { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn start(&self) -> Chronicle {
        Chronicle::start(&core(self.directory.path()), &self.path("state")).unwrap()
    }

    /// The core replaces its status file.
    pub(crate) fn show(&self, created: i64, program: &str, objects: &str) {
        let head = format!("info {{\n\tcreated={created}\n\t}}\nprogramstatus {{\n{program}\t}}\n");
        let beside = self.path("status.tmp");
        fs::write(&beside, [&head, objects].concat()).unwrap();
        fs::rename(beside, self.path("status.dat")).unwrap();
    }

    /// The core logs a line.
    pub(crate) fn log(&self, line: &str) {
        let mut log = OpenOptions::new().create(true).append(true).open(self.path("nagios.log")).unwrap();
        writeln!(log, "{line}").unwrap();
    }

    pub(crate) fn notify(&self, time: i64, service: &str, state: &str) {
        self.log(&format!("[{time}] SERVICE NOTIFICATION: admin;web;{service};{state};mail;said"));
    }

    /// The core begins a new log.
    pub(crate) fn rotate(&self, name: &str) {
        fs::rename(self.path("nagios.log"), self.path("archive").join(name)).unwrap();
    }
}

/// A core whose files are in `directory`.
pub(crate) fn core(directory: &Path) -> config::Core {
    let main = format!(
        "log_file={0}/nagios.log\nlog_archive_path={0}/archive\nstate_retention_file={0}/retention.dat\n",
        directory.display()
    );
    config::Core {
        flavour: Flavour::Nagios4,
        command_file: None,
        status_file: Some(directory.join("status.dat")),
        check_result_path: None,
        main: Some(MainConfig::parse(&directory.join("nagios.cfg"), main.as_bytes()).unwrap()),
    }
}

pub(crate) fn service(name: &str, fields: &str) -> String {
    format!(
        "servicestatus {{\n\thost_name=web\n\tservice_description={name}\n\thas_been_checked=1\n\tstate_type=1\n{fields}\t}}\n"
    )
}

pub(crate) fn object(name: &str) -> Object {
    Object::Service(HostName::try_from("web").unwrap(), ServiceDescription::try_from(name).unwrap())
}

pub(crate) fn memory(own: &Own, name: &str) -> Memory {
    own.book.entry(&object(name)).map(|entry| entry.memory.clone()).unwrap_or_default()
}

/// Number of notifications, and whether the state was told.
pub(crate) fn told(own: &Own, name: &str, state: u8) -> (u32, bool) {
    let memory = memory(own, name);
    (memory.notifications, memory.notified_on.contains(state))
}

/// Waits until what is known fulfils `condition`.
#[track_caller]
pub(crate) fn until(what: &str, chronicle: &Chronicle, mut condition: impl FnMut(&Own) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !chronicle.read(&mut condition) {
        assert!(Instant::now() < deadline, "waited in vain: {what}: {:?}", chronicle.read(Own::clone));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Tells a peer what there is to tell; the parts that were begun.
pub(crate) fn tell(subscription: &Subscription, peer: &mut Shelf) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some(told) = subscription.poll() {
        match told {
            Told::Record(record) => drop(peer.take(Record::decode(&record).unwrap()).unwrap()),
            Told::Heading(part, heading) => {
                peer.head(heading);
                match part {
                    Part::Begin => peer.begin(),
                    Part::End => drop(peer.end()),
                    Part::News => {}
                }
                parts.push(part);
            }
        }
    }
    parts
}
