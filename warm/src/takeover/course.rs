//! One take-over, from the commands that nobody waits with to the proof that the core knows what it was given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use failover::{Issued, NotIssued, Obstacle};
use nagios::{CheckResult, ModeCommand, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::knowledge::{self, Before};
use super::plan::Plan;
use super::report::{Ending, Report};
use super::{ENABLED_WITHIN, Shared, lock};
use crate::handing_over::{Giver, Progress, Wish, now};

/// How often the journal is asked to take results again, and how long it is left alone in between.
const MAX_READMISSIONS: usize = 10;
const READMISSION_PAUSE: Duration = Duration::from_secs(1);

/// One take-over, as it goes on.
pub(super) struct Course {
    pub(super) shared: Arc<Shared>,
    pub(super) giver: Arc<Giver>,
    pub(super) called_off: CancellationToken,
    pub(super) progress: watch::Sender<Progress>,
    /// Why commands wait for the core.
    pub(super) obstacle: watch::Sender<Option<String>>,
    /// Whether the first part is written.
    pub(super) is_begun: watch::Sender<bool>,
}

impl Course {
    /// Hands commands to the core, unless it was called off.
    pub(super) fn hand_in(&self, commands: &[ModeCommand]) -> Issued {
        let mut inner = lock(&self.shared.inner);
        if self.called_off.is_cancelled() {
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
            () = self.called_off.cancelled() => return,
        };
        if let Err(error) = written {
            return self.note_enabled(Err(error));
        }
        self.is_begun.send_replace(true);
        let (began, mut report) = (Instant::now(), Report::begun(now().seconds()));
        let enable_by = Timestamp::from_micros(now().micros() + i64::try_from(ENABLED_WITHIN.as_micros()).unwrap_or(0));
        let (plan, results) = self.plan(before, &mut report).await;
        self.shared.means.report.send_replace(Some(report.clone()));
        report.ending =
            if plan.patches.is_empty() { self.enable().await } else { self.give(plan, enable_by, results).await };
        report.took = began.elapsed();
        report.log();
        self.shared.means.report.send_replace(Some(report));
    }

    /// What the core is to be given, and the results that it needs once more.
    async fn plan(&self, before: Before, report: &mut Report) -> (Plan, Vec<CheckResult>) {
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
            let of_book =
                |_: &chronicle::Own, shelf: &book::Shelf, authority| Plan::of_book(shelf.book(), &own, authority);
            let mut plan = shared.means.sides.compare(of_book).unwrap_or_default();
            if stale.is_none() && shared.keeps_leftovers() {
                plan.silence(&own);
            }
            let results = knowledge::results(&place.retention, place.flavour, &plan.owed);
            (plan, results, stale)
        });
        let Ok((plan, results, stale)) = planning.await else { return Default::default() };
        report.note(&plan, stale);
        (plan, results)
    }

    /// There is nothing to give.
    async fn enable(&self) -> Ending {
        let issued = self.hand_in(&[ModeCommand::EnableNotifications, ModeCommand::SaveStateInformation]);
        let written = tokio::select! {
            written = issued => written,
            () = self.called_off.cancelled() => return Ending::CalledOff,
        };
        self.note_enabled(written);
        Ending::NothingToGive
    }

    async fn give(&self, plan: Plan, enable_by: Timestamp, results: Vec<CheckResult>) -> Ending {
        let wish = Wish { patches: plan.patches, enable_by: Some(enable_by), called_off: self.called_off.clone() };
        let mut hand_in = |commands: &'static [ModeCommand]| self.hand_in(commands);
        let progress = self.progress.clone();
        let given = self.giver.give(wish, &mut hand_in, &progress);
        tokio::pin!(given);
        let is_read = async {
            let read = self.progress.subscribe().wait_for(|progress| progress.is_read).await.is_ok();
            debug_assert!(read, "this take-over holds the sender");
        };
        tokio::select! {
            biased;
            outcome = &mut given => return Ending::Given(outcome),
            () = is_read => {}
        }
        let (outcome, ()) = tokio::join!(given, self.readmit(results));
        Ending::Given(outcome)
    }

    /// The core has read what it was given: now it gets these results once more.
    async fn readmit(&self, results: Vec<CheckResult>) {
        let Some(peer) = self.shared.means.sides.peer().filter(|_| !results.is_empty()) else { return };
        for _ in 0..MAX_READMISSIONS {
            let Some(receiver) = self.shared.means.receiver.upgrade() else { return };
            let is_taken = receiver.readmit(results.clone(), peer.as_str()).await;
            drop(receiver);
            if is_taken {
                return;
            }
            tokio::time::sleep(READMISSION_PAUSE).await;
        }
        tracing::error!(results = results.len(), "recoveries that are owed wait for the next results of their objects");
    }

    fn note_enabled(&self, result: Result<(), NotIssued>) {
        let enabled = Some(result.map_err(|error| error.to_string()));
        self.progress.send_modify(|progress| progress.enabled = enabled);
    }
}
