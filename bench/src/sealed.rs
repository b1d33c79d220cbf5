//! The sealed pair: results that wait in a spool, through the standby's journal to a drained command file, against the
//! stock pair. From the sender's start to the last line read. And what a result costs both nodes together, in processor
//! time, where there are many objects.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nagios::stored;
use nsca::Method;
use spool::{Keep, NewRecord, NoShrink, Options, Spool};
use tempfile::TempDir;

use crate::report::{Row, Target};
use crate::rounds;
use crate::stage::drain::Drain;
use crate::stage::programs::{OurSender, Running, copy, our_receiver, stock_nsca, stock_send_nsca};
use crate::stage::results::{Results, Service};

/// What the stock pair uses. The sealed one has its own.
const METHOD: Method = Method::Rijndael128;

/// So many wait in the spool. It takes longer to start a daemon than to bring ten thousand.
const RESULTS: usize = 400_000;
const STOCK_RESULTS: usize = 3_000;

const MANY_OBJECTS: usize = 100_000;

/// What a spool and a journal hold where nothing else is configured.
const MAX_SIZE: u64 = 256 << 20;

/// How many results are put into a spool together.
const TOGETHER: usize = 4096;

pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>> {
    let few = Waiting::new(Results { count: RESULTS, objects: 1_000 })?;
    let many = Waiting::new(Results { count: RESULTS, objects: MANY_OBJECTS })?;
    let comparison = rounds::compare(rounds, stock, || Ok(few.deliver()?.took))?.per_second(1);
    let cost = |waiting: &Waiting| Ok(waiting.deliver()?.processor_time);
    let costs = rounds::compare(rounds, || cost(&few), || cost(&many))?;
    let measure = format!("sealed pair end to end against the stock pair with {METHOD}, results/s");
    let cost = "processor time of a result of 100,000 objects, as a multiple of one of 1,000".to_owned();
    Ok(vec![
        Row::of(measure, comparison, Target::Ratio(100.0)),
        Row::alone("the sealed pair's rate, results/s".to_owned(), comparison.ours, Target::AtLeast(150_000.0)),
        Row::alone(cost, costs.ratio.inverse(), Target::AtMost(1.2)),
    ])
}

/// How long a result took.
fn stock() -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let results = Results::new(STOCK_RESULTS);
    let drain = Drain::new(directory.path().join("nagios.cmd"))?;
    let (_daemon, port) = stock_nsca(directory.path(), METHOD, drain.path())?;
    let client = stock_send_nsca(directory.path(), METHOD, port, results)?;
    let begin = Instant::now();
    let _client = client.start()?;
    let took = drain.take(STOCK_RESULTS).context("the stock pair")? - begin;
    Ok(took / u32::try_from(STOCK_RESULTS)?)
}

/// The state of a master in whose spool results wait for a standby.
pub(crate) struct Waiting {
    directory: TempDir,
    results: Results,
}

/// Both nodes after all results have come through, and what one result took.
pub(crate) struct Delivered {
    pub(crate) master: Running,
    pub(crate) standby: Running,
    took: Duration,
    processor_time: Duration,
    _directory: TempDir,
}

impl Waiting {
    /// Writes the spool as a sender would have.
    pub(crate) fn new(results: Results) -> Result<Waiting> {
        let directory = tempfile::tempdir()?;
        let options = Options { max_size: MAX_SIZE, keep: Keep::Unread, shrink: Box::new(NoShrink) };
        let (mut spool, _) = Spool::open(&state(directory.path()).join("spool"), options, [1; 16])?;
        spool.keep_positions(&[OurSender::DESTINATION], Instant::now())?;
        let mut records = results.iter().map(|service| record(&service));
        loop {
            let together = records.by_ref().take(TOGETHER).collect::<Vec<_>>();
            if together.is_empty() {
                break;
            }
            let together = together.iter().map(|(key, payload)| NewRecord { key, payload });
            spool.append(together, Instant::now()).map_err(|error| error.cause)?;
        }
        spool.commit(Instant::now())?;
        Ok(Waiting { directory, results })
    }

    /// Starts a standby, and the master beside it.
    pub(crate) fn deliver(&self) -> Result<Delivered> {
        let directory = tempfile::tempdir()?;
        let drain = Drain::new(directory.path().join("nagios.cmd"))?;
        let (standby, port) = our_receiver(directory.path(), METHOD, &drain.core(), "sealed = \"require\"")?;
        copy(&state(self.directory.path()), &state(directory.path()))?;
        let sender = OurSender::new(directory.path(), METHOD, port, "sealed = \"require\"")?;
        let begin = Instant::now();
        let master = sender.start()?;
        let took = match self.results.count {
            0 => Duration::ZERO,
            count => drain.take(count).context("understudy")? - begin,
        };
        let count = u32::try_from(self.results.count)?.max(1);
        let processor_time = (master.processor_time()? + standby.processor_time()?) / count;
        Ok(Delivered { master, standby, took: took / count, processor_time, _directory: directory })
    }
}

/// Where [`OurSender`] has its state.
fn state(directory: &Path) -> PathBuf {
    directory.join("master")
}

/// A result as a spool has it: key and payload.
fn record(service: &Service) -> (Vec<u8>, Vec<u8>) {
    let result = service.check_result();
    let (mut key, mut payload) = (Vec::new(), Vec::new());
    stored::key(&result.object, &mut key);
    stored::encode(&result, b"", &mut payload);
    (key, payload)
}
