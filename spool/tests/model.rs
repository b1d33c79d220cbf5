//! The queue against a plain model, on a disk that fails, fills up, loses power and drops what it should have synced.
//!
//! The model knows what was appended, what was committed, and what each reader is done with. After any history:
//!
//! - Reading gives records that were appended, unchanged, in order.
//! - A record that was committed, or that no power cut came after, is there; or every reader is done with it; or a newer
//!   one of its key is there, and that one, or one after it, is marked.
//! - No sequence is given twice.
//!
//! `SPOOL_SEEDS=from..to` chooses the seeds.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use spool::disk::simulated::{Faults, SimulatedDisk};
use spool::{AppendCause, Flags, Keep, NewRecord, Options, Reader, Spool};

const READERS: [&str; 3] = ["a", "b", "c"];
const MAX_SIZE: u64 = 64 * 1024;
const STEPS: usize = 120;

struct Model {
    seed: u64,
    rng: SmallRng,
    disk: SimulatedDisk,
    spool: Option<Spool<SimulatedDisk>>,
    now: Instant,
    faults: Faults,
    /// Key and payload of each sequence that the spool gave.
    appended: BTreeMap<u64, (u8, Vec<u8>)>,
    /// What was refused with an error. It may be there nevertheless after the process died in the middle.
    refused: BTreeMap<u64, Vec<(u8, Vec<u8>)>>,
    /// Those up to here survive a power cut.
    committed: u64,
    /// Those from the second on up to the first may be gone: they were not committed when the power was cut.
    uncertain: Vec<(u64, u64)>,
    positions: BTreeMap<&'static str, u64>,
    /// The highest of each: a reader that was dropped and came back may find its old position after a crash.
    highest_positions: BTreeMap<&'static str, u64>,
    /// All readers there ever were are done with this.
    passed: u64,
    highest_given: u64,
    keep: Keep,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let keep = if rng.random_bool(0.5) { Keep::Unread } else { Keep::NewestOfEachKey };
        let mut model = Self {
            seed,
            rng,
            disk: SimulatedDisk::new(),
            spool: None,
            now: Instant::now(),
            faults: Faults::default(),
            appended: BTreeMap::new(),
            refused: BTreeMap::new(),
            committed: 0,
            uncertain: Vec::new(),
            positions: BTreeMap::new(),
            highest_positions: BTreeMap::new(),
            passed: 0,
            highest_given: 0,
            keep,
        };
        model.open();
        model
    }

    fn options(&self) -> Options {
        common::options(MAX_SIZE, self.keep)
    }

    /// Opens it, without faults if it does not open with them.
    fn open(&mut self) {
        let opened = Spool::open_on(self.disk.clone(), self.options(), common::ID).or_else(|_| {
            self.set_faults(Faults::default());
            Spool::open_on(self.disk.clone(), self.options(), common::ID)
        });
        let (spool, _) = opened.expect("without faults it opens");
        assert_eq!((spool.id(), spool.epoch()), (common::ID, 1), "seed {}", self.seed);
        assert!(spool.opened_at() > self.highest_given, "seed {}: sequences go on", self.seed);
        for (name, position) in &self.highest_positions {
            assert!(spool.position(name).unwrap_or(0) <= *position, "seed {}: {name}", self.seed);
        }
        self.positions.retain(|name, _| spool.position(name).is_some());
        for name in READERS {
            if let Some(position) = spool.position(name) {
                self.positions.insert(name, position);
            }
        }
        self.committed = spool.newest();
        self.spool = Some(spool);
    }

    fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.disk.set_faults(faults);
    }

    fn spool(&mut self) -> &mut Spool<SimulatedDisk> {
        self.spool.as_mut().expect("open between steps")
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.random_range(0..5000));
        match self.rng.random_range(0..100) {
            0..50 => self.append(),
            50..62 => self.commit(),
            62..76 => self.advance(),
            76..80 => self.keep_positions(),
            80..82 => self.compact(),
            82..86 => self.restart(),
            86..90 => self.cut_power(),
            90..93 => self.die_soon(),
            _ => self.change_faults(),
        }
    }

    fn append(&mut self) {
        let count = self.rng.random_range(1..20);
        let records: Vec<(u8, Vec<u8>)> = (0..count)
            .map(|_| {
                let key = self.rng.random_range(0..12);
                let length = self.rng.random_range(0..700);
                (key, (0..length).map(|_| self.rng.random()).collect())
            })
            .collect();
        let now = self.now;
        let new = records.iter().map(|(key, payload)| NewRecord { key: std::slice::from_ref(key), payload });
        let appended = match self.spool().append(new, now) {
            Ok(appended) => {
                assert_eq!(appended.end - appended.start, count, "seed {}", self.seed);
                appended
            }
            Err(error) => {
                assert!(matches!(error.cause, AppendCause::Trouble(_)), "seed {}: {error}", self.seed);
                assert!(
                    self.faults != Faults::default() || error.to_string().contains("max_size"),
                    "seed {}: {error}",
                    self.seed
                );
                error.appended
            }
        };
        let taken = usize::try_from(appended.end - appended.start).unwrap();
        let mut records = records;
        for (sequence, record) in (appended.end..).zip(records.split_off(taken)) {
            self.refused.entry(sequence).or_default().push(record);
        }
        for (sequence, record) in appended.zip(records) {
            assert!(sequence > self.highest_given, "seed {}", self.seed);
            self.highest_given = sequence;
            self.appended.insert(sequence, record);
        }
        self.committed = self.committed.max(self.spool().committed());
    }

    fn commit(&mut self) {
        let now = self.now;
        let commit = self.spool().begin_commit(now);
        let Ok(Some(commit)) = commit else {
            return;
        };
        if self.rng.random_bool(0.3) {
            self.append();
        }
        if self.rng.random_bool(0.1) {
            self.compact();
        }
        let done = commit.run();
        // An error says that nothing more is certain.
        let _ = self.spool().finish_commit(done, now);
        self.committed = self.committed.max(self.spool().committed());
        assert!(self.committed <= self.highest_given.max(self.spool().newest()));
    }

    fn advance(&mut self) {
        let name = READERS[self.rng.random_range(0..READERS.len())];
        let up_to = self.rng.random_range(0..=self.highest_given);
        let now = self.now;
        self.spool().advance(name, up_to, now);
        if let Some(position) = self.positions.get_mut(name) {
            *position = up_to.max(*position);
            let highest = self.highest_positions.entry(name).or_default();
            *highest = up_to.max(*highest);
            assert_eq!(self.spool().position(name), Some(up_to.max(self.positions[name])));
        }
        self.note_passed();
    }

    fn keep_positions(&mut self) {
        let names: Vec<&'static str> = READERS.into_iter().filter(|_| self.rng.random_bool(0.7)).collect();
        let now = self.now;
        self.spool().keep_positions(&names, now).unwrap();
        self.positions = names.iter().map(|name| (*name, self.positions.get(name).copied().unwrap_or(0))).collect();
        self.note_passed();
    }

    fn note_passed(&mut self) {
        self.passed = self.passed.max(self.positions.values().min().copied().unwrap_or(0));
    }

    fn compact(&mut self) {
        // Its errors leave everything as it was.
        let _ = self.spool().compact();
        self.committed = self.committed.max(self.spool().committed());
    }

    fn restart(&mut self) {
        self.spool = None;
        self.open();
    }

    fn cut_power(&mut self) {
        self.spool = None;
        if self.highest_given > self.committed {
            self.uncertain.push((self.committed + 1, self.highest_given));
        }
        self.set_faults(Faults::default());
        self.disk.cut_power(self.rng.random());
        self.open();
    }

    /// The process dies after some more changes on the disk, perhaps in the middle of a compaction.
    fn die_soon(&mut self) {
        let changes = self.disk.changes() + self.rng.random_range(0..60);
        self.set_faults(Faults { stop_after: Some(changes), ..Faults::default() });
        for _ in 0..5 {
            match self.rng.random_range(0..4) {
                0 => self.compact(),
                1 => self.commit(),
                _ => self.append(),
            }
        }
        if self.rng.random_bool(0.5) {
            self.cut_power();
        } else {
            self.spool = None;
            self.set_faults(Faults::default());
            self.open();
        }
    }

    fn change_faults(&mut self) {
        let used = self.disk.used_bytes();
        let mut faults = Faults::default();
        match self.rng.random_range(0..5) {
            0 => faults.capacity = Some(used + self.rng.random_range(0..10_000)),
            1 => faults.read_only = true,
            2 => faults.failing_syncs = true,
            _ => {}
        }
        self.set_faults(faults);
    }

    fn check(&mut self) {
        let seed = self.seed;
        let spool = self.spool.as_ref().unwrap();
        let mut reader = Reader::from(0);
        let mut read: BTreeMap<u64, (u8, Flags)> = BTreeMap::new();
        loop {
            let batch = reader.next_batch(spool).unwrap();
            if batch.is_empty() {
                break;
            }
            for record in batch.iter() {
                let last = read.last_key_value().map_or(0, |(last, _)| *last);
                assert!(record.sequence > last, "seed {seed}");
                if let Some(refused) = self.refused.get(&record.sequence) {
                    let same =
                        |(key, payload): &&(u8, Vec<u8>)| (record.key, record.payload) == (&[*key][..], &payload[..]);
                    if let Some(found) = refused.iter().find(same) {
                        self.appended.entry(record.sequence).or_insert_with(|| found.clone());
                    }
                }
                let (key, payload) = &self.appended[&record.sequence];
                assert_eq!((record.key, record.payload), ([*key].as_slice(), payload.as_slice()), "seed {seed}");
                read.insert(record.sequence, (*key, record.flags));
            }
        }
        assert_eq!(spool.records(), read.len() as u64, "seed {seed}");
        assert!(spool.bytes() <= MAX_SIZE, "seed {seed}: {}", spool.bytes());
        for name in self.positions.keys() {
            let position = spool.position(name).unwrap();
            let depth = read.range(position + 1..).count() as u64;
            assert_eq!(spool.depth(name).unwrap(), Some(depth), "seed {seed}: {name}");
        }
        for (sequence, (key, _)) in &self.appended {
            self.check_present(*sequence, *key, &read);
        }
    }

    /// A record is there, or there is a reason.
    fn check_present(&self, sequence: u64, key: u8, read: &BTreeMap<u64, (u8, Flags)>) {
        let uncertain = |sequence| self.uncertain.iter().any(|(from, to)| (*from..=*to).contains(&sequence));
        let passed = sequence <= self.passed;
        if read.contains_key(&sequence) || uncertain(sequence) || (passed && self.keep == Keep::Unread) {
            return;
        }
        let mut newer = read.range(sequence + 1..).filter(|(_, (other, _))| *other == key);
        let superseded = newer.any(|(_, (_, flags))| passed || flags.contains(Flags::LOST_HISTORY));
        // The newest itself may have been passed by all since, and deleted.
        let superseded_and_passed = self.keep == Keep::Unread
            && sequence < self.passed
            && self.appended.range(sequence + 1..=self.passed).any(|(_, (other, _))| *other == key);
        assert!(
            superseded || superseded_and_passed,
            "seed {}: record {sequence} of key {key} is gone; passed {}, uncertain {:?}, read {:?}",
            self.seed,
            self.passed,
            self.uncertain,
            read.iter().filter(|(_, (other, _))| *other == key).collect::<Vec<_>>()
        );
    }
}

#[test]
fn any_history_agrees_with_the_model() {
    let seeds = std::env::var("SPOOL_SEEDS").unwrap_or_else(|_| "0..1500".to_owned());
    let (from, to) = seeds.split_once("..").expect("SPOOL_SEEDS=from..to");
    for seed in from.parse().unwrap()..to.parse().unwrap() {
        let run = std::panic::AssertUnwindSafe(|| {
            let mut model = Model::new(seed);
            for step in 0..STEPS {
                model.step();
                if step % 8 == 0 {
                    model.check();
                }
            }
            model.check();
        });
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("failed with SPOOL_SEEDS={seed}..{}", seed + 1);
            std::panic::resume_unwind(panic);
        }
    }
}
