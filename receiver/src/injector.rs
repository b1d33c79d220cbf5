//! The injector: one thread that brings results to the core, in the order in which they were accepted.
//!
//! It has one portion written before it takes the next. While the core is away or slow, results wait in the backlog, and
//! the log says so when it begins, every minute while it lasts, and when it ends.
//!
//! With a journal, it also looks after the core: when the core restarted, the newest result of each object goes in again
//! before anything new does. A core that goes away in the middle of a portion gets the rest of it after those. Which
//! results go into a core that is active is the [`Rule`]'s decision.
//!
//! It also writes [mode commands](crate::commands), so that they and results have one order. Those that silence go ahead of
//! all results, at the next end of a line. Others come after what waits when they are first seen beside a core that takes
//! it: that is reduced to the newest result of each object, also what was lent already. Commands about single objects come
//! after what waits, too, which is not reduced for them, and are for the core that runs then.

mod delivery;
mod echoes;
mod leftovers;
mod lines;
mod rule;
mod sink;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nagios::{Attributed, Flavour};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::backlog::{Next, Selection, Waiting};
use crate::catching_up::CatchingUp;
use crate::commands::{Commands, Desk, NotWritten, Waits};
use crate::core_watch::{CoreWatch, Reads};
use crate::counts::Counters;
use crate::episode::Episode;
use crate::pace::TokenBucket;
use crate::vital;
use delivery::Delivered;
pub(crate) use echoes::ExpectedEchoes;
pub(crate) use lines::Lines;
pub(crate) use rule::{Judgement, Rule};
use sink::{Blocked, Sink};

/// How long the injector waits for something to do before it looks after the core.
const QUIET: Duration = Duration::from_secs(1);

/// How often a core that does not take results is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A core that is merely busy for less than this is not worth a line in the log.
const SLOW_AFTER: Duration = Duration::from_secs(5);

/// The running thread.
pub(crate) struct Injector {
    desk: Arc<Desk>,
    catching_up: Arc<CatchingUp>,
    closing: CancellationToken,
    abandon: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Injector {
    /// Starts the thread. It ends when nothing more can come and everything is written; with a journal also when the core
    /// then does not take what is left, which is safe there.
    pub(crate) fn start(
        config: &config::Receiver,
        waiting: Waiting,
        echoes: ExpectedEchoes,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let (closing, abandon) = (CancellationToken::new(), CancellationToken::new());
        let wake = Arc::new(Notify::new());
        let desk = Desk::new(refusal(config), config.flavour, wake.clone());
        let catching_up = Arc::new(CatchingUp::new(wake.clone()));
        let worker = Worker {
            sink: Sink::new(config),
            flavour: config.flavour,
            dump_file: config.dump_file.clone(),
            watch: config.journal.as_ref().map(|journal| CoreWatch::new(journal, &wake)),
            bucket: config.max_rate.map(|rate| TokenBucket::new(rate, Instant::now())),
            give_up: if config.journal.is_some() { closing.clone() } else { abandon.clone() },
            waiting,
            echoes,
            desk: desk.clone(),
            catching_up: catching_up.clone(),
            wake,
            counters,
            closing: closing.clone(),
            abandon: abandon.clone(),
            runtime: Handle::current(),
            trouble: Episode::default(),
        };
        let ended = vital::spawn("injector", move || worker.run())?;
        Ok(Injector { desk, catching_up, closing, abandon, ended })
    }

    /// For those who issue mode commands.
    pub(crate) fn commands(&self) -> Commands {
        self.desk.commands()
    }

    /// Where sessions say that their peers are catching up.
    pub(crate) fn catching_up(&self) -> &Arc<CatchingUp> {
        &self.catching_up
    }

    /// Nothing more will come. Waits until everything is written. At `deadline` the thread saves what is left and ends.
    pub(crate) async fn stop(self, deadline: Instant) {
        let Injector { closing, abandon, mut ended, .. } = self;
        closing.cancel();
        if tokio::time::timeout_at(deadline.into(), &mut ended).await.is_err() {
            abandon.cancel();
            // It cannot fail: the thread tells its end, or ends the program.
            let _ = ended.await;
        }
    }
}

/// Why mode commands are refused, if they are.
fn refusal(config: &config::Receiver) -> Option<NotWritten> {
    match (&config.route, &config.journal) {
        (config::Route::CheckResults(_), _) => Some(NotWritten::NoCommandFile),
        (config::Route::CommandFile(_), None) => Some(NotWritten::NoJournal),
        (config::Route::CommandFile(_), Some(_)) => None,
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
    echoes: ExpectedEchoes,
    desk: Arc<Desk>,
    catching_up: Arc<CatchingUp>,
    /// Something other than a result came.
    wake: Arc<Notify>,
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

/// What is seen of the core.
enum Core {
    /// It takes results, as far as can be told.
    There,
    /// It is there, and needs the newest results again.
    Restarted,
    Gone(Blocked),
}

impl Worker {
    fn run(mut self) {
        let mut left = Vec::new();
        while !self.abandon.is_cancelled() {
            self.note_given_again();
            let core = self.look_after_core();
            self.attend_to_commands(&core);
            if matches!(core, Core::Restarted) {
                continue;
            }
            let next = match self.selection(&core) {
                Some(selection) => self.runtime.block_on(self.waiting.read(&selection)),
                None => Next::Unjudged,
            };
            match next {
                Next::Results(results) => {
                    if let Some(taken) = self.bring(&core, &results) {
                        left = results;
                        left.drain(..taken);
                        break;
                    }
                }
                Next::Reached => self.command_after_results(),
                // What waits is safe in the journal.
                Next::Nothing | Next::Unjudged if self.closing.is_cancelled() && self.watch.is_some() => break,
                Next::Unjudged => self.wait_to_judge(),
                Next::Nothing => self.wait(),
                Next::Ended => break,
            }
        }
        self.end(&left);
    }

    /// What to read; none while a peer of an active core catches up.
    fn selection(&mut self, core: &Core) -> Option<Selection> {
        let (Some(watch), Core::There) = (&mut self.watch, core) else {
            // Nothing is delivered; whether something waits is to be told.
            return Some(Selection::default());
        };
        let now = Instant::now();
        let until = self.desk.until();
        let rule = Rule { is_active: watch.is_active(), before_commands: self.desk.reduce() };
        // What enables has waited for nobody to catch up, either.
        if rule.is_active && !rule.before_commands && self.catching_up.holds(now) {
            return None;
        }
        let own_times = if rule.is_active { watch.own_times(now) } else { None };
        Some(Selection { rule, own_times, until })
    }

    /// Delivers results, if there is a core. If nothing can be delivered any more, says how many of them were.
    fn bring(&mut self, core: &Core, results: &[Attributed]) -> Option<usize> {
        self.use_own_times(results);
        let (delivered, taken) = match core {
            Core::There | Core::Restarted => self.deliver_all(results),
            Core::Gone(blocked) => (self.hold_back(blocked), 0),
        };
        match delivered {
            Delivered::Taken => None,
            Delivered::CoreGone => {
                self.take_back();
                // When the time is over, the next look at the backlog ends it.
                let _ = self.pause(RETRY_PAUSE);
                None
            }
            Delivered::Interrupted => {
                self.take_back();
                None
            }
            Delivered::GivenUp => Some(taken),
        }
    }

    /// Keeps the times of the core's own checks up to date while peers send to a core that is active.
    fn use_own_times(&mut self, results: &[Attributed]) {
        if let Some(watch) = self.watch.as_mut().filter(|watch| watch.is_active())
            && results.iter().any(|result| !result.origin.is_empty())
        {
            watch.want_own_times(Instant::now());
        }
    }

    /// A peer is catching up, or its results cannot be judged yet.
    fn wait_to_judge(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.want_own_times(Instant::now());
        }
        let (wake, give_up) = (&self.wake, &self.give_up);
        self.runtime.block_on(async {
            tokio::select! {
                () = wake.notified() => {}
                () = give_up.cancelled() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        });
    }

    /// Waits for something to do.
    fn wait(&mut self) {
        let (waiting, wake, closing, abandon) = (&mut self.waiting, &self.wake, &self.closing, &self.abandon);
        let with_journal = self.watch.is_some();
        self.runtime.block_on(async {
            tokio::select! {
                () = waiting.wait() => {}
                () = wake.notified() => {}
                () = closing.cancelled(), if with_journal => {}
                () = abandon.cancelled() => {}
                () = tokio::time::sleep(QUIET), if with_journal => {}
            }
        });
    }
}

/// Commands. Only with a journal.
impl Worker {
    /// Writes what overtakes results, and measures the backlog that other commands wait for.
    fn attend_to_commands(&mut self, core: &Core) {
        let Waiting::Journal(tail) = &self.waiting else { return };
        match core {
            Core::There => {
                if self.desk.has_unmarked() {
                    self.desk.mark(tail.newest());
                    // If the core kept them waiting, it does no longer.
                    self.desk.explain(&Waits::Turn);
                }
                self.overtake();
            }
            Core::Restarted => self.desk.core_gone(),
            Core::Gone(blocked) => {
                self.desk.core_gone();
                self.desk.explain(&Waits::Core(blocked.to_string()));
            }
        }
    }

    /// Everything is written that commands wait for.
    fn command_after_results(&mut self) {
        let Some(reached) = self.desk.until() else { return };
        self.run_errands(reached);
        if !self.command_due(reached) {
            self.sink.wait(RETRY_PAUSE);
            if self.give_up.is_cancelled() {
                self.desk.close();
            }
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
    }
}
