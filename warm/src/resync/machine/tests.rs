use super::*;
use nagios::{HostName, Timestamp};

const INTERVAL: Duration = Duration::from_secs(2);

/// A machine, what it sees, and its time.
struct Play {
    resync: Resync,
    sight: Sight,
    beginning: Instant,
    seconds: u64,
}

impl Play {
    fn new() -> Self {
        let sight = Sight { obstacle: None, is_settled: true, created: 0, injected: i64::MAX };
        Play { resync: Resync::new(INTERVAL), sight, beginning: Instant::now(), seconds: 0 }
    }

    fn now(&self) -> Now {
        let wall = Timestamp::from_seconds(1000 + i64::try_from(self.seconds).unwrap());
        Now { instant: self.beginning + Duration::from_secs(self.seconds), wall }
    }

    fn request(&mut self, cause: Cause) -> &mut Self {
        self.resync.request(cause, self.now());
        self
    }

    fn look(&mut self) -> Vec<Action> {
        self.resync.handle_sight(&self.sight, self.now());
        std::iter::from_fn(|| self.resync.poll_action()).collect()
    }

    /// Time passes, without a new status file.
    fn pass(&mut self, duration: Duration) -> Vec<Action> {
        self.seconds += duration.as_secs();
        self.look()
    }

    /// The core writes its status file.
    fn picture(&mut self) -> Vec<Action> {
        self.look();
        self.seconds += 2;
        self.sight.created = self.now().wall.seconds();
        self.look()
    }

    fn compared(&mut self, behind: &[(&str, i64, i64)]) -> Vec<Action> {
        let behind =
            behind.iter().map(|(name, shown, known)| Behind { object: host(name), shown: *shown, known: *known });
        self.resync.handle_compared(behind.collect(), self.now());
        self.look()
    }

    fn answered(&mut self, shown: u64) -> Vec<Action> {
        self.resync.handle_asked(true, self.now());
        self.resync.handle_answered(shown);
        self.look()
    }

    fn handed_over(&mut self, given: Result<usize, String>) -> Report {
        self.resync.handle_handed_over(given, self.now());
        report(self.look())
    }
}

fn host(name: &str) -> Object {
    Object::Host(HostName::try_from(name).unwrap())
}

#[track_caller]
fn report(mut actions: Vec<Action>) -> Report {
    match (actions.pop(), actions.is_empty()) {
        (Some(Action::Finish(report)), true) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn results_come_first_then_the_memory() {
    let mut play = Play::new();
    assert_eq!(play.request(Cause::Contact).look(), [], "the core's status file is older");
    assert_eq!(play.picture(), [Action::Compare]);
    assert_eq!(play.compared(&[("a", 0, 50), ("b", 40, 60)]), [Action::Ask(vec![host("a"), host("b")])]);
    assert_eq!(play.picture(), [], "no answer yet");
    assert_eq!(play.answered(2), []);
    assert_eq!(play.picture(), [Action::Compare]);
    assert_eq!(play.compared(&[]), [Action::HandOver]);
    let report = play.handed_over(Ok(7));
    assert_eq!((report.ending, report.behind, report.still_behind), (Ending::Done, 2, 0));
    assert_eq!((report.shown, report.given, report.cause), (2, 7, Cause::Contact));
    assert_eq!((report.began, report.took), (1000, Duration::from_secs(6)));
    assert!(!play.resync.is_busy() && play.resync.poll_timeout().is_none());
}

#[test]
fn it_waits_until_the_peer_has_delivered() {
    let mut play = Play::new();
    play.sight.is_settled = false;
    assert_eq!(play.request(Cause::Contact).picture(), []);
    play.sight.is_settled = true;
    assert_eq!(play.look(), [], "what was delivered may be missing in this status file");
    assert_eq!(play.picture(), [Action::Compare]);
}

#[test]
fn a_status_file_that_is_newer_than_the_last_result_is_not_waited_for() {
    let mut play = Play::new();
    (play.sight.created, play.sight.injected) = (990, 989);
    assert_eq!(play.request(Cause::Contact).look(), [Action::Compare]);
    play.compared(&[("a", 0, 50)]);
    play.sight.injected = 1000;
    assert_eq!(play.answered(1), [], "what was injected is not in it");
    play.sight.created = 1001;
    assert_eq!(play.look(), [Action::Compare]);
}

#[test]
fn what_is_checked_meanwhile_makes_no_further_round() {
    let mut play = Play::new();
    play.request(Cause::Contact).picture();
    play.compared(&[("a", 0, 50), ("b", 0, 50)]);
    play.answered(2);
    play.picture();
    let again = play.compared(&[("a", 50, 90), ("b", 0, 91), ("c", 10, 92)]);
    assert_eq!(again, [Action::Ask(vec![host("b")])], "a has what was asked for, c was not behind");
}

#[test]
fn a_result_that_never_comes_does_not_keep_the_memory_back() {
    let mut play = Play::new();
    play.request(Cause::Contact);
    for _ in 0..MAX_ROUNDS {
        play.picture();
        assert_eq!(play.compared(&[("a", 0, 50)]), [Action::Ask(vec![host("a")])]);
        play.answered(0);
    }
    play.picture();
    assert_eq!(play.compared(&[("a", 0, 50)]), [Action::HandOver]);
    let report = play.handed_over(Err("full".to_owned()));
    assert_eq!((report.ending, report.still_behind), (Ending::NotTaken("full".to_owned()), 1));
}

#[test]
fn every_step_has_its_time() {
    let mut play = Play::new();
    play.sight.is_settled = false;
    play.request(Cause::Contact);
    assert_eq!(play.pass(SETTLE_WITHIN), [], "what is there is compared all the same");
    let given_up = report(play.pass(PICTURE_WITHIN));
    assert_eq!(given_up.ending, Ending::GaveUp("the core has written no status file"));

    let mut play = Play::new();
    play.sight.obstacle = Some(Obstacle::NoBook);
    assert_eq!(play.request(Cause::Order).look(), []);
    assert!(matches!(report(play.pass(SETTLE_WITHIN)).ending, Ending::GaveUp(_)));

    let mut play = Play::new();
    play.request(Cause::Contact).picture();
    play.compared(&[("a", 0, 50)]);
    assert_eq!(play.pass(ANSWER_WITHIN), [], "no answer: it is looked at again");
    assert_eq!(play.picture(), [Action::Compare]);
    assert_eq!(play.compared(&[]), [Action::HandOver]);
    assert!(matches!(report(play.pass(HAND_OVER_WITHIN)).ending, Ending::GaveUp(_)));
}

#[test]
fn a_peer_that_cannot_be_asked_is_waited_for() {
    let mut play = Play::new();
    play.request(Cause::Contact).picture();
    play.compared(&[("a", 0, 50)]);
    play.sight.is_settled = false;
    play.resync.handle_asked(false, play.now());
    assert_eq!(play.picture(), []);
    play.sight.is_settled = true;
    assert_eq!(play.picture(), [Action::Compare]);
}

#[test]
fn a_core_that_notifies_or_whose_memory_counts_is_left_alone() {
    for obstacle in [Obstacle::Notifies, Obstacle::OwnCounts, Obstacle::NoPeer] {
        let mut play = Play::new();
        play.sight.obstacle = Some(obstacle);
        assert_eq!(report(play.request(Cause::Order).look()).ending, Ending::NotNeeded(obstacle));
        let mut play = Play::new();
        play.request(Cause::Contact).picture();
        play.compared(&[("a", 0, 50)]);
        play.sight.obstacle = Some(obstacle);
        assert_eq!(report(play.look()).ending, Ending::NotNeeded(obstacle), "in the middle of it");
    }
}

#[test]
fn a_core_that_was_started_waits_for_news_of_who_notified_meanwhile() {
    let mut play = Play::new();
    play.sight = Sight { obstacle: Some(Obstacle::OwnCounts), is_settled: false, ..play.sight };
    assert_eq!(play.request(Cause::Start).look(), []);
    play.sight = Sight { obstacle: None, is_settled: true, ..play.sight };
    assert_eq!(play.picture(), [Action::Compare], "the peer connected, and has notified");

    let mut play = Play::new();
    play.sight = Sight { obstacle: Some(Obstacle::OwnCounts), is_settled: false, ..play.sight };
    play.request(Cause::Start);
    assert_eq!(report(play.pass(CONTACT_WITHIN)).ending, Ending::NotNeeded(Obstacle::OwnCounts));

    let mut play = Play::new();
    play.sight.obstacle = Some(Obstacle::OwnCounts);
    assert_eq!(report(play.request(Cause::Start).look()).ending, Ending::NotNeeded(Obstacle::OwnCounts), "it is there");
}

#[test]
fn requests_are_one_until_something_was_compared() {
    let mut play = Play::new();
    play.request(Cause::Contact).request(Cause::Start).picture();
    play.request(Cause::Contact);
    play.compared(&[]);
    assert_eq!(play.handed_over(Ok(0)).cause, Cause::Start);
    assert!(!play.resync.is_busy(), "nothing was compared when it was asked for");

    play.request(Cause::Start).picture();
    play.compared(&[("a", 0, 50)]);
    play.request(Cause::Contact).request(Cause::Contact).answered(1);
    play.picture();
    play.compared(&[]);
    assert_eq!(play.handed_over(Ok(0)).cause, Cause::Start);
    assert!(play.resync.is_busy());
    assert_eq!(play.picture(), [], "it rests");
    play.pass(REST);
    assert_eq!(play.picture(), [Action::Compare]);
}

#[test]
fn a_core_that_is_started_does_not_wait_for_the_rest() {
    let mut play = Play::new();
    play.request(Cause::Contact).picture();
    play.compared(&[]);
    play.handed_over(Ok(0));
    play.request(Cause::Contact);
    assert_eq!(play.picture(), []);
    assert_eq!(play.request(Cause::Start).picture(), [Action::Compare]);
}

#[test]
fn when_the_core_is_gone_it_is_over() {
    let mut play = Play::new();
    play.request(Cause::Contact).picture();
    play.resync.handle_core_gone(play.now());
    assert_eq!(report(play.look()).ending, Ending::NotNeeded(Obstacle::NoCore));
    assert_eq!(play.compared(&[]), [], "over is over");
    assert!(!play.resync.is_busy());
}
