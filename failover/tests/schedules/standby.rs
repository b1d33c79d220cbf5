//! One standby, whose inputs say what they like.

use std::time::Duration;

use config::{HandBack, Problems, Role, Switch, TakeOverWhen, Watches};
use failover::event::Event;
use failover::machine::{
    COLD_AT_MOST, HeartbeatSettings, Input, LONGEST_STAY, Order, ProbeSettings, Settings, State, Transition,
};
use nagios::ServiceState;
use nsca::sealed::CoreVerdict;

use crate::core::STATUS_EVERY;
use crate::node::{Node, now};
use crate::random::Random;

const TICK: u64 = 250;
const LASTS: u64 = 180_000;
/// How long a plugin runs at most.
const LONGEST_PLUGIN: u64 = 2000;
const STALE_AFTER: u64 = 5000;

/// What the inputs say of the master.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    Alive,
    Crashed,
    Stopped,
    Gone,
    /// Some of one, some of the other.
    Mixed,
}

struct Plugin {
    starts: u64,
    ends: u64,
    result: ServiceState,
}

pub fn settings(random: &mut Random) -> Settings {
    let probe = ProbeSettings { takes_over_on: Problems::ALL, watches: Watches::Core };
    let heartbeat = HeartbeatSettings {
        stale_after: Duration::from_millis(STALE_AFTER),
        restart_grace: Duration::from_secs(10),
        goodbye_grace: Duration::from_secs(20),
    };
    let with_heartbeat = random.once_in(2);
    let probes = random.below(3).max(u64::from(!with_heartbeat));
    Settings {
        role: Role::Standby,
        interval: Duration::from_secs(random.pick(&[2, 5])),
        failures_to_take_over: u32::try_from(1 + random.below(3)).unwrap(),
        successes_to_hand_back: u32::try_from(1 + random.below(3)).unwrap(),
        take_over_when: random.pick(&[TakeOverWhen::All, TakeOverWhen::Any]),
        hand_back: HandBack::Automatic,
        fail_open: Duration::from_secs(10),
        switches: vec![Switch::ServiceChecks, Switch::HostChecks, Switch::Notifications],
        probes: vec![probe; usize::try_from(probes).unwrap()],
        witnesses: usize::try_from(random.below(2)).unwrap(),
        heartbeat: with_heartbeat.then_some(heartbeat),
        confirmation: Duration::from_millis(STATUS_EVERY * 2 + 2000),
    }
}

pub fn schedule(seed: u64) {
    let random = &mut Random::new(seed);
    let settings = settings(random);
    let mut world = World {
        node: Node::new(settings.clone(), random.once_in(2)),
        said: Said::Alive,
        is_cold: random.once_in(3),
        told_cold: None,
        heard: 0,
        transitions: 0,
        witnesses_are_well: true,
        steady_since: 0,
        cut_off_since: 0,
        takeovers: 0,
        plugins: (0..settings.probes.len() + settings.witnesses).map(|_| Plugin::idle(0)).collect(),
        settings,
        with_events: random.once_in(4),
    };
    let mut at = 0;
    while at < LASTS {
        if random.once_in(120) {
            world.change(at, random);
        }
        // What happened by then did so without the heartbeat that is to come.
        world.check_the_coldness(at);
        world.heartbeat(at, random);
        world.run_plugins(at, random);
        world.node.tick(at, random);
        world.check(at);
        at += TICK;
    }
}

struct World {
    node: Node,
    settings: Settings,
    said: Said,
    /// The master says that its core is not up to date.
    is_cold: bool,
    /// Since when it was heard to say so beside a core that is not dead.
    told_cold: Option<u64>,
    heard: u64,
    /// How many transitions were seen.
    transitions: usize,
    witnesses_are_well: bool,
    /// Since when all inputs say the same, and nobody interferes.
    steady_since: u64,
    cut_off_since: u64,
    /// How many take-overs were seen.
    takeovers: usize,
    plugins: Vec<Plugin>,
    with_events: bool,
}

impl Plugin {
    fn idle(starts: u64) -> Self {
        Plugin { starts, ends: u64::MAX, result: ServiceState::Ok }
    }
}

impl World {
    /// Something happens that is neither time nor a regular input.
    fn change(&mut self, at: u64, random: &mut Random) {
        match random.below(15) {
            0..5 => {
                self.said = random.pick(&[Said::Alive, Said::Crashed, Said::Stopped, Said::Gone, Said::Mixed]);
                self.steady_since = at;
                self.tell_event(at, random);
            }
            5 => {
                self.witnesses_are_well = random.once_in(2);
                self.steady_since = at;
            }
            6 => {
                self.node.core.stop();
                self.node.handle_another_run(at);
            }
            7 => {
                self.node.core.start(at, random.once_in(2));
                self.node.handle_another_run(at);
            }
            8 => {
                self.told_cold = None;
                self.node.restart(at, random);
                self.steady_since = at;
            }
            9 if self.settings.heartbeat.is_some() => {
                self.told_cold = None;
                self.node.handle(Input::Goodbye, at, random);
                self.steady_since = at;
            }
            10..13 => {
                let reason = String::new();
                let order = match random.below(6) {
                    0 => Order::TakeOver { reason },
                    1 => Order::HandBack,
                    2 => Order::Hold { reason },
                    _ => Order::Release,
                };
                self.node.order(order, at, random);
                self.steady_since = at;
            }
            13 => {
                self.is_cold = !self.is_cold;
                self.steady_since = at;
            }
            _ => {}
        }
    }

    fn tell_event(&mut self, at: u64, random: &mut Random) {
        let event = match self.said {
            Said::Alive => Event::ProcessOk,
            Said::Crashed | Said::Stopped => Event::ProcessCritical,
            Said::Gone => Event::HostDown,
            Said::Mixed => Event::HostUp,
        };
        if self.with_events {
            self.node.handle(Input::Event(event), at, random);
        }
    }

    fn heartbeat(&mut self, at: u64, random: &mut Random) {
        if self.settings.heartbeat.is_none() || !at.is_multiple_of(1000) {
            return;
        }
        let verdict = match self.said {
            Said::Alive => Some(CoreVerdict::Alive),
            Said::Crashed => Some(CoreVerdict::DeadCrash),
            Said::Stopped => Some(CoreVerdict::DeadClean),
            Said::Gone => None,
            Said::Mixed => random.pick(&[Some(CoreVerdict::Alive), Some(CoreVerdict::Unknown), None]),
        };
        // One in a while is lost.
        if let Some(verdict) = verdict.filter(|_| !random.once_in(20)) {
            self.note_coldness(verdict, at);
            self.node.handle(Input::Heard { core: verdict, is_cold: self.is_cold }, at, random);
        }
    }

    fn note_coldness(&mut self, verdict: CoreVerdict, at: u64) {
        let is_dead = matches!(verdict, CoreVerdict::DeadCrash | CoreVerdict::DeadClean);
        if self.is_silent(at) {
            // It counts from zero, and so does everything that follows from it.
            (self.told_cold, self.steady_since) = (None, at);
        }
        self.told_cold = (self.is_cold && !is_dead).then(|| self.told_cold.unwrap_or(at));
        self.heard = at;
    }

    fn is_silent(&self, at: u64) -> bool {
        at - self.heard >= STALE_AFTER
    }

    fn run_plugins(&mut self, at: u64, random: &mut Random) {
        let probes = self.settings.probes.len();
        for index in 0..self.plugins.len() {
            let plugin = &mut self.plugins[index];
            if plugin.ends == u64::MAX && at >= plugin.starts {
                plugin.ends = at + random.below(LONGEST_PLUGIN);
                plugin.result = if index < probes { self.said.probed(random) } else { well(self.witnesses_are_well) };
                plugin.starts = at;
            }
            if plugin.ends > at {
                continue;
            }
            let (state, started) = (plugin.result, now(plugin.starts).instant);
            let began = plugin.starts;
            let input = if index < probes {
                Input::Probe { index, state, started }
            } else {
                Input::Witness { index: index - probes, state, started }
            };
            self.node.handle(input, at, random);
            let (probe_pace, witness_pace) = self.node.machine.pace();
            let pace = if index < probes { probe_pace } else { witness_pace };
            let next = began + u64::try_from(pace.as_millis()).unwrap();
            self.plugins[index] = Plugin::idle(next.max(at + 1));
        }
    }

    fn check(&mut self, at: u64) {
        self.check_the_witnesses(at);
        self.check_the_coldness(at);
        self.node.assert_presence(at);
        self.node.assert_switches_agree(at);
        if self.node.is_held() {
            return;
        }
        let steady = Duration::from_millis(at - self.steady_since);
        match self.said {
            Said::Alive => {
                let bound = self.hand_back_bound();
                let stays = now(at).wall.seconds() < stays_until(&self.node.takeovers);
                assert!(
                    !self.node.is_active() || steady <= bound || stays,
                    "active for {steady:?} beside a live master: {:?}",
                    self.node.machine.waits_for()
                );
            }
            Said::Crashed | Said::Stopped | Said::Gone => {
                let due = self.witnesses_are_well;
                let bound = take_over_bound(&self.settings);
                let state = self.node.machine.state();
                assert!(
                    self.node.is_active() || steady <= bound || !due,
                    "{state} for {steady:?} beside a dead master: {:?}",
                    self.node.machine.heartbeat()
                );
            }
            Said::Mixed => {}
        }
    }

    /// A standby that is cut off stays put.
    fn check_the_witnesses(&mut self, at: u64) {
        let takeovers = self.node.takeovers.len();
        let more = takeovers > std::mem::replace(&mut self.takeovers, takeovers);
        if self.witnesses_are_well {
            self.cut_off_since = at;
        }
        // A witness that began before may end late, and its word counts for 30 s.
        let cut_off = Duration::from_millis(at - self.cut_off_since);
        let known = cut_off > Duration::from_secs(30) + one_round(&self.settings) && self.settings.witnesses > 0;
        assert!(!more || !known, "took over while cut off for {cut_off:?}");
    }

    /// A standby does not hand back to a core that is cold before that has had its time.
    fn check_the_coldness(&mut self, at: u64) {
        let new = &self.node.transitions[std::mem::replace(&mut self.transitions, self.node.transitions.len())..];
        let hands_back =
            |t: &Transition| (t.from, t.to) == (State::Active, State::HandingBack) && !t.why.starts_with("ordered");
        let cold_for = self.told_cold.filter(|_| !self.is_silent(at)).map(|since| Duration::from_millis(at - since));
        if let Some(cold_for) = cold_for.filter(|_| new.iter().any(hands_back)) {
            assert!(cold_for >= COLD_AT_MOST, "handed back to a core that was cold for {cold_for:?}");
        }
    }

    fn hand_back_bound(&self) -> Duration {
        let cold = if self.is_cold && self.settings.heartbeat.is_some() { COLD_AT_MOST } else { Duration::ZERO };
        // A lost heartbeat or two cost a start from zero only after stale_after.
        one_round(&self.settings) * (self.settings.successes_to_hand_back + 3) + Duration::from_secs(3) + cold
    }
}

/// The last plugin before began just before, and may run for its time; then come as many rounds as are needed.
pub fn take_over_bound(settings: &Settings) -> Duration {
    let probes = one_round(settings) * (settings.failures_to_take_over + 2);
    let heartbeat = settings
        .heartbeat
        .map_or(Duration::ZERO, |h| h.stale_after + h.restart_grace.max(h.goodbye_grace) + Duration::from_secs(2));
    probes + heartbeat
}

fn one_round(settings: &Settings) -> Duration {
    settings.interval.max(Duration::from_millis(LONGEST_PLUGIN)) + Duration::from_millis(2 * TICK)
}

/// Until when a standby stays that took over at these times: the documented minimum, counted here once more.
pub fn stays_until(takeovers: &[i64]) -> i64 {
    let Some(last) = takeovers.last() else { return i64::MIN };
    let stay = match takeovers.len() {
        0 | 1 => 0,
        n @ 2..=5 => 60 << (n - 1),
        _ => i64::try_from(LONGEST_STAY.as_secs()).unwrap(),
    };
    last + stay + 1
}

impl Said {
    fn probed(self, random: &mut Random) -> ServiceState {
        match self {
            Said::Alive => ServiceState::Ok,
            Said::Crashed | Said::Stopped => ServiceState::Critical,
            Said::Gone => ServiceState::Unknown,
            Said::Mixed => random.pick(&[ServiceState::Ok, ServiceState::Warning]),
        }
    }
}

fn well(well: bool) -> ServiceState {
    if well { ServiceState::Ok } else { ServiceState::Critical }
}
