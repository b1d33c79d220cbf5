//! A core with its command file and status file.

use std::collections::BTreeMap;

use failover::machine::{Flag, LocalCore, Shown};
use nagios::ModeCommand;

/// How often it writes its status file, in milliseconds.
pub const STATUS_EVERY: u64 = 3000;

const FLAGS: [Flag; 5] =
    [Flag::ServiceChecks, Flag::HostChecks, Flag::Notifications, Flag::ObsessOverServices, Flag::ObsessOverHosts];

/// One core. All times are in milliseconds of the schedule.
pub struct Core {
    pub runs: bool,
    pub flags: BTreeMap<Flag, bool>,
    pub started: u64,
    status_due: u64,
    status: Option<Shown>,
}

impl Core {
    pub fn new(on: bool) -> Self {
        let mut core = Core { runs: false, flags: BTreeMap::new(), started: 0, status_due: 0, status: None };
        core.start(0, on);
        core
    }

    /// Begins another run, with its switches on or off.
    pub fn start(&mut self, now: u64, on: bool) {
        self.runs = true;
        self.started = now;
        self.flags = FLAGS.map(|flag| (flag, on)).into();
        self.status_due = now + 500;
    }

    pub fn stop(&mut self) {
        self.runs = false;
    }

    pub fn notifies(&self) -> bool {
        self.runs && self.flags[&Flag::Notifications]
    }

    pub fn obey(&mut self, command: ModeCommand) {
        for flag in FLAGS {
            for on in [false, true] {
                if flag.command(on) == command {
                    self.flags.insert(flag, on);
                }
            }
        }
    }

    pub fn tick(&mut self, now: u64, unix: i64) {
        if self.runs && now >= self.status_due {
            let program_start = unix - i64::try_from(now / 1000 - self.started / 1000).unwrap();
            self.status = Some(Shown { program_start, created: unix, flags: self.flags.clone() });
            self.status_due = now + STATUS_EVERY;
        }
    }

    /// What can be seen of it. A core that was killed leaves its status file behind.
    pub fn seen(&self) -> LocalCore {
        if self.runs { LocalCore::Running(self.status.clone()) } else { LocalCore::Gone }
    }
}
