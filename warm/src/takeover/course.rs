//! One take-over, from the commands that nobody waits with to the proof that the core knows what it was given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::Authority;
use book::handover::Outcome;
use failover::{Issued, NotIssued, Obstacle};
use nagios::{CheckResult, ModeCommand, Object, Timestamp};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::knowledge::{self, Before};
use super::plan::Plan;
use super::report::{Ending, Report};
use super::{ENABLED_WITHIN, Shared, lock};
use crate::handing_over::{Giver, Progress, Wish, now};

/// How long what people did on the other node may keep this core from notifying.
const REMARKS_WITHIN: Duration = Duration::from_secs(1);

/// One take-over, as it goes on.
pub(super) struct Course {
    pub(super) shared: Arc<Shared>,
    pub(super) giver: Arc<Giver>,
    /// The core is not to notify after all, or the daemon ends.
    pub(super) called_off: CancellationToken,
    /// That, or nobody waited until the core notified.
    pub(super) given_up: CancellationToken,
    pub(super) progress: watch::Sender<Progress>,
    /// Why commands wait for the core.
    pub(super) obstacle: watch::Sender<Option<String>>,
    /// Whether the first part is written.
    pub(super) is_begun: watch::Sender<bool>,
}

impl Course {
    /// Hands commands to the core, unless `called_off` is cancelled.
    pub(super) fn hand_in(&self, commands: &[ModeCommand], called_off: &CancellationToken) -> Issued {
        let mut inner = lock(&self.shared.inner);
        if called_off.is_cancelled() {
            return Box::pin(async { Err(NotIssued("it was called off".to_owned())) });
        }
        let (obstacle, mut told) = Obstacle::new();
        let (mut issued, pass_on) = (inner.issue(commands.to_vec(), obstacle), self.obstacle.clone());
        Box::pin(async move {
            loop {
                tokio::select! {
                    ended = &mut issued => return ended,
                    Ok(()) = told.changed() => drop(pass_on.send_replace(told.borrow_and_update().clone())),
                }
            }
        })
    }

    /// `rest` is what the core is told first, `before` what its retention file was until then.
    pub(super) async fn run(self, rest: Issued, before: Before) {
        let written = tokio::select! {
            written = rest => written,
            () = self.given_up.cancelled() => return,
        };
        if let Err(error) = written {
            return self.note_enabled(Err(error));
        }
        self.is_begun.send_replace(true);
        let (began, mut report) = (Instant::now(), Report::begun(now().seconds()));
        let enable_by = Timestamp::from_micros(now().micros() + i64::try_from(ENABLED_WITHIN.as_micros()).unwrap_or(0));
        let (planned, ()) = tokio::join!(self.plan(before, &mut report), self.take_over_remarks());
        self.shared.means.report.send_replace(Some(report.clone()));
        report.ending = if planned.plan.patches.is_empty() {
            self.enable(planned).await
        } else {
            self.give(planned, enable_by).await
        };
        report.took = began.elapsed();
        report.log();
        self.shared.means.report.send_replace(Some(report));
    }

    /// Has the core told what people did on the other node until it fell silent. What does not come in time comes later.
    async fn take_over_remarks(&self) {
        let told = async {
            let sides = &self.shared.means.sides;
            let mut news = sides.shelves.changes();
            // A master gets the work back from a core that lives, and says when it is silent.
            let is_silent = || sides.compare(|_, shelf, _| shelf.heading().notifies != Some(true)).unwrap_or(true);
            while !sides.settings.is_standby() && !is_silent() {
                news.changed().await.ok()?;
            }
            let (order, answer) = oneshot::channel();
            self.shared.means.remarks.send(order).await.ok()?;
            answer.await.ok()
        };
        if tokio::time::timeout(REMARKS_WITHIN, told).await.is_err() {
            tracing::warn!("this core notifies before it was told all of what people did on the other node");
        }
    }

    /// What the core is to be given, and the results that it needs once more.
    async fn plan(&self, before: Before, report: &mut Report) -> Planned {
        let (shared, place) = (self.shared.clone(), self.giver.place().clone());
        report.peer = shared.means.sides.peer();
        let planning = tokio::task::spawn_blocking(move || {
            let saved = before.wait();
            let (own, stale) = match saved {
                Ok(own) => (own, None),
                Err(why) => {
                    let shown = |own: &chronicle::Own| {
                        let entries = own.book.entries();
                        entries
                            .map(|(object, entry)| (object.clone(), entry.memory.clone()))
                            .collect::<BTreeMap<_, _>>()
                    };
                    (shared.means.sides.chronicle.read(shown), Some(why))
                }
            };
            let of_book = |_: &chronicle::Own, shelf: &book::Shelf, authority| {
                (Plan::of_book(shelf.book(), &own, authority), authority)
            };
            let (mut plan, authority) = shared.means.sides.compare(of_book).unwrap_or_default();
            if stale.is_none() && shared.keeps_leftovers() {
                plan.silence(&own);
            }
            let results = knowledge::results(&place.retention, place.flavour, &plan.owed);
            (Planned { plan, results, authority }, stale)
        });
        let Ok((planned, stale)) = planning.await else { return Planned::default() };
        report.note(&planned.plan, stale);
        planned
    }

    /// There is nothing to give.
    async fn enable(&self, planned: Planned) -> Ending {
        let (since, before) = (now().seconds(), Before::look(self.giver.place().retention.clone()));
        let commands = [ModeCommand::EnableNotifications, ModeCommand::SaveStateInformation];
        let written = tokio::select! {
            written = self.hand_in(&commands, &self.given_up) => written,
            () = self.given_up.cancelled() => return Ending::CalledOff,
        };
        let is_enabled = written.is_ok();
        self.note_enabled(written);
        if is_enabled {
            self.catch_up(planned, before, since).await;
        }
        Ending::NothingToGive
    }

    async fn give(&self, mut planned: Planned, enable_by: Timestamp) -> Ending {
        let (since, before) = (now().seconds(), Before::look(self.giver.place().retention.clone()));
        let patches = planned.plan.patches.clone();
        let wish = Wish { patches, enable_by: Some(enable_by), called_off: self.given_up.clone() };
        let (readmission, results) = (&self.shared.means.readmission, std::mem::take(&mut planned.results));
        let afterwards = async {
            tokio::join!(readmission.readmit(results), self.catch_up(planned, before, since));
        };
        Ending::Given(self.give_and_then(wish, &self.progress, afterwards).await)
    }

    async fn give_and_then(
        &self,
        wish: Wish,
        progress: &watch::Sender<Progress>,
        afterwards: impl Future<Output = ()>,
    ) -> Outcome {
        let called_off = wish.called_off.clone();
        let mut hand_in = |commands: &'static [ModeCommand]| self.hand_in(commands, &called_off);
        self.giver.give_and_then(wish, &mut hand_in, progress, afterwards).await
    }

    /// Gives the core what it lacks because a result came after the plan was made and before it notified, or the peer told of
    /// something in that time. `before` is what its retention file was before it was told to notify, and to save; it has told
    /// nothing before `since`, in Unix seconds.
    async fn catch_up(&self, planned: Planned, before: Before, since: i64) {
        let (shared, place) = (self.shared.clone(), self.giver.place().clone());
        let planning = tokio::task::spawn_blocking(move || {
            let saved = before.wait().inspect_err(|reason| {
                tracing::warn!(reason, "nobody is told of recoveries of the seconds before this core notified");
            });
            let saved = saved.ok()?;
            let missed = |own: &chronicle::Own, shelf: &book::Shelf, _| {
                let mut plan = Plan::of_book(shelf.book(), &saved, planned.authority);
                plan.leave_out(|object, patch| {
                    // The core was asked for the same before, or has told of it itself meanwhile.
                    planned.plan.patches.get(object) == Some(patch) || has_told(own, object, since)
                });
                plan
            };
            let plan = shared.means.sides.compare(missed)?;
            let results = knowledge::results(&place.retention, place.flavour, &plan.owed);
            (!plan.patches.is_empty()).then_some((plan, results))
        });
        let Ok(Some((plan, results))) = planning.await else { return };
        let (given, owed) = (plan.patches.len(), plan.owed.len());
        let wish = Wish { patches: plan.patches, enable_by: None, called_off: self.called_off.clone() };
        let readmitted = self.shared.means.readmission.readmit(results);
        let outcome = self.give_and_then(wish, &watch::Sender::default(), readmitted).await;
        if outcome == Outcome::Confirmed {
            tracing::info!(given, owed, "results came while this core was given what the other node has told");
        } else {
            let what = "recoveries that came while this core was given what the other node has told may not be told";
            tracing::warn!(given, owed, %outcome, what);
        }
    }

    fn note_enabled(&self, result: Result<(), NotIssued>) {
        let enabled = Some(result.map_err(|error| error.to_string()));
        self.progress.send_modify(|progress| progress.enabled = enabled);
    }
}

/// What a core is to be given.
#[derive(Debug, Default)]
struct Planned {
    plan: Plan,
    /// What it needs once more.
    results: Vec<CheckResult>,
    /// Whose memory counted when the core did not notify yet.
    authority: Authority,
}

/// Whether the core has told of the object since then. What it was given may be newer than what it remembers now.
fn has_told(own: &chronicle::Own, object: &Object, since: i64) -> bool {
    own.book.entry(object).is_some_and(|entry| entry.memory.last_notification >= since)
}
