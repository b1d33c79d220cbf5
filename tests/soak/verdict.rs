//! What the recording core was told, compared with what was handed over.
//!
//! A result may be told again only where the documentation says so. [`Bound`] derives from what happened how often that
//! can have been the case.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spool::{COMMIT_RETRY, POSITIONS_WITHIN};

use super::cast::{Events, ReceiverKill};
use super::feed::{FEEDERS, FIRST_HOST, Fed, Numbered, Object};
use super::recorder::Line;

/// What scheduling may add to a time of the documentation on a busy machine.
const BUSY: Duration = Duration::from_millis(250);

/// How a receiver ends the piece of a line that the one before it may have left when it was killed.
const END_OF_LINE: &[u8] = b"[1] _UNDERSTUDY";

/// What a FIFO holds.
const PIPE_BYTES: usize = 64 << 10;

/// Checks of the master's core that may be under way at one time: each has its own process.
const MASTER_CHECKS_AT_ONCE: usize = 50;

/// What the core was told.
#[derive(Default)]
pub struct Told {
    /// Of each object that was fed, whether it was told the result with this number.
    seen: BTreeMap<Object, Vec<bool>>,
    /// Of each object, the newest result and the last line.
    newest: BTreeMap<Object, Said>,
    last: BTreeMap<Object, Said>,
    /// How many lines told what an older line had told.
    pub again: usize,
}

/// Code and text of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    number: u64,
    pub code: i16,
    pub text: String,
}

impl Told {
    /// Reads all lines. Each must be whole, or be ended as a piece and come again, and for the first time none comes after something newer of its object.
    #[track_caller]
    pub fn of(lines: &[Line]) -> Self {
        let mut told = Told::default();
        for line in lines.iter().filter(|line| !line.text.ends_with(END_OF_LINE)) {
            let text = std::str::from_utf8(&line.text).expect("only what was fed");
            let (object, said) = parse(text).unwrap_or_else(|| panic!("a torn line: {text:?}"));
            told.take(object, said);
        }
        told
    }

    fn take(&mut self, object: Object, said: Said) {
        if is_fed(&object) {
            let numbered = Numbered::of(&object, said.number);
            assert_eq!((said.code, &said.text), (numbered.code, &numbered.command_text()), "{object:?}");
            let seen = self.seen.entry(object.clone()).or_default();
            let number = usize::try_from(said.number).unwrap();
            assert!(number >= seen.len() || seen[number], "{object:?}: {number} came after {}", seen.len() - 1);
            seen.resize(seen.len().max(number + 1), false);
            seen[number] = true;
        }
        self.last.insert(object.clone(), said.clone());
        if self.newest.get(&object).is_some_and(|newest| newest.number >= said.number) {
            self.again += 1;
        } else {
            self.newest.insert(object, said);
        }
    }

    /// The newest result of every object is there: nothing more can come.
    pub fn is_over(&self, fed: &Fed) -> bool {
        let is_over = |(object, count): (&Object, &u64)| {
            self.newest.get(object).is_some_and(|newest| newest.number + 1 == *count)
        };
        fed.counts.iter().all(is_over)
    }

    /// What was delivered and not told: the object and the number.
    pub fn missing<'a>(&self, fed: &'a Fed) -> Vec<(&'a Object, usize)> {
        let of_object = |(object, count): (&'a Object, &u64)| {
            let seen = self.seen.get(object).cloned().unwrap_or_default();
            let numbers = 0..usize::try_from(*count).unwrap();
            numbers.filter(move |number| seen.get(*number) != Some(&true)).map(move |number| (object, number))
        };
        fed.counts.iter().flat_map(of_object).collect()
    }

    /// The last that was said of each object is its newest result.
    #[track_caller]
    pub fn assert_newest_is_last(&self) {
        for (object, newest) in &self.newest {
            assert_eq!(self.last.get(object), Some(newest), "of {object:?} something older was said last");
        }
    }

    /// The last thing that was said of each object.
    pub fn last(&self) -> &BTreeMap<Object, Said> {
        &self.last
    }
}

fn is_fed(object: &Object) -> bool {
    object.host.strip_prefix("host-").unwrap().parse::<usize>().unwrap() >= FIRST_HOST
}

/// `[time] PROCESS_…_CHECK_RESULT;host;…`, if it is that.
fn parse(line: &str) -> Option<(Object, Said)> {
    let (_, command) = line.strip_prefix('[')?.split_once("] ")?;
    let (name, fields) = command.split_once(';')?;
    let (host, rest) = fields.split_once(';')?;
    let (service, rest) = match name {
        "PROCESS_SERVICE_CHECK_RESULT" => rest.split_once(';').map(|(service, rest)| (Some(service), rest))?,
        "PROCESS_HOST_CHECK_RESULT" => (None, rest),
        _ => return None,
    };
    let (code, text) = rest.split_once(';')?;
    let object = Object { host: host.to_owned(), service: service.map(str::to_owned) };
    // "check 17…" of the master's core, "17 of …" of what is fed.
    let number = text.strip_prefix("check ").unwrap_or(text).split([' ', '|']).next()?.parse().ok()?;
    Some((object, Said { number, code: code.parse().ok()?, text: text.to_owned() }))
}

/// How many lines may have been told again, by cause.
#[derive(Debug)]
pub struct Bound {
    /// What the core took before the receiver was killed, and its position on the disk did not know yet.
    receiver_kills: usize,
    /// The newest of each object, after the core restarted.
    core_restarts: usize,
    /// What the sender had taken without saying so: it was spilled too, under an id that only the dead process knew; and a
    /// spill file that was taken and not yet deleted.
    sender_kills: usize,
}

impl Bound {
    pub fn new(events: &Events, lines: &[Line]) -> Self {
        let told = Told::of(lines);
        let objects = told.last.len();
        let pieces = lines.iter().filter(|line| line.text.ends_with(END_OF_LINE)).count();
        assert!(pieces <= events.receiver_kills.len(), "{pieces} pieces");
        let whole = lines.iter().filter(|line| !line.text.ends_with(END_OF_LINE));
        let shortest = whole.map(|line| line.text.len() + 1).min().unwrap_or(1);
        let window = |kill: &ReceiverKill| {
            let since = kill.position_is_younger_than();
            lines.iter().filter(|line| line.at >= since && line.at <= kill.at).count() + PIPE_BYTES / shortest
        };
        let interrupted = events.receiver_kills.iter().filter(|kill| kill.owed).count();
        Bound {
            receiver_kills: events.receiver_kills.iter().map(window).sum(),
            core_restarts: objects * (events.recorder_restarts + interrupted),
            sender_kills: events.sender_kills * (FEEDERS as usize + MASTER_CHECKS_AT_ONCE + 1),
        }
    }

    pub fn total(&self) -> usize {
        self.receiver_kills + self.core_restarts + self.sender_kills
    }
}

impl ReceiverKill {
    /// Positions are written in this time. A full disk takes none, and is tried again only after a while.
    fn position_is_younger_than(&self) -> Instant {
        let window = POSITIONS_WITHIN + BUSY;
        let was_full = match (self.full_since, self.free_since) {
            (Some(full), Some(free)) => full > free || free + COMMIT_RETRY + window > self.at,
            (full, _) => full.is_some(),
        };
        self.full_since.filter(|_| was_full).unwrap_or(self.at) - window
    }
}
