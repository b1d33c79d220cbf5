//! What people did on the node in charge, done again on this core: acknowledgements, downtimes, comments, switches.
//!
//! Compared are the other node's book, what this core shows, and what was carried over before. Numbers differ between cores, so
//! remarks are recognised by what they say: object, author, text, and the time at which they were entered, which goes over
//! in the brackets of the command. Of remarks that agree in all of that, one is carried over.
//!
//! While the other node is in charge ([`Charge::Peer`]):
//!
//! | the book | this core | carried over before | |
//! | --- | --- | --- | --- |
//! | has it | has it not | | make it |
//! | has it | has it | | nothing |
//! | has it not | has it | yes | end it |
//! | has it not | has it | no | nothing: somebody made it here |
//!
//! While this core is in charge ([`Charge::Own`]) nothing is issued: the other node does as this one. What both have then counts
//! as carried over. So when the charge goes over, what was ended there meanwhile ends here, also what was made here first; and what
//! the other node never had stays, and goes over when the charge comes back.
//!
//! What was carried over and is over on both is remembered: a core that was killed comes back with what it had saved, and what
//! has ended since ends again.
//!
//! **Invariant:** only the core that is not in charge is changed, so nothing is sent to and fro.
//!
//! **Invariant:** nothing is made twice. What was issued is not issued again for [`REISSUE`], however old the status file is
//! that does not show it yet, unless the core was started since, or its command file refused it; while it is not written nothing else is issued; and a new run
//! that goes on with what was carried over issues nothing before a status file that was written [`SETTLE`] after its start, or
//! [`FINDS`] after that of a core that was started since.
//!
//! **Invariant:** what was carried over is itself a [`Book`], so that it can be kept on disk as one. Whoever loses it ends
//! nothing that it does not know, and makes nothing twice.

mod downtimes;
mod plan;

use nagios::command::{ObjectCommand, Order};

use crate::book::Book;
use crate::record::Record;

pub use plan::Plan;

/// How long a command has to appear in the status file, in seconds.
pub const REISSUE: i64 = 120;

/// How long commands of an earlier run may be on their way, in seconds.
pub const SETTLE: i64 = 10;

/// How long after its first status file a core shows what it found in its command file, in seconds.
pub const FINDS: i64 = 2;

/// How many commands are issued at once. The others follow with the next status file.
pub const MAX_COMMANDS: usize = 1000;

/// Whose remarks count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// The other node's.
    Peer,
    /// This core's.
    Own,
}

/// Both nodes at a moment. Times are Unix seconds.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The other node's book.
    pub wanted: &'a Book,
    /// What this core shows.
    pub shown: &'a Book,
    /// When the status file was written that shows it.
    pub created: i64,
    /// When this core started.
    pub program_start: i64,
}

/// Keeps a core like the one in charge.
#[derive(Clone, Debug)]
pub struct Mirror {
    carried: Book,
    issued: Vec<Issued>,
    /// From when on nothing is on its way any more that an earlier run issued; for a core that was started at `begun` or later,
    /// sooner.
    settled: i64,
    begun: i64,
    run: Run,
    has_news: bool,
}

/// A run of the core.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    /// When it started.
    program_start: i64,
    /// When the first of its status files was written that was seen.
    first: i64,
}

#[derive(Clone, Debug)]
struct Issued {
    command: ObjectCommand,
    /// When the core's command file took it, or refused it. None: neither yet.
    written: Option<i64>,
    /// It was refused. Perhaps a core has read it before, but none is going to.
    is_refused: bool,
}

impl Mirror {
    /// Goes on with what an earlier run has carried over. Times are Unix seconds.
    pub fn new(carried: Book, now: i64) -> Self {
        // What is issued is carried over before: where nothing was, nothing is on its way.
        let settled = if carried.is_empty() { now } else { now + SETTLE };
        Self { carried, issued: Vec::new(), settled, begun: now, run: Run::default(), has_news: false }
    }

    /// What was carried over, to be kept for the next run.
    pub fn carried(&self) -> &Book {
        &self.carried
    }

    /// Whether that has changed since [`Mirror::handle_kept`].
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// What was carried over is on the disk.
    pub fn handle_kept(&mut self) {
        self.has_news = false;
    }

    /// Whether what was issued last is not written yet.
    pub fn is_waiting(&self) -> bool {
        self.issued.iter().any(|issued| issued.written.is_none())
    }

    /// Whether everything that was issued is written and has had its time to appear in a status file of `created`.
    pub fn has_settled(&self, created: i64) -> bool {
        created >= self.settled() && self.issued.iter().all(|issued| issued.written.is_some_and(|time| created > time))
    }

    /// What to tell this core. What is given is to be written, and then [`Mirror::handle_written`] to be called, or
    /// [`Mirror::handle_refused`].
    pub fn handle_sight(&mut self, sight: Sight<'_>, charge: Charge, now: i64) -> Vec<ObjectCommand> {
        let Sight { wanted, shown, created, program_start } = sight;
        if self.run.program_start != program_start {
            self.run = Run { program_start, first: created };
        }
        if charge == Charge::Own {
            let common = plan::common(wanted, shown, &self.carried, now);
            self.carry(common);
            return Vec::new();
        }
        if created < self.settled() || self.is_waiting() {
            return Vec::new();
        }
        let run = self.run;
        self.issued.retain(|issued| !issued.is_over(created, run, now));
        let mut plan = Plan::new(wanted, shown, &self.carried, now);
        self.issued.retain(|issued| !issued.is_obeyed(&plan.commands, created));
        plan.commands.retain(|command| !self.issued.iter().any(|issued| is_same_command(&issued.command, command)));
        // What exceeds the limit is no part of what was carried over, yet, but wanted, so it is looked at again.
        plan.commands.truncate(MAX_COMMANDS);
        self.issued.extend(plan.commands.iter().map(|command| Issued {
            command: command.clone(),
            written: None,
            is_refused: false,
        }));
        self.carry(plan.carried);
        plan.commands
    }

    /// The core's command file has what was issued last.
    pub fn handle_written(&mut self, now: i64) {
        self.end_waiting(now, false);
    }

    /// The core's command file will not get what was issued last, and who knows how much of it it has.
    pub fn handle_refused(&mut self, now: i64) {
        self.end_waiting(now, true);
    }

    /// What an earlier run issued, a core that was started since can only have found in its command file.
    fn settled(&self) -> i64 {
        let Run { program_start, first } = self.run;
        if program_start >= self.begun { self.settled.min(first + FINDS) } else { self.settled }
    }

    fn end_waiting(&mut self, now: i64, is_refused: bool) {
        for issued in self.issued.iter_mut().filter(|issued| issued.written.is_none()) {
            (issued.written, issued.is_refused) = (Some(now), is_refused);
        }
    }

    fn carry(&mut self, records: Vec<Record>) {
        self.has_news |= !records.is_empty();
        for record in records {
            // Its objects are of the book of this core, which has as many at most.
            let _ = self.carried.apply(record);
        }
    }
}

impl Issued {
    /// Whether a status file of `created`, in which only `missing` is missing, shows that it came.
    fn is_obeyed(&self, missing: &[ObjectCommand], created: i64) -> bool {
        self.written.is_some_and(|written| created >= written + SETTLE)
            && !missing.iter().any(|command| is_same_command(&self.command, command))
    }

    /// Whether it was lost if a status file of `created` does not show it.
    fn is_over(&self, created: i64, run: Run, now: i64) -> bool {
        self.written.is_some_and(|written| {
            // The one that took it may have ended before it saved.
            let is_another_core = run.program_start > written && created >= run.first + FINDS;
            let is_lost = self.is_refused && created >= written.max(run.first) + FINDS;
            is_another_core || is_lost || now >= written + REISSUE
        })
    }
}

/// The time in the brackets tells remarks apart, and is of no account otherwise.
fn is_same_command(a: &ObjectCommand, b: &ObjectCommand) -> bool {
    let is_remark = matches!(a.order, Order::AddComment { .. } | Order::ScheduleDowntime { .. });
    (&a.object, &a.order) == (&b.object, &b.order) && (!is_remark || a.entered == b.entered)
}

#[cfg(test)]
mod tests;
