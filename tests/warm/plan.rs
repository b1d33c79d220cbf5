//! What happens, and when: it follows from the seed.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::objects::{MAX_ATTEMPTS, Watched};
use crate::support::random::Random;

/// Each object is checked once in it. The cores count seconds: a check comes at the same part of a second each time, away from
/// its ends.
pub const ROUND: Duration = Duration::from_secs(4);

/// Rounds from the beginning to the first kill, from a kill to the next one, and from a kill to the restart.
const FIRST_KILL: usize = 7;
const FROM_KILL_TO_KILL: usize = 15;
pub const RESTART_AFTER: Duration = Duration::from_secs(20);

/// From an object's place among the results of a second to its place among the orders.
const AFTER_RESULTS: Duration = Duration::from_millis(445);

/// How long a core may take until it shows what operators did.
const UNSEEN: Duration = Duration::from_millis(2_500);

/// What happens to one object, or to all.
#[derive(Clone, Debug)]
pub enum Act {
    /// It was checked.
    Result(Watched, u8),
    /// An operator wants something.
    Order(Watched, Order),
    /// The master's core, or all of the master, is killed.
    Kill(Victim),
}

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The core, and its daemon goes on.
    Core,
    /// The core and the daemon.
    Node,
}

impl Display for Victim {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Victim::Core => "core",
            Victim::Node => "node",
        })
    }
}

/// What operators do.
#[derive(Clone, Debug)]
pub enum Order {
    Acknowledge {
        sticky: bool,
        notify: bool,
        persistent: bool,
    },
    RemoveAcknowledgement,
    /// From now on, for so many rounds.
    Downtime {
        rounds: usize,
    },
    /// The next problem within so many rounds begins it; it lasts half of them.
    FlexibleDowntime {
        rounds: usize,
    },
    /// All downtimes of the object are cancelled.
    CancelDowntimes,
    Comment,
}

/// The acts and when they come, in order.
pub struct Plan {
    pub acts: Vec<(Duration, Act)>,
    pub rounds: usize,
    pub kills: usize,
}

impl Plan {
    pub fn new(random: &mut Random, rounds: usize, kills: usize) -> Self {
        let killed: Vec<usize> = (0..kills).map(|kill| FIRST_KILL + kill * FROM_KILL_TO_KILL).collect();
        // In turn, beginning with a core.
        let victims = [Victim::Core, Victim::Node].into_iter().cycle();
        let mut kill =
            |(round, victim): (&usize, _)| (at(*round) + Duration::from_millis(random.below(8_000)), Act::Kill(victim));
        let mut acts: Vec<(Duration, Act)> = killed.iter().zip(victims).map(&mut kill).collect();
        let mut of_host = Vec::new();
        for (index, watched) in Watched::all().enumerate() {
            let mut course = course(random, watched, rounds);
            if watched.is_host() {
                of_host.clone_from(&course);
            } else {
                begin_while_host_is_up(&mut course, &of_host);
            }
            let slot = slot(index);
            acts.extend(course.iter().enumerate().map(|(round, code)| (at(round) + slot, Act::Result(watched, *code))));
            // Half a round away from its results, so that no interval ends near one, and after those of others, which what concerns
            // a host may concern, too.
            let desk = AFTER_RESULTS + if slot < ROUND / 2 { slot + ROUND / 2 } else { slot - ROUND / 2 };
            let orders = orders(random, &course, &killed);
            acts.extend(orders.into_iter().map(|(round, order)| (at(round) + desk, Act::Order(watched, order))));
        }
        let kills_at: Vec<Duration> = acts[..kills].iter().map(|(at, _)| *at).collect();
        acts.retain(|(at, act)| {
            let is_unseen = kills_at.iter().any(|kill| (*at..*at + UNSEEN).contains(kill));
            !(is_unseen && matches!(act, Act::Order(..)))
        });
        acts.sort_by_key(|(at, _)| *at);
        Plan { acts, rounds, kills }
    }
}

fn at(round: usize) -> Duration {
    ROUND * u32::try_from(round).unwrap()
}

/// When in a round an object is checked: in the first half of a second, after its beginning.
fn slot(index: usize) -> Duration {
    let (second, place) = (index % 4, index / 4);
    Duration::from_millis((1_000 * second + 100 + 8 * place).try_into().unwrap())
}

/// The return code of each round.
fn course(random: &mut Random, watched: Watched, rounds: usize) -> Vec<u8> {
    let mut course = Vec::new();
    while course.len() < rounds {
        let (fine, wrong) = if watched.is_host() {
            (6 + random.below(20), 1 + random.below(7))
        } else {
            (1 + random.below(8), length(random))
        };
        course.extend((0..fine).map(|_| 0));
        let mut code = problem(random, watched);
        for _ in 0..wrong {
            if random.below(8) == 0 {
                code = problem(random, watched);
            }
            course.push(code);
        }
    }
    course.truncate(rounds);
    course
}

/// Nagios gives a service whose problem becomes hard because its host is down the attempt that it has then, for as long as the
/// problem lasts, and does not tell its recovery. No core that starts, or reads retained states, keeps that: it gives such a
/// problem all its attempts, and tells the recovery. So problems are hard, or over, when a host goes down.
fn begin_while_host_is_up(course: &mut [u8], of_host: &[u8]) {
    for round in 1..course.len() {
        let until = (round + MAX_ATTEMPTS + 1).min(of_host.len());
        let is_down = of_host[round - 1..until].iter().any(|code| *code != 0);
        if is_down && course[round - 1] == 0 {
            course[round] = 0;
        }
    }
}

/// Of a service's problem, in rounds: some are over before anybody is told, some last long.
fn length(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => 1 + random.below(2),
        1 | 2 => 3 + random.below(8),
        _ => 8 + random.below(16),
    }
}

fn problem(random: &mut Random, watched: Watched) -> u8 {
    let codes = if watched.is_host() { 1 } else { 3 };
    u8::try_from(1 + random.below(codes)).unwrap()
}

/// What operators do about an object, by round.
fn orders(random: &mut Random, course: &[u8], killed: &[usize]) -> Vec<(usize, Order)> {
    let mut orders = Vec::new();
    let mut round = 1;
    while round + 2 < course.len() {
        let is_problem = course[round] != 0 && course[round - 1] != 0;
        match random.below(60) {
            0..5 if is_problem => {
                let [sticky, notify, persistent] = [(); 3].map(|()| random.below(2) == 0);
                orders.push((round, Order::Acknowledge { sticky, notify, persistent }));
                if random.below(3) == 0 {
                    let removed = round + 1 + usize::try_from(random.below(4)).unwrap();
                    orders.push((removed, Order::RemoveAcknowledgement));
                    round = removed;
                }
            }
            5 => {
                let rounds = 2 + usize::try_from(random.below(6)).unwrap();
                let end = round + rounds;
                let is_flexible = random.below(4) == 0;
                // One that would end while a master comes or goes is cancelled afterwards, by an operator.
                let is_quiet = killed.iter().all(|kill| end + rounds < *kill || *kill + FROM_KILL_TO_KILL - 3 < round);
                if !is_quiet {
                    let cancelled = end + usize::try_from(random.below(6)).unwrap();
                    orders.push((round, Order::Downtime { rounds: 1_000 }));
                    orders.push((cancelled, Order::CancelDowntimes));
                } else if is_flexible {
                    orders.push((round, Order::FlexibleDowntime { rounds }));
                } else {
                    orders.push((round, Order::Downtime { rounds }));
                }
                round = end + 6;
            }
            6 => orders.push((round, Order::Comment)),
            _ => {}
        }
        round += 1;
    }
    orders.retain(|(round, _)| *round < course.len());
    orders.sort_by_key(|(round, _)| *round);
    orders
}
