use ModeCommand::{
    EnableNotifications as ON, ReadStateInformation as READ, SaveStateInformation as SAVE, SyncStateInformation as SYNC,
};
use proptest::prelude::*;

use super::*;

const SETTINGS: Settings = Settings {
    flavour: Flavour::Nagios4,
    program_start: Some(Timestamp::from_seconds(1000)),
    save_interval: Some(Duration::from_secs(60)),
    status_interval: Duration::from_secs(10),
    enables: true,
    latest: None,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn actions(handover: &mut Handover) -> Vec<Action> {
    std::iter::from_fn(|| handover.poll_action()).collect()
}

/// One whose file is in place at 1030.
fn placed(settings: Settings) -> Handover {
    let mut handover = Handover::new(settings, at(1030));
    assert_eq!(actions(&mut handover), [Action::Place]);
    handover.handle_placed(true, at(1030));
    handover
}

/// One that has handed over its commands at 1030.
fn issued() -> Handover {
    let mut handover = placed(SETTINGS);
    assert_eq!(actions(&mut handover), [Action::Issue(&[READ, SAVE, ON])]);
    handover.handle_issued(at(1030));
    handover
}

fn ends(mut handover: Handover, outcome: Outcome) {
    assert_eq!(actions(&mut handover), [Action::PutBack, Action::Finish(outcome)]);
    assert_eq!(handover.poll_timeout(), None);
    handover.handle_core_gone();
    handover.withdraw(at(9999));
    assert_eq!(handover.poll_action(), None, "over is over");
}

#[test]
fn what_the_core_saved_and_shows_is_confirmed() {
    let mut handover = issued();
    handover.handle_status(at(1031), true);
    assert_eq!(handover.poll_action(), None, "it may have shown that before");
    handover.handle_saved();
    handover.handle_status(at(1030), true);
    handover.handle_status(at(1031), false);
    assert_eq!(handover.poll_action(), None);
    handover.handle_status(at(1032), true);
    ends(handover, Outcome::Confirmed);

    let mut quick = placed(SETTINGS);
    actions(&mut quick);
    quick.handle_saved();
    quick.handle_issued(at(1030));
    quick.handle_status(at(1031), true);
    ends(quick, Outcome::Confirmed);
}

#[test]
fn notifications_go_on_whatever_happens() {
    let without = |outcome| [Action::Issue(&[ON]), Action::PutBack, Action::Finish(outcome)];
    let mut unplaced = Handover::new(SETTINGS, at(1030));
    actions(&mut unplaced);
    unplaced.handle_placed(false, at(1031));
    assert_eq!(actions(&mut unplaced), without(Outcome::NotPlaced));

    let mut slow = Handover::new(SETTINGS, at(1030));
    actions(&mut slow);
    slow.handle_timeout(at(1040));
    assert_eq!(actions(&mut slow), without(Outcome::NotPlaced));
    slow.handle_placed(true, at(1041));
    assert_eq!(slow.poll_action(), None, "whoever placed it then puts it back");

    let mut late = Handover::new(Settings { latest: Some(at(1062)), ..SETTINGS }, at(1058));
    assert_eq!((late.poll_action(), late.poll_timeout()), (None, Some(at(1062))));
    late.handle_timeout(at(1062));
    assert_eq!(actions(&mut late), without(Outcome::SaveNear));
}

#[test]
fn commands_that_the_core_does_not_take_are_withdrawn_before_the_file_goes() {
    let end = |handover: &mut Handover| {
        handover.handle_issued(at(1041));
        assert_eq!((handover.poll_action(), handover.poll_timeout()), (None, Some(at(1045))));
    };
    let mut handover = placed(SETTINGS);
    actions(&mut handover);
    handover.handle_timeout(at(1040));
    assert_eq!(actions(&mut handover), [Action::Withdraw, Action::Issue(&[ON])]);
    end(&mut handover);
    handover.handle_timeout(at(1045));
    ends(handover, Outcome::NotIssued);

    let mut replaced = placed(SETTINGS);
    actions(&mut replaced);
    replaced.handle_not_issued(at(1040));
    assert_eq!(actions(&mut replaced), [Action::Withdraw, Action::Issue(&[ON])]);
    end(&mut replaced);
    replaced.handle_saved();
    ends(replaced, Outcome::NotIssued);

    let mut silent = placed(Settings { enables: false, ..SETTINGS });
    actions(&mut silent);
    silent.handle_timeout(at(1040));
    assert_eq!(actions(&mut silent), [Action::Withdraw]);
}

#[test]
fn what_is_not_wanted_any_more_is_put_back() {
    let mut waiting = Handover::new(SETTINGS, at(1058));
    waiting.withdraw(at(1059));
    ends(waiting, Outcome::Withdrawn);
    let mut issuing = placed(SETTINGS);
    actions(&mut issuing);
    issuing.withdraw(at(1031));
    assert_eq!(actions(&mut issuing), [Action::Withdraw], "they may be on their way");
    issuing.handle_timeout(at(1036));
    ends(issuing, Outcome::Withdrawn);
    let mut issued = issued();
    issued.withdraw(at(1031));
    assert_eq!(issued.poll_action(), None, "the core has taken it");
}

#[test]
fn what_is_not_confirmed_ends_in_time() {
    let mut untaken = issued();
    assert_eq!(untaken.poll_timeout(), Some(at(1065)));
    untaken.handle_timeout(at(1064));
    assert_eq!(untaken.poll_action(), None);
    untaken.handle_timeout(at(1065));
    ends(untaken, Outcome::NotTaken);
    let mut unshown = issued();
    unshown.handle_saved();
    unshown.handle_timeout(at(1065));
    ends(unshown, Outcome::NotShown);
    let mut gone = issued();
    gone.handle_core_gone();
    ends(gone, Outcome::CoreGone);
}

#[test]
fn no_save_is_near() {
    for (now, begins) in [
        (1000, 1000), // the core has not saved yet
        (1054, 1054),
        (1055, 1065),
        (1060, 1065),
        (1064, 1065),
        (1065, 1065),
        (1119, 1125),
        (900, 900), // a clock that was set back
    ] {
        let mut handover = Handover::new(SETTINGS, at(now));
        let waits = handover.poll_action().is_none();
        assert_eq!(waits, now != begins, "{now}");
        if waits {
            assert_eq!(handover.poll_timeout(), Some(at(begins)), "{now}");
            handover.handle_timeout(at(begins));
            assert_eq!(handover.poll_action(), Some(Action::Place));
        }
    }
    let never = Settings { save_interval: None, ..SETTINGS };
    assert_eq!(Handover::new(never, at(1060)).poll_action(), Some(Action::Place));
}

#[test]
fn a_save_that_was_seen_is_not_waited_for() {
    for now in [1056, 1061] {
        let mut handover = Handover::new(SETTINGS, at(now));
        handover.handle_written(at(1059), at(now + 1));
        assert_eq!(handover.poll_action(), None, "one that somebody asked for before");
        handover.handle_written(at(1060), at(now + 1));
        assert_eq!(handover.poll_action(), Some(Action::Place));
    }
}

#[test]
fn each_core_has_its_commands() {
    let commands = |flavour, enables| actions(&mut placed(Settings { flavour, enables, ..SETTINGS }));
    assert_eq!(commands(Flavour::Naemon, true), [Action::Issue(&[READ, SAVE, ON])]);
    assert_eq!(commands(Flavour::Nagios4, false), [Action::Issue(&[READ, SAVE])]);
    assert_eq!(commands(Flavour::Icinga1, true), [Action::Issue(&[SYNC, SAVE, ON])]);
    assert_eq!(commands(Flavour::Icinga1, false), [Action::Issue(&[SYNC, SAVE])]);
}

proptest! {
    /// Any inputs in any order: notifications are enabled if the core takes commands, and it ends.
    #[test]
    fn every_handover_ends_with_notifications_on(
        inputs in proptest::collection::vec((0..8_u8, 0..20_i64), 0..40), start in 1000..1120_i64, latest in 0..20_i64,
    ) {
        let mut handover = Handover::new(Settings { latest: Some(at(start + latest)), ..SETTINGS }, at(start));
        let (mut now, mut handed_over, mut reads, mut enabled, mut finished) = (start, false, false, false, None);
        let end = [(0, 0), (6, 1000), (6, 1000), (6, 1000), (6, 1000)];
        for (input, seconds) in inputs.into_iter().chain(end) {
            now += seconds;
            match input {
                0 => handover.handle_placed(true, at(now)),
                1 => handover.handle_placed(false, at(now)),
                2 => handover.handle_saved(),
                3 => handover.handle_status(at(now), true),
                4 => handover.handle_written(at(now), at(now)),
                5 if handed_over => {
                    enabled = true;
                    handover.handle_issued(at(now));
                }
                7 if handed_over && reads => {
                    handed_over = enabled;
                    handover.handle_not_issued(at(now));
                }
                _ => handover.handle_timeout(at(now)),
            }
            for action in actions(&mut handover) {
                match action {
                    Action::Issue(commands) => {
                        prop_assert!(commands.contains(&ON));
                        (handed_over, reads) = (true, commands.contains(&READ));
                    }
                    Action::Withdraw => handed_over = enabled,
                    Action::Finish(outcome) => {
                        prop_assert_eq!(finished, None);
                        finished = Some(outcome);
                    }
                    Action::Place | Action::PutBack => {}
                }
            }
        }
        prop_assert!(handed_over, "what enables is with the core, or waits for it");
        prop_assert!(finished.is_some());
    }
}
