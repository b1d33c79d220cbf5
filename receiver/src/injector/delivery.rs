//! Having the core take results, and commands in between.

use std::time::{Duration, Instant, SystemTime};

use nagios::{Attributed, Timestamp};

use super::sink::Blocked;
use super::{RETRY_PAUSE, SLOW_AFTER, Worker};
use crate::commands::{NotWritten, Part, Waits};
use crate::pace::TokenBucket;

/// What became of results that were lent.
pub(super) enum Delivered {
    Taken,
    /// There is no core. The rest goes back into the journal.
    CoreGone,
    /// Commands wait for all that waits, which is to be reduced first. The rest goes back into the journal.
    Interrupted,
    /// The time to wait for the core is over.
    GivenUp,
}

impl Worker {
    /// Has the core take all of `results`, in portions at their pace. Counts those of whole portions before the last.
    pub(super) fn deliver_all(&mut self, results: &[Attributed]) -> (Delivered, usize) {
        let portion = self.bucket.as_ref().map_or(results.len(), TokenBucket::portion);
        let mut taken = 0;
        for portion in results.chunks(portion) {
            let wait = self.bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.draw(portion.len(), Instant::now()));
            if !self.pause(wait) {
                return (Delivered::GivenUp, taken);
            }
            if self.desk.lacks_mark() {
                return (Delivered::Interrupted, taken);
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
    fn deliver(&mut self, results: &[Attributed]) -> Delivered {
        let cut = self.sink.load(results.iter().map(|result| &result.result));
        if cut > 0 {
            self.counters.cut.add(cut);
            tracing::warn!(results = cut, "output cut to the line limit of the core");
        }
        self.echoes.expect(results);
        let mut done = 0;
        let delivered = loop {
            self.overtake();
            if self.sink.is_between_lines() && self.desk.lacks_mark() {
                break Delivered::Interrupted;
            }
            let (taken, blocked) = self.sink.push();
            self.counters.injected.add(taken);
            self.waiting.done(taken);
            done += taken;
            if taken > 0 || blocked.is_none() {
                self.recovered();
            }
            let Some(blocked) = blocked else { return Delivered::Taken };
            match self.wait_for_core(&blocked) {
                Delivered::Taken => {}
                other => break other,
            }
        };
        self.echoes.withdraw(&results[done..]);
        delivered
    }

    /// Waits a moment before the core is tried again: [`Delivered::Taken`] if there is a point in that.
    fn wait_for_core(&mut self, blocked: &Blocked) -> Delivered {
        self.report(blocked);
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
        if goes_on { Delivered::Taken } else { Delivered::GivenUp }
    }

    /// Waits, unless the time for that is over: then false. Commands that may overtake do so meanwhile.
    pub(super) fn pause(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let woken = async { tokio::time::timeout(left, self.wake.notified()).await };
            let woken = self.runtime.block_on(async {
                tokio::select! {
                    woken = woken => Some(woken.is_ok()),
                    () = self.give_up.cancelled() => None,
                }
            });
            match woken {
                Some(true) => {
                    self.overtake();
                }
                Some(false) => return true,
                None => return false,
            }
        }
    }

    /// Writes the commands that go ahead of everything, if the core takes them now.
    pub(super) fn overtake(&mut self) {
        while let Some(part) = self.desk.ahead() {
            // The rest of a long line comes first.
            if !self.sink.is_between_lines() || !self.command(&part) {
                return;
            }
        }
    }

    /// Writes the commands that came after everything up to `reached`. False if the core does not take them now.
    pub(super) fn command_due(&mut self, reached: u64) -> bool {
        self.overtake();
        while let Some(part) = self.desk.due(reached) {
            if !self.command(&part) {
                return false;
            }
        }
        true
    }

    /// Writes what was said of single objects before everything up to `reached` was written.
    pub(super) fn run_errands(&mut self, reached: u64) {
        while let Some(errand) = self.desk.take_due_errand(reached) {
            match self.deliver_lines(&errand.lines) {
                Delivered::Taken => errand.written(),
                Delivered::CoreGone => errand.not_written(NotWritten::CoreGone),
                Delivered::Interrupted | Delivered::GivenUp => errand.not_written(NotWritten::Stopped),
            }
            self.sink.unload();
        }
    }

    /// Has the core take whole lines. Commands that may overtake do so.
    fn deliver_lines(&mut self, lines: &[u8]) -> Delivered {
        self.sink.load_lines(lines);
        loop {
            self.overtake();
            let (taken, blocked) = self.sink.push();
            if taken > 0 || blocked.is_none() {
                self.recovered();
            }
            let Some(blocked) = blocked else {
                tracing::debug!(commands = taken, "the core was told of objects");
                return Delivered::Taken;
            };
            match self.wait_for_core(&blocked) {
                Delivered::Taken => {}
                other => return other,
            }
        }
    }

    fn command(&mut self, part: &Part) -> bool {
        let lines = part.encode(Timestamp::from(SystemTime::now()));
        if let Err(blocked) = self.sink.write_commands(&lines) {
            self.desk.explain(&Waits::Core(blocked.to_string()));
            self.report(&blocked);
            return false;
        }
        let names: Vec<&str> = part.commands.iter().map(|command| command.name()).collect();
        tracing::info!(commands = names.join(", "), "the core was commanded");
        if let Some(watch) = &mut self.watch {
            watch.commanded(&part.commands);
        }
        self.desk.written(part);
        true
    }

    /// Says that the core does not take results, if it is time to say so.
    pub(super) fn report(&mut self, blocked: &Blocked) {
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
