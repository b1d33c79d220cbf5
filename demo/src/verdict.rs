//! How the demonstration ended, part by part.

use std::collections::BTreeMap;

use crate::narrator::Narrator;

/// What is shown, in this order. All of it has to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Every result of the master is on the standby.
    Relay,
    /// The standby checks and notifies nothing while the master lives.
    Idle,
    /// The master's core is killed, and the standby's core is switched on.
    TakeOver,
    /// The standby's core runs an active check.
    FirstCheck,
    /// The standby's core notifies.
    FirstNotification,
    /// The master's core is back, and the standby's core is switched off.
    HandBack,
    /// The master's core notifies again.
    MasterNotifies,
    /// The two never notified at the same time.
    OneAtATime,
}

/// What became of each part so far.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    parts: BTreeMap<Part, Result<String, String>>,
}

impl Part {
    const ALL: [Part; 8] = [
        Part::Relay,
        Part::Idle,
        Part::TakeOver,
        Part::FirstCheck,
        Part::FirstNotification,
        Part::HandBack,
        Part::MasterNotifies,
        Part::OneAtATime,
    ];

    fn name(self) -> &'static str {
        match self {
            Part::Relay => "relay",
            Part::Idle => "standing by",
            Part::TakeOver => "take-over",
            Part::FirstCheck => "first check",
            Part::FirstNotification => "first notification",
            Part::HandBack => "hand-back",
            Part::MasterNotifies => "master notifies",
            Part::OneAtATime => "one at a time",
        }
    }
}

impl Verdict {
    /// What the part showed, or why it failed. Whether it succeeded.
    pub(crate) fn note(&mut self, part: Part, ended: Result<String, String>) -> bool {
        let succeeded = ended.is_ok();
        self.parts.insert(part, ended);
        succeeded
    }

    /// Whether all of it succeeded.
    pub(crate) fn is_success(&self) -> bool {
        Part::ALL.iter().all(|part| matches!(self.parts.get(part), Some(Ok(_))))
    }

    pub(crate) fn tell(&self, narrator: &Narrator) {
        for part in Part::ALL {
            let (word, text) = match self.parts.get(&part) {
                Some(Ok(shown)) => ("ok", shown.as_str()),
                Some(Err(why)) => ("FAILED", why.as_str()),
                None => ("FAILED", "not reached"),
            };
            narrator.headline(format_args!("{word:<8} {:<19} {text}", part.name()));
        }
        let word = if self.is_success() { "PASSED" } else { "NOT PASSED" };
        let succeeded = self.parts.values().filter(|part| part.is_ok()).count();
        narrator.headline(format_args!("{word}: {succeeded} of {} parts", Part::ALL.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_every_part() {
        let mut verdict = Verdict::default();
        for part in Part::ALL {
            assert!(!verdict.is_success(), "{part:?} is missing");
            assert!(verdict.note(part, Ok("done".into())));
        }
        assert!(verdict.is_success());
        assert!(!verdict.note(Part::HandBack, Err("it did not".into())));
        assert!(!verdict.is_success());
    }
}
