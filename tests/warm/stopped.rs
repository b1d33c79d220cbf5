//! The standby's core is stopped while the master's tells of a problem that it knows, and starts when the master's is dead.

use std::fs::File;
use std::io::BufReader;

use nagios::status::StatusReader;
use nagios::{Memory, Object};

use crate::cast::Actor;
use crate::support::wait::{SOON, until};
use crate::taking_over::{SERVICE, after_a_problem};

#[test]
fn a_core_that_is_stopped_finds_what_the_other_one_has_told_when_it_starts() {
    let mut cast = after_a_problem();
    let standby = &mut cast.standby.actor;
    standby.core.stop();
    // It has saved that it knows the problem, and not that anybody was told.
    until("the memory in its file", || {
        saved(standby).filter(|memory| memory.notified_on.contains(2) && memory.notifications == 1).map(drop)
    });
    cast.master.actor.kill();
    cast.standby.actor.core.start_again();
    cast.wait_until_notifies("the take-over", SOON, |cast| cast.standby.actor.witness.notifies);
    let standby = &mut cast.standby.actor;
    standby.result(SERVICE, 2);
    standby.result(SERVICE, 0);
    until("the recovery", || standby.notified(SERVICE).contains(&"OK".to_owned()).then_some(()));
    assert_eq!(standby.notified(SERVICE), ["OK"], "{}", cast.standby.said());
}

/// What its core has saved of the service, if there is such a file.
fn saved(actor: &Actor) -> Option<Memory> {
    let mut reader = StatusReader::new(BufReader::new(File::open(actor.core.retention_file()).ok()?));
    while let Some(block) = reader.next_block().unwrap() {
        let is_it =
            matches!(block.object(), Ok(Object::Service(host, service)) if format!("{host};{service}") == SERVICE);
        if let Some(memory) = block.memory().filter(|_| is_it) {
            return Some(memory);
        }
    }
    None
}
