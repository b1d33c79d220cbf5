//! Commands on their way into the command file: who issues them, and how they are told what became of them.
//!
//! The injector is the only writer of the command file, so that commands and results have one order. What silences the core
//! overtakes results; what makes it notify or check waits until the results that wait at that moment are reduced to the
//! newest of each object and written: an hour of backlog poured into a core that notifies would be a storm. Commands about
//! single objects come after the results that wait, all of them.

mod errands;
mod orders;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nagios::command::ObjectCommand;
use nagios::{Flavour, ModeCommand, Timestamp};
use tokio::sync::{Notify, watch};

use errands::{Errands, MAX_ERRAND_BYTES};
use orders::Orders;
pub(crate) use orders::Part;

/// How many commands can be issued together: they go in one write.
const MAX_COMMANDS: usize = 32;

/// The longest command, in bytes.
const MAX_COMMAND_BYTES: usize = 64;
const _: () = assert!(MAX_COMMANDS * MAX_COMMAND_BYTES <= nagios::command::PIPE_BUF);

/// Issues commands to the core.
#[derive(Clone)]
pub struct Commands {
    desk: Arc<Desk>,
}

/// Commands that were issued together. Dropping it while they wait withdraws those that are not yet written.
#[derive(Debug)]
pub struct Ticket {
    progress: watch::Receiver<Progress>,
    desk: Arc<Desk>,
    place: Option<Place>,
}

/// Where commands wait.
#[derive(Clone, Copy, Debug)]
enum Place {
    Order(u64),
    Errand(u64),
}

/// What became of commands that were issued together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Some of them are not written yet.
    Waits(Waits),
    /// The core's command file took all of them. That is no proof that the core obeyed: its status file tells.
    Written,
    /// Some of them never will be written.
    NotWritten(NotWritten),
}

/// What commands wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The injector has not looked at them yet, or other commands and results come first.
    Turn,
    /// The core does not take them: the reason.
    Core(String),
}

/// Why commands are not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// The receiver does not use the command file.
    #[error("commands need the core's command file: set inject = \"command-file\" in the [receiver] section")]
    NoCommandFile,
    /// The receiver has no journal, so it cannot reduce what waits.
    #[error("commands need a receiver with a journal, which the drop-in for nsca has not: use `understudy run`")]
    NoJournal,
    /// More than can go in one write.
    #[error("{0} commands at once are too many: at most {MAX_COMMANDS}")]
    TooMany(usize),
    /// More than may wait: issue the rest when what waits is written.
    #[error("commands of more than {MAX_ERRAND_BYTES} bytes would wait for the core: they are issued again")]
    NoRoom,
    /// They were meant for the run of the core that ended before it took all of them.
    #[error("the core that they were meant for is gone")]
    CoreGone,
    /// Later commands about the same took their place.
    #[error("later commands about the same took their place")]
    Replaced,
    /// The receiver ended before.
    #[error("the receiver stopped before the core took them")]
    Stopped,
}

impl Commands {
    /// Has the core take `commands`, in this order, as soon as it can. Those that silence, at the beginning of
    /// `commands`, overtake everything that waits; the others come after the backlog. While there is no core, they wait.
    ///
    /// They replace what was issued before about the same (notifications, service checks, …) and still waits.
    pub fn issue(&self, commands: Vec<ModeCommand>) -> Ticket {
        self.wait(|desk, issuer| desk.take(commands, issuer))
    }

    /// Has the core take `commands`, in this order, after the results that wait when the injector comes to look at them.
    ///
    /// They are meant for the core that runs now: if it ends before, they are not written, since the next one shows what it
    /// needs. Some may be written then.
    pub fn issue_objects(&self, commands: &[ObjectCommand]) -> Ticket {
        self.wait(|desk, issuer| desk.take_errand(commands, issuer))
    }

    fn wait(&self, take: impl FnOnce(&Desk, Issuer) -> Result<Place, (Progress, Issuer)>) -> Ticket {
        let (issuer, mut progress) = watch::channel(Progress::Waits(Waits::Turn));
        progress.mark_changed();
        let place = match take(&self.desk, issuer) {
            Ok(place) => Some(place),
            Err((reason, issuer)) => {
                tell(&issuer, reason);
                None
            }
        };
        Ticket { progress, desk: self.desk.clone(), place }
    }
}

impl Ticket {
    /// What became of them so far.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// What became of them since the last call, at first at once. After [`Progress::Written`] or [`Progress::NotWritten`]
    /// nothing becomes of them any more.
    ///
    /// # Cancel safety
    /// Nothing is lost: the next call gives it.
    pub async fn next(&mut self) -> Progress {
        match self.progress.changed().await {
            Ok(()) => self.progress.borrow_and_update().clone(),
            // Whoever would tell is gone.
            Err(_) => Progress::NotWritten(NotWritten::Stopped),
        }
    }

    /// Waits until the core's command file took all of them.
    ///
    /// # Errors
    /// It never will take all of them.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws those that are not yet written.
    pub async fn written(mut self) -> Result<(), NotWritten> {
        loop {
            match self.next().await {
                Progress::Waits(_) => {}
                Progress::Written => return Ok(()),
                Progress::NotWritten(reason) => return Err(reason),
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let (Some(place), Progress::Waits(_)) = (self.place, self.progress()) {
            self.desk.withdraw(place);
        }
    }
}

type Issuer = watch::Sender<Progress>;

/// Where commands wait for the injector.
#[derive(Debug)]
pub(crate) struct Desk {
    open: Mutex<Open>,
    flavour: Flavour,
    /// Wakes the injector.
    wake: Arc<Notify>,
}

#[derive(Debug)]
struct Open {
    /// Why nothing is taken, if so.
    closed: Option<NotWritten>,
    orders: Orders<Issuer>,
    errands: Errands<Issuer>,
}

/// Lines about single objects, to be written next.
pub(crate) struct Errand {
    pub(crate) lines: Vec<u8>,
    issuer: Issuer,
}

impl Desk {
    /// A desk beside a core of `flavour` that refuses everything for the reason given, if any.
    pub(crate) fn new(closed: Option<NotWritten>, flavour: Flavour, wake: Arc<Notify>) -> Arc<Self> {
        let open = Open { closed, orders: Orders::default(), errands: Errands::default() };
        Arc::new(Desk { open: Mutex::new(open), flavour, wake })
    }

    /// For those who issue.
    pub(crate) fn commands(self: &Arc<Self>) -> Commands {
        Commands { desk: self.clone() }
    }

    fn take(&self, commands: Vec<ModeCommand>, issuer: Issuer) -> Result<Place, (Progress, Issuer)> {
        let mut open = self.lock();
        if let Some(reason) = open.closed.clone() {
            return Err((Progress::NotWritten(reason), issuer));
        }
        if commands.len() > MAX_COMMANDS {
            return Err((Progress::NotWritten(NotWritten::TooMany(commands.len())), issuer));
        }
        if commands.is_empty() {
            return Err((Progress::Written, issuer));
        }
        for replaced in open.orders.add(commands, issuer) {
            tell(&replaced, Progress::NotWritten(NotWritten::Replaced));
        }
        let order = open.orders.newest();
        drop(open);
        self.wake.notify_one();
        Ok(Place::Order(order))
    }

    fn take_errand(&self, commands: &[ObjectCommand], issuer: Issuer) -> Result<Place, (Progress, Issuer)> {
        let lines = errands::encode(commands, self.flavour);
        let mut open = self.lock();
        if let Some(reason) = open.closed.clone() {
            return Err((Progress::NotWritten(reason), issuer));
        }
        if lines.is_empty() {
            return Err((Progress::Written, issuer));
        }
        let full = |issuer| (Progress::NotWritten(NotWritten::NoRoom), issuer);
        let errand = open.errands.add(lines, issuer).map_err(full)?;
        drop(open);
        self.wake.notify_one();
        Ok(Place::Errand(errand))
    }

    /// What is not yet written never will be.
    fn withdraw(&self, place: Place) {
        let mut open = self.lock();
        match place {
            Place::Order(id) => open.orders.withdraw(id),
            Place::Errand(id) => open.errands.withdraw(id),
        }
    }

    /// What may be written at once, if anything.
    pub(crate) fn ahead(&self) -> Option<Part> {
        self.lock().orders.ahead()
    }

    /// What may be written when the core has everything up to this sequence.
    pub(crate) fn due(&self, reached: u64) -> Option<Part> {
        self.lock().orders.due(reached)
    }

    /// Whether commands that change the mode wait for a backlog that has not been measured yet.
    pub(crate) fn lacks_mark(&self) -> bool {
        self.lock().orders.lacks_mark()
    }

    /// Whether commands of any kind do.
    pub(crate) fn has_unmarked(&self) -> bool {
        let open = self.lock();
        open.orders.lacks_mark() || open.errands.lacks_mark()
    }

    /// The backlog that commands wait for ends here.
    pub(crate) fn mark(&self, newest: u64) {
        let mut open = self.lock();
        open.orders.mark(newest);
        open.errands.mark(newest);
    }

    /// Up to where the backlog comes before commands, if any wait.
    pub(crate) fn until(&self) -> Option<u64> {
        let open = self.lock();
        open.orders.until().into_iter().chain(open.errands.until()).min()
    }

    /// Whether that is to be reduced to the newest of each object.
    pub(crate) fn reduce(&self) -> bool {
        self.lock().orders.reduce()
    }

    /// Takes the lines about single objects that may be written when the core has everything up to this sequence.
    pub(crate) fn take_due_errand(&self, reached: u64) -> Option<Errand> {
        let errands::Errand { lines, issuer, .. } = self.lock().errands.take_due(reached)?;
        Some(Errand { lines, issuer })
    }

    /// The core has this part.
    pub(crate) fn written(&self, part: &Part) {
        if let Some(issuer) = self.lock().orders.written(part) {
            tell(&issuer, Progress::Written);
        }
    }

    /// There is no core, or another one: what then waits comes before the commands that change its mode, and what was said of
    /// objects is not for it.
    pub(crate) fn core_gone(&self) {
        let mut open = self.lock();
        open.orders.forget_marks();
        for issuer in open.errands.take_issuers() {
            tell(&issuer, Progress::NotWritten(NotWritten::CoreGone));
        }
    }

    /// Tells those who wait what they wait for.
    pub(crate) fn explain(&self, waits: &Waits) {
        let open = self.lock();
        for issuer in open.orders.issuers().chain(open.errands.issuers()) {
            issuer.send_if_modified(|told| {
                let new = Progress::Waits(waits.clone());
                let differs = *told != new;
                *told = new;
                differs
            });
        }
    }

    /// Nothing is written any more.
    pub(crate) fn close(&self) {
        let mut open = self.lock();
        open.closed.get_or_insert(NotWritten::Stopped);
        let Open { orders, errands, .. } = &mut *open;
        for issuer in orders.take_issuers().into_iter().chain(errands.take_issuers()) {
            tell(&issuer, Progress::NotWritten(NotWritten::Stopped));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Errand {
    /// The core has all of it.
    pub(crate) fn written(self) {
        tell(&self.issuer, Progress::Written);
    }

    /// It does not get all of it.
    pub(crate) fn not_written(self, reason: NotWritten) {
        tell(&self.issuer, Progress::NotWritten(reason));
    }
}

impl Part {
    /// The lines, to be written with one write.
    pub(crate) fn encode(&self, at: Timestamp) -> Vec<u8> {
        let mut lines = Vec::new();
        for command in &self.commands {
            command.encode(at, &mut lines);
        }
        lines
    }
}

/// Nobody may be listening any more.
fn tell(issuer: &Issuer, progress: Progress) {
    issuer.send_replace(progress);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(desk: &Arc<Desk>, commands: &[ModeCommand]) -> Ticket {
        desk.commands().issue(commands.to_vec())
    }

    #[tokio::test]
    async fn issuers_are_told() {
        let desk = Desk::new(None, Flavour::Nagios4, Arc::default());
        let first = issue(&desk, &[ModeCommand::DisableNotifications]);
        assert_eq!(first.progress(), Progress::Waits(Waits::Turn));
        desk.explain(&Waits::Core("away".to_owned()));
        assert_eq!(first.progress(), Progress::Waits(Waits::Core("away".to_owned())));
        let second = issue(&desk, &[ModeCommand::DisableNotifications]);
        assert_eq!(first.written().await, Err(NotWritten::Replaced));
        let part = desk.ahead().unwrap();
        let lines = String::from_utf8(part.encode(Timestamp::from_seconds(7))).unwrap();
        assert_eq!(lines, "[7] DISABLE_NOTIFICATIONS\n");
        desk.written(&part);
        assert_eq!(second.written().await, Ok(()));
        let third = issue(&desk, &[ModeCommand::EnableNotifications]);
        desk.close();
        assert_eq!(third.written().await, Err(NotWritten::Stopped));
        let late = issue(&desk, &[ModeCommand::EnableNotifications]);
        assert_eq!(late.written().await, Err(NotWritten::Stopped));
    }

    #[tokio::test]
    async fn whoever_lets_go_of_a_ticket_withdraws_its_commands() {
        let desk = Desk::new(None, Flavour::Nagios4, Arc::default());
        let kept = issue(&desk, &[ModeCommand::StopExecutingHostChecks]);
        drop(issue(&desk, &[ModeCommand::DisableNotifications]));
        let part = desk.ahead().unwrap();
        assert_eq!(part.commands, [ModeCommand::StopExecutingHostChecks]);
        desk.written(&part);
        assert_eq!(kept.written().await, Ok(()));
        assert_eq!(desk.ahead(), None);
        let writing = issue(&desk, &[ModeCommand::EnableNotifications]).written();
        desk.mark(0);
        assert!(desk.due(0).is_some());
        drop(writing);
        assert_eq!(desk.due(0), None);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_refused_at_once() {
        let desk = Desk::new(Some(NotWritten::NoCommandFile), Flavour::Nagios4, Arc::default());
        let ticket = issue(&desk, &[ModeCommand::DisableNotifications]);
        assert_eq!(ticket.written().await, Err(NotWritten::NoCommandFile));
        let desk = Desk::new(None, Flavour::Nagios4, Arc::default());
        let many = [ModeCommand::DisableNotifications; MAX_COMMANDS + 1];
        assert_eq!(issue(&desk, &many).written().await, Err(NotWritten::TooMany(MAX_COMMANDS + 1)));
        assert_eq!(issue(&desk, &[]).written().await, Ok(()));
    }

    #[test]
    fn all_that_can_be_issued_together_fits_one_write() {
        let desk = Desk::new(None, Flavour::Nagios4, Arc::default());
        let _ticket = issue(&desk, &[ModeCommand::StopExecutingServiceChecks; MAX_COMMANDS]);
        let part = desk.ahead().unwrap();
        assert_eq!(part.commands.len(), MAX_COMMANDS);
        assert!(part.encode(Timestamp::from_seconds(i64::from(u32::MAX))).len() <= nagios::command::PIPE_BUF);
    }
}
