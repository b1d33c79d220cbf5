//! How long a result takes from its hand-over on the master to its line in the standby's command file, over a sealed session:
//! the 99th percentile, in ms. By a process of `understudy-ocsp` for each result, from its start on, and by a client that
//! stays.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nsca::Method;

use crate::report::{Row, Target};
use crate::rounds::Spread;
use crate::stage::drain::Drain;
use crate::stage::programs::{OurSender, hand_over_one, our_receiver, understudy_ocsp};
use crate::stage::results::{Results, Service};

/// How long results are handed over in one round.
const ROUND: Duration = Duration::from_secs(5);

/// When a line was read, for each result.
type Arrivals = Arc<Mutex<Vec<Option<Instant>>>>;

pub(crate) fn measure(rounds: usize) -> Result<Vec<Row>> {
    let row = |measure: &str, per_second, client: Client| -> Result<Row> {
        let measured = (0..rounds).map(|_| percentile(per_second, client)).collect::<Result<Vec<f64>>>()?;
        Ok(Row::alone(
            format!("hand-over to standby's FIFO, {measure}, p99, ms"),
            Spread::of(measured),
            Target::AtMost(5.0),
        ))
    };
    Ok(vec![
        row("200 processes/s", 200, Client::Processes)?,
        row("1,000 results/s straight to the socket", 1000, Client::Socket)?,
    ])
}

/// Who hands results over.
#[derive(Clone, Copy)]
enum Client {
    Processes,
    Socket,
}

/// The 99th percentile, in ms.
fn percentile(per_second: u32, client: Client) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let results = Results::new(usize::try_from(u64::from(per_second) * ROUND.as_secs())?);
    let arrivals: Arrivals = Arc::new(Mutex::new(vec![None; results.count]));
    let drain = Drain::with(directory.path().join("nagios.cmd"), note(arrivals.clone()))?;
    let (_standby, port) = our_receiver(directory.path(), Method::Rijndael128, &drain.core(), "sealed = \"require\"")?;
    let sender = OurSender::new(directory.path(), Method::Rijndael128, port, "sealed = \"require\"")?;
    let mut master = sender.start()?;
    let log = directory.path().join("log");
    master.wait_for("a session begins", || Ok(std::fs::read_to_string(&log)?.contains("sealed session begun")))?;
    let handed = hand_over(directory.path(), results, per_second, client)?;
    drain.take(results.count)?;
    let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    let mut times = Vec::new();
    for (handed, arrived) in handed.into_iter().zip(&*arrivals) {
        times.push(arrived.context("a result has not come")? - handed);
    }
    times.sort();
    Ok(times[times.len() * 99 / 100].as_secs_f64() * 1e3)
}

/// Hands results over, each when its time has come; when that was.
fn hand_over(directory: &Path, results: Results, per_second: u32, client: Client) -> Result<Vec<Instant>> {
    let socket = directory.join("ocsp.sock");
    let own = UnixDatagram::bind(directory.join("client.sock"))?;
    own.connect(&socket)?;
    let begin = Instant::now();
    let mut handed = Vec::with_capacity(results.count);
    for (number, service) in results.iter().enumerate() {
        let due = begin + Duration::from_secs(1) / per_second * u32::try_from(number)?;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        handed.push(Instant::now());
        match client {
            Client::Processes => run(directory, &socket, &service)?,
            Client::Socket => hand_over_one(&own, &service)?,
        }
    }
    Ok(handed)
}

/// As the core does it.
fn run(directory: &Path, socket: &Path, service: &Service) -> Result<()> {
    let mut command = Command::new(understudy_ocsp()?);
    command.args(["service", &service.host, &service.description, "0", &service.output]);
    command.arg("--socket").arg(socket).arg("--spill").arg(directory.join("spill")).stdin(Stdio::null());
    ensure!(command.status()?.success(), "understudy-ocsp failed");
    Ok(())
}

/// Notes when the line of each result is read.
fn note(arrivals: Arrivals) -> impl FnMut(&[u8], Instant) + Send + 'static {
    // A read may end in the middle of a line.
    let mut text = Vec::new();
    move |bytes, now| {
        text.extend_from_slice(bytes);
        let whole = memchr::memrchr(b'\n', &text).map_or(0, |last| last + 1);
        let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        for line in text[..whole].split(|byte| *byte == b'\n') {
            let number = str::from_utf8(line).ok().and_then(Service::number_in);
            if let Some(arrival) = number.and_then(|number| arrivals.get_mut(number)) {
                arrival.get_or_insert(now);
            }
        }
        text.drain(..whole);
    }
}
