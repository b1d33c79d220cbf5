//! What happens in a run, and when: it follows from the seed.

use std::time::Duration;

use super::support::proxy::{Direction, Weather};
use super::support::random::Random;

/// The two standbys of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Its core is a real Nagios 4.
    Nagios,
    /// Its core writes down what it is told.
    Recorder,
}

/// Whose process, or whose disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Sender,
    Receiver(Side),
}

/// Something that goes wrong, or well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Kill(Who),
    Start(Who),
    KillCore,
    StartCore,
    /// The recording core gets a new command file.
    RestartRecorder,
    /// The recording core reads no more: its command file becomes full.
    StopReading,
    GoOnReading,
    FillDisk(Who),
    FreeDisk(Who),
    Reset(Side),
    Weather(Side, Weather),
}

/// The acts and when they come, counted from the beginning, in order.
pub struct Script(pub Vec<(Duration, Act)>);

const SIDES: [Side; 2] = [Side::Nagios, Side::Recorder];
const EVERYBODY: [Who; 3] = [Who::Sender, Who::Receiver(Side::Nagios), Who::Receiver(Side::Recorder)];

/// Longer than a session survives without a sign of life.
const LONG: Duration = Duration::from_secs(11);

impl Script {
    /// A script of so many seconds. Whatever it breaks it mends before its end.
    pub fn new(random: &mut Random, length: Duration) -> Self {
        let mut acts = Vec::new();
        for who in EVERYBODY {
            for (begin, end) in episodes(random, length, 5_000, 300) {
                acts.extend([(begin, Act::Kill(who)), (end, Act::Start(who))]);
            }
            for (begin, end) in episodes(random, length, 20_000, 1_000) {
                acts.extend([(begin, Act::FillDisk(who)), (end, Act::FreeDisk(who))]);
            }
        }
        for (begin, end) in episodes(random, length, 12_000, 500) {
            acts.extend([(begin, Act::KillCore), (end, Act::StartCore)]);
        }
        for (begin, end) in episodes(random, length, 10_000, 1_000) {
            acts.extend([(begin, Act::StopReading), (end, Act::GoOnReading)]);
        }
        acts.extend(episodes(random, length, 12_000, 0).map(|(begin, _)| (begin, Act::RestartRecorder)));
        for side in SIDES {
            acts.extend(episodes(random, length, 4_000, 0).map(|(begin, _)| (begin, Act::Reset(side))));
            for (begin, end) in episodes(random, length, 4_000, 400) {
                let (weather, end) = weather(random, begin, end);
                let end = end.min(length);
                acts.extend([(begin, Act::Weather(side, weather)), (end, Act::Weather(side, Weather::Clear))]);
            }
        }
        // A change of weather that came during a longer one is overruled by the end of that one: no harm.
        acts.sort_by_key(|(at, _)| *at);
        Script(acts)
    }

    /// How often this kind of act is in the script.
    pub fn count(&self, is_meant: impl Fn(&Act) -> bool) -> usize {
        self.0.iter().filter(|(_, act)| is_meant(act)).count()
    }
}

/// Stretches that begin about every `gap` milliseconds and last about `hold`, one after the other.
fn episodes(random: &mut Random, length: Duration, gap: u64, hold: u64) -> std::vec::IntoIter<(Duration, Duration)> {
    let mut episodes = Vec::new();
    let mut now = Duration::ZERO;
    loop {
        let begin = now + Duration::from_millis(gap / 2 + random.below(gap));
        let end = begin + Duration::from_millis(hold / 2 + random.below(hold.max(1) * 2));
        if end >= length {
            return episodes.into_iter();
        }
        episodes.push((begin, end));
        now = end;
    }
}

/// Bad weather, which a quarter of the times lasts until the sessions give up.
fn weather(random: &mut Random, begin: Duration, end: Duration) -> (Weather, Duration) {
    let late = Duration::from_millis(5 + random.below(50));
    let kinds =
        [Weather::Late(late), Weather::Stalled, Weather::Swallows(Direction::Up), Weather::Swallows(Direction::Down)];
    let weather = kinds[usize::try_from(random.below(4)).unwrap()];
    let end = if random.below(4) == 0 { begin + random.duration(LONG) } else { end };
    (weather, end)
}
