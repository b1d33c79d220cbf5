//! The receiver: one connection into a drained command file. From the first byte sent to the last line read.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nsca::Method;

use crate::report::{Row, Target};
use crate::rounds;
use crate::stage::drain::Drain;
use crate::stage::feeder::Feeder;
use crate::stage::programs::{our_receiver, stock_nsca};
use crate::stage::results::Results;

pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>> {
    Ok(vec![
        row(rounds, Method::Rijndael128, 6000, Target::Ratio(30.0))?,
        row(rounds, Method::TripleDes, 3000, Target::Ratio(4.0))?,
    ])
}

fn row(rounds: usize, method: Method, count: usize, target: Target) -> Result<Row> {
    let results = Results::new(count);
    let comparison = rounds::compare(rounds, || stock(method, results), || ours(method, results))?;
    Ok(Row::of(format!("receiver, one connection, {method}, results/s"), comparison.per_second(count), target))
}

fn stock(method: Method, results: Results) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let drain = Drain::new(directory.path().join("nagios.cmd"))?;
    let (_daemon, port) = stock_nsca(directory.path(), method, drain.path())?;
    feed(&drain, port, method, results).context("stock nsca")
}

fn ours(method: Method, results: Results) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let drain = Drain::new(directory.path().join("nagios.cmd"))?;
    let (_daemon, port) = our_receiver(directory.path(), method, &drain.core(), "")?;
    feed(&drain, port, method, results).context("understudy")
}

fn feed(drain: &Drain, port: u16, method: Method, results: Results) -> Result<Duration> {
    let begin = Feeder::new(port, method, results)?.send()?;
    Ok(drain.take(results.count)? - begin)
}
