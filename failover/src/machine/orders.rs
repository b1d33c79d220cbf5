//! What the operator wants.

use config::Role;

use super::table::{Condition, TABLE};
use super::{Confirmed, Hold, LocalCore, Machine, Now, Order, Refused, State};

impl Machine {
    /// Carries out what the operator wants.
    ///
    /// # Errors
    /// Nothing changed, and why.
    pub fn handle_order(&mut self, order: Order, now: Now) -> Result<Confirmed, Refused> {
        self.now = now;
        self.evidence.update(now.instant);
        let confirmed = match order {
            Order::TakeOver { reason } => self.take_over(reason),
            Order::HandBack => self.hand_back_by_order(),
            Order::Hold { reason } => self.hold(reason),
            Order::Release => self.release(),
        }?;
        self.save();
        self.advance(now);
        Ok(confirmed)
    }

    /// The row of an order in this state.
    fn ordered(&mut self, order: Condition, reason: &str) {
        let row = TABLE.iter().find(|row| row.when == order && row.from.contains(&self.state));
        if let Some(row) = row {
            let why =
                if reason.is_empty() { order.reason().to_owned() } else { format!("{}: {reason}", order.reason()) };
            self.transit(row.to, why);
        }
    }

    fn take_over(&mut self, reason: String) -> Result<Confirmed, Refused> {
        if self.state == State::Active && self.hold.is_some() {
            return refuse("this node is active and held already; `release` ends the hold");
        }
        self.ordered(Condition::OrderedToTakeOver, &reason);
        self.hold = Some(Hold { reason: or(reason, "ordered to take over"), since: self.now.wall.seconds() });
        let mut notes = self.notes_on_the_core();
        notes.push("held: this node stays active until `release` or `hand-back`".into());
        Ok(Confirmed { notes })
    }

    fn hand_back_by_order(&mut self) -> Result<Confirmed, Refused> {
        if self.state != State::Active && self.hold.is_some() {
            return refuse("this node is standing by and held already; `release` ends the hold");
        }
        let mut notes = self.notes_on_the_core();
        if self.settings.role == Role::Standby
            && let Some(doubt) = self.evidence.unproven(&self.settings, self.now.instant)
        {
            notes.push(format!("perhaps nobody notifies now: {doubt}"));
        }
        self.ordered(Condition::OrderedToHandBack, "");
        self.hold = Some(Hold { reason: "ordered to hand back".into(), since: self.now.wall.seconds() });
        notes.push("held: this node stands by until `release` or `takeover`".into());
        Ok(Confirmed { notes })
    }

    fn hold(&mut self, reason: String) -> Result<Confirmed, Refused> {
        if let Some(hold) = &self.hold {
            return refuse(format!("this node is held already ({}); `release` it first", hold.reason));
        }
        self.ordered(Condition::OrderedToHold, &reason);
        self.hold = Some(Hold { reason: or(reason, "ordered to hold"), since: self.now.wall.seconds() });
        let stays = if self.state.is_on_stage() { "stays active" } else { "goes on standing by" };
        Ok(Confirmed { notes: vec![format!("this node {stays} until `release`")] })
    }

    fn release(&mut self) -> Result<Confirmed, Refused> {
        if self.hold.take().is_none() {
            return refuse("this node is not held: it decides for itself already");
        }
        self.ordered(Condition::Released, "");
        self.evidence.restart(self.now.instant);
        if self.unclear_since.is_some() {
            self.unclear_since = Some(self.now.instant);
        }
        Ok(Confirmed { notes: vec![format!("this node decides for itself again, beginning as {}", self.state)] })
    }

    fn notes_on_the_core(&self) -> Vec<String> {
        match self.enforcement.core() {
            LocalCore::Gone => {
                vec!["the core on this node does not run: start it, and it is switched at once".to_owned()]
            }
            LocalCore::Unknown | LocalCore::Running(_) => Vec::new(),
        }
    }
}

fn refuse(reason: impl Into<String>) -> Result<Confirmed, Refused> {
    Err(Refused { reason: reason.into() })
}

fn or(reason: String, default: &str) -> String {
    if reason.is_empty() { default.to_owned() } else { reason }
}
