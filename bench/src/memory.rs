//! What a master and its standby keep resident while nothing happens: after their start, and after each of 100,000 objects
//! has sent a result. MiB.

use std::time::Duration;

use anyhow::Result;

use crate::report::{Row, Target};
use crate::rounds::Spread;
use crate::sealed::Waiting;
use crate::stage::results::Results;

const MANY_OBJECTS: usize = 100_000;

/// Until what is done after the last result is done: commits, acknowledgements.
const REST: Duration = Duration::from_secs(2);

pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (count, what, most) in [(0, "idle", 12.0), (MANY_OBJECTS, "100,000 objects", 48.0)] {
        let waiting = Waiting::new(Results { count, objects: MANY_OBJECTS })?;
        let (mut master, mut standby) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let nodes = waiting.deliver()?;
            std::thread::sleep(REST);
            master.push(nodes.master.resident_mib()?);
            standby.push(nodes.standby.resident_mib()?);
        }
        for (node, resident) in [("master", master), ("standby", standby)] {
            let measure = format!("resident memory at rest, {what}, {node}, MiB");
            rows.push(Row::alone(measure, Spread::of(resident), Target::AtMost(most)));
        }
    }
    Ok(rows)
}
