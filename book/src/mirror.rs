//! What people did on the master, done again on this core: acknowledgements, downtimes, comments, switches.
//!
//! Compared are the master's book, what this core shows, and what was carried over before. Numbers differ between cores, so
//! remarks are recognised by what they say: object, author, text, and the time at which they were entered, which goes over
//! in the brackets of the command. Of remarks that agree in all of that, one is carried over.
//!
//! | the book | this core | carried over before | |
//! | --- | --- | --- | --- |
//! | has it | has it not | | make it |
//! | has it | has it | | nothing |
//! | has it not | has it | yes | end it |
//! | has it not | has it | no | nothing: somebody made it here |
//!
//! **Invariant:** nothing is made twice. What was issued is not issued again for [`REISSUE`], however old the status file is
//! that does not show it yet, and a new run issues nothing before a status file that was written [`SETTLE`] after its start.
//!
//! **Invariant:** what was carried over is itself a [`Book`], so that it can be kept on disk as one. Whoever loses it ends
//! nothing that it does not know, and makes nothing twice.

mod downtimes;

use std::collections::{BTreeMap, BTreeSet};

use nagios::command::{ObjectCommand, ObjectSwitch, Order};
use nagios::memory::Acknowledgement;
use nagios::remark::{Comment, CommentKind, Downtime, RemarkText};
use nagios::{Memory, Object};

use crate::book::Book;
use crate::entry::{Change, Entry};
use crate::record::Record;

/// How long a command has to appear in the status file, in seconds. It may have to wait behind 100,000 results.
pub const REISSUE: i64 = 120;

/// How long commands of an earlier run may be on their way, in seconds.
pub const SETTLE: i64 = 10;

/// How many commands are issued at once. The others follow with the next status file.
pub const MAX_COMMANDS: usize = 1000;

/// Keeps a core like the master's.
#[derive(Clone, Debug)]
pub struct Mirror {
    carried: Book,
    issued: Vec<(ObjectCommand, i64)>,
    settled: i64,
}

impl Mirror {
    /// Goes on with what an earlier run has carried over. Times are Unix seconds.
    pub fn new(carried: Book, now: i64) -> Self {
        Self { carried, issued: Vec::new(), settled: now + SETTLE }
    }

    /// What was carried over, to be kept for the next run.
    pub fn carried(&self) -> &Book {
        &self.carried
    }

    /// What to tell this core, which shows `shown` in a status file written at `created`.
    pub fn handle_picture(&mut self, wanted: &Book, shown: &Book, created: i64, now: i64) -> Vec<ObjectCommand> {
        if created < self.settled {
            return Vec::new();
        }
        self.issued.retain(|(_, issued)| now < issued + REISSUE);
        let mut plan = Plan::new(wanted, shown, &self.carried, now);
        plan.commands.retain(|command| !self.issued.iter().any(|(issued, _)| is_same_command(issued, command)));
        // What exceeds the limit is no part of what was carried over, yet, but wanted, so it is looked at again.
        plan.commands.truncate(MAX_COMMANDS);
        self.issued.extend(plan.commands.iter().map(|command| (command.clone(), now)));
        for record in plan.carried {
            // Its objects are of the book of this core, which has as many at most.
            let _ = self.carried.apply(record);
        }
        plan.commands
    }
}

/// The time in the brackets tells remarks apart, and is of no account otherwise.
fn is_same_command(a: &ObjectCommand, b: &ObjectCommand) -> bool {
    let is_remark = matches!(a.order, Order::AddComment { .. } | Order::ScheduleDowntime { .. });
    (&a.object, &a.order) == (&b.object, &b.order) && (!is_remark || a.entered == b.entered)
}

/// What makes one core like another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to tell the core.
    pub commands: Vec<ObjectCommand>,
    /// What changes in the book of what was carried over.
    pub carried: Vec<Record>,
}

impl Plan {
    /// Compares at `now`, in Unix seconds. Objects that this core does not know are passed over.
    pub fn new(wanted: &Book, shown: &Book, carried: &Book, now: i64) -> Self {
        let (nothing, triggers) = (Entry::default(), downtimes::triggers(wanted, shown));
        let mut plan = Self::default();
        let objects: BTreeSet<&Object> = wanted.entries().chain(carried.entries()).map(|(object, _)| object).collect();
        for object in objects {
            let Some(shown) = shown.entry(object) else { continue };
            let before = carried.entry(object);
            // An object that the book does not know is not one without remarks.
            let Some(wanted) = wanted.entry(object) else { continue };
            let mut page =
                Page { object, wanted, shown, before: before.unwrap_or(&nothing), now, commands: Vec::new() };
            let after = Entry {
                memory: page.acknowledgement(),
                comments: page.comments(),
                downtimes: page.downtimes(&triggers),
            };
            page.switches();
            plan.commands.append(&mut page.commands);
            if after != *before.unwrap_or(&nothing) {
                let change = Change::whole(&after);
                plan.carried.push(if after == nothing {
                    Record::Gone(object.clone())
                } else {
                    Record::Whole(object.clone(), change)
                });
            }
        }
        plan
    }
}

/// The numbers of this core's downtimes by those of the master's.
type Triggers = BTreeMap<u64, Option<u64>>;

/// One object.
struct Page<'a> {
    object: &'a Object,
    wanted: &'a Entry,
    shown: &'a Entry,
    before: &'a Entry,
    now: i64,
    commands: Vec<ObjectCommand>,
}

impl Page<'_> {
    fn order(&mut self, entered: i64, order: Order) {
        self.commands.push(ObjectCommand { object: self.object.clone(), entered, order });
    }

    /// Says what was carried over of it.
    fn acknowledgement(&mut self) -> Memory {
        let (wanted, shown) = (&self.wanted.memory, &self.shown.memory);
        let carried = |acknowledgement| Memory { acknowledgement, ..Memory::default() };
        let still_carried = carried(self.before.memory.acknowledgement.filter(|_| shown.acknowledgement.is_some()));
        // Beside another state, the one or the other has not seen the newest result yet.
        let same_problem = wanted.is_problem() && shown.is_problem() && wanted.state == shown.state;
        let Some(kind) = wanted.acknowledgement else {
            if same_problem && still_carried.acknowledgement.is_some() {
                self.order(self.now, Order::RemoveAcknowledgement);
            }
            return still_carried;
        };
        let holds = same_problem || (kind == Acknowledgement::Sticky && shown.is_problem());
        if !holds || shown.acknowledgement == Some(kind) {
            return if shown.acknowledgement == Some(kind) { carried(Some(kind)) } else { still_carried };
        }
        if shown.acknowledgement.is_some() {
            self.order(self.now, Order::RemoveAcknowledgement);
        }
        let remark = self.wanted.comments.iter().rev().find(|comment| comment.kind == CommentKind::Acknowledgement);
        let entered = self.entered(remark.map_or(0, |remark| remark.entered));
        self.order(
            entered,
            Order::Acknowledge {
                kind,
                persistent: remark.is_some_and(|remark| remark.persistent),
                expires: remark.map_or(0, |remark| remark.expires),
                author: remark.map_or(RemarkText::new(b"understudy"), |remark| remark.author.clone()),
                text: remark.map_or(RemarkText::new(b"acknowledged on the master"), |remark| remark.text.clone()),
            },
        );
        carried(Some(kind))
    }

    /// Says which were carried over.
    fn comments(&mut self) -> Vec<Comment> {
        let wanted: Vec<&Comment> = users(&self.wanted.comments).collect();
        let shown: Vec<&Comment> = users(&self.shown.comments).collect();
        let is_in = |all: &[&Comment], one: &Comment| all.iter().any(|other| is_same_comment(other, one));
        let mut carried: Vec<Comment> = Vec::new();
        for comment in &wanted {
            if carried.iter().any(|other| is_same_comment(other, comment)) {
                continue;
            }
            if !is_in(&shown, comment) {
                let Comment { persistent, author, text, .. } = (*comment).clone();
                self.order(comment.entered, Order::AddComment { persistent, author, text });
            }
            carried.push(Comment { id: 0, ..(*comment).clone() });
        }
        let before: Vec<&Comment> = self.before.comments.iter().collect();
        for (at, comment) in shown.iter().enumerate() {
            let is_ours = is_in(&before, comment) || is_in(&wanted, comment);
            if is_ours && (!is_in(&wanted, comment) || is_in(&shown[..at], comment)) {
                self.order(self.now, Order::DeleteComment(comment.id));
            }
            if is_ours && !carried.iter().any(|other| is_same_comment(other, comment)) {
                carried.push(Comment { id: 0, ..(*comment).clone() });
            }
        }
        carried
    }

    fn switches(&mut self) {
        let (wanted, shown) = (&self.wanted.memory, &self.shown.memory);
        let orders = ObjectSwitch::ALL.into_iter().filter_map(|switch| {
            let bit = switch.switch();
            let on = wanted.switches.contains(bit);
            let differs = wanted.modified.contains(bit) && on != shown.switches.contains(bit);
            differs.then_some(Order::Switch(switch, on))
        });
        for order in orders.collect::<Vec<_>>() {
            self.order(self.now, order);
        }
    }

    fn downtimes(&mut self, triggers: &Triggers) -> Vec<Downtime> {
        downtimes::carry(self, triggers)
    }

    /// The time for the brackets of a command that concerns what was entered then, or at a time that is not known.
    fn entered(&self, entered: i64) -> i64 {
        if entered > 0 { entered } else { self.now }
    }
}

fn users(comments: &[Comment]) -> impl Iterator<Item = &Comment> {
    comments.iter().filter(|comment| comment.kind == CommentKind::User)
}

fn is_same_comment(a: &Comment, b: &Comment) -> bool {
    (a.entered, a.persistent, &a.author, &a.text) == (b.entered, b.persistent, &b.author, &b.text)
}

#[cfg(test)]
mod tests;
