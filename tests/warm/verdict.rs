//! Compares what the pair has told with what the oracle has told.
//!
//! Two exceptions are allowed, counted and bounded:
//!
//! - **late**: what falls due while nobody is in charge is told when somebody is. It must be told.
//! - **again**: what the master told in the last second before it was killed may be told by the standby, too.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::cast::{Actor, Cast};
use crate::clock::Moment;
use crate::play::since;

/// What counts of a notification.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    contact: String,
    object: String,
    /// `CRITICAL`, or `ACKNOWLEDGEMENT (CRITICAL)`.
    state: String,
    /// What its command was given. None if the core was killed before the command had run.
    number: Option<u32>,
}

/// A notification.
struct Told {
    key: Key,
    at: Moment,
    by: &'static str,
}

/// What the comparison has found.
pub struct Verdict {
    told: usize,
    missing: Vec<Key>,
    again: Vec<Key>,
    too_many: Vec<Key>,
    unnumbered: usize,
    late: Vec<(Key, Moment)>,
    histories: String,
}

/// How many notifications may have been told twice, and how many may have come late.
const MAX_AGAIN: usize = 6;
const MAX_LATE: usize = 30;

/// How many notifications there must be, at least.
const MIN_TOLD: usize = 200;

/// In milliseconds: how late one may come, at most.
const LATEST: Moment = 30_000;

/// In milliseconds: what the cores and this test need at most to do the same thing.
const IN_TIME: Moment = 1_500;

/// In milliseconds: how early one may come, at most. What is told again falls due at a check, and cores count in whole seconds:
/// where one of them told the time before on the other side of a second's beginning, it is a round earlier there.
const EARLIEST: Moment = 4_000 + IN_TIME;

/// How many objects' histories are told.
const MAX_HISTORIES: usize = 8;

/// Compares them.
#[track_caller]
pub fn judge(cast: &Cast) -> Verdict {
    let [oracle, master, standby] = cast.actors();
    let mut expected = by_key(told_by(oracle));
    let (master_told, standby_told) = (told_by(master), told_by(standby));
    let mut pair: Vec<Told> = master_told.into_iter().chain(standby_told).collect();
    pair.sort_by_key(|told| told.at);
    let count = pair.len();
    let unnumbered = pair.iter().filter(|told| told.key.number.is_none()).count();
    let mut verdict = Verdict {
        told: count,
        missing: Vec::new(),
        again: Vec::new(),
        too_many: Vec::new(),
        unnumbered,
        late: Vec::new(),
        histories: String::new(),
    };
    let last_words: Vec<Key> =
        pair.iter().filter(|told| is_last_word(master, told)).map(|told| told.key.clone()).collect();
    for told in pair {
        match take(&mut expected, &told) {
            Some(due) if told.at > due + IN_TIME => verdict.late.push((told.key, told.at - due)),
            Some(_) => {}
            None if told.by == "standby" && last_words.iter().any(|key| told.key.matches(key)) => {
                verdict.again.push(told.key);
            }
            None => verdict.too_many.push(told.key),
        }
    }
    verdict.missing =
        expected.into_iter().flat_map(|(key, times)| times.into_iter().map(move |_| key.clone())).collect();
    verdict.histories = verdict.histories_of(cast);
    println!("{verdict}");
    verdict
}

impl Verdict {
    /// Nothing is missing, nothing was told twice.
    #[track_caller]
    pub fn assert_same(&self) {
        let is_same = self.missing.is_empty() && self.too_many.is_empty();
        assert!(is_same, "they differ:\n{}", self.histories);
        assert!(self.again.len() <= MAX_AGAIN, "{} were told again", self.again.len());
        assert!(self.late.len() <= MAX_LATE, "{} were told late", self.late.len());
        assert!(self.told > MIN_TOLD, "{} notifications prove nothing", self.told);
    }

    pub fn has_no_exceptions(&self) -> bool {
        self.again.is_empty() && self.late.is_empty() && self.unnumbered == 0
    }

    fn histories_of(&self, cast: &Cast) -> String {
        let mut objects: Vec<&str> =
            self.missing.iter().chain(&self.too_many).chain(&self.again).map(|key| key.object.as_str()).collect();
        objects.dedup();
        let histories: Vec<String> = objects.iter().take(MAX_HISTORIES).map(|object| history(cast, object)).collect();
        histories.join("\n")
    }
}

/// Takes the notification of the oracle that this one is the same as; gives when that was.
fn take(expected: &mut BTreeMap<Key, Vec<Moment>>, told: &Told) -> Option<Moment> {
    let is_same = |due: &Moment| (due.saturating_sub(EARLIEST)..=due + LATEST).contains(&told.at);
    let same_key = expected.iter_mut().filter(|(key, _)| told.key.matches(key));
    same_key.filter_map(|(_, times)| Some(times.remove(times.iter().position(is_same)?))).next()
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "the pair has told {}: {} missing, {} too many; exceptions: {} again, {} late; {} without a number",
            self.told,
            self.missing.len(),
            self.too_many.len(),
            self.again.len(),
            self.late.len(),
            self.unnumbered
        )?;
        let lists = [("missing", &self.missing), ("too many", &self.too_many), ("again", &self.again)];
        for (what, keys) in lists {
            keys.iter().try_for_each(|key| writeln!(f, "{what}: {key}"))?;
        }
        self.late.iter().try_for_each(|(key, late)| writeln!(f, "late by {late} ms: {key}"))
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let number = self.number.map_or("?".to_owned(), |number| number.to_string());
        write!(f, "{} {} {number} to {}", self.object, self.state, self.contact)
    }
}

impl Key {
    fn matches(&self, other: &Key) -> bool {
        let is_number = self.number == other.number || self.number.is_none() || other.number.is_none();
        is_number && (&self.contact, &self.object, &self.state) == (&other.contact, &other.object, &other.state)
    }
}

/// The master told it in the last second before it was killed.
fn is_last_word(master: &Actor, told: &Told) -> bool {
    told.by == master.name && master.kills.iter().any(|kill| (kill - 1_000..=kill + 500).contains(&told.at))
}

fn by_key(told: Vec<Told>) -> BTreeMap<Key, Vec<Moment>> {
    let mut by_key = BTreeMap::<Key, Vec<Moment>>::new();
    for Told { key, at, .. } in told {
        by_key.entry(key).or_default().push(at);
    }
    by_key
}

/// What a core has logged of notifications, with the numbers that its commands were given.
fn told_by(actor: &Actor) -> Vec<Told> {
    let mut numbers = numbers(actor);
    let mut told = Vec::new();
    for line in &actor.witness.lines {
        let Some((kind, text)) = line.text.split_once(" NOTIFICATION: ") else { continue };
        let fields: Vec<&str> = text.split(';').collect();
        let (object, state) = match kind {
            "HOST" => (fields[1].to_owned(), fields[2]),
            _ => (format!("{};{}", fields[1], fields[2]), fields[3]),
        };
        let mut key = Key { contact: fields[0].to_owned(), object, state: state.to_owned(), number: None };
        key.number = numbers.get_mut(&key).filter(|numbers| !numbers.is_empty()).map(|numbers| numbers.remove(0));
        told.push(Told { key, at: line.seen, by: actor.name });
    }
    let surplus: Vec<_> = numbers.into_iter().filter(|(_, numbers)| !numbers.is_empty()).collect();
    assert!(surplus.is_empty(), "{} has told what is not in its log: {surplus:?}", actor.name);
    told
}

/// What the contacts' commands have noted, in order.
fn numbers(actor: &Actor) -> BTreeMap<Key, Vec<u32>> {
    let mut numbers = BTreeMap::<Key, Vec<u32>>::new();
    for line in std::fs::read_to_string(actor.core.path("notified")).unwrap().lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [contact, host, service, kind, state, number] = fields[..] else { panic!("{line}") };
        let object = if service == "-" { host.to_owned() } else { format!("{host};{service}") };
        let state =
            if ["PROBLEM", "RECOVERY"].contains(&kind) { state.to_owned() } else { format!("{kind} ({state})") };
        let key = Key { contact: contact.to_owned(), object, state, number: None };
        numbers.entry(key).or_default().push(number.parse().unwrap());
    }
    numbers
}

/// All that all three cores have logged of an object, and what happened to all.
fn history(cast: &Cast, object: &str) -> String {
    let begin = cast.oracle.witness.lines.first().map_or(0, |line| line.seen);
    let host = object.split(';').next().unwrap();
    let mut lines: Vec<(Moment, String)> =
        cast.events.iter().map(|(moment, text)| (*moment, format!("======= {text}"))).collect();
    for actor in cast.actors() {
        for line in &actor.witness.lines {
            if line.text.starts_with("PASSIVE ") {
                // It was a command before.
                continue;
            }
            let is_state_of_host = line.text.starts_with("HOST ALERT: ") && line.names(host);
            if line.names(object) || is_state_of_host {
                let mark = if line.notifies { '*' } else { ' ' };
                lines.push((line.seen, format!("{:>7}{mark} {}", actor.name, line.text)));
            }
        }
    }
    lines.sort_by_key(|(moment, _)| *moment);
    let lines: Vec<String> =
        lines.into_iter().map(|(moment, text)| format!("{} {text}\n", since(begin, moment))).collect();
    format!("--- {object}\n{}", lines.concat())
}
