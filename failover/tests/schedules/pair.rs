//! A standby and a master, both with a controller, and a link between them that loses what it likes.

use std::time::Duration;

use config::{Role, Switch};
use failover::machine::{COLD_AT_MOST, Input, Order, Presence, Settings, State};
use nagios::ServiceState;
use nsca::sealed::CoreVerdict;

use crate::core::STATUS_EVERY;
use crate::node::{Node, now};
use crate::random::Random;
use crate::standby;

const TICK: u64 = 250;
const LASTS: u64 = 240_000;
/// After which silence the master's end of the session is gone.
const SESSION_ENDS: u64 = 10_000;

pub fn schedule(seed: u64) {
    let random = &mut Random::new(seed);
    let settings = Settings { witnesses: 0, ..standby::settings(random) };
    let of_master = Settings {
        role: Role::Master,
        switches: vec![Switch::Notifications],
        probes: Vec::new(),
        heartbeat: None,
        ..settings.clone()
    };
    let mut world = World {
        standby: Node::new(settings.clone(), false),
        master: Node::new(of_master, false),
        verdict: CoreVerdict::Alive,
        cold_for: random.pick(&[0, 5_000, u64::MAX]),
        to_standby: true,
        to_master: true,
        heard_by_master: 0,
        probe_due: 0,
        steady_since: 0,
        last_notifying: 0,
        not_both_since: 0,
        seen_transitions: 0,
        handed_back: false,
        settings,
        with_orders: random.once_in(3),
    };
    let mut at = 0;
    while at < LASTS {
        if random.once_in(160) {
            world.change(at, random);
        }
        world.exchange(at, random);
        world.probe(at, random);
        world.standby.tick(at, random);
        world.master.tick(at, random);
        world.check(at);
        at += TICK;
    }
}

struct World {
    standby: Node,
    master: Node,
    settings: Settings,
    /// What the master's sender says of its core.
    verdict: CoreVerdict,
    /// For how long the master's core is not up to date once it was started.
    cold_for: u64,
    to_standby: bool,
    to_master: bool,
    heard_by_master: u64,
    probe_due: u64,
    steady_since: u64,
    last_notifying: u64,
    /// When they last did not both notify, or could not hear each other.
    not_both_since: u64,
    seen_transitions: usize,
    /// The standby has handed back, and neither it nor its core was started since.
    handed_back: bool,
    with_orders: bool,
}

impl World {
    fn change(&mut self, at: u64, random: &mut Random) {
        self.steady_since = at;
        match random.below(12) {
            0..3 => {
                self.verdict = random.pick(&[CoreVerdict::DeadCrash, CoreVerdict::DeadClean]);
                self.master.core.stop();
                self.master.handle_another_run(at);
            }
            3..6 => {
                self.verdict = CoreVerdict::Alive;
                self.master.core.start(at, random.once_in(3));
                self.master.handle_another_run(at);
            }
            6 => (self.to_standby, self.to_master) = (random.once_in(2), random.once_in(2)),
            7 => (self.to_standby, self.to_master) = (true, true),
            8 => {
                self.standby.core.stop();
                self.standby.handle_another_run(at);
            }
            9 => {
                self.standby.core.start(at, random.once_in(2));
                self.standby.handle_another_run(at);
                self.handed_back = false;
            }
            10 => {
                let node = if random.once_in(2) { &mut self.standby } else { &mut self.master };
                node.restart(at, random);
            }
            _ if self.with_orders => {
                let node = if random.once_in(2) { &mut self.standby } else { &mut self.master };
                let reason = String::new();
                let order = match random.below(5) {
                    0 => Order::TakeOver { reason },
                    1 => Order::HandBack,
                    _ => Order::Release,
                };
                node.order(order, at, random);
            }
            _ => {}
        }
    }

    /// Heartbeats both ways.
    fn exchange(&mut self, at: u64, random: &mut Random) {
        if at.is_multiple_of(1000) && self.to_standby && self.settings.heartbeat.is_some() && !random.once_in(20) {
            let is_cold = at - self.master.core.started < self.cold_for;
            self.standby.handle(Input::Heard { core: self.verdict, is_cold }, at, random);
        }
        if at % 1000 == 500 && self.to_master && !random.once_in(20) {
            self.heard_by_master = at;
            self.master.handle(Input::Peer(self.standby.machine.presence()), at, random);
        }
        if at - self.heard_by_master == SESSION_ENDS {
            self.master.handle(Input::Peer(Presence::Unreachable), at, random);
        }
    }

    /// The probes have their own way to the master's core, and take no time.
    fn probe(&mut self, at: u64, random: &mut Random) {
        if at < self.probe_due {
            return;
        }
        let state = if self.master.core.runs { ServiceState::Ok } else { ServiceState::Critical };
        for index in 0..self.settings.probes.len() {
            self.standby.handle(Input::Probe { index, state, started: now(at).instant }, at, random);
        }
        self.probe_due = at + u64::try_from(self.standby.machine.pace().0.as_millis()).unwrap();
    }

    fn check(&mut self, at: u64) {
        self.standby.assert_presence(at);
        self.master.assert_presence(at);
        self.standby.assert_switches_agree(at);
        self.master.assert_switches_agree(at);
        self.check_the_hand_back(at);
        if self.standby.core.notifies() || self.master.core.notifies() {
            self.last_notifying = at;
        }
        if self.standby.is_held() || self.master.is_held() {
            self.steady_since = at;
            return;
        }
        self.check_silence(at);
        self.check_that_one_is_enough(at);
        self.check_the_end(at);
    }

    /// While both hear each other, they do not both notify for long.
    fn check_that_one_is_enough(&mut self, at: u64) {
        let both = self.standby.core.notifies() && self.master.core.notifies();
        if !both || !self.to_master || !self.to_standby {
            self.not_both_since = at;
        }
        let lasts = Duration::from_millis(at - self.not_both_since.max(self.steady_since));
        assert!(lasts <= 2 * self.switching_bound(), "both notify for {lasts:?}");
    }

    /// From the end of a hand-back on, the standby is silent. A core that was started within the last status interval is
    /// known only by the status file of the run before.
    fn check_the_hand_back(&mut self, at: u64) {
        let known = at - self.standby.core.started > 2 * STATUS_EVERY;
        for transition in &self.standby.transitions[self.seen_transitions..] {
            self.handed_back = match (transition.from, transition.to) {
                (State::HandingBack, State::Standby) => known,
                (_, State::Active) => false,
                _ => self.handed_back,
            };
        }
        self.seen_transitions = self.standby.transitions.len();
        let both = self.standby.core.notifies() && self.master.core.notifies();
        assert!(!self.handed_back || !both, "both notify after the hand-back");
    }

    /// Somebody notifies before long, as long as a core runs.
    fn check_silence(&self, at: u64) {
        let silent = Duration::from_millis(at - self.last_notifying.max(self.steady_since));
        let possible = self.master.core.runs || self.standby.core.runs && self.must_be_noticed();
        let bound = self.take_over_bound() + self.settings.fail_open + self.switching_bound();
        assert!(
            silent <= bound || !possible,
            "nobody notifies for {silent:?}: standby {}, master {}",
            self.standby.machine.state(),
            self.master.machine.state()
        );
    }

    /// When everything works for long enough, the master notifies alone.
    fn check_the_end(&self, at: u64) {
        let well = self.master.core.runs && self.to_standby && self.to_master;
        let steady = Duration::from_millis(at - self.steady_since);
        let proof = self.settings.interval * (self.settings.successes_to_hand_back + 3);
        let cold = COLD_AT_MOST.min(Duration::from_millis(self.cold_for));
        let bound = proof + cold + self.take_over_bound() + self.settings.fail_open + 2 * self.switching_bound();
        let after_the_stay = now(at).wall.seconds().saturating_sub(standby::stays_until(&self.standby.takeovers));
        if !well || steady <= bound || after_the_stay < i64::try_from(bound.as_secs()).unwrap() {
            return;
        }
        let notifies = (self.master.core.notifies(), self.standby.core.notifies());
        let said = (self.master.machine.state(), self.standby.machine.state(), self.standby.machine.waits_for());
        assert_eq!(notifies, (true, false), "after {steady:?}: {said:?}");
    }

    /// A standby without a probe that hears from the master in one direction hears the truth; without either, silence.
    fn must_be_noticed(&self) -> bool {
        !self.settings.probes.is_empty() || self.settings.heartbeat.is_some()
    }

    fn take_over_bound(&self) -> Duration {
        standby::take_over_bound(&self.settings)
    }

    fn switching_bound(&self) -> Duration {
        self.settings.confirmation * 3 + Duration::from_secs(20)
    }
}
