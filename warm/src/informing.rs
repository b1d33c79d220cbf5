//! Gives a core that does not notify what the peer's book says.
//!
//! What it is given belongs to the newest result of each object. Where an object has got well since, as a status file is some
//! seconds old and a save may be waited for, the core would remember of a problem that is over whom it told, and count the
//! notifications of the next one from there. Such objects are set back to the problem, and get their newest result once
//! more: it ends the problem, and the core forgets the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use book::handover::Outcome;
use book::inherit::set_back;
use failover::{Issued, NotIssued};
use nagios::retention::Patch;
use nagios::{CheckResult, Memory, ModeCommand, Object};
use receiver::Commands;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::handing_over::{Giver, Wish};
use crate::readmission::Readmission;
use crate::takeover::knowledge::{self, Before};

/// Informs the core.
#[derive(Clone)]
pub(crate) struct Informer {
    pub(crate) giver: Arc<Giver>,
    pub(crate) commands: Commands,
    pub(crate) readmission: Readmission,
}

type Patches = BTreeMap<Object, Patch>;

impl Informer {
    /// Gives the core `patches`. An error says why it may not know them.
    ///
    /// # Errors
    /// The core has not taken them, or does not show it.
    pub(crate) async fn inform(&self, patches: Patches) -> Result<(), String> {
        let before = Before::look(self.giver.place().retention.clone());
        let outcome = self.give(patches.clone(), self.forget_what_is_over(patches, before)).await;
        if outcome == Outcome::Confirmed { Ok(()) } else { Err(outcome.to_string()) }
    }

    async fn forget_what_is_over(&self, given: Patches, before: Before) {
        let place = self.giver.place().clone();
        let looking = tokio::task::spawn_blocking(move || {
            let saved = before.wait().inspect_err(|reason| {
                tracing::warn!(reason, "what the core was given of problems that are over since, it remembers");
            });
            let over = over_since(&given, &saved.ok()?);
            let results = knowledge::results(&place.retention, place.flavour, &over.keys().cloned().collect());
            (!over.is_empty()).then_some((over, results))
        });
        let Ok(Some((over, results))) = looking.await else { return };
        let objects = over.len();
        let outcome = self.give(over, self.readmit(results)).await;
        tracing::info!(objects, %outcome, "objects were well before the core had read of their problems, which it forgets");
    }

    async fn readmit(&self, results: Vec<CheckResult>) {
        self.readmission.readmit(results).await;
    }

    async fn give(&self, patches: Patches, afterwards: impl Future<Output = ()>) -> Outcome {
        let wish = Wish { patches, enable_by: None, called_off: CancellationToken::new() };
        let mut hand_in = |lines: &'static [ModeCommand]| -> Issued {
            let ticket = self.commands.issue(lines.to_vec());
            Box::pin(async { ticket.written().await.map_err(|error| NotIssued(error.to_string())) })
        };
        self.giver.give_and_then(wish, &mut hand_in, &watch::Sender::default(), afterwards).await
    }
}

/// The problems of which the core was given something, and which `saved`, what it saved after that, does not show any more.
fn over_since(given: &Patches, saved: &BTreeMap<Object, Memory>) -> Patches {
    let over = given.iter().filter_map(|(object, patch)| {
        let saved = saved.get(object)?;
        let is_over = patch.memory.is_problem() && saved.checked && !saved.is_problem();
        is_over.then(|| (object.clone(), set_back(&patch.memory, saved)))
    });
    over.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nagios::HostName;
    use nagios::retention::Scope;

    #[test]
    fn what_is_over_is_set_back() {
        let [over, lasting, fine, gone] =
            ["over", "lasting", "fine", "gone"].map(|name| Object::Host(HostName::try_from(name).unwrap()));
        let at = |last_check, state| Memory { checked: true, last_check, state, ..Memory::default() };
        let patch = |memory| Patch { memory, scope: Scope::Course };
        let problem = Memory { notifications: 3, ..at(100, 1) };
        let given = BTreeMap::from([
            (over.clone(), patch(problem.clone())),
            (lasting.clone(), patch(problem.clone())),
            (fine.clone(), patch(at(100, 0))),
            (gone, patch(problem.clone())),
        ]);
        let saved = BTreeMap::from([(over.clone(), at(101, 0)), (lasting, at(101, 1)), (fine, at(101, 0))]);
        let expected = Patch { memory: Memory { last_check: 101, ..problem }, scope: Scope::State };
        assert_eq!(over_since(&given, &saved), BTreeMap::from([(over, expected)]));
    }
}
