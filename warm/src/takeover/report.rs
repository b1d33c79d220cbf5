//! How a take-over of memory went: for the log and for the status.

use std::time::Duration;

use book::handover::Outcome;
use nsca::sealed::NodeName;

use super::plan::Plan;
use crate::needs::Lack;

/// What became of the last take-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When it began, in Unix seconds.
    pub began: i64,
    /// How long it took until it was known how it ended.
    pub took: Duration,
    /// Whose memory the core was to take over.
    pub peer: Option<NodeName>,
    /// Of how many objects it was given something.
    pub given: usize,
    /// How many recoveries were owed.
    pub owed: usize,
    /// How many objects lacked a result of the other node, so that nothing could be given of them.
    pub behind: usize,
    /// How many leftovers of earlier problems were silenced.
    pub silenced: usize,
    /// Why the plan was made of the status file, if it was: it may be some seconds old.
    pub stale: Option<String>,
    /// How it ended.
    pub ending: Ending,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has not yet.
    UnderWay,
    /// The core notifies with what it remembers itself: why.
    NotNeeded(String),
    /// It cannot be given anything.
    Impossible(Lack),
    /// The core knew all that the other one did.
    NothingToGive,
    /// The core was given it.
    Given(Outcome),
    /// The failover wanted something else.
    CalledOff,
}

impl Report {
    pub(super) fn begun(began: i64) -> Self {
        Self {
            began,
            took: Duration::ZERO,
            peer: None,
            given: 0,
            owed: 0,
            behind: 0,
            silenced: 0,
            stale: None,
            ending: Ending::UnderWay,
        }
    }

    /// The commands went on as they were.
    pub(super) fn passed_on(ending: Ending) -> Self {
        let report = Self { ending, ..Self::begun(crate::handing_over::now().seconds()) };
        report.log();
        report
    }

    pub(super) fn note(&mut self, plan: &Plan, stale: Option<String>) {
        (self.given, self.owed) = (plan.patches.len(), plan.owed.len());
        (self.behind, self.silenced, self.stale) = (plan.behind, plan.silenced, stale);
    }

    /// Why the core may tell again what the other node has told, and no recoveries from it.
    pub fn trouble(&self) -> Option<String> {
        match &self.ending {
            Ending::UnderWay | Ending::NotNeeded(_) | Ending::NothingToGive | Ending::CalledOff => None,
            Ending::Given(Outcome::Confirmed | Outcome::Withdrawn) => None,
            Ending::Given(outcome) => Some(outcome.to_string()),
            Ending::Impossible(lack) => Some(lack.to_string()),
        }
    }

    pub(super) fn log(&self) {
        let Report { given, owed, behind, silenced, took, .. } = self;
        if let Some(reason) = &self.stale {
            tracing::warn!(reason, "what the core knew was taken from its status file, which may be some seconds old");
        }
        if let Some(reason) = self.trouble() {
            return tracing::error!(
                reason,
                given,
                owed,
                behind,
                ?took,
                "this core may notify again of what the other node has told, and not of recoveries from it"
            );
        }
        match &self.ending {
            Ending::Given(_) => {
                tracing::info!(given, owed, behind, silenced, ?took, "this core knows what the other node has told");
            }
            Ending::NothingToGive => tracing::info!(behind, ?took, "this core knew what the other node has told"),
            Ending::NotNeeded(reason) => {
                tracing::info!(reason, "this core notifies with what it remembers itself");
            }
            Ending::UnderWay | Ending::Impossible(_) | Ending::CalledOff => {}
        }
    }
}
