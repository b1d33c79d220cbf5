//! Which commands wait, in which order, and what each waits for. Without I/O.
//!
//! An order is what was issued together. It keeps its sequence and is written in at most two parts: what silences at its
//! beginning overtakes everything; the rest waits for its mark, which is the end of the backlog when the core was there to
//! take it.
//!
//! **Invariant:** of what concerns the same subject, only the newest order waits, so that what is written last is what was
//! wanted last. With that, no more orders wait than there are subjects.
//!
//! **Invariant:** an order that has the core read a file is written as one part, as it was issued, or not at all: what saves
//! right behind it is what makes reading harmless. So a later order that only saves takes nothing from it.

use std::collections::VecDeque;

use nagios::ModeCommand;

/// All orders that wait, the oldest first. `T` is who is told.
#[derive(Debug)]
pub(super) struct Orders<T> {
    waiting: VecDeque<Order<T>>,
    next_id: u64,
}

#[derive(Debug)]
struct Order<T> {
    id: u64,
    /// What is not written yet, in order; never empty.
    commands: Vec<ModeCommand>,
    /// The last sequence of the backlog that the commands come after.
    mark: Option<u64>,
    /// None once it was told.
    issuer: Option<T>,
}

/// Commands of one order that can be written now, together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    order: u64,
    /// The commands, in order.
    pub(crate) commands: Vec<ModeCommand>,
}

/// What a command changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Notifications,
    ServiceChecks,
    HostChecks,
    ServiceObsession,
    HostObsession,
    Saving,
    Reading,
}

fn subject(command: ModeCommand) -> Subject {
    match command {
        ModeCommand::EnableNotifications | ModeCommand::DisableNotifications => Subject::Notifications,
        ModeCommand::StartExecutingServiceChecks | ModeCommand::StopExecutingServiceChecks => Subject::ServiceChecks,
        ModeCommand::StartExecutingHostChecks | ModeCommand::StopExecutingHostChecks => Subject::HostChecks,
        ModeCommand::StartObsessingOverServices | ModeCommand::StopObsessingOverServices => Subject::ServiceObsession,
        ModeCommand::StartObsessingOverHosts | ModeCommand::StopObsessingOverHosts => Subject::HostObsession,
        ModeCommand::SaveStateInformation => Subject::Saving,
        ModeCommand::ReadStateInformation | ModeCommand::SyncStateInformation => Subject::Reading,
    }
}

impl<T> Default for Orders<T> {
    fn default() -> Self {
        Orders { waiting: VecDeque::new(), next_id: 0 }
    }
}

impl<T> Orders<T> {
    /// Takes a new order, which replaces older commands about the same. Gives the issuers of those.
    pub(super) fn add(&mut self, commands: Vec<ModeCommand>, issuer: T) -> Vec<T> {
        let mark = self.mark_of_the_same(&commands);
        let mut replaced = Vec::new();
        for order in &mut self.waiting {
            if order.is_replaced_by(&commands) {
                replaced.extend(order.issuer.take());
            }
        }
        self.waiting.retain(|order| !order.commands.is_empty());
        if !commands.is_empty() {
            self.next_id += 1;
            self.waiting.push_back(Order { id: self.next_id, commands, mark, issuer: Some(issuer) });
        }
        replaced
    }

    /// The order that was added last.
    pub(super) fn newest(&self) -> u64 {
        self.next_id
    }

    /// What still waits of this order never will be written.
    pub(super) fn withdraw(&mut self, id: u64) {
        self.waiting.retain(|order| order.id != id);
    }

    /// Who issues again what waits already does not wait for more: otherwise, in a stream of results, it would never come to
    /// its end.
    fn mark_of_the_same(&self, commands: &[ModeCommand]) -> Option<u64> {
        let mut mark = None;
        for command in commands.iter().filter(|command| !command.silences()) {
            let same = self.waiting.iter().find(|order| order.commands.contains(command))?;
            mark = mark.max(Some(same.mark?));
        }
        mark
    }

    /// What may be written at once: the silencing commands that an order begins with.
    pub(super) fn ahead(&self) -> Option<Part> {
        self.waiting.iter().find_map(|order| {
            if order.reads() {
                return None;
            }
            let silencing = order.commands.iter().take_while(|command| command.silences()).count();
            (silencing > 0).then(|| Part { order: order.id, commands: order.commands[..silencing].to_vec() })
        })
    }

    /// What may be written when the core has everything up to this sequence.
    pub(super) fn due(&self, reached: u64) -> Option<Part> {
        self.waiting
            .iter()
            .find(|order| order.is_marked_by(reached) && (order.reads() || !order.commands[0].silences()))
            .map(|order| Part { order: order.id, commands: order.commands.clone() })
    }

    /// Whether an order waits for the backlog that has no mark yet.
    pub(super) fn lacks_mark(&self) -> bool {
        self.waiting.iter().any(Order::is_unmarked)
    }

    /// The backlog ends here, and there is a core to take it.
    pub(super) fn mark(&mut self, newest: u64) {
        for order in self.waiting.iter_mut().filter(|order| order.is_unmarked()) {
            order.mark = Some(newest);
        }
    }

    /// There is no core, or another one: the backlog is to be measured anew.
    pub(super) fn forget_marks(&mut self) {
        self.waiting.iter_mut().for_each(|order| order.mark = None);
    }

    /// Up to where the backlog is to be written before the next commands are due.
    pub(super) fn until(&self) -> Option<u64> {
        self.waiting.iter().filter_map(|order| order.mark).min()
    }

    /// Whether results that come before commands are to be reduced to the newest of each object: some enable.
    pub(super) fn reduce(&self) -> bool {
        let enables = |order: &Order<T>| order.commands.iter().any(|command| command.enables());
        self.waiting.iter().any(|order| order.mark.is_some() && enables(order))
    }

    /// The core has this part. Gives the issuer if that was the last one of the order.
    pub(super) fn written(&mut self, part: &Part) -> Option<T> {
        let place = self.waiting.iter().position(|order| order.id == part.order)?;
        let order = &mut self.waiting[place];
        // What came in between may have replaced some of it.
        let mut rest = part.commands.as_slice();
        order.commands.retain(|command| match rest.iter().position(|written| written == command) {
            Some(at) => {
                rest = &rest[at + 1..];
                false
            }
            None => true,
        });
        if order.commands.is_empty() { self.waiting.remove(place)?.issuer } else { None }
    }

    /// Everybody who waits.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().filter_map(|order| order.issuer.as_ref())
    }

    /// Nothing will be written any more. Gives everybody who waits.
    pub(super) fn take_issuers(&mut self) -> Vec<T> {
        std::mem::take(&mut self.waiting).into_iter().filter_map(|order| order.issuer).collect()
    }
}

impl<T> Order<T> {
    fn is_unmarked(&self) -> bool {
        self.mark.is_none() && (self.reads() || self.commands.iter().any(|command| !command.silences()))
    }

    fn is_marked_by(&self, reached: u64) -> bool {
        self.mark.is_some_and(|mark| mark <= reached)
    }

    fn reads(&self) -> bool {
        self.commands.iter().any(|command| command.reads())
    }

    /// Takes away what `newer` says otherwise. Whether that was anything.
    fn is_replaced_by(&mut self, newer: &[ModeCommand]) -> bool {
        let is_replaced = |old: &ModeCommand| newer.iter().any(|new| subject(*new) == subject(*old));
        if self.reads() {
            let replaced = self.commands.iter().any(|old| subject(*old) != Subject::Saving && is_replaced(old));
            if replaced {
                self.commands.clear();
            }
            return replaced;
        }
        let before = self.commands.len();
        self.commands.retain(|old| !is_replaced(old));
        self.commands.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ModeCommand::{
        DisableNotifications as DISABLE, EnableNotifications as ENABLE, ReadStateInformation as READ,
        SaveStateInformation as SAVE, StartExecutingServiceChecks as START, StopExecutingServiceChecks as STOP,
    };

    fn commands(part: Option<Part>) -> Vec<ModeCommand> {
        part.map(|part| part.commands).unwrap_or_default()
    }

    #[test]
    fn what_silences_goes_ahead_and_the_rest_waits_for_the_backlog_of_its_moment() {
        let mut orders = Orders::default();
        orders.add(vec![DISABLE, STOP, SAVE], "a");
        let ahead = orders.ahead().unwrap();
        assert_eq!(ahead.commands, [DISABLE, STOP]);
        assert_eq!(orders.written(&ahead), None, "a part is left");
        assert_eq!((orders.ahead(), orders.due(u64::MAX), orders.until()), (None, None, None));
        assert!(orders.lacks_mark());
        orders.mark(7);
        orders.mark(9);
        assert_eq!((orders.until(), orders.due(6), orders.lacks_mark()), (Some(7), None, false));
        let rest = orders.due(7).unwrap();
        assert_eq!(rest.commands, [SAVE]);
        assert_eq!(orders.written(&rest), Some("a"));
        assert_eq!(orders.until(), None);
    }

    #[test]
    fn within_an_order_nothing_overtakes_what_enables() {
        let mut orders = Orders::default();
        orders.add(vec![ENABLE, STOP], "a");
        assert_eq!(orders.ahead(), None);
        orders.mark(1);
        assert_eq!(commands(orders.due(1)), [ENABLE, STOP]);
    }

    #[test]
    fn the_newest_word_about_a_subject_counts() {
        let mut orders = Orders::default();
        assert!(orders.add(vec![ENABLE, START], "a").is_empty());
        orders.mark(5);
        assert_eq!(orders.add(vec![DISABLE], "b"), ["a"]);
        assert_eq!(commands(orders.ahead()), [DISABLE]);
        assert_eq!(commands(orders.due(5)), [START], "what nobody replaced is still wanted");
        assert!(orders.add(vec![STOP], "c").is_empty(), "its issuer was told before");
        assert_eq!(orders.issuers().collect::<Vec<_>>(), [&"b", &"c"]);
    }

    #[test]
    fn issued_again_it_does_not_wait_for_more() {
        let mut orders = Orders::default();
        orders.add(vec![ENABLE, START], "a");
        orders.mark(5);
        assert_eq!(orders.add(vec![ENABLE, START], "b"), ["a"]);
        orders.mark(9);
        assert_eq!(orders.until(), Some(5));
        orders.add(vec![ENABLE, SAVE], "c");
        orders.mark(20);
        assert_eq!(commands(orders.due(19)), [START], "something is new in the other");
    }

    #[test]
    fn without_a_core_the_backlog_grows() {
        let mut orders = Orders::default();
        orders.add(vec![ENABLE], "a");
        orders.mark(5);
        orders.forget_marks();
        assert_eq!(orders.due(u64::MAX), None);
        orders.mark(100);
        assert_eq!(orders.until(), Some(100));
        assert_eq!(orders.take_issuers(), ["a"]);
    }

    #[test]
    fn an_order_that_reads_is_written_whole_or_not_at_all() {
        let mut orders = Orders::default();
        orders.add(vec![READ, SAVE, ENABLE], "a");
        assert!(orders.add(vec![START, SAVE], "b").is_empty(), "what saves takes nothing from it");
        orders.mark(1);
        let whole = orders.due(1).unwrap();
        assert_eq!(whole.commands, [READ, SAVE, ENABLE]);
        assert_eq!(orders.add(vec![ENABLE], "c"), ["a"], "it is replaced whole");
        assert_eq!(commands(orders.due(1)), [START, SAVE]);
        assert_eq!(orders.written(&whole), None);
        assert_eq!(orders.add(vec![STOP, READ, SAVE], "d"), ["b"]);
        assert_eq!(orders.ahead(), None, "nothing of it overtakes");
        orders.mark(2);
        assert_eq!(orders.add(vec![READ, SAVE], "e"), ["d"]);
    }

    #[test]
    fn results_are_reduced_before_what_enables_only() {
        let mut orders = Orders::default();
        orders.add(vec![READ, SAVE], "a");
        orders.add(vec![STOP], "b");
        orders.mark(1);
        assert!(!orders.reduce());
        orders.add(vec![ENABLE], "c");
        assert!(!orders.reduce(), "it is not known yet before which");
        orders.mark(2);
        assert!(orders.reduce());
    }

    #[test]
    fn a_part_that_was_replaced_while_it_was_written_is_no_harm() {
        let mut orders = Orders::default();
        orders.add(vec![DISABLE, STOP], "a");
        let part = orders.ahead().unwrap();
        orders.add(vec![START], "b");
        assert_eq!(orders.written(&part), None, "a was told when it was replaced");
        assert_eq!(orders.ahead(), None);
        orders.mark(1);
        assert_eq!(commands(orders.due(1)), [START]);
    }
}
