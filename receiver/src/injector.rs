//! The injector: one thread that brings results to the core, in the order in which they came.
//!
//! It takes whatever has gathered, up to [`GATHER_RESULTS`], and has it written before it takes more. While the core
//! is away or slow, results wait here and in the queue, and the log says so when it begins, every minute while it
//! lasts, and when it ends.

mod sink;

use std::io::{self, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nagios::Flavour;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::counts::Counters;
use crate::queue::{Batch, Outlet};
use sink::{Blocked, Sink};

/// How many results are encoded together at most.
const GATHER_RESULTS: usize = 4096;

/// How often a core that does not take results is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A core that is merely busy for less than this is not worth a line in the log.
const SLOW_AFTER: Duration = Duration::from_secs(5);

/// How often the log repeats that the core does not take results.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// The running thread.
pub(crate) struct Injector {
    abandon: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Injector {
    /// Starts the thread. It ends when the queue's other end is gone and everything is written.
    pub(crate) fn start(config: &config::Receiver, waiting: Outlet, counters: Arc<Counters>) -> io::Result<Self> {
        let (at_end, ended) = oneshot::channel();
        let abandon = CancellationToken::new();
        let worker = Worker {
            sink: Sink::new(&config.route, config.flavour),
            flavour: config.flavour,
            dump_file: config.dump_file.clone(),
            waiting,
            counters,
            abandon: abandon.clone(),
            runtime: Handle::current(),
            trouble: None,
        };
        std::thread::Builder::new().name("injector".into()).spawn(move || {
            if std::panic::catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                // A receiver that takes results and never injects them would look alive.
                tracing::error!("the injector failed: the daemon ends, so that it is started anew; please report this");
                std::process::exit(1);
            }
            // Nobody waits any more when the receiver itself is gone.
            let _ = at_end.send(());
        })?;
        Ok(Injector { abandon, ended })
    }

    /// Waits until everything is written. At `deadline` the thread saves what is left and ends.
    pub(crate) async fn stop(self, deadline: Instant) {
        let Injector { abandon, mut ended } = self;
        if tokio::time::timeout_at(deadline.into(), &mut ended).await.is_err() {
            abandon.cancel();
            // It cannot fail: the thread tells its end, or ends the program.
            let _ = ended.await;
        }
    }
}

struct Worker {
    sink: Sink,
    flavour: Flavour,
    dump_file: Option<PathBuf>,
    waiting: Outlet,
    counters: Arc<Counters>,
    abandon: CancellationToken,
    runtime: Handle,
    trouble: Option<Trouble>,
}

/// A core that does not take results.
struct Trouble {
    since: Instant,
    told: Option<Instant>,
}

impl Worker {
    fn run(mut self) {
        while let Some(first) = self.next() {
            let batches = self.gather(first);
            if !self.deliver(&batches) {
                break;
            }
        }
        self.save_rest();
    }

    fn next(&mut self) -> Option<Batch> {
        let (waiting, abandon) = (&mut self.waiting, &self.abandon);
        self.runtime.block_on(async {
            tokio::select! {
                batch = waiting.recv() => batch,
                () = abandon.cancelled() => None,
            }
        })
    }

    /// Whatever else has come by now.
    fn gather(&mut self, first: Batch) -> Vec<Batch> {
        let mut results = first.results.len();
        let mut batches = vec![first];
        while results < GATHER_RESULTS {
            let Ok(batch) = self.waiting.try_recv() else { break };
            results += batch.results.len();
            batches.push(batch);
        }
        batches
    }

    /// Has the core take all results of `batches`; false when the time for that is over.
    fn deliver(&mut self, batches: &[Batch]) -> bool {
        let cut = self.sink.load(batches.iter().flat_map(|batch| &batch.results));
        if cut > 0 {
            self.counters.cut.add(cut);
            tracing::warn!(results = cut, "output cut to the line limit of the core");
        }
        loop {
            let (taken, blocked) = self.sink.push();
            self.counters.injected.add(taken);
            let Some(blocked) = blocked else { break };
            if taken > 0 {
                self.recovered();
            }
            self.report(&blocked);
            if self.abandon.is_cancelled() {
                return false;
            }
            self.pause(&blocked);
        }
        self.recovered();
        true
    }

    fn pause(&mut self, blocked: &Blocked) {
        if matches!(blocked, Blocked::Busy(_)) {
            return self.sink.wait(RETRY_PAUSE);
        }
        // Whether the time is over is asked by the caller.
        let _ = self.runtime.block_on(async { tokio::time::timeout(RETRY_PAUSE, self.abandon.cancelled()).await });
    }

    /// Says that the core does not take results, if it is time to say so.
    fn report(&mut self, blocked: &Blocked) {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { since: now, told: None });
        let patient = matches!(blocked, Blocked::Busy(_)) && now - trouble.since < SLOW_AFTER;
        let told_lately = trouble.told.is_some_and(|told| now - told < REMIND_EVERY);
        if patient || told_lately {
            return;
        }
        trouble.told = Some(now);
        let for_seconds = (now - trouble.since).as_secs();
        tracing::error!(reason = %blocked, for_seconds, "results wait: the core does not take them");
    }

    fn recovered(&mut self) {
        if let Some(Trouble { since, told: Some(_) }) = self.trouble.take() {
            tracing::info!(after_seconds = since.elapsed().as_secs(), "the core takes results again");
        }
    }

    /// Puts what could not be injected into the dump file, as nsca does when the core is away, or counts it as lost.
    fn save_rest(&mut self) {
        let mut lines = self.sink.unload();
        while let Ok(batch) = self.waiting.try_recv() {
            sink::dump(self.flavour, batch.results.iter(), &mut lines);
        }
        let results = lines.iter().filter(|byte| **byte == b'\n').count();
        if results == 0 {
            return;
        }
        let Some(dump_file) = &self.dump_file else {
            self.counters.lost.add(results);
            return tracing::error!(results, "results lost: the core did not take them before the daemon stopped");
        };
        match append(dump_file, &lines) {
            Ok(()) => {
                self.counters.dumped.add(results);
                tracing::warn!(results, file = %dump_file.display(), "the core did not take results: they are in the dump file");
            }
            Err(error) => {
                self.counters.lost.add(results);
                tracing::error!(results, file = %dump_file.display(), %error, "results lost: the dump file cannot be written");
            }
        }
    }
}

fn append(path: &PathBuf, lines: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(lines)
}
