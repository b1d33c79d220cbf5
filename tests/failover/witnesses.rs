//! A standby that is cut off: its probes fail, and so do its witnesses.

use std::time::{Duration, Instant};

use crate::core::SWITCHES;
use crate::node::Node;
use crate::script::Script;

const IN_A_ROW: &str = "failures_to_take_over = 2\nsuccesses_to_hand_back = 2\n";

/// A standby, what it watches, and what tells it that it is not cut off.
struct CutOff {
    standby: Node,
    probe: Script,
    witness: Script,
}

impl CutOff {
    /// Both fail; the witness in the way that `witness` says.
    #[track_caller]
    fn start(witness_says: &str) -> Self {
        let (probe, witness) = (Script::new(), Script::new());
        let sections = probe.section("probe", "timeout = \"6s\"\n") + &witness.section("witness", "timeout = \"1s\"\n");
        let standby = Node::standby(&(IN_A_ROW.to_owned() + &sections));
        standby.wait_for("a look at both", |failover| {
            [&failover.probes, &failover.witnesses].iter().all(|plugins| plugins[0].state.as_deref() == Some("OK"))
        });
        standby.core.wait_for(false);
        // A run that began before the cut may yet tell that all is well.
        witness.says(witness_says);
        standby.wait_for("a witness that fails", |failover| failover.witnesses[0].state.as_deref() != Some("OK"));
        probe.says("2");
        CutOff { standby, probe, witness }
    }

    /// It has not taken over, and its core is as it was.
    #[track_caller]
    fn assert_stays_put(&self) {
        let failover = self.standby.failover();
        assert!(failover.transitions.iter().all(|transition| transition.to != "active"), "{:?}", failover.transitions);
        assert!(self.standby.core.are(&SWITCHES, false), "{:?}", self.standby.core.shown());
        assert_eq!(self.standby.core.checks(), 0);
    }
}

#[test]
fn nothing_is_taken_over_while_the_witness_fails_and_all_is_as_soon_as_it_does_not() {
    let cut_off = CutOff::start("2");
    cut_off.probe.wait_for_runs(8);
    cut_off.witness.wait_for_runs(2);
    assert_eq!(cut_off.standby.failover().state, "suspect");
    cut_off.assert_stays_put();

    cut_off.witness.says("0");
    let well = Instant::now();
    cut_off.standby.wait_for_state("active");
    // The next run of the witness, and then one of the probe: both once a second.
    assert!(well.elapsed() <= Duration::from_secs(2 + 2), "{:?}", well.elapsed());
    cut_off.standby.core.wait_for(true);
}

#[test]
fn a_cut_that_ends_is_no_failure_of_the_master() {
    let cut_off = CutOff::start("1");
    cut_off.probe.wait_for_runs(4);
    // All works again, and the witness tells it first.
    cut_off.probe.says("hang");
    cut_off.probe.wait_for_runs(1);
    cut_off.witness.says("0");
    let standby = &cut_off.standby;
    standby.wait_for("a witness that is well", |failover| failover.witnesses[0].state.as_deref() == Some("OK"));
    cut_off.witness.wait_for_runs(2);
    cut_off.assert_stays_put();
    cut_off.probe.says("0");
    standby.wait_for_state("standby");
    cut_off.assert_stays_put();
}

#[test]
fn a_witness_that_hangs_fails_and_is_killed() {
    let cut_off = CutOff::start("hang");
    cut_off.probe.wait_for_runs(6);
    cut_off.witness.wait_for_runs(2);
    let witness = cut_off.standby.failover().witnesses.remove(0);
    assert_eq!(witness.state.as_deref(), Some("UNKNOWN"));
    assert!(witness.output.contains("killed after 1s") && witness.output.contains("waiting"), "{}", witness.output);
    cut_off.assert_stays_put();
    cut_off.witness.assert_one_at_a_time();

    cut_off.witness.says("0");
    cut_off.standby.wait_for_state("active");
    cut_off.witness.assert_one_at_a_time();
}
