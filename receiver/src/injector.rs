//! The injector: one thread that brings results to the core, in the order in which they were accepted.
//!
//! It has one portion written before it takes the next. While the core is away or slow, results wait in the backlog, and
//! the log says so when it begins, every minute while it lasts, and when it ends.
//!
//! With a journal, it also looks after the core: when the core restarted, the newest result of each object goes in again
//! before anything new does. A core that goes away in the middle of a portion gets the rest of it after those.

mod sink;

use std::io::{self, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nagios::{CheckResult, Flavour};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::backlog::{Next, Waiting};
use crate::core_watch::{CoreWatch, Reads};
use crate::counts::Counters;
use crate::episode::Episode;
use crate::pace::TokenBucket;
use sink::{Blocked, Sink};

/// How often a core that does not take results is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A core that is merely busy for less than this is not worth a line in the log.
const SLOW_AFTER: Duration = Duration::from_secs(5);

/// The running thread.
pub(crate) struct Injector {
    closing: CancellationToken,
    abandon: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Injector {
    /// Starts the thread. It ends when nothing more can come and everything is written; with a journal also when the core
    /// then does not take what is left, which is safe there.
    pub(crate) fn start(config: &config::Receiver, waiting: Waiting, counters: Arc<Counters>) -> io::Result<Self> {
        let (at_end, ended) = oneshot::channel();
        let (closing, abandon) = (CancellationToken::new(), CancellationToken::new());
        let worker = Worker {
            sink: Sink::new(&config.route, config.flavour),
            flavour: config.flavour,
            dump_file: config.dump_file.clone(),
            watch: config.journal.as_ref().map(CoreWatch::new),
            bucket: config.max_rate.map(|rate| TokenBucket::new(rate, Instant::now())),
            give_up: if config.journal.is_some() { closing.clone() } else { abandon.clone() },
            waiting,
            counters,
            closing: closing.clone(),
            abandon: abandon.clone(),
            runtime: Handle::current(),
            trouble: Episode::default(),
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
        Ok(Injector { closing, abandon, ended })
    }

    /// Nothing more will come. Waits until everything is written. At `deadline` the thread saves what is left and ends.
    pub(crate) async fn stop(self, deadline: Instant) {
        let Injector { closing, abandon, mut ended } = self;
        closing.cancel();
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
    /// Only with a journal: without one, there is nothing that could go in again.
    watch: Option<CoreWatch>,
    bucket: Option<TokenBucket>,
    waiting: Waiting,
    counters: Arc<Counters>,
    /// Nothing more will come.
    closing: CancellationToken,
    /// The time is over.
    abandon: CancellationToken,
    /// When not to wait for the core any more: one of those two.
    give_up: CancellationToken,
    runtime: Handle,
    trouble: Episode,
}

/// What became of a portion.
enum Delivered {
    Taken,
    /// There is no core. The rest goes back into the journal.
    CoreGone,
    /// The time to wait for the core is over.
    GivenUp,
}

/// What is seen of the core.
enum Core {
    /// It takes results, as far as can be told.
    There,
    /// It is there, and needs the newest results again: what was lent is taken back.
    Restarted,
    Gone(Blocked),
}

impl Worker {
    fn run(mut self) {
        let mut left = Vec::new();
        while !self.abandon.is_cancelled() {
            let next = self.next();
            self.note_given_again();
            let core = self.look_after_core();
            let results = match next {
                Next::Results(results) => results,
                Next::Quiet => continue,
                Next::Ended => break,
            };
            let (delivered, taken) = match core {
                Core::There => self.deliver_all(&results),
                Core::Restarted => continue,
                Core::Gone(blocked) => (self.hold_back(&blocked), 0),
            };
            match delivered {
                Delivered::Taken => {}
                Delivered::CoreGone => self.take_back(),
                Delivered::GivenUp => {
                    left = results;
                    left.drain(..taken);
                    break;
                }
            }
        }
        self.end(&left);
    }

    fn next(&mut self) -> Next {
        let (waiting, closing, abandon) = (&mut self.waiting, &self.closing, &self.abandon);
        self.runtime.block_on(async {
            tokio::select! {
                next = waiting.next(closing) => next,
                () = abandon.cancelled() => Next::Ended,
            }
        })
    }

    /// Has the core take all of `results`, in portions at their pace. Counts those of whole portions before the last.
    fn deliver_all(&mut self, results: &[CheckResult]) -> (Delivered, usize) {
        let portion = self.bucket.as_ref().map_or(results.len(), TokenBucket::portion);
        let mut taken = 0;
        for portion in results.chunks(portion) {
            let wait = self.bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.draw(portion.len(), Instant::now()));
            if !self.pause(wait) {
                return (Delivered::GivenUp, taken);
            }
            taken += portion.len();
            match self.deliver(portion) {
                Delivered::Taken => {}
                other => return (other, taken),
            }
        }
        (Delivered::Taken, taken)
    }

    /// Has the core take a portion. What it did not take stays in the sink.
    fn deliver(&mut self, results: &[CheckResult]) -> Delivered {
        let cut = self.sink.load(results.iter());
        if cut > 0 {
            self.counters.cut.add(cut);
            tracing::warn!(results = cut, "output cut to the line limit of the core");
        }
        loop {
            let (taken, blocked) = self.sink.push();
            self.counters.injected.add(taken);
            self.waiting.done(taken);
            if taken > 0 || blocked.is_none() {
                self.recovered();
            }
            let Some(blocked) = blocked else { return Delivered::Taken };
            self.report(&blocked);
            if let Some(watch) = self.watch.as_mut().filter(|_| blocked.is_gone()) {
                watch.gone();
                return Delivered::CoreGone;
            }
            let goes_on = match blocked {
                Blocked::Busy(_) => {
                    self.sink.wait(RETRY_PAUSE);
                    !self.give_up.is_cancelled()
                }
                Blocked::CommandFile(_) | Blocked::CheckResults(_) => self.pause(RETRY_PAUSE),
            };
            if !goes_on {
                return Delivered::GivenUp;
            }
        }
    }

    /// Waits, unless the time for that is over: then false.
    fn pause(&self, time: Duration) -> bool {
        if !time.is_zero() {
            let over = async { tokio::time::timeout(time, self.give_up.cancelled()).await };
            return self.runtime.block_on(over).is_err();
        }
        true
    }

    /// Says that the core does not take results, if it is time to say so.
    fn report(&mut self, blocked: &Blocked) {
        let patience = if matches!(blocked, Blocked::Busy(_)) { SLOW_AFTER } else { Duration::ZERO };
        if let Some(lasts) = self.trouble.goes_on(patience, Instant::now()) {
            let for_seconds = lasts.as_secs();
            tracing::error!(reason = %blocked, for_seconds, "results wait: the core does not take them");
        }
    }

    fn recovered(&mut self) {
        if let Some(lasted) = self.trouble.ends(Instant::now()) {
            tracing::info!(after_seconds = lasted.as_secs(), "the core takes results again");
        }
    }
}

/// A core that goes away and comes back. Only with a journal.
impl Worker {
    /// Sees whether the core is there, and whether it restarted; then begins to give it the newest results again.
    fn look_after_core(&mut self) -> Core {
        let (Some(watch), Waiting::Journal(tail)) = (&mut self.watch, &mut self.waiting) else {
            return Core::There;
        };
        let (looked, now) = (self.sink.look(), Instant::now());
        match &looked {
            Ok(reads) => watch.look(*reads, now),
            Err(blocked) if blocked.is_gone() => watch.look(Some(Reads::Nobody), now),
            Err(_) => watch.look(None, now),
        }
        if let Err(blocked) = looked {
            return Core::Gone(blocked);
        }
        if !watch.take_restart() {
            return Core::There;
        }
        tail.take_back();
        match tail.begin_again() {
            Ok(objects) => {
                tracing::info!(objects, "the core restarted: it gets the newest result of each object again");
            }
            Err(error) => {
                watch.restarted();
                if self.trouble.goes_on(Duration::ZERO, now).is_some() {
                    tracing::error!(%error, "the core restarted, but the journal cannot be read");
                }
                // When the time is over, the next look at the backlog ends it.
                let _ = self.pause(RETRY_PAUSE);
            }
        }
        Core::Restarted
    }

    /// Notes that everything was given again, if that has just come to its end.
    fn note_given_again(&mut self) {
        if let (Some(watch), Waiting::Journal(tail)) = (&mut self.watch, &self.waiting)
            && watch.is_under_way()
            && !tail.is_giving_again()
        {
            watch.given();
        }
    }

    /// There is no core: results wait.
    fn hold_back(&mut self, blocked: &Blocked) -> Delivered {
        self.report(blocked);
        if self.closing.is_cancelled() { Delivered::GivenUp } else { Delivered::CoreGone }
    }

    /// What the core did not take goes back into the journal.
    fn take_back(&mut self) {
        self.sink.unload();
        if let Waiting::Journal(tail) = &mut self.waiting {
            tail.take_back();
        }
        // When the time is over, the next look at the backlog ends it.
        let _ = self.pause(RETRY_PAUSE);
    }
}

/// The end.
impl Worker {
    /// Says what is left, and without a journal saves it.
    fn end(mut self, left: &[CheckResult]) {
        let mut lines = self.sink.unload();
        match &mut self.waiting {
            Waiting::Memory(queue) => {
                sink::dump(self.flavour, left.iter(), &mut lines);
                sink::dump(self.flavour, queue.rest().iter(), &mut lines);
                self.save(&lines);
            }
            Waiting::Journal(tail) => match tail.depth() {
                0 => {}
                results => {
                    tracing::warn!(results, "results wait in the journal until the daemon and the core run again");
                }
            },
        }
    }

    /// Puts what could not be injected into the dump file, as nsca does when the core is away, or counts it as lost.
    fn save(&self, lines: &[u8]) {
        let results = lines.iter().filter(|byte| **byte == b'\n').count();
        if results == 0 {
            return;
        }
        let Some(dump_file) = &self.dump_file else {
            self.counters.lost.add(results);
            return tracing::error!(results, "results lost: the core did not take them before the daemon stopped");
        };
        match append(dump_file, lines) {
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
