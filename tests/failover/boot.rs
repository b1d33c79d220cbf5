//! Both machines of a pair boot, in every order, as new ones and after a power cut: right flags in the end.
//!
//! The standby's core begins with its switches on, against all advice.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use control::status::Failover;
use failover::machine::Flag;

use crate::SOON;
use crate::core::{NOTIFYING, SWITCHES};
use crate::node::Node;
use crate::support::process::{Running, UNDERSTUDY};

/// What a standby has that listens to the heartbeat.
const HEARTBEAT: &str = "successes_to_hand_back = 2\n[failover.heartbeat]\nnode = \"master\"\n";

/// A master's core that waits for its daemon before it notifies.
const CHECKING: &str = "enable_notifications=0\nexecute_service_checks=1\nexecute_host_checks=1\n";

/// How often a pair is looked at: there are many.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    MasterCore,
    MasterDaemon,
    StandbyCore,
    StandbyDaemon,
}

use Program::{MasterCore, MasterDaemon, StandbyCore, StandbyDaemon};

/// Whether the master has `[failover]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Master {
    TakesPart,
    KnowsNothing,
}

/// Which order the operator has given before, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nobody,
    StandbyWhereItIs,
    StandbyActive,
    MasterActive,
}

struct Pair {
    master: Node,
    standby: Node,
    kind: Master,
    held: Held,
    /// What runs, in the order of its start.
    booted: Vec<Program>,
}

#[test]
fn in_every_order() {
    boot_in_every_order(|_| (Master::TakesPart, Held::Nobody));
}

#[test]
fn in_every_order_beside_a_master_that_knows_nothing_of_failover() {
    boot_in_every_order(|_| (Master::KnowsNothing, Held::Nobody));
}

#[test]
fn in_every_order_while_held() {
    let cases = [
        (Master::TakesPart, Held::StandbyWhereItIs),
        (Master::TakesPart, Held::StandbyActive),
        (Master::TakesPart, Held::MasterActive),
        (Master::KnowsNothing, Held::StandbyWhereItIs),
        (Master::KnowsNothing, Held::StandbyActive),
    ];
    boot_in_every_order(|index| cases[index % cases.len()]);
}

#[test]
fn a_standby_whose_master_is_not_there_takes_over_and_hands_back_when_it_comes() {
    let cases = [Master::TakesPart, Master::KnowsNothing]
        .map(|kind| [[MasterCore, MasterDaemon], [MasterDaemon, MasterCore]].map(|order| (kind, order)));
    at_once(cases.into_iter().flatten(), |(kind, order)| {
        let mut pair = Pair::new(kind, Held::Nobody, "restart_grace = \"3s\"\nstale_after = \"3s\"\n");
        pair.boot(&[StandbyCore]);
        let before = Instant::now();
        pair.boot(&[StandbyDaemon]);
        let up = Instant::now();
        pair.standby.wait_for_state("active");
        assert!(before.elapsed() >= Duration::from_secs(3), "{:?}", before.elapsed());
        assert!(up.elapsed() < Duration::from_secs(5), "{:?}", up.elapsed());
        pair.standby.core.wait_for(true);
        pair.boot(&order);
        pair.is_right();
    });
}

#[test]
fn a_standby_that_is_held_leaves_the_stage_empty_when_its_master_is_not_there() {
    let mut pair =
        Pair::new(Master::TakesPart, Held::StandbyWhereItIs, "restart_grace = \"1s\"\nstale_after = \"2s\"\n");
    pair.boot(&[StandbyDaemon, StandbyCore]);
    pair.standby.core.wait_for(false);
    let failover = pair.standby.wait_for("silence", |failover| failover.heartbeat.as_deref() == Some("silent"));
    assert_eq!(failover.state, "standby");
    pair.boot(&[MasterDaemon, MasterCore]);
    pair.is_right();
}

#[test]
fn a_master_whose_standby_is_not_there_notifies_alone() {
    let mut pair = Pair::new(Master::TakesPart, Held::Nobody, "");
    pair.boot(&[MasterDaemon, MasterCore]);
    pair.master.wait_for_state("active");
    patiently("notifications", || pair.master.core.are(&SWITCHES, true));
    pair.boot(&[StandbyDaemon, StandbyCore]);
    pair.is_right();
}

/// Each pair boots twice: as new, and after a power cut in another order.
fn boot_in_every_order(case: impl Fn(usize) -> (Master, Held)) {
    let orders = orders();
    assert_eq!(orders.len(), 24);
    let (first, second) = orders.split_at(12);
    let pairs = first.iter().zip(second.iter().rev()).enumerate();
    at_once(pairs.map(|(index, (first, second))| (case(index), [first, second])), |((kind, held), orders)| {
        let mut pair = Pair::new(kind, held, "");
        for order in orders {
            pair.boot(order);
            pair.is_right();
            pair.cut_power();
        }
    });
}

fn orders() -> Vec<[Program; 4]> {
    let all = [MasterCore, MasterDaemon, StandbyCore, StandbyDaemon];
    let mut orders = vec![vec![]];
    for _ in all {
        let longer = |order: Vec<Program>| {
            let left = all.into_iter().filter(|program| !order.contains(program)).collect::<Vec<_>>();
            left.into_iter().map(move |program| [&order[..], &[program]].concat())
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    orders.into_iter().map(|order| order.try_into().unwrap()).collect()
}

impl Pair {
    /// Nothing runs. `heartbeat` are lines for its section.
    fn new(kind: Master, held: Held, heartbeat: &str) -> Self {
        let standby = Node::standby_that_waits(NOTIFYING, &format!("{HEARTBEAT}{heartbeat}"));
        let address = standby.address.unwrap();
        let master = match kind {
            Master::TakesPart => Node::master(address, CHECKING, "[failover]\nrole = \"master\"\nfail_open = \"5s\"\n"),
            Master::KnowsNothing => Node::master(address, NOTIFYING, ""),
        };
        let mut pair = Pair { master, standby, kind, held, booted: Vec::new() };
        match held {
            Held::Nobody => {}
            Held::StandbyWhereItIs => order(&mut pair.standby, "hold"),
            Held::StandbyActive => order(&mut pair.standby, "takeover"),
            Held::MasterActive => order(&mut pair.master, "takeover"),
        }
        pair
    }

    /// Starts the programs, each when the one before is up.
    #[track_caller]
    fn boot(&mut self, order: &[Program]) {
        for program in order {
            self.booted.push(*program);
            match program {
                MasterCore => self.master.core.start_again(),
                MasterDaemon => start_daemon(&mut self.master, "sender sends"),
                StandbyCore => self.standby.core.start_again(),
                StandbyDaemon => start_daemon(&mut self.standby, "failover watches"),
            }
        }
    }

    /// One of both notifies and checks, and both daemons know it.
    #[track_caller]
    fn is_right(&self) {
        let standby_is_active = self.held == Held::StandbyActive;
        let (state, silent) = if standby_is_active { ("active", "standby") } else { ("standby", "active") };
        let master_notifies = !standby_is_active || self.kind == Master::KnowsNothing;
        let what = format!("right flags with {:?}, {:?}, {:?}", self.kind, self.held, self.booted);
        patiently(&what, || {
            self.standby.core.are(&SWITCHES, standby_is_active)
                && self.master.core.are(&[Flag::Notifications], master_notifies)
                && self.master.core.are(&[Flag::ServiceChecks, Flag::HostChecks], true)
        });
        let is = |failover: &Failover, state: &str| failover.state == state && failover.in_force;
        patiently(&what, || {
            let failover = self.standby.failover();
            is(&failover, state) && failover.heartbeat.as_deref() == Some("alive")
        });
        if self.kind == Master::TakesPart {
            patiently(&what, || is(&self.master.failover(), silent));
        }
        // What was right for a moment only is not right.
        assert!(self.standby.core.are(&SWITCHES, standby_is_active), "{what}");
        assert!(self.master.core.are(&[Flag::Notifications], master_notifies), "{what}");
    }

    /// Everything ends at once, and leaves its files behind.
    fn cut_power(&mut self) {
        self.standby.kill();
        self.master.kill();
        self.standby.core.kill();
        self.master.core.kill();
        self.booted.clear();
    }
}

/// The operator's order to a node without a core.
fn order(node: &mut Node, order: &str) {
    start_daemon(node, "failover watches");
    node.does(&[order]);
    node.kill();
}

/// As `Node::start`, without asking again and again.
#[track_caller]
fn start_daemon(node: &mut Node, last_words: &str) {
    let daemon = Running::start(Command::new(UNDERSTUDY).arg("run").arg("--config").arg(node.config()));
    daemon.wait_for(last_words);
    node.daemon = Some(daemon);
    patiently("the daemon's answer", || node.understudy(&["status"]).code == Some(0));
}

/// Each mostly waits.
fn at_once<T: Send>(cases: impl Iterator<Item = T>, test: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            let test = &test;
            scope.spawn(move || test(case));
        }
    });
}

#[track_caller]
fn patiently(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {SOON:?} in vain: {what}");
        thread::sleep(LOOK_EVERY);
    }
}
