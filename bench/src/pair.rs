//! Both sides on this machine: results that wait, to a drained command file. From the sender's start to the last line read.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nsca::Method;

use crate::report::{Row, Target};
use crate::rounds;
use crate::stage::drain::Drain;
use crate::stage::programs::{OurSender, copy, free_port, our_receiver, stock_nsca, stock_send_nsca};
use crate::stage::results::Results;

const METHOD: Method = Method::Rijndael128;
const RESULTS: usize = 10_000;

pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>> {
    let prepared = tempfile::tempdir()?;
    prepare(prepared.path(), Results::new(RESULTS))?;
    let row = |lanes: usize, target| -> Result<Row> {
        let comparison = rounds::compare(rounds, stock, || ours(prepared.path(), lanes))?;
        let lanes = if lanes == 1 { "1 lane".to_owned() } else { format!("{lanes} lanes") };
        let measure = format!("classic pair end to end, {METHOD}, {lanes}, results/s");
        Ok(Row::of(measure, comparison.per_second(RESULTS), target))
    };
    Ok(vec![row(1, Target::Ratio(6.0))?, row(4, Target::Ratio(15.0))?])
}

fn stock() -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let drain = Drain::new(directory.path().join("nagios.cmd"))?;
    let (_daemon, port) = stock_nsca(directory.path(), METHOD, drain.path())?;
    let client = stock_send_nsca(directory.path(), METHOD, port, Results::new(RESULTS))?;
    let begin = Instant::now();
    let _client = client.start()?;
    Ok(drain.take(RESULTS).context("the stock pair")? - begin)
}

/// Leaves results in the spool of a sender whose destination is away.
fn prepare(directory: &Path, results: Results) -> Result<()> {
    OurSender::new(directory, METHOD, free_port()?, "sealed = \"off\"")?.start_with(results)?.terminate()
}

fn ours(prepared: &Path, lanes: usize) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let drain = Drain::new(directory.path().join("nagios.cmd"))?;
    let (_daemon, port) = our_receiver(directory.path(), METHOD, &drain.core(), "")?;
    copy(&prepared.join("master"), &directory.path().join("master"))?;
    let destination = format!("sealed = \"off\"\nlanes = {lanes}");
    let sender = OurSender::new(directory.path(), METHOD, port, &destination)?;
    let begin = Instant::now();
    let _sender = sender.start()?;
    Ok(drain.take(RESULTS).context("understudy")? - begin)
}
