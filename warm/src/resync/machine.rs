//! When this core is brought up to date, and in which steps. No I/O: what is seen and time come in, actions go out.
//!
//! ```text
//!                request          settled            a newer picture
//!        (idle) ────────▶ Settling ──────▶ Looking ─────────────────▶ Comparing
//!           ▲                                 ▲                      │         │
//!           │                                 │ answered, settled    │ behind  │ nothing is behind,
//!           │                               Coming ◀── Ask ──────────┘         │ or MAX_ROUNDS
//!           └──── Finish ◀──── HandingOver ◀───────── HandOver ────────────────┘
//! ```
//!
//! **Invariant:** every resynchronisation ends, each step in its time, whatever the peer and the core do.
//!
//! **Invariant:** a core that notifies, or whose own memory counts, is left alone.
//!
//! **Invariant:** what is asked for was behind when it was first compared. What the peer's core has checked since comes by
//! itself, and makes no further round.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use failover::machine::Now;
use nagios::Object;

/// How long the peer may take to deliver what it has.
pub const SETTLE_WITHIN: Duration = Duration::from_secs(45);

/// How long the peer may take to connect, before what is known of it must do. A sender tries again within 15 s.
pub const CONTACT_WITHIN: Duration = Duration::from_secs(30);

/// How long the core may take to write a status file.
pub const PICTURE_WITHIN: Duration = Duration::from_secs(45);

/// How long the peer may take to show results, and this core's command file to take them.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long the core may take to be given a memory, before nobody waits for it any more.
pub const HAND_OVER_WITHIN: Duration = Duration::from_secs(90);

/// How often results are asked for.
pub const MAX_ROUNDS: u32 = 3;

/// How long there is rest after one, unless the core was started or somebody asks.
pub const REST: Duration = Duration::from_secs(10);

/// What asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Results have been missing for a while.
    Missing,
    /// The peer has told its whole book.
    Contact,
    /// This node's core was started.
    Start,
    /// The operator.
    Order,
}

/// Why there is nothing to be done, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Nobody sends a book.
    #[error("no other node sends its book to this one")]
    NoPeer,
    /// The core notifies.
    #[error("this core notifies, so its own memory counts")]
    Notifies,
    /// The core notified last.
    #[error("this core notified last, so its own memory counts")]
    OwnCounts,
    /// The peer is not there, or has not told its whole book.
    #[error("the other node is not connected, or has not told its whole book yet")]
    NoBook,
    /// The core has written no status file since it was started, or since this daemon was.
    #[error("this node's core has written no status file yet")]
    NoPicture,
    /// The core does not run.
    #[error("this node's core does not run")]
    NoCore,
}

/// What there is to see at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What is in the way.
    pub obstacle: Option<Obstacle>,
    /// Whether the peer has delivered all it had, and the core's command file has taken it.
    pub is_settled: bool,
    /// When the newest status file that was read to its end was written, in Unix seconds.
    pub created: i64,
    /// When the core's command file took a result last, in Unix seconds; 0: not since the daemon began. A status file that is
    /// newer shows all there is.
    pub injected: i64,
}

/// An object whose newest result the core does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Which.
    pub object: Object,
    /// When it was checked last by what the core shows, in Unix seconds; 0: never.
    pub shown: i64,
    /// When it was checked last by the book.
    pub known: i64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Compare what the core shows with the book, and tell by [`Resync::handle_compared`].
    Compare,
    /// Ask the peer for the results of these, and tell by [`Resync::handle_asked`] and, in time,
    /// [`Resync::handle_answered`].
    Ask(Vec<Object>),
    /// Give the core what it is to inherit, and tell by [`Resync::handle_handed_over`].
    HandOver,
    /// It is over.
    Finish(Report),
}

/// What became of a resynchronisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What asked for it.
    pub cause: Cause,
    /// How it ended.
    pub ending: Ending,
    /// When it began, in Unix seconds.
    pub began: i64,
    /// How long it took.
    pub took: Duration,
    /// How many objects lacked a result in the beginning.
    pub behind: usize,
    /// How many still do.
    pub still_behind: usize,
    /// How many results the peer has shown.
    pub shown: u64,
    /// How many objects were given what the book remembers of them.
    pub given: usize,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The core knows what the book knows, but for what the report counts.
    Done,
    /// There was nothing to be done.
    NotNeeded(Obstacle),
    /// It took too long.
    GaveUp(&'static str),
    /// The results are there, but the core did not take the memory: why.
    NotTaken(String),
}

/// Brings a core up to date.
#[derive(Debug)]
pub struct Resync {
    state: State,
    job: Option<Job>,
    /// What is to be done after that.
    next: Option<Cause>,
    rested: Option<Instant>,
    /// How long the core may take beyond its interval.
    picture_within: Duration,
    actions: VecDeque<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Settling { since: Instant },
    Looking { after: i64, until: Instant },
    Comparing,
    Coming { is_answered: bool, until: Instant },
    HandingOver { until: Instant },
}

#[derive(Debug)]
struct Job {
    cause: Cause,
    began: Now,
    /// What was behind at first and still is: until it shows a check of this time.
    wanted: Option<BTreeMap<Object, i64>>,
    behind: usize,
    rounds: u32,
    shown: u64,
    given: usize,
}

impl Resync {
    /// `status_interval` is the core's `status_update_interval`.
    pub fn new(status_interval: Duration) -> Self {
        let picture_within = PICTURE_WITHIN.max(2 * status_interval + Duration::from_secs(5));
        Self { state: State::Idle, job: None, next: None, rested: None, picture_within, actions: VecDeque::new() }
    }

    /// Asks for one. While one goes on, it is the same if nothing was compared yet, or else the next one.
    pub fn request(&mut self, cause: Cause, now: Now) {
        match &mut self.job {
            Some(job) if job.wanted.is_none() => job.cause = job.cause.max(cause),
            _ => self.next = self.next.max(Some(cause)),
        }
        self.begin_next(now);
    }

    /// Whether one goes on, or is to.
    pub fn is_busy(&self) -> bool {
        self.job.is_some() || self.next.is_some()
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Resync::handle_sight`] is to be called, at the latest; none if nothing goes on.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle => self.next.and(self.rested),
            State::Settling { since } => Some(since + SETTLE_WITHIN),
            State::Looking { until, .. } | State::Coming { until, .. } | State::HandingOver { until } => Some(until),
            State::Comparing => None,
        }
    }

    /// Looks around, whenever something may have changed and when time has passed.
    pub fn handle_sight(&mut self, sight: &Sight, now: Now) {
        self.begin_next(now);
        if let Some(obstacle) = sight.obstacle.filter(|obstacle| !self.may_pass(*obstacle, sight.is_settled, now)) {
            return self.finish(Ending::NotNeeded(obstacle), now);
        }
        match self.state {
            State::Settling { .. } if sight.is_settled && sight.obstacle.is_none() => {
                self.look(now);
                self.handle_sight(sight, now);
            }
            State::Settling { since } if now.instant >= since + SETTLE_WITHIN => match sight.obstacle {
                None => self.look(now),
                Some(_) => self.finish(Ending::GaveUp("the other node was not there, or did not tell its book, or this core has written no status file"), now),
            },
            // Where results come all the time, one that is newer than what was waited for must do.
            State::Looking { after, .. } if sight.created > after.min(sight.injected) => {
                self.state = State::Comparing;
                self.actions.push_back(Action::Compare);
            }
            State::Looking { until, .. } if now.instant >= until => {
                self.finish(Ending::GaveUp("the core has written no status file"), now);
            }
            State::Coming { is_answered, until } => {
                if is_answered && sight.is_settled || now.instant >= until {
                    self.look(now);
                    self.handle_sight(sight, now);
                }
            }
            State::HandingOver { until } if now.instant >= until => {
                self.finish(Ending::GaveUp("the core was not given what the book remembers in time"), now);
            }
            State::Idle
            | State::Settling { .. }
            | State::Looking { .. }
            | State::Comparing
            | State::HandingOver { .. } => {}
        }
    }

    /// The comparison found these.
    pub fn handle_compared(&mut self, behind: Vec<Behind>, now: Now) {
        let (State::Comparing, Some(job)) = (self.state, &mut self.job) else { return };
        let still = match job.wanted.take() {
            None => {
                job.behind = behind.len();
                behind.into_iter().map(|one| (one.object, one.known)).collect()
            }
            Some(mut wanted) => {
                let shown: BTreeMap<Object, i64> = behind.into_iter().map(|one| (one.object, one.shown)).collect();
                wanted.retain(|object, known| shown.get(object).is_some_and(|shown| shown < known));
                wanted
            }
        };
        let objects: Vec<Object> = still.keys().cloned().collect();
        job.wanted = Some(still);
        if objects.is_empty() || job.rounds >= MAX_ROUNDS {
            self.state = State::HandingOver { until: now.instant + HAND_OVER_WITHIN };
            self.actions.push_back(Action::HandOver);
        } else {
            job.rounds += 1;
            self.state = State::Coming { is_answered: false, until: now.instant + ANSWER_WITHIN };
            self.actions.push_back(Action::Ask(objects));
        }
    }

    /// The peer was asked, or could not be: then it is looked at again once it is there.
    pub fn handle_asked(&mut self, asked: bool, now: Now) {
        if !asked && matches!(self.state, State::Coming { .. }) {
            self.state = State::Settling { since: now.instant };
        }
    }

    /// The peer has shown so many results.
    pub fn handle_answered(&mut self, shown: u64) {
        if let State::Coming { is_answered, .. } = &mut self.state {
            *is_answered = true;
            self.job.iter_mut().for_each(|job| job.shown += shown);
        }
    }

    /// The core has taken what it was given of so many objects, or why not.
    pub fn handle_handed_over(&mut self, given: Result<usize, String>, now: Now) {
        let (State::HandingOver { .. }, Some(job)) = (self.state, &mut self.job) else { return };
        let ending = match given {
            Ok(given) => {
                job.given = given;
                Ending::Done
            }
            Err(reason) => Ending::NotTaken(reason),
        };
        self.finish(ending, now);
    }

    /// The core is gone: what was given to it, and shown, counts no more. The next one asks again.
    pub fn handle_core_gone(&mut self, now: Now) {
        if self.job.is_some() {
            self.finish(Ending::NotNeeded(Obstacle::NoCore), now);
        }
        self.next = None;
    }

    /// Whether it is worth to wait for the obstacle to go away.
    fn may_pass(&self, obstacle: Obstacle, is_settled: bool, now: Now) -> bool {
        match obstacle {
            Obstacle::NoPeer | Obstacle::Notifies | Obstacle::NoCore => false,
            Obstacle::NoBook | Obstacle::NoPicture => true,
            // A node that was away may have missed that the other one notified meanwhile.
            Obstacle::OwnCounts => match (self.state, &self.job) {
                (State::Settling { since }, Some(job)) if job.cause == Cause::Start && !is_settled => {
                    now.instant < since + CONTACT_WITHIN
                }
                // Whoever takes over meanwhile gives the core the memory that counts.
                (State::HandingOver { .. }, _) => true,
                _ => false,
            },
        }
    }

    fn look(&mut self, now: Now) {
        self.state = State::Looking { after: now.wall.seconds(), until: now.instant + self.picture_within };
    }

    fn begin_next(&mut self, now: Now) {
        let is_rested = self.next >= Some(Cause::Start) || self.rested.is_none_or(|rested| now.instant >= rested);
        if self.job.is_some() || !is_rested {
            return;
        }
        let Some(cause) = self.next.take() else { return };
        let (wanted, behind, rounds, shown, given) = (None, 0, 0, 0, 0);
        self.job = Some(Job { cause, began: now, wanted, behind, rounds, shown, given });
        self.state = State::Settling { since: now.instant };
    }

    fn finish(&mut self, ending: Ending, now: Now) {
        let Some(job) = self.job.take() else { return };
        self.state = State::Idle;
        self.rested = Some(now.instant + REST);
        self.actions.push_back(Action::Finish(Report {
            cause: job.cause,
            ending,
            began: job.began.wall.seconds(),
            took: now.instant.saturating_duration_since(job.began.instant),
            behind: job.behind,
            still_behind: job.wanted.map_or(0, |wanted| wanted.len()),
            shown: job.shown,
            given: job.given,
        }));
    }
}

#[cfg(test)]
mod tests;
