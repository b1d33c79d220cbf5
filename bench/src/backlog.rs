//! What waits when the standby comes back: from the sender's start until the status file of the Nagios 4 there shows the
//! last result of each object. Understudy's pair seals its sessions, as it does by itself.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nsca::Method;

use crate::report::{Row, Target};
use crate::rounds;
use crate::stage::nagios4::Nagios4;
use crate::stage::programs::{OurSender, copy, free_port, our_receiver, stock_nsca, stock_send_nsca};
use crate::stage::results::Results;

const METHOD: Method = Method::Rijndael128;
const RESULTS: Results = Results { count: 100_000, objects: 10_000 };

/// A minute each.
const ROUNDS: usize = 3;

pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>> {
    let prepared = tempfile::tempdir()?;
    OurSender::new(prepared.path(), METHOD, free_port()?, "")?.start_with(RESULTS)?.terminate()?;
    let comparison = rounds::compare(rounds.min(ROUNDS), stock, || ours(prepared.path()))?;
    let (count, objects) = (RESULTS.count, RESULTS.objects);
    let measure = format!("{count} waiting results of {objects} objects to Nagios 4, in its status file, results/s");
    Ok(vec![Row::of(measure, comparison.per_second(count), Target::Ratio(30.0))])
}

fn stock() -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let mut core = Nagios4::start(directory.path(), RESULTS)?;
    let (_daemon, port) = stock_nsca(directory.path(), METHOD, &core.command_file())?;
    let client = stock_send_nsca(directory.path(), METHOD, port, RESULTS)?;
    let begin = Instant::now();
    let _client = client.start()?;
    core.wait_until_it_shows(RESULTS).context("the stock pair")?;
    Ok(begin.elapsed())
}

fn ours(prepared: &Path) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let mut core = Nagios4::start(directory.path(), RESULTS)?;
    let main_config = format!("main_config = \"{}\"", core.main_config().display());
    let (_daemon, port) = our_receiver(directory.path(), METHOD, &main_config, "")?;
    copy(&prepared.join("master"), &directory.path().join("master"))?;
    let sender = OurSender::new(directory.path(), METHOD, port, "")?;
    let begin = Instant::now();
    let _sender = sender.start()?;
    core.wait_until_it_shows(RESULTS).context("understudy")?;
    Ok(begin.elapsed())
}
