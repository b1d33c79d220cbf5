//! What the machine needs to know of the configuration.

use std::time::Duration;

use config::{Failover, HandBack, Problems, Role, Switch, TakeOverWhen, Watches};

/// How often the status file is written if nothing else is known.
pub(crate) const DEFAULT_STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Thresholds and choices.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose understudy this node is.
    pub role: Role,
    /// How often probes and witnesses run.
    pub interval: Duration,
    /// Of a probe, in a row.
    pub failures_to_take_over: u32,
    /// Of every probe, in a row.
    pub successes_to_hand_back: u32,
    /// How several probes are combined.
    pub take_over_when: TakeOverWhen,
    /// Who decides on handing back.
    pub hand_back: HandBack,
    /// How long a master waits for a standby that it cannot reach.
    pub fail_open: Duration,
    /// What is switched in the local core.
    pub switches: Vec<Switch>,
    /// What watches the master, in the order of their indices.
    pub probes: Vec<ProbeSettings>,
    /// How many witnesses there are.
    pub witnesses: usize,
    /// The heartbeat's times, if there is one.
    pub heartbeat: Option<HeartbeatSettings>,
    /// How long a command may take to show in the status file before it is written again.
    pub confirmation: Duration,
}

/// How one probe is judged.
#[derive(Clone, Copy, Debug)]
pub struct ProbeSettings {
    /// Which results are failures.
    pub takes_over_on: Problems,
    /// What its OK proves.
    pub watches: Watches,
}

/// The heartbeat's times.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatSettings {
    /// After which silence the master is silent.
    pub stale_after: Duration,
    /// How long a core that was stopped in order may be away.
    pub restart_grace: Duration,
    /// How long a sender that said goodbye may be away.
    pub goodbye_grace: Duration,
}

impl Settings {
    /// From the configuration; `status_update_interval` is the local core's.
    pub fn new(config: &Failover, status_update_interval: Option<Duration>) -> Self {
        Settings {
            role: config.role,
            interval: config.interval,
            failures_to_take_over: config.failures_to_take_over,
            successes_to_hand_back: config.successes_to_hand_back,
            take_over_when: config.take_over_when,
            hand_back: config.hand_back,
            fail_open: config.fail_open,
            switches: config.switches.clone(),
            probes: config
                .probes
                .iter()
                .map(|probe| ProbeSettings { takes_over_on: probe.takes_over_on, watches: probe.watches })
                .collect(),
            witnesses: config.witnesses.len(),
            heartbeat: config.heartbeat.as_ref().map(|heartbeat| HeartbeatSettings {
                stale_after: heartbeat.stale_after,
                restart_grace: heartbeat.restart_grace,
                goodbye_grace: heartbeat.goodbye_grace,
            }),
            confirmation: confirmation(status_update_interval.unwrap_or(DEFAULT_STATUS_INTERVAL)),
        }
    }

    /// How long a heartbeat must say that the core lives before the standby hands back.
    pub(super) fn settle(&self) -> Duration {
        self.interval * self.successes_to_hand_back
    }
}

/// The core may just have begun to write its status file when the command came, and writing takes its time.
fn confirmation(status_update_interval: Duration) -> Duration {
    status_update_interval * 2 + Duration::from_secs(2)
}
