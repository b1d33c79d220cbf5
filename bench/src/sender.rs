//! The sender: results that wait, over one connection to a daemon that only reads. From the init packet to the last byte.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nsca::Method;

use crate::report::{Row, Target};
use crate::rounds;
use crate::stage::programs::{OurSender, stock_send_nsca};
use crate::stage::results::Results;
use crate::stage::sink::Sink;

const METHOD: Method = Method::Rijndael128;
const RESULTS: usize = 6000;

pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>> {
    let results = Results::new(RESULTS);
    let comparison = rounds::compare(rounds, || stock(results), || ours(results))?;
    let measure = format!("sender to a sink, one connection, {METHOD}, results/s");
    Ok(vec![Row::of(measure, comparison.per_second(RESULTS), Target::Ratio(6.0))])
}

fn stock(results: Results) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let sink = Sink::new()?;
    let client = stock_send_nsca(directory.path(), METHOD, sink.port()?, results)?;
    thread::scope(|scope| {
        let served = scope.spawn(|| sink.serve(RESULTS));
        client.start()?.finish()?;
        served.join().expect("a sink does not panic").context("stock send_nsca")
    })
}

fn ours(results: Results) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let sink = Sink::new()?;
    let sender = OurSender::new(directory.path(), METHOD, sink.port()?, "sealed = \"off\"")?;
    // It connects with the first result, and waits for the init packet while it takes the others.
    let _daemon = sender.start_with(results)?;
    sink.serve(RESULTS).context("understudy")
}
