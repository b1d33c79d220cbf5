//! The first act: every result of the master appears on the standby.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use nagios::command_file::CommandFile;
use nagios::{Object, Timestamp};

use crate::comparison::Comparison;
use crate::narrator::Narrator;
use crate::scenario::{ILLEGAL_MACRO_OUTPUT_CHARS, OBJECTS};
use crate::site::Site;
use crate::snapshot::{Shown, Snapshot, state_word};
use crate::stage::Stage;

/// How long results are followed, at least; longer until every object has one and a change of state came through.
const FOLLOW_TIME: Duration = Duration::from_secs(8);
const FOLLOW_LIMIT: Duration = Duration::from_secs(30);
/// How long the master must show nothing new, with its checks stopped: more than two intervals of the status files.
const QUIET_TIME: Duration = Duration::from_millis(2500);
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// How many changes of state are told.
const TOLD_CHANGES: usize = 8;
/// How much of an output is told, in characters.
const TOLD_OUTPUT: usize = 60;

/// Follows the results, then stops the master's checks for as long as it takes to compare everything.
pub(crate) fn show(stage: &mut Stage<'_>, narrator: &Narrator, site: &Site) -> anyhow::Result<Comparison> {
    follow(stage, narrator, site)?;
    switch_checks(site, "STOP")?;
    narrator.say(format_args!("the master's checks are stopped; what is under way goes through"));
    let (comparison, standby) = settle(stage, site)?;
    tell(narrator, &comparison, &standby);
    switch_checks(site, "START")?;
    Ok(comparison)
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

fn switch_checks(site: &Site, verb: &str) -> anyhow::Result<()> {
    let now = Timestamp::from(SystemTime::now()).seconds();
    let commands = format!("[{now}] {verb}_EXECUTING_SVC_CHECKS\n[{now}] {verb}_EXECUTING_HOST_CHECKS\n");
    let mut command_file = CommandFile::new(site.master.command_file());
    command_file.write(commands.as_bytes()).context("cannot switch the master's checks")?;
    Ok(())
}

/// Waits until the master shows nothing new and the standby agrees, or for long enough, and compares.
fn settle(stage: &mut Stage<'_>, site: &Site) -> anyhow::Result<(Comparison, Snapshot)> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let (mut last, mut quiet_since) = (Snapshot::default(), Instant::now());
    stage.wait("both cores show their states", SETTLE_LIMIT + QUIET_TIME, || {
        let Some((master, standby)) = snapshots(site)? else {
            return Ok(None);
        };
        if master.active_checks || master != last {
            quiet_since = Instant::now();
        }
        let comparison = Comparison::of(&master, &standby, ILLEGAL_MACRO_OUTPUT_CHARS);
        last = master;
        let settled = comparison.is_agreement() && quiet_since.elapsed() >= QUIET_TIME;
        Ok((settled || Instant::now() >= deadline).then_some((comparison, standby)))
    })
}

fn tell(narrator: &Narrator, comparison: &Comparison, standby: &Snapshot) {
    narrator.say(format_args!("the standby's status file:"));
    for (object, shown) in &standby.objects {
        narrator.add(format_args!("{:<14} {}", object.to_string(), summary(object, shown)));
    }
    for difference in &comparison.differences {
        narrator.say(format_args!("DIFFERENT  {difference}"));
    }
    let word = if comparison.is_agreement() { "AGREED" } else { "NOT AGREED" };
    narrator.say(format_args!("{word}: {comparison}"));
    narrator.add(format_args!(
        "in state, output, performance data and long output (without {ILLEGAL_MACRO_OUTPUT_CHARS}, which the master's core strips \
         before it executes anything)"
    ));
}
