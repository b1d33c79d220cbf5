//! Scenario 2 by probe alone: check_nrpe asks the master's nrpe for check_nagios, and nothing else is known of the master.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::SOON;
use crate::core::{Core, NOTIFYING, STATUS_INTERVAL};
use crate::imposter::Imposter;
use crate::node::Node;
use crate::nrpe::{Nrpe, PROBE_TIMEOUT, check_nrpe};
use crate::support::process::Running;
use crate::support::wait::until_within;

/// `failures_to_take_over` of the standby, whose `interval` is shorter than the probe's time-out.
const FAILURES: u32 = 2;

#[test]
fn the_core_is_killed() {
    Pair::start().covered(
        "CRITICAL",
        |master| master.left_behind = Some(master.core.kill_main_process()),
        |master| {
            master.left_behind = None;
            master.core.start();
        },
    );
}

#[test]
fn the_core_is_stopped_in_order() {
    Pair::start().covered("CRITICAL", |master| master.core.stop(), |master| master.core.start());
}

#[test]
fn the_host_is_gone_and_nothing_answers_for_it() {
    let gone = |master: &mut Master| {
        master.core.kill();
        master.nrpe.kill();
        master.imposter = Some(Imposter::nobody(master.nrpe.port));
    };
    Pair::start().covered("UNKNOWN: killed after 2s", gone, |master| {
        master.imposter = None;
        master.nrpe.launch();
        master.core.start();
    });
}

#[test]
fn the_host_is_there_and_nrpe_is_gone_with_the_core() {
    let gone = |master: &mut Master| {
        master.core.kill();
        master.nrpe.kill();
    };
    Pair::start().covered("refused", gone, |master| {
        master.nrpe.launch();
        master.core.start();
    });
}

#[test]
fn nrpe_answers_too_late() {
    let slow = |master: &mut Master| master.replace_check_nagios("/bin/sleep 5");
    Pair::start().covered("UNKNOWN: killed after 2s", slow, Master::restore_check_nagios);
}

#[test]
fn nrpe_takes_connections_and_says_nothing() {
    let mute = |master: &mut Master| {
        master.nrpe.kill();
        master.imposter = Some(Imposter::mute(master.nrpe.port));
    };
    Pair::start().covered("UNKNOWN: killed after 2s", mute, Master::restore_nrpe);
}

#[test]
fn somebody_else_talks_at_the_port_of_nrpe() {
    let babbling = |master: &mut Master| {
        master.nrpe.kill();
        master.imposter = Some(Imposter::babbling(master.nrpe.port));
    };
    Pair::start().covered("UNKNOWN: CHECK_NRPE", babbling, Master::restore_nrpe);
}

#[test]
fn the_answer_is_long_binary_and_none_of_a_plugin() {
    let garbage = |master: &mut Master| {
        master.replace_check_nagios("/bin/sh -c \"tr '\\000' x < /dev/urandom | head -c 50000; exit 77\"");
    };
    Pair::start().covered("UNKNOWN", garbage, Master::restore_check_nagios);
}

/// A master that knows nothing of Understudy, and its standby.
struct Pair {
    standby: Node,
    master: Master,
}

struct Master {
    core: Core,
    nrpe: Nrpe,
    imposter: Option<Imposter>,
    /// The workers of a core that was killed.
    left_behind: Option<Running>,
    _directory: TempDir,
}

impl Pair {
    #[track_caller]
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut core = Core::new(&directory.path().join("master"), NOTIFYING);
        core.start();
        let nrpe = Nrpe::start(directory.path(), &core);
        let standby = Node::standby(&format!(
            "failures_to_take_over = {FAILURES}\nsuccesses_to_hand_back = 2\n{}",
            check_nrpe(nrpe.port)
        ));
        let master = Master { core, nrpe, imposter: None, left_behind: None, _directory: directory };
        Pair { standby, master }
    }

    /// What `strikes` the master makes the standby take over in time and do its work; what `mends` it ends that. The probe says
    /// `what` meanwhile.
    #[track_caller]
    fn covered(mut self, what: &str, strikes: impl FnOnce(&mut Master), mends: impl FnOnce(&mut Master)) {
        self.standby.wait_for("a probe that is well", |failover| failover.probes[0].state.as_deref() == Some("OK"));
        self.standby.core.wait_for(false);
        self.only_the_master_notifies("before");

        strikes(&mut self.master);
        self.takes_over_in_time(Instant::now());
        let failover = self.standby.failover();
        let said = format!("{}: {}", failover.probes[0].state.clone().unwrap_or_default(), failover.probes[0].output);
        assert!(said.contains(what) && failover.why.contains("probes"), "{failover:?}");
        self.standby_works();

        mends(&mut self.master);
        self.standby.wait_for_state("standby");
        self.standby.core.wait_for(false);
        self.only_the_master_notifies("after");
    }

    #[track_caller]
    fn takes_over_in_time(&self, struck: Instant) {
        assert_eq!(self.standby.core.checks(), 0, "it has checked before it took over");
        let daemon = self.standby.daemon.as_ref().unwrap();
        let commanded = until_within(SOON, "commands for the standby's core", || {
            daemon.said().contains("ENABLE_NOTIFICATIONS").then(Instant::now)
        });
        let (took, bound) = (commanded - struck, PROBE_TIMEOUT * FAILURES + Duration::from_secs(2));
        assert!(took <= bound, "commands were written after {took:?}, not within {bound:?}");
        // Measured in whole seconds, by the clock of the status file itself.
        let latest = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + 2 * STATUS_INTERVAL;
        self.standby.core.wait_for(true);
        let shown = self.standby.core.shown().unwrap();
        assert!(shown.created <= i64::try_from(latest.as_secs()).unwrap(), "confirmed too late: {shown:?} {latest:?}");
    }

    /// It checks by itself, and a new problem reaches its contact, who has heard nothing from it before.
    #[track_caller]
    fn standby_works(&self) {
        let core = &self.standby.core;
        until_within(SOON, "active checks of the standby", || (core.checks() > 1).then_some(()));
        assert_eq!(core.notifications(), "");
        core.hears_of("while the master is away");
        until_within(SOON, "a notification by the standby", || {
            core.notifications().contains("/web1/passive/CRITICAL/while the master is away\n").then_some(())
        });
    }

    /// Both hear of a new problem.
    #[track_caller]
    fn only_the_master_notifies(&self, problem: &str) {
        let (master, standby) = (&self.master.core, &self.standby.core);
        for core in [master, standby] {
            core.hears_of(problem);
        }
        until_within(SOON, "a notification by the master", || {
            master.notifications().contains(&format!("/CRITICAL/{problem}\n")).then_some(())
        });
        let log = standby.log();
        let notifies = log.lines().any(|line| line.contains("NOTIFICATION:") && line.ends_with(problem));
        assert!(!notifies, "the standby notified, too:\n{log}");
    }
}

impl Master {
    fn replace_check_nagios(&mut self, command: &str) {
        self.nrpe.kill();
        self.nrpe.launch_with(command);
    }

    fn restore_check_nagios(&mut self) {
        self.nrpe.kill();
        self.nrpe.launch();
    }

    fn restore_nrpe(&mut self) {
        self.imposter = None;
        self.nrpe.launch();
    }
}
