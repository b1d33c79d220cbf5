//! What speaks for taking over, and what for handing back.

use std::time::{Duration, Instant};

use config::{TakeOverWhen, Watches};
use nagios::ServiceState;
use nsca::sealed::CoreVerdict;
use serde::{Deserialize, Serialize};

use super::pulse::{COLD_AT_MOST, Life, Pulse};
use super::settings::Settings;
use super::state::Now;
use crate::event::Event;

/// Where the master itself is heard, a witness's word counts for so many intervals, and for so long at least: it may be a
/// slow one.
const WITNESS_INTERVALS: u32 = 3;
const WITNESS_COUNTS_FOR: Duration = Duration::from_secs(30);

/// How often plugins run while a decision hangs on them.
pub const HURRIED_INTERVAL: Duration = Duration::from_secs(1);

/// For how long at most: a trouble that lasts is no hurry.
const HURRY: Duration = Duration::from_secs(60);

/// Everything that is known of the master.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    probes: Vec<Streak>,
    witnesses: Vec<Option<Testimony>>,
    pulse: Option<Pulse>,
    events: Events,
    /// When the present trouble began.
    trouble: Option<Instant>,
}

/// The last results of a probe that said something.
#[derive(Clone, Copy, Debug)]
enum Streak {
    None,
    /// So many failures in a row; when the first and the last of them began to run.
    Failures {
        count: u32,
        first: Instant,
        last: Instant,
    },
    Successes(u32),
}

#[derive(Clone, Copy, Debug)]
struct Testimony {
    well: bool,
    /// When the witness began to run.
    started: Instant,
    /// When it told that it is well again after it had failed.
    recovered: Option<Instant>,
}

/// What the core's event handlers told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    host_is_down: bool,
    /// Whether the master's process is well; none before it is told, and none once something failed after it.
    process_is_well: Option<bool>,
    /// When the last one came, in microseconds since the Unix epoch; 0: there was none.
    #[serde(default)]
    told_us: i64,
    /// Not kept: after a restart of the daemon, witnesses must be heard anew.
    #[serde(skip)]
    failed: Option<Instant>,
}

impl Evidence {
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        Evidence {
            probes: vec![Streak::None; settings.probes.len()],
            witnesses: vec![None; settings.witnesses],
            pulse: settings.heartbeat.map(|heartbeat| Pulse::new(heartbeat, now)),
            events: Events::default(),
            trouble: None,
        }
    }

    pub(super) fn handle_probe(&mut self, settings: &Settings, index: usize, state: ServiceState, started: Instant) {
        let (Some(streak), Some(probe)) = (self.probes.get_mut(index), settings.probes.get(index)) else { return };
        let fails = probe.takes_over_on.contains(state);
        *streak = match *streak {
            Streak::Failures { count, first, .. } if fails => {
                Streak::Failures { count: count.saturating_add(1), first, last: started }
            }
            _ if fails => Streak::Failures { count: 1, first: started, last: started },
            Streak::Successes(count) if state == ServiceState::Ok => Streak::Successes(count.saturating_add(1)),
            _ if state == ServiceState::Ok => Streak::Successes(1),
            unchanged => unchanged,
        };
    }

    pub(super) fn handle_witness(&mut self, index: usize, state: ServiceState, started: Instant, now: Instant) {
        if let Some(testimony) = self.witnesses.get_mut(index) {
            let well = state == ServiceState::Ok;
            let recovered = match *testimony {
                Some(Testimony { well: false, .. }) if well => Some(now),
                before => before.and_then(|before| before.recovered),
            };
            *testimony = Some(Testimony { well, started, recovered });
        }
    }

    pub(super) fn handle_heard(&mut self, verdict: CoreVerdict, is_cold: bool, now: Instant) {
        if let Some(pulse) = &mut self.pulse {
            pulse.handle_heard(verdict, is_cold, now);
        }
    }

    pub(super) fn handle_goodbye(&mut self, now: Instant) {
        if let Some(pulse) = &mut self.pulse {
            pulse.handle_goodbye(now);
        }
    }

    pub(super) fn handle_event(&mut self, event: Event, now: Now) {
        self.events.take(event, now);
    }

    /// This node goes on stage: what was proven before that is past.
    pub(super) fn handle_take_over(&mut self) {
        self.events.process_is_well = self.events.process_is_well.filter(|well| !well);
    }

    /// Counts from zero. What event handlers told stays, since they do not repeat it.
    pub(super) fn restart(&mut self, now: Instant) {
        self.probes.fill(Streak::None);
        if let Some(pulse) = &mut self.pulse {
            pulse.restart(now);
        }
    }

    /// Notes since when there has been trouble.
    pub(super) fn update(&mut self, now: Instant) {
        self.trouble = self.is_trouble(now).then(|| self.trouble.unwrap_or(now));
    }

    /// Anything that speaks for taking over.
    pub(super) fn is_trouble(&self, now: Instant) -> bool {
        let heartbeat = self.pulse.as_ref().is_some_and(|pulse| match pulse.life(now) {
            Life::Crashed { .. } | Life::Stopped { .. } | Life::Silent { .. } => true,
            Life::Away { .. } => self.probes.is_empty(),
            Life::Alive(_) | Life::Untold => pulse.is_late(now),
            Life::NotYet => false,
        });
        heartbeat || self.events.fail() || self.probes.iter().any(|streak| matches!(streak, Streak::Failures { .. }))
    }

    pub(super) fn core_crashed(&self, settings: &Settings, now: Instant) -> bool {
        self.pulse.as_ref().is_some_and(|pulse| pulse.has_crashed(now)) && self.heard_witnesses_agree(settings, now)
    }

    pub(super) fn core_stopped(&self, settings: &Settings, now: Instant) -> bool {
        self.pulse.as_ref().is_some_and(|pulse| pulse.has_stopped(now)) && self.heard_witnesses_agree(settings, now)
    }

    pub(super) fn master_is_silent(&self, settings: &Settings, now: Instant) -> bool {
        let Some(Life::Silent { heard }) = self.life(now) else { return false };
        let since = if self.probes.is_empty() {
            self.reconnected(settings).is_none_or(|at| now >= at).then_some(heard)
        } else {
            self.probes_fail(settings)
        };
        since.is_some_and(|since| self.witnesses_agree_since(since.max(heard)))
    }

    pub(super) fn master_left(&self, now: Instant) -> bool {
        let Some(Life::Away { until }) = self.life(now) else { return false };
        self.probes.is_empty() && now >= until && self.witnesses_agree_since(until)
    }

    pub(super) fn probes_alone_fail(&self, settings: &Settings, now: Instant) -> bool {
        let alone = matches!(self.life(now), None | Some(Life::NotYet | Life::Untold | Life::Away { .. }));
        alone && self.probes_fail(settings).is_some_and(|since| self.witnesses_agree_since(since))
    }

    pub(super) fn event_reported(&self, now: Instant) -> bool {
        // After a restart of the daemon the heartbeat comes before an event that was told long ago.
        let contradicted =
            matches!(self.life(now), Some(Life::NotYet | Life::Alive(_) | Life::Crashed { .. } | Life::Stopped { .. }));
        // An event from before a restart of the daemon has no time: the trouble that it is has one.
        let since = self.events.failed.or(self.trouble);
        !contradicted && self.events.fail() && since.is_some_and(|since| self.witnesses_agree_since(since))
    }

    /// Whether the master may have the stage back.
    pub(super) fn master_is_proven(&self, settings: &Settings, now: Instant) -> bool {
        self.unproven(settings, now).is_none() && self.cold(now).is_none()
    }

    /// Whether the master may have the stage back although its core is not up to date.
    pub(super) fn master_is_proven_cold(&self, settings: &Settings, now: Instant) -> bool {
        self.unproven(settings, now).is_none() && self.cold(now).is_some_and(|since| now >= since + COLD_AT_MOST)
    }

    /// Since when the master's core has lived without being up to date, as the master says.
    pub(super) fn cold(&self, now: Instant) -> Option<Instant> {
        self.pulse.as_ref().and_then(|pulse| pulse.cold(now))
    }

    /// What is missing before the master may have the stage back.
    pub(super) fn unproven(&self, settings: &Settings, now: Instant) -> Option<&'static str> {
        let enough = |streak: &Streak| matches!(streak, Streak::Successes(n) if *n >= settings.successes_to_hand_back);
        let life = self.life(now);
        match life {
            Some(Life::Crashed { .. } | Life::Stopped { .. }) => return Some("the master says that its core is dead"),
            Some(Life::NotYet) => return Some("the master's heartbeat has not come yet"),
            Some(Life::Alive(since)) if now < since + settings.settle() => {
                return Some("the master's core has not lived for long enough");
            }
            Some(Life::Silent { .. } | Life::Away { .. }) if self.probes.is_empty() => {
                return Some("the master is silent");
            }
            _ => {}
        }
        if self.events.fail() {
            return Some("an event handler told that the master is down, and none that it is well again");
        }
        if !self.probes.iter().all(enough) {
            return Some("not every probe has succeeded often enough in a row");
        }
        let watches_core = settings.probes.iter().any(|probe| probe.watches == Watches::Core);
        let lives = matches!(life, Some(Life::Alive(_))) || watches_core || self.events.process_is_well == Some(true);
        (!lives).then_some("nothing proves that the master's core lives: a host that is up is not enough")
    }

    /// How often probes run, and how often witnesses.
    pub(super) fn pace(&self, settings: &Settings, now: Instant) -> (Duration, Duration) {
        let hurry = self.trouble.is_some_and(|since| now < since + HURRY);
        let fast = settings.interval.min(HURRIED_INTERVAL);
        let missing = self.pulse.as_ref().is_some_and(|pulse| {
            pulse.is_late(now) && matches!(pulse.life(now), Life::Alive(_) | Life::Untold | Life::Silent { .. })
        });
        let choose = |hurry| if hurry { fast } else { settings.interval };
        (choose(hurry && missing || self.probes_must_confirm(settings, now)), choose(hurry))
    }

    /// Every moment at which something changes by itself.
    pub(super) fn deadlines(&self, settings: &Settings, now: Instant) -> impl Iterator<Item = Instant> {
        let settled = match self.life(now) {
            Some(Life::Alive(since)) => Some(since + settings.settle()),
            _ => None,
        };
        let calm = self.trouble.map(|since| since + HURRY);
        let confirmed = self.recovered().map(|at| at + HURRY);
        self.pulse
            .iter()
            .flat_map(Pulse::deadlines)
            .chain(settled)
            .chain(calm)
            .chain(confirmed)
            .chain(self.reconnected(settings))
    }

    pub(super) fn life(&self, now: Instant) -> Option<Life> {
        self.pulse.as_ref().map(|pulse| pulse.life(now))
    }

    pub(super) fn events(&self) -> Events {
        self.events
    }

    pub(super) fn restore_events(&mut self, events: Events) {
        self.events = events;
    }

    /// Whether enough probes have failed often enough, and since when the last of them has. What cut off a witness that is well
    /// again may be what failed them: each must have failed once more since.
    fn probes_fail(&self, settings: &Settings) -> Option<Instant> {
        let recovered = self.recovered();
        let failed = |streak: &Streak| match streak {
            Streak::Failures { count, first, last } if *count >= settings.failures_to_take_over => {
                recovered.is_none_or(|recovered| *last >= recovered).then_some(*first)
            }
            _ => None,
        };
        let failures = self.probes.iter().filter_map(failed);
        let needed = match settings.take_over_when {
            TakeOverWhen::All => self.probes.len(),
            TakeOverWhen::Any => 1,
        };
        if failures.clone().count() >= needed { failures.max() } else { None }
    }

    /// Whether it is known since a moment ago that the witnesses are well again, and a probe has still to fail once more.
    fn probes_must_confirm(&self, settings: &Settings, now: Instant) -> bool {
        let Some(recovered) = self.recovered().filter(|at| now < *at + HURRY) else { return false };
        self.witnesses.iter().all(|testimony| testimony.is_some_and(|t| t.well))
            && self.probes.iter().any(|streak| match streak {
                Streak::Failures { count, last, .. } => *count >= settings.failures_to_take_over && *last < recovered,
                Streak::Successes(_) | Streak::None => false,
            })
    }

    /// When the last witness was well again that had failed.
    fn recovered(&self) -> Option<Instant> {
        self.witnesses.iter().filter_map(|testimony| testimony.and_then(|t| t.recovered)).max()
    }

    /// When the master should be heard again, if it was this node that was cut off.
    fn reconnected(&self, settings: &Settings) -> Option<Instant> {
        Some(self.recovered()? + settings.heartbeat?.stale_after)
    }

    /// The master is heard, so this node is not cut off from it: what witnesses said lately will do.
    fn heard_witnesses_agree(&self, settings: &Settings, now: Instant) -> bool {
        let lately = (settings.interval * WITNESS_INTERVALS).max(WITNESS_COUNTS_FOR);
        self.witnesses.iter().all(|testimony| testimony.is_some_and(|t| t.well && now <= t.started + lately))
    }

    /// What cut this node off may have silenced the master: only what witnesses said after it counts.
    fn witnesses_agree_since(&self, since: Instant) -> bool {
        self.witnesses.iter().all(|testimony| testimony.is_some_and(|t| t.well && t.started >= since))
    }
}

impl Events {
    /// Adds one.
    pub fn take(&mut self, event: Event, now: Now) {
        match event {
            Event::HostDown => {
                self.host_is_down = true;
                // A core that was told to be gone stays so until it is told to live.
                self.process_is_well = self.process_is_well.filter(|well| !well);
            }
            Event::HostUp => self.host_is_down = false,
            Event::ProcessCritical => self.process_is_well = Some(false),
            // A core that lives has a host that is up.
            Event::ProcessOk => (self.host_is_down, self.process_is_well) = (false, Some(true)),
        }
        match event {
            Event::HostDown | Event::ProcessCritical => self.failed = Some(now.instant),
            Event::ProcessOk => self.failed = None,
            Event::HostUp => {}
        }
        self.told_us = now.wall.micros();
    }

    /// Whether the last word on the master's host or on its core is that it is gone.
    pub fn fail(self) -> bool {
        self.host_is_down || self.process_is_well == Some(false)
    }

    /// The one of the two that was told something later.
    pub fn later(self, other: Events) -> Events {
        if other.told_us > self.told_us { other } else { self }
    }
}
