//! A standby beside a master that flaps for hours: the documented bound.

use std::time::Duration;

use config::{HandBack, Problems, Role, Switch, TakeOverWhen, Watches};
use failover::machine::{Input, ProbeSettings, Settings, State};
use nagios::ServiceState;

use crate::core::STATUS_EVERY;
use crate::node::{Node, now};
use crate::random::Random;

/// As ARCHITECTURE.md has it.
const TAKEOVERS_IN_AN_HOUR: usize = 7;
/// In minutes, after the first take-over in an hour, the second, and so on.
const MINIMUM_STAYS: [i64; 6] = [0, 2, 4, 8, 16, 30];

const TICK: u64 = 1000;
const HOUR: u64 = 3_600_000;
const LASTS: u64 = 3 * HOUR;

/// One probe decides at once, so that the master's moods are not smoothed; the daemon is killed now and then.
pub fn schedule(seed: u64) {
    let random = &mut Random::new(seed);
    let probe = ProbeSettings { takes_over_on: Problems::ALL, watches: Watches::Core };
    let settings = Settings {
        role: Role::Standby,
        interval: Duration::from_secs(random.pick(&[1, 5, 10])),
        failures_to_take_over: random.pick(&[1, 2]),
        successes_to_hand_back: random.pick(&[1, 2]),
        take_over_when: TakeOverWhen::All,
        hand_back: HandBack::Automatic,
        fail_open: Duration::from_secs(10),
        switches: vec![Switch::ServiceChecks, Switch::HostChecks, Switch::Notifications],
        probes: vec![probe],
        witnesses: 0,
        heartbeat: None,
        confirmation: Duration::from_millis(STATUS_EVERY * 2 + 2000),
    };
    let every = u64::try_from(settings.interval.as_millis()).unwrap();
    let mood = 5 + random.below(60);
    let mut node = Node::new(settings, false);
    let (mut well, mut results) = (true, 0);
    for at in (0..LASTS).step_by(usize::try_from(TICK).unwrap()) {
        if random.once_in(mood) {
            well = !well;
        }
        if at % every == 0 {
            let state = if well { ServiceState::Ok } else { ServiceState::Critical };
            node.handle(Input::Probe { index: 0, state, started: now(at).instant }, at, random);
            results += 1;
        }
        if random.once_in(2000) {
            node.restart(at, random);
        }
        node.tick(at, random);
    }
    check(&node, results);
}

fn check(node: &Node, results: usize) {
    let hour = i64::try_from(HOUR / 1000).unwrap();
    for (index, first) in node.takeovers.iter().enumerate() {
        let lately = node.takeovers[index..].iter().take_while(|at| **at < first + hour).count();
        assert!(lately <= TAKEOVERS_IN_AN_HOUR, "{lately} take-overs in the hour after {first}: {:?}", node.takeovers);
    }
    for (index, pair) in node.takeovers.windows(2).enumerate() {
        let lately = node.takeovers[..=index].iter().filter(|at| **at >= pair[0] - hour).count();
        let stay = MINIMUM_STAYS[lately.min(MINIMUM_STAYS.len()) - 1] * 60;
        assert!(pair[1] - pair[0] >= stay, "{pair:?} after {lately} take-overs in an hour: {:?}", node.takeovers);
    }
    let onto_stage = node.transitions.iter().filter(|t| t.to == State::Active && t.from != State::Active).count();
    assert_eq!(onto_stage, node.takeovers.len(), "nobody else has taken over");
    let bound = results + 3 * node.takeovers.len();
    assert!(node.transitions.len() <= bound, "{} transitions after {results} results", node.transitions.len());
    assert!(node.takeovers.len() > TAKEOVERS_IN_AN_HOUR, "a master like this is covered again and again");
}
