//! Plays a plan.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::cast::Cast;
use crate::clock::{Clock, Moment, now};
use crate::objects::Watched;
use crate::plan::{Act, Order, Plan, RESTART_AFTER, ROUND, Victim};
use crate::witness::Line;

/// How often is looked what is due, and what the cores have logged.
const TICK: Duration = Duration::from_millis(5);

/// How long nobody may be in charge.
const SILENCE: Duration = Duration::from_secs(40);

/// How long the standby may stay in charge after the master's core has come back.
const AWAY: Duration = Duration::from_secs(90);

/// How long after a hand-back nothing is on its way any more.
const SETTLED: Duration = Duration::from_secs(6);

/// A machine that dies has told of what happened before that.
const LAST_WORDS: Duration = Duration::from_millis(150);

/// What a daemon says when its core, which does not run, is going to know what the other node has told.
const TOLD_BEFORE_START: &str = "the core that does not run remembers what the other node has told";

/// The comment with which the oracle shows that it has done all that it was given.
pub const THE_END: &str = "the end";

/// How many bytes are written at once: the core reads them in one piece.
const MAX_WRITE: usize = 4_000;

/// What is given to the core in charge, and to the oracle when that one has taken it.
struct Charge {
    /// What the core in charge has been given and has not taken, without the time in front.
    given: HashMap<String, String>,
    /// Numbers results and orders, so that none is like another.
    number: usize,
}

/// Plays `plan` to its end. When this returns, the master notifies, and nothing is on its way.
#[track_caller]
pub fn play(cast: &mut Cast, plan: &Plan) {
    let mut clock = Clock::start(now());
    let mut charge = Charge { given: HashMap::new(), number: 0 };
    let mut acts = plan.acts.iter().peekable();
    let mut stage = Stage::new(cast);
    let end = ROUND * u32::try_from(plan.rounds).unwrap();
    loop {
        charge.pass_on(cast);
        stage.look(cast);
        let position = clock.position(now(), stage.in_charge.is_some());
        stage.restart_if_due(cast, position);
        stage.start_core_if_due(cast);
        if let Some(position) = position {
            let mut lines = String::new();
            while let Some((at, act)) = acts.next_if(|(at, _)| *at <= position && lines.len() < MAX_WRITE) {
                match act {
                    Act::Kill(_) if stage.in_charge != Some("master") => {
                        panic!("at {at:?} the master is not in charge again:\n{}", cast.standby.status());
                    }
                    Act::Kill(victim) => {
                        give(cast, &mut lines);
                        stage.kill(cast, position, *victim);
                        charge.pass_on(cast);
                        charge.given.clear();
                        break;
                    }
                    Act::Result(watched, code) => lines += &charge.result(*watched, *code),
                    Act::Order(watched, order) => lines += &charge.order(*watched, order),
                }
            }
            give(cast, &mut lines);
            if position >= end {
                break;
            }
        }
        std::thread::sleep(TICK);
    }
    assert_eq!(stage.in_charge, Some("master"), "it has not come back");
    crate::support::wait::until("the last ones to be taken", || {
        charge.pass_on(cast);
        charge.given.is_empty().then_some(())
    });
    cast.note("the end");
    finish(cast);
}

/// Waits until the oracle has done what it was given, and all workers are done.
fn finish(cast: &mut Cast) {
    cast.oracle.write(&format!("[{}] ADD_HOST_COMMENT;host-00;0;test;{THE_END}\n", now() / 1_000));
    crate::support::wait::until("the oracle's end", || {
        cast.oracle.witness.poll();
        cast.oracle.witness.lines.iter().any(|line| line.text.ends_with(THE_END)).then_some(())
    });
    cast.poll();
}

/// Gives lines to the core in charge.
fn give(cast: &Cast, lines: &mut String) {
    if let Some(node) = cast.in_charge().filter(|_| !lines.is_empty()) {
        node.actor.write(lines);
    }
    lines.clear();
}

impl Charge {
    /// Gives the oracle what the core in charge has taken since.
    fn pass_on(&mut self, cast: &mut Cast) {
        let first = cast.poll();
        let mut lines = String::new();
        for (node, first) in [&cast.master, &cast.standby].into_iter().zip(first) {
            // Also what it has taken right after it was told to be silent: it was checked, and the other one must hear of it.
            let taken = node.actor.witness.lines[first..].iter().filter_map(Line::taken);
            lines.extend(taken.filter_map(|taken| self.given.remove(&taken)));
        }
        for piece in pieces(&lines) {
            cast.oracle.write(piece);
        }
        cast.oracle.witness.poll();
    }

    fn result(&mut self, watched: Watched, code: u8) -> String {
        let kind = if watched.is_host() { "HOST" } else { "SERVICE" };
        let output = format!("said {code} #{}", self.next());
        self.line(format!("PROCESS_{kind}_CHECK_RESULT;{};{code};{output}", watched.name()))
    }

    fn order(&mut self, watched: Watched, order: &Order) -> String {
        let kind = if watched.is_host() { "HOST" } else { "SVC" };
        let (name, number) = (watched.name(), self.next());
        let now = now() / 1_000;
        let seconds = |rounds: usize| ROUND.as_secs() * u64::try_from(rounds).unwrap();
        match order {
            Order::Acknowledge { sticky, notify, persistent } => {
                let sticky = if *sticky { 2 } else { 1 };
                let flags = format!("{sticky};{};{}", u8::from(*notify), u8::from(*persistent));
                self.line(format!("ACKNOWLEDGE_{kind}_PROBLEM;{name};{flags};joe;I do it #{number}"))
            }
            Order::RemoveAcknowledgement => self.line(format!("REMOVE_{kind}_ACKNOWLEDGEMENT;{name}")),
            Order::Downtime { rounds } => {
                let end = now + seconds(*rounds);
                self.line(format!("SCHEDULE_{kind}_DOWNTIME;{name};{now};{end};1;0;0;ann;works #{number}"))
            }
            Order::FlexibleDowntime { rounds } => {
                let (end, lasts) = (now + seconds(*rounds), seconds(*rounds) / 8 * 4);
                self.line(format!("SCHEDULE_{kind}_DOWNTIME;{name};{now};{end};0;0;{lasts};ann;perhaps #{number}"))
            }
            Order::CancelDowntimes => self.line(format!("DEL_DOWNTIME_BY_HOST_NAME;{name}")),
            Order::Comment => self.line(format!("ADD_{kind}_COMMENT;{name};1;joe;I saw it #{number}")),
        }
    }

    /// One that is given.
    fn line(&mut self, command: String) -> String {
        let mut line = String::new();
        writeln!(line, "[{}] {command}", now() / 1_000).unwrap();
        self.given.insert(command, line.clone());
        line
    }

    fn next(&mut self) -> usize {
        self.number += 1;
        self.number
    }
}

/// Whole lines, each piece short enough for one write.
fn pieces(mut lines: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !lines.is_empty() {
        let end = if lines.len() <= MAX_WRITE { lines.len() } else { lines[..MAX_WRITE].rfind('\n').unwrap() + 1 };
        let (piece, rest) = lines.split_at(end);
        pieces.push(piece);
        lines = rest;
    }
    pieces
}

/// Who is in charge, and who is dead.
struct Stage {
    in_charge: Option<&'static str>,
    since: Instant,
    /// Where in the schedule the master was killed that is still dead.
    killed: Option<(Duration, Victim)>,
    /// What comes back; its daemon runs, or was started.
    booting: Option<Victim>,
    restarted: Option<Instant>,
    /// How much the standby had told when it took over.
    told_before: usize,
    hours: Hours,
}

/// Hours that pass after a hand-back, at least as the standby's daemon sees it.
#[derive(PartialEq)]
enum Hours {
    /// They are to pass some seconds after the next hand-back.
    Ahead,
    /// The standby's daemon is being restarted for that.
    Passing,
    Past,
}

impl Stage {
    fn new(cast: &Cast) -> Self {
        let in_charge = cast.in_charge().map(|node| node.actor.name);
        let since = Instant::now();
        Stage { in_charge, since, killed: None, booting: None, restarted: None, told_before: 0, hours: Hours::Past }
    }

    fn look(&mut self, cast: &mut Cast) {
        let in_charge = cast.in_charge().map(|node| node.actor.name);
        if in_charge != self.in_charge {
            let text = format!("{} in charge, after {:?}", in_charge.unwrap_or("nobody"), self.since.elapsed());
            cast.note(text);
            (self.in_charge, self.since) = (in_charge, Instant::now());
            if in_charge == Some("standby") {
                self.told_before = told(cast);
            }
            if in_charge == Some("master") {
                self.restarted = None;
            }
        }
        self.let_hours_pass(cast);
        let is_silent = self.in_charge.is_none() && self.since.elapsed() > SILENCE;
        let is_away = self.restarted.is_some_and(|restarted| restarted.elapsed() > AWAY);
        if is_silent || is_away {
            panic!(
                "{} in charge for {:?}:\nmaster\n{}\nstandby\n{}",
                self.in_charge.unwrap_or("nobody"),
                self.since.elapsed(),
                cast.master.status(),
                cast.standby.status()
            );
        }
    }

    fn let_hours_pass(&mut self, cast: &mut Cast) {
        let is_handed_back = self.in_charge == Some("master") && self.since.elapsed() > SETTLED;
        match self.hours {
            Hours::Ahead if is_handed_back => {
                cast.note("the standby's daemon is restarted");
                cast.standby.stop_daemon();
                self.hours = Hours::Passing;
            }
            Hours::Passing if cast.standby.start_daemon_hours_later() => self.hours = Hours::Past,
            Hours::Ahead | Hours::Passing | Hours::Past => {}
        }
    }

    fn kill(&mut self, cast: &mut Cast, position: Duration, victim: Victim) {
        if victim == Victim::Node {
            std::thread::sleep(LAST_WORDS);
        }
        cast.note(format!("the master's {victim} is killed"));
        cast.master.actor.kill();
        if victim == Victim::Node {
            cast.master.kill_daemon();
        }
        self.killed = Some((position, victim));
        self.look(cast);
    }

    /// What was killed comes back when the standby has notified for a while.
    fn restart_if_due(&mut self, cast: &mut Cast, position: Option<Duration>) {
        let Some(position) = position else { return };
        let Some((_, victim)) = self.killed.take_if(|(killed, _)| position >= *killed + RESTART_AFTER) else { return };
        assert!(told(cast) > self.told_before, "the standby has not notified");
        if victim == Victim::Node {
            cast.note("the master's daemon is started");
            cast.master.launch_daemon();
        }
        self.booting = Some(victim);
    }

    /// As at a boot, after its daemon, which is given the time to tell what happened meanwhile.
    fn start_core_if_due(&mut self, cast: &mut Cast) {
        let is_due = |victim: &mut Victim| *victim == Victim::Core || cast.master.said().contains(TOLD_BEFORE_START);
        if self.booting.take_if(is_due).is_some() {
            cast.note("the master's core is started");
            cast.master.actor.core.launch();
            (self.restarted, self.hours) = (Some(Instant::now()), Hours::Ahead);
        }
    }
}

/// How many notifications the standby has sent.
fn told(cast: &Cast) -> usize {
    cast.standby.actor.witness.lines.iter().filter(|line| line.text.contains(" NOTIFICATION: ")).count()
}

/// When a moment was, in seconds since `begin`.
pub fn since(begin: Moment, moment: Moment) -> String {
    let past = moment.saturating_sub(begin);
    format!("{:3}.{:03}", past / 1_000, past % 1_000)
}
