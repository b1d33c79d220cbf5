//! The standby takes over with what the master's core remembers of its notifications.
//!
//! One service is watched that notifies once of each problem, at its second attempt.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nagios::retention::MARK;

use crate::cast::Cast;
use crate::support::wait::{SOON, until};

pub const SERVICE: &str = "host-00;service-1";

/// From the death of the master's core to the standby's notifications: 2 s until it counts as dead, 10 s for the memory.
const NOTIFIES_WITHIN: Duration = Duration::from_secs(12);

#[test]
fn no_problem_is_notified_twice_and_its_recovery_is_once() {
    let mut cast = after_a_problem();
    kill_master(&mut cast);
    let standby = &mut cast.standby.actor;
    standby.result(SERVICE, 2);
    standby.result(SERVICE, 0);
    until("the recovery", || standby.notified(SERVICE).contains(&"OK".to_owned()).then_some(()));
    assert_eq!(standby.notified(SERVICE), ["OK"], "{}", cast.standby.said());
    let retention = cast.standby.actor.core.retention_file();
    let full = fs::read_to_string(&retention).unwrap();
    assert!(full.contains("\nprogram {\n") && full.contains("service_description=service-9\n"), "it is the core's own");
    until("nothing of ours to be left", || beside(&retention).is_empty().then_some(()));
    until("the confirmation", || {
        cast.standby.said().contains("this core knows what the other node has told").then_some(())
    });
}

/// Without the memory, the first test sees another notification.
#[test]
fn a_retention_file_that_cannot_be_replaced_keeps_nobody_from_being_notified() {
    let mut cast = after_a_problem();
    let retention = cast.standby.actor.core.retention_file();
    // Where the new file is written first. Rights would not keep root from anything.
    let in_the_way = PathBuf::from(format!("{}.understudy-new", retention.display()));
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    kill_master(&mut cast);
    let standby = &mut cast.standby.actor;
    standby.result(SERVICE, 2);
    // Without the memory, nobody knows of the first one.
    until("the second notification", || (standby.notified(SERVICE) == ["CRITICAL"]).then_some(()));
    let said = cast.standby.said();
    assert!(said.contains("cannot replace the core's retention file"), "{said}");
    assert!(said.contains("may notify again"), "{said}");
    // As soon as the core shows that it notifies.
    let told = |status: &String| status.contains("problems may be notified twice");
    let status = until("the status to say why", || Some(cast.standby.status()).filter(told));
    assert!(status.contains("could not be replaced"), "{status}");
}

#[test]
fn a_daemon_that_is_killed_meanwhile_leaves_the_core_its_own_file() {
    let mut cast = after_a_problem();
    let standby = &mut cast.standby.actor;
    let retention = standby.core.retention_file();
    standby.write("[1] SAVE_STATE_INFORMATION\n");
    let own = until("the core's own file", || fs::read(&retention).ok().filter(|own| own.ends_with(b"}\n")));
    fs::set_permissions(&retention, Permissions::from_mode(0o640)).unwrap();
    if nix::unistd::geteuid().is_root() {
        chown(&retention, Some(1), Some(1)).unwrap();
    }
    let rights = rights(&retention);
    // A core that hangs reads nothing, so that the partial file stays in its place.
    standby.core.pause();
    cast.master.actor.kill();
    until("the partial file", || fs::read(&retention).unwrap().starts_with(MARK).then_some(()));
    assert_eq!(self::rights(&retention), rights);
    cast.standby.kill_daemon();
    assert!(fs::read(&retention).unwrap().starts_with(MARK), "nobody has put it back");
    cast.standby.start_daemon();
    assert!(fs::read(&retention).unwrap() == own, "the core's own file is back");
    assert_eq!(self::rights(&retention), rights);
    assert!(beside(&retention).is_empty(), "{:?}", beside(&retention));
    cast.standby.actor.core.resume();
}

/// The master has notified of a problem, and the standby knows both.
pub fn after_a_problem() -> Cast {
    let mut cast = Cast::enter();
    cast.wait_until_up_to_date();
    cast.master.actor.result(SERVICE, 2);
    cast.master.actor.result(SERVICE, 2);
    until("the notification", || (cast.master.actor.notified(SERVICE) == ["CRITICAL"]).then_some(()));
    cast.both_show_all();
    assert_eq!(cast.standby.actor.notified(SERVICE), Vec::<String>::new());
    cast
}

/// The master's core dies, and the standby's notifies in time.
fn kill_master(cast: &mut Cast) {
    let killed = Instant::now();
    cast.master.actor.kill();
    cast.wait_until_notifies("the take-over", SOON, |cast| cast.standby.actor.witness.notifies);
    assert!(killed.elapsed() < NOTIFIES_WITHIN, "after {:?}: {}", killed.elapsed(), cast.standby.said());
}

/// Owner, group and mode.
fn rights(path: &Path) -> (u32, u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

/// What the daemon has left beside the file.
fn beside(path: &Path) -> Vec<String> {
    let files = fs::read_dir(path.parent().unwrap()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("understudy-")).collect()
}
