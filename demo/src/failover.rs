//! The second act: the master's core is killed, and comes back.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;

use crate::diary::{self, Entry};
use crate::narrator::Narrator;
use crate::site::{Node, Site};
use crate::snapshot::{Snapshot, service_state_word};
use crate::stage::{InVain, Stage};
use crate::verdict::{Part, Verdict};

/// The standby has to be active after this time. At the defaults it takes over 2 s after it is told of a crash.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(15);
/// A problem takes three checks until somebody is told.
const NOTIFICATION_LIMIT: Duration = Duration::from_secs(20);
/// The standby has to be silent after this time.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(25);

/// What the master's core began before the kill ends within this time.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// What the log says when mode commands are in the command file.
const COMMANDED: &str = "the core was commanded";

/// One act, with what it needs.
struct Act<'a, 'b> {
    stage: &'a mut Stage<'b>,
    narrator: &'a Narrator,
    site: &'a Site,
    verdict: &'a mut Verdict,
}

/// Plays it until a part fails on which the rest builds. `core` is the process of the master's core.
pub(crate) fn show(
    stage: &mut Stage<'_>,
    narrator: &Narrator,
    site: &Site,
    core: u32,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let mut act = Act { stage, narrator, site, verdict };
    act.look_whether_it_was_idle()?;
    let killed = act.kill(core)?;
    let taken_over = act.take_over(killed);
    if !act.note(Part::TakeOver, taken_over)? {
        return Ok(());
    }
    let checked = act.first_check(killed);
    act.note(Part::FirstCheck, checked)?;
    let notified = act.first_notification(killed);
    act.note(Part::FirstNotification, notified)?;

    let restarted = act.restart()?;
    let handed_back = act.hand_back(restarted);
    if !act.note(Part::HandBack, handed_back)? {
        return Ok(());
    }
    let notifies = act.master_notifies(restarted);
    act.note(Part::MasterNotifies, notifies)?;
    let alone = one_at_a_time(&diary::read(&site.master.notified())?, &diary::read(&site.standby.notified())?, killed);
    act.verdict.note(Part::OneAtATime, alone);
    Ok(())
}

impl Act<'_, '_> {
    /// Whether the part succeeded. It has failed when what it waits for does not happen; everything else is an error.
    fn note(&mut self, part: Part, ended: anyhow::Result<String>) -> anyhow::Result<bool> {
        let ended = match ended {
            Ok(shown) => Ok(shown),
            Err(error) => match error.downcast_ref::<InVain>() {
                Some(in_vain) => {
                    self.narrator.say(format_args!("FAILED: {in_vain}"));
                    Err(in_vain.summary())
                }
                None => return Err(error),
            },
        };
        Ok(self.verdict.note(part, ended))
    }

    fn look_whether_it_was_idle(&mut self) -> anyhow::Result<()> {
        let standby = &self.site.standby;
        let (checked, notified) = (diary::read(&standby.checked())?, diary::read(&standby.notified())?);
        let by_master = diary::read(&self.site.master.notified())?.len();
        let ended = if checked.is_empty() && notified.is_empty() {
            Ok(format!("the standby checked and notified nothing; the master sent {by_master} notifications"))
        } else {
            Err(format!("the standby ran {} checks and sent {} notifications", checked.len(), notified.len()))
        };
        self.verdict.note(Part::Idle, ended);
        Ok(())
    }

    fn kill(&mut self, core: u32) -> anyhow::Result<SystemTime> {
        let killed = SystemTime::now();
        self.stage.kill(core)?;
        self.narrator.say(format_args!("the master's core, process {core}, is killed (kill -9)"));
        Ok(killed)
    }

    fn take_over(&mut self, killed: SystemTime) -> anyhow::Result<String> {
        let why = self.decision(self.site, "to=Active", "the standby takes over")?;
        self.tell_after(killed, &format!("standby  takes over: {why}"));
        self.commands("ENABLE_NOTIFICATIONS", TAKE_OVER_LIMIT)?;
        let written = self.tell_after(killed, "standby  the commands are in its core's command file");
        self.switched(&self.site.standby, true, TAKE_OVER_LIMIT)?;
        let confirmed = self.tell_after(killed, "standby  its status file confirms: checks and notifications are on");
        Ok(format!("commands written {written:.1} s after the kill, confirmed after {confirmed:.1} s"))
    }

    fn first_check(&mut self, killed: SystemTime) -> anyhow::Result<String> {
        let what = "the standby's core runs an active check";
        let entry = self.first_entry(&self.site.standby.checked(), killed, what)?;
        let after = seconds(killed, entry.at);
        self.narrator.say(format_args!("standby  its first active check, {after:.1} s after the kill: {}", entry.what));
        Ok(format!("{after:.1} s after the kill"))
    }

    fn first_notification(&mut self, killed: SystemTime) -> anyhow::Result<String> {
        let entry = self.first_entry(&self.site.standby.notified(), killed, "the standby's core notifies")?;
        let (after, what) = (seconds(killed, entry.at), in_words(&entry));
        self.narrator.say(format_args!("standby  its first notification, {after:.1} s after the kill: {what}"));
        Ok(format!("{after:.1} s after the kill"))
    }

    fn restart(&mut self) -> anyhow::Result<SystemTime> {
        let restarted = SystemTime::now();
        let id = self.stage.start_master_core()?;
        let (master, began) = (&self.site.master, unix_seconds(restarted));
        self.stage.wait("the master's core writes its status file", HAND_BACK_LIMIT, || {
            let shown = Snapshot::read(&master.status_file())?;
            Ok(shown.filter(|shown| shown.program_start.is_some_and(|start| start >= began)).map(drop))
        })?;
        self.narrator.say(format_args!(
            "the master's core is started again, process {id}; it checks, and is silent while the standby is active"
        ));
        Ok(restarted)
    }

    fn hand_back(&mut self, restarted: SystemTime) -> anyhow::Result<String> {
        let why = self.decision(self.site, "to=HandingBack", "the standby hands back")?;
        self.tell_after(restarted, &format!("standby  hands back: {why}"));
        self.commands("DISABLE_NOTIFICATIONS", HAND_BACK_LIMIT)?;
        let written = self.tell_after(restarted, "standby  the commands are in its core's command file");
        self.switched(&self.site.standby, false, HAND_BACK_LIMIT)?;
        let confirmed =
            self.tell_after(restarted, "standby  its status file confirms: checks and notifications are off");
        Ok(format!("commands written {written:.1} s after the start, confirmed after {confirmed:.1} s"))
    }

    fn master_notifies(&mut self, restarted: SystemTime) -> anyhow::Result<String> {
        let master = &self.site.master;
        self.switched(master, true, HAND_BACK_LIMIT)?;
        let on = self.tell_after(restarted, "master   its status file shows: notifications are on");
        let entry = self.first_entry(&master.notified(), restarted, "the master's core notifies")?;
        let (after, what) = (seconds(restarted, entry.at), in_words(&entry));
        self.narrator.say(format_args!("master   its first notification, {after:.1} s after the start: {what}"));
        Ok(format!("notifications on {on:.1} s after the start, the first one after {after:.1} s"))
    }

    /// Why the standby's understudy goes into this state, as soon as it says so.
    fn decision(&mut self, site: &Site, state: &str, what: &str) -> anyhow::Result<String> {
        self.stage.wait(what, TAKE_OVER_LIMIT.max(HAND_BACK_LIMIT), || {
            let log = log(&site.standby)?;
            let line = log.lines().find(|line| line.contains(state));
            Ok(line.map(|line| line.split_once("why=").map_or("", |(_, why)| why).trim_matches('"').to_owned()))
        })
    }

    /// Waits until the standby's understudy says that it has written this command.
    fn commands(&mut self, command: &str, limit: Duration) -> anyhow::Result<()> {
        let standby = &self.site.standby;
        // The newest: it was silenced at its start, too.
        self.stage.wait(&format!("{command} is written"), limit, || {
            let log = log(standby)?;
            let mut newest =
                log.lines().rev().filter(|line| line.contains(COMMANDED) && line.contains("_NOTIFICATIONS"));
            Ok(newest.next().filter(|line| line.contains(command)).map(|_| ()))
        })
    }

    /// Waits until the node's status file shows checks and notifications on, or off.
    fn switched(&mut self, node: &Node, on: bool, limit: Duration) -> anyhow::Result<()> {
        let what = format!("the {}'s status file shows it {}", node.name, if on { "active" } else { "standing by" });
        self.stage.wait(&what, limit, || {
            let shown = Snapshot::read(&node.status_file())?;
            Ok(shown.filter(|shown| shown.notifications == on && shown.active_checks == on).map(drop))
        })
    }

    /// The first entry after `begin`.
    fn first_entry(&mut self, diary: &Path, begin: SystemTime, what: &str) -> anyhow::Result<Entry> {
        self.stage
            .wait(what, NOTIFICATION_LIMIT, || Ok(diary::read(diary)?.into_iter().find(|entry| entry.at >= begin)))
    }

    /// Says what is so now, and how long that is after `begin`, which is returned in seconds.
    fn tell_after(&self, begin: SystemTime, what: &str) -> f64 {
        let after = seconds(begin, SystemTime::now());
        self.narrator.say(format_args!("{what} (after {after:.1} s)"));
        after
    }
}

/// Whether the standby notified only after the kill, and the master not again before the standby was done.
fn one_at_a_time(master: &[Entry], standby: &[Entry], killed: SystemTime) -> Result<String, String> {
    if let Some(early) = standby.iter().find(|entry| entry.at < killed) {
        return Err(format!("the standby notified while the master was active: {}", in_words(early)));
    }
    let last = standby.last().map_or(killed, |entry| entry.at);
    let dead = killed + UNDER_WAY;
    match master.iter().find(|entry| entry.at >= dead && entry.at <= last) {
        Some(beside) => Err(format!("the master notified while the standby was active: {}", in_words(beside))),
        None => Ok(format!("{} notifications by the master, {} by the standby", master.len(), standby.len())),
    }
}

/// `PROBLEM web1 disk 2` for people.
fn in_words(entry: &Entry) -> String {
    match entry.what.rsplit_once(' ').and_then(|(what, state)| Some((what, state.parse().ok()?))) {
        Some((what, state)) => format!("{what} {}", service_state_word(state)),
        None => entry.what.clone(),
    }
}

fn log(node: &Node) -> anyhow::Result<String> {
    let bytes = std::fs::read(node.log()).with_context(|| format!("cannot read {}", node.log().display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unix_seconds(time: SystemTime) -> i64 {
    nagios::Timestamp::from(time).seconds()
}

fn seconds(begin: SystemTime, end: SystemTime) -> f64 {
    end.duration_since(begin).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(seconds: &[u64]) -> Vec<Entry> {
        let entry = |seconds: &u64| Entry {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds),
            what: "PROBLEM web1 disk 2".into(),
        };
        seconds.iter().map(entry).collect()
    }

    #[test]
    fn notifications_beside_another_show() {
        let killed = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let judge = |master: &[u64], standby: &[u64]| one_at_a_time(&entries(master), &entries(standby), killed);
        assert!(judge(&[90, 100, 130], &[105, 120]).is_ok());
        assert!(judge(&[], &[]).is_ok());
        let both = judge(&[90, 110], &[105, 120]).unwrap_err();
        assert!(both.contains("the master") && both.contains("web1 disk CRITICAL"), "{both}");
        assert!(judge(&[90], &[95, 120]).unwrap_err().contains("the standby"));
    }
}
