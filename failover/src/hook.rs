//! The operator's programs, run after a transition.
//!
//! ```text
//! UNDERSTUDY_EVENT   takeover | hand-back
//! UNDERSTUDY_NODE    this node's name
//! UNDERSTUDY_ROLE    standby | master
//! UNDERSTUDY_FROM    the state before, as in the history
//! UNDERSTUDY_TO      the state after
//! UNDERSTUDY_WHY     what decided it
//! UNDERSTUDY_AT      when, in Unix seconds
//! UNDERSTUDY_HELD    the reason of the operator's hold; not set without one
//! ```
//!
//! **Invariant:** nobody waits for a hook. One that runs too long is killed with its group.

use std::time::Duration;

use crate::machine::{Hold, Hook, State, Transition};
use crate::process::{self, How};

/// What a hook is told.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) node: String,
    pub(crate) role: config::Role,
    pub(crate) hook: Hook,
    pub(crate) transition: Transition,
    pub(crate) hold: Option<Hold>,
}

/// Runs `words` to its end, and logs how it went.
pub(crate) async fn run(words: Vec<String>, facts: Facts, limit: Duration) {
    let Some(mut command) = process::from_words(&words) else { return };
    command.envs(facts.environment());
    let ended = process::run(command, limit).await;
    let (program, output) = (words[0].as_str(), ended.output.as_str());
    match ended.how {
        How::Exited(0) => tracing::info!(program, output, "the hook has run"),
        How::Exited(code) => tracing::warn!(program, code, output, "the hook failed"),
        How::Signalled(signal) => tracing::warn!(program, signal, output, "the hook was killed"),
        How::TimedOut => tracing::warn!(program, after = ?limit, output, "the hook was killed: see hook_timeout"),
        How::NotStarted(error) => tracing::warn!(program, error, "the hook cannot be run: is it an executable file?"),
    }
}

impl Facts {
    fn environment(&self) -> Vec<(&'static str, String)> {
        let event = match self.hook {
            Hook::TakeOver => "takeover",
            Hook::HandBack => "hand-back",
        };
        let role = match self.role {
            config::Role::Standby => "standby",
            config::Role::Master => "master",
        };
        let mut environment = vec![
            ("UNDERSTUDY_EVENT", event.to_owned()),
            ("UNDERSTUDY_NODE", self.node.clone()),
            ("UNDERSTUDY_ROLE", role.to_owned()),
            ("UNDERSTUDY_FROM", word(self.transition.from).to_owned()),
            ("UNDERSTUDY_TO", word(self.transition.to).to_owned()),
            ("UNDERSTUDY_WHY", clean(&self.transition.why)),
            ("UNDERSTUDY_AT", self.transition.at.to_string()),
        ];
        if let Some(hold) = &self.hold {
            environment.push(("UNDERSTUDY_HELD", clean(&hold.reason)));
        }
        environment
    }
}

/// As in the history.
fn word(state: State) -> &'static str {
    match state {
        State::Standby => "standby",
        State::Suspect => "suspect",
        State::Active => "active",
        State::HandingBack => "handing-back",
    }
}

/// An environment takes no NUL, and a script is better off without line ends.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_facts_are_in_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("told");
        let transition = Transition { from: State::Suspect, to: State::Active, why: "the\nprobes\0fail".into(), at: 7 };
        let hold = Some(Hold { reason: "works".into(), since: 7 });
        let facts =
            Facts { node: "standby".into(), role: config::Role::Standby, hook: Hook::TakeOver, transition, hold };
        let line = format!(
            "echo $UNDERSTUDY_EVENT $UNDERSTUDY_NODE $UNDERSTUDY_ROLE $UNDERSTUDY_FROM $UNDERSTUDY_TO \
             $UNDERSTUDY_WHY $UNDERSTUDY_AT $UNDERSTUDY_HELD > {}",
            path.display()
        );
        run(vec!["/bin/sh".into(), "-c".into(), line], facts, Duration::from_secs(20)).await;
        let told = std::fs::read_to_string(path).unwrap();
        assert_eq!(told, "takeover standby standby suspect active the probes fail 7 works\n");
    }
}
