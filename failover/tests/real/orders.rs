//! The operator's orders, and the core's switches that follow from them.

use failover::machine::{Presence, State};

use crate::process::until;
use crate::site::{Site, lines};

const NOTIFYING: &str = "enable_notifications=1\nexecute_service_checks=1\nexecute_host_checks=1\n";

#[test]
fn taking_over_and_handing_back_switch_the_core_and_tell_the_operator() {
    let hooks = "on_takeover = [\"/bin/sh\", \"-c\", \"echo $UNDERSTUDY_EVENT $UNDERSTUDY_WHY >> $HOOKS\"]\n\
                 on_hand_back = [\"/bin/sh\", \"-c\", \"echo $UNDERSTUDY_EVENT >> $HOOKS\"]\n";
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told");
    let mut site = Site::new("", &hooks.replace("$HOOKS", told.to_str().unwrap()));
    site.core.start();
    site.start();
    site.wait_for("off stage", |status| status.in_force && status.presence == Presence::OffStage);
    assert!(site.ask(async |handle| handle.release().await).is_err(), "there is nothing to release");

    let confirmed = site.ask(async |handle| handle.takeover("works".into()).await).unwrap();
    assert!(confirmed.notes.iter().any(|note| note.contains("held")), "{confirmed:?}");
    site.core.wait_for(true);
    let status = site.wait_for("on stage", |status| status.presence == Presence::OnStage);
    assert_eq!((status.state, status.hold.unwrap().reason.as_str()), (State::Active, "works"));
    let checked = site.path("core/checked");
    let before = lines(&checked);
    until("an active check", || (lines(&checked) > before).then_some(()));
    assert!(site.ask(async |handle| handle.takeover(String::new()).await).is_err(), "it is active already");

    site.core.command("PROCESS_SERVICE_CHECK_RESULT;web1;passive;2;a new problem");
    until("a notification", || site.core.notifications().contains("PROBLEM a new problem").then_some(()));

    site.ask(async |handle| handle.hand_back().await).unwrap();
    site.core.wait_for(false);
    let status = site.wait_for("off stage", |status| status.state == State::Standby);
    assert!(status.hold.is_some() && status.history.len() == 3, "{:?}", status.history);
    let said = until("both hooks", || std::fs::read_to_string(&told).ok().filter(|text| text.lines().count() == 2));
    assert_eq!(said, "takeover ordered to take over: works\nhand-back\n");
    site.ask(async |handle| handle.release().await).unwrap();
}

#[test]
fn a_standby_core_that_starts_with_its_switches_on_is_corrected() {
    let mut site = Site::new(NOTIFYING, "");
    site.core.start();
    site.start();
    site.core.wait_for(false);
    site.wait_for("off stage", |status| status.presence == Presence::OffStage);
    site.core.kill();
    site.core.launch();
    until("the next run", || site.core.shown().filter(|shown| shown.created > shown.program_start));
    site.core.wait_for(false);
}

#[test]
fn a_core_that_restarts_while_active_is_switched_again() {
    let mut site = Site::new("", "");
    site.core.start();
    site.start();
    site.ask(async |handle| handle.takeover(String::new()).await).unwrap();
    site.core.wait_for(true);
    let run = site.core.shown().unwrap().program_start;
    site.core.kill();
    site.wait_for("the core's death", |status| status.core == failover::controller::CoreStatus::Gone);
    site.core.launch();
    until("another run", || site.core.shown().filter(|shown| shown.program_start != run));
    site.core.wait_for(true);
    site.wait_for("on stage", |status| status.presence == Presence::OnStage);
}

#[test]
fn a_core_that_is_dead_at_the_take_over_is_switched_when_it_lives() {
    let mut site = Site::new("", "");
    site.start();
    site.wait_for("a first look", |status| status.core == failover::controller::CoreStatus::Gone);
    let confirmed = site.ask(async |handle| handle.takeover(String::new()).await).unwrap();
    assert!(confirmed.notes[0].contains("does not run: start it"), "{confirmed:?}");
    site.core.launch();
    site.core.wait_for(true);
}

#[test]
fn a_missing_command_file_is_told_and_waited_for() {
    let mut site = Site::new("check_external_commands=0\n", "");
    site.core.start();
    site.start();
    site.ask(async |handle| handle.takeover(String::new()).await).unwrap();
    let status = site.wait_for("an error", |status| status.not_issued.is_some());
    assert!(status.not_issued.unwrap().contains("check_external_commands=1"));
    site.core.stop();
    site.core.configure("");
    site.core.launch();
    site.core.wait_for(true);
    site.wait_for("no error", |status| status.not_issued.is_none());
}

#[test]
fn a_killed_daemon_goes_on_where_it_was() {
    let mut site = Site::new("", "");
    site.core.start();
    site.start();
    site.ask(async |handle| handle.takeover("works".into()).await).unwrap();
    site.kill();
    site.start();
    let status = site.status();
    assert_eq!((status.state, status.hold.unwrap().reason.as_str()), (State::Active, "works"));
    site.core.wait_for(true);
    site.ask(async |handle| handle.hand_back().await).unwrap();
    site.kill();
    site.start();
    site.core.wait_for(false);
    let status = site.wait_for("off stage", |status| status.state == State::Standby);
    assert!(status.hold.is_some());
}
