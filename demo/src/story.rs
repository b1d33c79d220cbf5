//! What happens in the demonstration, from the first process to the verdict.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use nagios::command_file::CommandFile;
use nagios::{Object, Timestamp};

use crate::CoreKind;
use crate::cores::Cores;
use crate::interrupt::Interrupt;
use crate::narrator::Narrator;
use crate::scenario::{CHECK_INTERVAL_SECONDS, HOSTS, ILLEGAL_MACRO_OUTPUT_CHARS, OBJECTS, SERVICES};
use crate::site::Site;
use crate::snapshot::{Shown, Snapshot, state_word};
use crate::stage::Stage;
use crate::verdict::Verdict;

/// How long results are followed, at least; longer until every object has one and a change of state came through.
const FOLLOW_TIME: Duration = Duration::from_secs(10);
const FOLLOW_LIMIT: Duration = Duration::from_secs(30);
/// How long the master must show nothing new, with its checks stopped: more than two intervals of the status files.
const QUIET_TIME: Duration = Duration::from_millis(2500);
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// How many changes of state are told.
const TOLD_CHANGES: usize = 8;
/// How much of an output is told, in characters.
const TOLD_OUTPUT: usize = 60;

/// Plays it all and says how it ended.
pub(crate) fn play(kind: CoreKind, program: &Path) -> anyhow::Result<Verdict> {
    let interrupt = Interrupt::watch()?;
    let narrator = Narrator::new();
    let site = Site::create(program)?;
    let cores = match kind {
        CoreKind::Builtin => "built-in miniature cores",
        CoreKind::Nagios4 => "two real Nagios 4 cores",
    };
    narrator.headline(format_args!("A master and a standby with {cores}, in {}.", site.root().display()));
    narrator
        .headline(format_args!("Both cores write their status files once a second, and that is where this looks.\n"));
    let mut stage = Stage::new(Cores::prepare(kind, program, &site)?, interrupt);
    enter(&mut stage, &narrator)?;
    follow(&mut stage, &narrator, &site)?;
    stop_checks(&narrator, &site)?;
    let (verdict, standby) = settle(&mut stage, &site)?;
    tell_verdict(&narrator, &verdict, &standby);
    stage.clear()?;
    narrator.say(format_args!("all processes have ended, the directory is removed"));
    Ok(verdict)
}

fn enter(stage: &mut Stage<'_>, narrator: &Narrator) -> anyhow::Result<()> {
    let id = stage.start_standby_core()?;
    narrator.say(format_args!("standby  core      process {id}: checks nothing, knows only what it is told"));
    let (id, port) = stage.start_receiver()?;
    narrator.say(format_args!("standby  receiver  process {id}: understudy run, listens on 127.0.0.1:{port}"));
    let id = stage.start_sender(port)?;
    narrator.say(format_args!("master   sender    process {id}: understudy run, sends to 127.0.0.1:{port}"));
    let id = stage.start_master_core()?;
    let (hosts, services) = (HOSTS.len(), HOSTS.len() * SERVICES.len());
    narrator.say(format_args!(
        "master   core      process {id}: checks {hosts} hosts and {services} services every \
         {CHECK_INTERVAL_SECONDS} s, and executes understudy-ocsp for each result"
    ));
    Ok(())
}

fn follow(stage: &mut Stage<'_>, narrator: &Narrator, site: &Site) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut observer = Observer::default();
    stage.wait("every result of the master is on the standby", FOLLOW_LIMIT, || {
        let Some((master, standby)) = snapshots(site)? else {
            return Ok(None);
        };
        observer.look(&master, &standby, narrator);
        let complete = standby.checked() == OBJECTS && observer.changes_through > 0;
        Ok((complete && begin.elapsed() >= FOLLOW_TIME).then_some(()))
    })?;
    let changes = observer.changes_through;
    narrator.say(format_args!("{changes} changes of state have come through so far"));
    Ok(())
}

fn snapshots(site: &Site) -> anyhow::Result<Option<(Snapshot, Snapshot)>> {
    let master = Snapshot::read(&site.master.status_file())?;
    let standby = Snapshot::read(&site.standby.status_file())?;
    Ok(master.zip(standby))
}

/// What was seen last, and what is on its way.
#[derive(Default)]
struct Observer {
    master: Snapshot,
    under_way: BTreeMap<Object, Change>,
    changes_through: usize,
    example_told: bool,
}

struct Change {
    from: i16,
    to: i16,
    seen: Instant,
}

impl Observer {
    fn look(&mut self, master: &Snapshot, standby: &Snapshot, narrator: &Narrator) {
        for (object, shown) in &master.objects {
            let before = self.master.objects.get(object).filter(|before| before.last_check.is_some());
            if let Some(before) = before.filter(|before| before.state != shown.state) {
                let change = Change { from: before.state, to: shown.state, seen: Instant::now() };
                self.under_way.insert(object.clone(), change);
            }
        }
        self.master = master.clone();
        if !self.example_told {
            self.example_told = tell_example(master, standby, narrator);
        }
        let (mut told, through) = (self.changes_through, &mut self.changes_through);
        self.under_way.retain(|object, change| {
            let arrived = standby.objects.get(object).is_some_and(|shown| shown.state == change.to);
            if arrived {
                *through += 1;
                told += 1;
                if told <= TOLD_CHANGES {
                    tell_change(object, change, narrator);
                }
            }
            !arrived
        });
    }
}

fn tell_change(object: &Object, change: &Change, narrator: &Narrator) {
    let (from, to) = (state_word(object, change.from), state_word(object, change.to));
    let seconds = change.seen.elapsed().as_secs_f64();
    narrator.say(format_args!("{object}: {from} -> {to} on the master, shown {seconds:.1} s later on the standby"));
}

/// Tells one service that both show alike; false when there is none yet.
fn tell_example(master: &Snapshot, standby: &Snapshot, narrator: &Narrator) -> bool {
    let through = |(object, shown): &(&Object, &Shown)| {
        let there = standby.objects.get(object).filter(|there| there.last_check.is_some());
        object.service().is_some()
            && !shown.long_output.is_empty()
            && there.is_some_and(|there| (there.state, &there.output) == (shown.state, &shown.output))
    };
    let Some((object, shown)) = master.objects.iter().find(through) else {
        return false;
    };
    narrator.say(format_args!("the first results are through, {object} for example"));
    narrator.add(format_args!("master's core checked:  {}", summary(object, shown)));
    narrator.add(format_args!("standby's core shows:   {}", summary(object, &standby.objects[object])));
    true
}

fn summary(object: &Object, shown: &Shown) -> String {
    let output = String::from_utf8_lossy(&shown.output);
    let output: String = output.chars().take(TOLD_OUTPUT).collect();
    format!("{:<9} {output}", state_word(object, shown.state))
}

fn stop_checks(narrator: &Narrator, site: &Site) -> anyhow::Result<()> {
    let now = Timestamp::from(SystemTime::now()).seconds();
    let commands = format!("[{now}] STOP_EXECUTING_SVC_CHECKS\n[{now}] STOP_EXECUTING_HOST_CHECKS\n");
    let mut command_file = CommandFile::new(site.master.command_file());
    command_file.write(commands.as_bytes()).context("cannot stop the master's checks")?;
    narrator.say(format_args!("the master's checks are stopped; what is under way goes through"));
    Ok(())
}

/// Waits until the master shows nothing new and the standby agrees, or for long enough, and compares.
fn settle(stage: &mut Stage<'_>, site: &Site) -> anyhow::Result<(Verdict, Snapshot)> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let (mut last, mut quiet_since) = (Snapshot::default(), Instant::now());
    stage.wait("both cores show their states", SETTLE_LIMIT + QUIET_TIME, || {
        let Some((master, standby)) = snapshots(site)? else {
            return Ok(None);
        };
        if master.active_checks || master != last {
            quiet_since = Instant::now();
        }
        let verdict = Verdict::of(&master, &standby, ILLEGAL_MACRO_OUTPUT_CHARS);
        last = master;
        let settled = verdict.is_agreement() && quiet_since.elapsed() >= QUIET_TIME;
        Ok((settled || Instant::now() >= deadline).then_some((verdict, standby)))
    })
}

fn tell_verdict(narrator: &Narrator, verdict: &Verdict, standby: &Snapshot) {
    narrator.say(format_args!("the standby's status file:"));
    for (object, shown) in &standby.objects {
        narrator.add(format_args!("{:<14} {}", object.to_string(), summary(object, shown)));
    }
    for difference in &verdict.differences {
        narrator.say(format_args!("DIFFERENT  {difference}"));
    }
    let (agreeing, all) = (verdict.agreeing, verdict.agreeing + verdict.differences.len());
    let word = if verdict.is_agreement() { "AGREED" } else { "NOT AGREED" };
    narrator.say(format_args!(
        "{word}: {agreeing} of {all} hosts and services are the same on master and standby, in state, output, \
         performance data and long output"
    ));
    narrator.add(format_args!(
        "(without {ILLEGAL_MACRO_OUTPUT_CHARS}, which the master's core strips before it executes anything)"
    ));
}
