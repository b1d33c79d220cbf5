//! One run: what happens, what was promised, and whether it was kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nagios::{CheckResult, Object, PluginOutput, ReturnCode, Timestamp};
use nsca::sealed::{Psk, SealedError};
use spool::disk::simulated::{Faults, SimulatedDisk};

use crate::clock::Clock;
use crate::master::Master;
use crate::random::Random;
use crate::standby::Standby;
use crate::wire::Connection;

const SERVICES: usize = 5;

/// How many things happen before everything is well again.
const STEPS: usize = 600;

/// How many steps the rest may take: many pauses and silences.
const MOST_STEPS_TO_SETTLE: usize = 20_000;

/// How long a step is at most: so that a silence takes some dozens of them.
const LONGEST_STEP: Duration = Duration::from_millis(400);

/// Everything there is.
pub(crate) struct World {
    random: Random,
    clock: Clock,
    master: Master,
    standby: Standby,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    told: Vec<Told>,
    /// How many numbers each service has used.
    numbers: [u64; SERVICES],
    backup: Option<Backup>,
    /// Services and numbers of what the standby's disk was writing when its power failed.
    torn: BTreeSet<(usize, u64)>,
    /// Nothing new comes.
    is_over: bool,
    summary: Summary,
}

/// A result that the master took.
struct Told {
    service: usize,
    number: u64,
    sequence: u64,
    /// Neither this process nor a power cut can take it away any more.
    is_committed: bool,
    /// The promise ended with the disk that it was on.
    may_be_lost: bool,
}

/// A copy of the master's disk.
struct Backup {
    disk: SimulatedDisk,
    /// How much was told by then.
    told: usize,
}

/// What runs did, to know that they did something.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    delivered: usize,
    lost_with_their_disk: usize,
    injected_again: usize,
    connections: u64,
    kills: usize,
    power_cuts: usize,
    restored: usize,
    disks_lost: usize,
    new_epochs: usize,
    silences: usize,
    forged: usize,
    full_disks: usize,
    clocks_set: usize,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (mut random, clock) = (Random::new(seed), Clock::new());
        let psk = Psk::new(random.bytes());
        let master = Master::new(psk.clone(), &mut random, clock.now(0));
        let standby = Standby::new(psk, &mut random, clock.now(0));
        World {
            random,
            clock,
            master,
            standby,
            connections: BTreeMap::new(),
            next_connection: 0,
            told: Vec::new(),
            numbers: [0; SERVICES],
            backup: None,
            torn: BTreeSet::new(),
            is_over: false,
            summary: Summary::default(),
        }
    }

    /// Lets everything happen, then heals it, and checks.
    pub(crate) fn run(mut self) -> Summary {
        for _ in 0..STEPS {
            self.misfortune();
            self.step();
        }
        self.heal();
        self.settle();
        self.check();
        self.summary
    }

    fn step(&mut self) {
        self.clock.advance(LONGEST_STEP.mul_f64(f64::from(u32::try_from(self.random.below(1000)).unwrap()) / 1000.0));
        if !self.is_over {
            self.hand_over();
        }
        self.connect();
        let (master_now, standby_now) = (self.clock.now(self.master.ahead), self.clock.now(0));
        if let Some(number) = self.master.connection() {
            let connection = self.connections.get_mut(&number).expect("connections end when nobody uses them");
            let ended = self.master.step(connection, &mut self.random, master_now);
            self.note_end(ended);
        }
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        for number in numbers {
            let connection = self.connections.get_mut(&number).expect("just listed");
            let ended = self.standby.step(number, connection, &mut self.random, standby_now);
            self.note_end(ended);
        }
        let master = self.master.connection();
        let standby = &self.standby;
        self.connections.retain(|number, _| master == Some(*number) || standby.has(*number));
        match self.random.below(6) {
            0 => self.commit_master(),
            1 => self.standby.commit(standby_now),
            2 => self.standby.remember(),
            3 => self.standby.inject(standby_now),
            _ => {}
        }
    }

    /// The core tells some results.
    fn hand_over(&mut self) {
        for _ in 0..self.random.below(4) {
            let service = self.random.below(SERVICES);
            self.hand_over_one(service);
        }
    }

    fn hand_over_one(&mut self, service: usize) -> bool {
        let now = self.clock.now(self.master.ahead);
        let number = self.numbers[service];
        let long = if self.random.once_in(60) { self.random.below(100_000) } else { 0 };
        let result = result(service, number, long, now.unix_us);
        let Some(sequence) = self.master.take(&result, now) else { return false };
        self.numbers[service] += 1;
        self.told.push(Told { service, number, sequence, is_committed: false, may_be_lost: false });
        true
    }

    fn commit_master(&mut self) {
        self.master.commit(self.clock.now(self.master.ahead));
        let committed = self.master.committed();
        // What lies before was decided before.
        for told in self.told.iter_mut().rev().take_while(|told| !told.is_committed) {
            told.is_committed = !told.may_be_lost && told.sequence <= committed;
        }
    }

    fn connect(&mut self) {
        let now = self.clock.now(self.master.ahead);
        if self.master.wants_connection(now) && self.random.once_in(3) {
            let number = self.next_connection;
            self.next_connection += 1;
            self.summary.connections += 1;
            let connection = self.connections.entry(number).or_default();
            self.standby.accept(number, connection, &mut self.random, self.clock.now(0));
            self.master.connected(number, &mut self.random);
        }
    }

    fn note_end(&mut self, ended: Option<SealedError>) {
        match ended {
            Some(SealedError::PeerAhead { .. }) => self.summary.new_epochs += 1,
            Some(SealedError::Silent(_)) => self.summary.silences += 1,
            Some(SealedError::Forged | SealedError::WrongKey) => self.summary.forged += 1,
            _ => {}
        }
    }
}

/// What goes wrong.
impl World {
    fn misfortune(&mut self) {
        for connection in self.connections.values_mut() {
            connection.suffer(&mut self.random);
        }
        match self.random.below(300) {
            0..=2 => self.kill_master(),
            3..=5 => self.kill_standby(),
            6 => self.cut_power_of_master(),
            7 => self.cut_power_of_standby(),
            8 => self.fill_disks(),
            9 => {
                self.master.ahead = [0, 3600, -3600, 7][self.random.below(4)];
                self.summary.clocks_set += 1;
            }
            10 if self.backup.is_none() => {
                self.backup = Some(Backup { disk: self.master.disk.copy(), told: self.told.len() });
            }
            11 => self.restore_master(),
            12 if self.random.once_in(4) => self.lose_master(),
            _ => {}
        }
        if self.random.once_in(40) {
            self.set_faults(Faults::default());
        }
        self.restart();
    }

    fn restart(&mut self) {
        let (master_now, standby_now) = (self.clock.now(self.master.ahead), self.clock.now(0));
        if !self.master.is_running() && self.random.once_in(10) {
            self.master.start(&mut self.random, master_now);
        }
        if !self.standby.is_running() && self.random.once_in(10) {
            self.standby.start(&mut self.random, standby_now);
        }
    }

    fn kill_master(&mut self) {
        if let Some(number) = self.master.kill() {
            self.reset(number);
        }
        self.summary.kills += 1;
    }

    fn kill_standby(&mut self) {
        for number in self.standby.kill() {
            self.reset(number);
        }
        self.summary.kills += 1;
    }

    fn reset(&mut self, number: u64) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.is_reset = true;
        }
    }

    fn cut_power_of_master(&mut self) {
        self.kill_master();
        self.master.disk.cut_power(self.random.number());
        for told in self.told.iter_mut().filter(|told| !told.is_committed) {
            told.may_be_lost = true;
        }
        self.summary.power_cuts += 1;
    }

    /// What was not committed was not acknowledged and comes again. Of the first time, parts may be left.
    fn cut_power_of_standby(&mut self) {
        let (connections, uncommitted) = self.standby.cut_power(self.random.number());
        connections.into_iter().for_each(|number| self.reset(number));
        self.torn.extend(uncommitted.iter().map(meaning));
        self.summary.power_cuts += 1;
    }

    fn fill_disks(&mut self) {
        let faults = match self.random.below(3) {
            0 => Faults { read_only: true, ..Faults::default() },
            1 => Faults { failing_syncs: true, ..Faults::default() },
            _ => Faults { capacity: Some(self.master.disk.used_bytes() + 2_000), ..Faults::default() },
        };
        self.set_faults(faults);
        self.summary.full_disks += 1;
    }

    fn set_faults(&mut self, faults: Faults) {
        match self.random.below(3) {
            0 => self.master.set_faults(faults),
            1 => self.standby.set_faults(faults),
            _ if faults == Faults::default() => {
                self.master.set_faults(faults);
                self.standby.set_faults(faults);
            }
            _ => {}
        }
    }

    /// The master's disk is as it was when the copy was made.
    fn restore_master(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        self.kill_master();
        self.master.disk = backup.disk;
        for told in &mut self.told[backup.told..] {
            told.may_be_lost = true;
        }
        self.summary.restored += 1;
    }

    /// The master's disk is a new one.
    fn lose_master(&mut self) {
        self.kill_master();
        self.master.disk = SimulatedDisk::new();
        self.backup = None;
        for told in &mut self.told {
            told.may_be_lost = true;
        }
        self.summary.disks_lost += 1;
    }

    fn heal(&mut self) {
        self.master.set_faults(Faults::default());
        self.standby.set_faults(Faults::default());
        self.master.ahead = 0;
        self.connections.values_mut().for_each(Connection::heal);
        let now = self.clock.now(0);
        if !self.master.is_running() {
            assert!(self.master.start(&mut self.random, now), "nothing is wrong with the master's disk");
        }
        if !self.standby.is_running() {
            assert!(self.standby.start(&mut self.random, now), "nothing is wrong with the standby's disk");
        }
        for service in 0..SERVICES {
            assert!(self.hand_over_one(service), "nothing is wrong with the master's disk");
        }
    }

    fn settle(&mut self) {
        self.is_over = true;
        for _ in 0..MOST_STEPS_TO_SETTLE {
            self.step();
            if self.master.is_drained() && self.standby.has_injected_all() {
                return;
            }
        }
        panic!("it does not settle");
    }
}

/// What must hold in the end.
impl World {
    fn check(&mut self) {
        let mut seen = BTreeSet::new();
        // Of what a power cut took and a backup brought back, and of what the standby had half on its disk, some comes late.
        let lost = self.told.iter().filter(|told| told.may_be_lost).map(|told| (told.service, told.number));
        let out_of_order: BTreeSet<_> = lost.chain(self.torn.iter().copied()).collect();
        let mut newest = [None; SERVICES];
        let mut last = [None; SERVICES];
        for result in &self.standby.injected {
            let (service, number) = meaning(result);
            last[service] = Some(number);
            if !seen.insert((service, number)) {
                self.summary.injected_again += 1;
                continue;
            }
            if !out_of_order.contains(&(service, number)) {
                assert!(newest[service] < Some(number), "service {service}: {number} after {:?}", newest[service]);
                newest[service] = Some(number);
            }
        }
        for told in &self.told {
            let is_there = seen.contains(&(told.service, told.number));
            let Told { service, number, sequence, .. } = told;
            assert!(
                is_there || told.may_be_lost,
                "service {service}: {number}, in the spool as {sequence}, is missing"
            );
            self.summary.delivered += usize::from(is_there);
            self.summary.lost_with_their_disk += usize::from(!is_there);
        }
        for (service, used) in self.numbers.iter().enumerate() {
            assert_eq!(last[service], Some(used - 1), "service {service} ends with something old");
        }
    }
}

impl Summary {
    pub(crate) fn add(&mut self, other: &Summary) {
        self.delivered += other.delivered;
        self.lost_with_their_disk += other.lost_with_their_disk;
        self.injected_again += other.injected_again;
        self.connections += other.connections;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.restored += other.restored;
        self.disks_lost += other.disks_lost;
        self.new_epochs += other.new_epochs;
        self.silences += other.silences;
        self.forged += other.forged;
        self.full_disks += other.full_disks;
        self.clocks_set += other.clocks_set;
    }

    /// A simulation in which nothing goes wrong shows nothing.
    pub(crate) fn assert_that_everything_was_tried(&self) {
        let counts = [
            self.delivered,
            self.lost_with_their_disk,
            self.injected_again,
            self.kills,
            self.power_cuts,
            self.restored,
            self.disks_lost,
            self.new_epochs,
            self.silences,
            self.forged,
            self.full_disks,
            self.clocks_set,
        ];
        assert!(counts.iter().all(|count| *count > 100), "{self:?}");
    }
}

/// A result of which everything can be told afterwards. `long` is how many bytes of long output it has.
fn result(service: usize, number: u64, long: usize, check_time_us: i64) -> CheckResult {
    let object = Object::Service("web".try_into().unwrap(), format!("service {service}").as_str().try_into().unwrap());
    let output = format!("{number}\n{}", "x".repeat(long));
    let output = PluginOutput::from_text(output.as_bytes());
    CheckResult::new(object, ReturnCode::new(0), output, Timestamp::from_micros(check_time_us))
}

/// The service and the number of such a result.
fn meaning(result: &CheckResult) -> (usize, u64) {
    let service = result.object.service().unwrap().as_bytes();
    let text = result.output.to_text();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let number = text.lines().next().unwrap().parse().unwrap();
    (usize::from(service.last().unwrap() - b'0'), number)
}
