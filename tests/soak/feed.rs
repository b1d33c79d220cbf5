//! What the sender is handed: numbered results of many objects, at a steady rate.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use ocsp::handover::{HandOver, new_id};

use super::support::master::{Delivered, Master};

/// Results a second.
const RATE: u32 = 2_000;

/// How many results are handed over at the same time at most.
pub const FEEDERS: u32 = 8;

/// Hosts from this one on; those before it belong to the master's core.
pub const FIRST_HOST: usize = 5;
pub const HOSTS: usize = 50;
pub const SERVICES_PER_HOST: usize = 9;

/// One in so many results of an object is longer than `PIPE_BUF`, so that a receiver that is killed may leave a piece of its
/// line in the command file.
const LONG_EVERY: u64 = 25;
const LONG_LINES: u64 = 80;

/// A host or a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    pub host: String,
    pub service: Option<String>,
}

/// The result of an object with a number, from 0: all of it follows from these two.
#[derive(Debug, PartialEq, Eq)]
pub struct Numbered {
    pub code: i16,
    pub output: String,
    pub perfdata: String,
    /// Lines, with real newlines.
    pub long_output: String,
}

/// What was handed over.
pub struct Fed {
    /// Of each object, how many results: their numbers are all below.
    pub counts: BTreeMap<Object, u64>,
    /// How many of all the results had to be spilled.
    pub spilled: usize,
}

impl Fed {
    pub fn results(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Hands results over until `end`.
pub fn feed(master: &Master, end: Instant) -> Fed {
    let objects = objects();
    let mut fed = Fed { counts: BTreeMap::new(), spilled: 0 };
    std::thread::scope(|scope| {
        let feeders: Vec<_> = (0..FEEDERS)
            .map(|feeder| {
                let mine: Vec<&Object> = objects.iter().skip(feeder as usize).step_by(FEEDERS as usize).collect();
                scope.spawn(move || feed_some(master, &mine, end))
            })
            .collect();
        for feeder in feeders {
            let (counts, spilled) = feeder.join().unwrap();
            fed.counts.extend(counts);
            fed.spilled += spilled;
        }
    });
    fed
}

/// One after the other, so that the results of one object are in order. What was late is made up for.
fn feed_some(master: &Master, objects: &[&Object], end: Instant) -> (BTreeMap<Object, u64>, usize) {
    let (begin, mut due) = (Instant::now(), Duration::ZERO);
    let (mut counts, mut spilled) = (BTreeMap::new(), 0);
    for number in 0.. {
        for object in objects {
            std::thread::sleep((begin + due).saturating_duration_since(Instant::now()));
            if Instant::now() >= end {
                return (counts, spilled);
            }
            if master.deliver(&handover(object, number)) == Delivered::Spilled {
                spilled += 1;
            }
            counts.insert((*object).clone(), number + 1);
            due += Duration::from_secs(1) * FEEDERS / RATE;
        }
    }
    unreachable!("numbers do not end")
}

fn objects() -> Vec<Object> {
    let of_host = |host: usize| {
        let services = (0..SERVICES_PER_HOST).map(|service| Some(format!("service {service}")));
        let object = move |service| Object { host: format!("host-{host}"), service };
        services.chain([None]).map(object)
    };
    (FIRST_HOST..HOSTS).flat_map(of_host).collect()
}

fn handover(object: &Object, number: u64) -> HandOver {
    let Numbered { code, output, perfdata, long_output } = Numbered::of(object, number);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    HandOver {
        id: new_id(),
        host: object.host.clone().into(),
        service: object.service.clone().map(Into::into),
        code,
        output: output.into(),
        perfdata: perfdata.into(),
        long_output: long_output.replace('\n', "\\n").into(),
        check_time_us: i64::try_from(now.as_micros()).unwrap(),
        state_type: None,
        attempt: None,
        check_type: None,
    }
}

impl Numbered {
    pub fn of(object: &Object, number: u64) -> Self {
        // A host that is UNREACHABLE is passively DOWN only with settings of its own.
        let states = if object.service.is_some() { 4 } else { 2 };
        let Object { host, service } = object;
        let line = |n: u64| format!("line {n} of result {number}, with as many words as such a line of a plugin has");
        let lines = if number % LONG_EVERY == LONG_EVERY - 1 { LONG_LINES } else { 0 };
        Numbered {
            code: i16::try_from(number % states).unwrap(),
            output: format!("{number} of {host} {}", service.as_deref().unwrap_or("itself")),
            perfdata: format!("number={number};;;0;"),
            long_output: (0..lines).map(line).collect::<Vec<_>>().join("\n"),
        }
    }

    /// What the core's command file gets, behind the code.
    pub fn command_text(&self) -> String {
        let Numbered { output, perfdata, long_output, .. } = self;
        let more = if long_output.is_empty() { String::new() } else { format!("\n{long_output}") };
        format!("{output}|{perfdata}{more}").replace('\n', "\\n")
    }
}
