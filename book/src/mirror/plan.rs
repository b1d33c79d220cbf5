//! What makes one core like another, and what two have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use nagios::command::{ObjectCommand, ObjectSwitch, Order};
use nagios::memory::Acknowledgement;
use nagios::remark::{Comment, CommentKind, Downtime, RemarkText};
use nagios::{Memory, Object};

use super::downtimes;
use crate::book::Book;
use crate::entry::{Change, Entry, MAX_REMARKS};
use crate::record::Record;

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
        let triggers = downtimes::triggers(wanted, shown);
        let mut plan = Self::default();
        for Trio { object, wanted, shown, before } in trios(wanted, shown, carried) {
            let mut page = Page { object, wanted, shown, before, now, commands: Vec::new() };
            let after = Entry {
                memory: page.acknowledgement(),
                comments: page.comments(),
                downtimes: page.downtimes(&triggers),
            };
            page.switches();
            plan.commands.append(&mut page.commands);
            plan.carried.extend(carry(object, before, shown, after, now));
        }
        plan
    }
}

/// What changes in the book of what was carried over, if what both have was.
pub(super) fn common(wanted: &Book, shown: &Book, carried: &Book, now: i64) -> Vec<Record> {
    let trios = trios(wanted, shown, carried);
    trios
        .filter_map(|Trio { object, wanted, shown, before }| {
            carry(object, before, shown, both_have(wanted, shown), now)
        })
        .collect()
}

fn both_have(wanted: &Entry, shown: &Entry) -> Entry {
    let acknowledgement = shown.memory.acknowledgement.filter(|kind| wanted.memory.acknowledgement == Some(*kind));
    let mut comments = Vec::new();
    for comment in users(&shown.comments) {
        if users(&wanted.comments).any(|other| is_same_comment(other, comment)) {
            remember(&mut comments, comment);
        }
    }
    Entry {
        memory: Memory { acknowledgement, ..Memory::default() },
        comments,
        downtimes: downtimes::both_have(&wanted.downtimes, &shown.downtimes),
    }
}

/// What both nodes know of an object, and what was carried over.
struct Trio<'a> {
    object: &'a Object,
    wanted: &'a Entry,
    shown: &'a Entry,
    before: &'a Entry,
}

/// All objects of which something is to be said. Most have no remarks, and cost nothing.
fn trios<'a>(wanted: &'a Book, shown: &'a Book, carried: &'a Book) -> impl Iterator<Item = Trio<'a>> {
    static NOTHING: LazyLock<Entry> = LazyLock::new(Entry::default);
    let told = wanted.entries().filter(|(_, entry)| has_remarks(entry));
    let objects: BTreeSet<&Object> = told.chain(carried.entries()).map(|(object, _)| object).collect();
    objects.into_iter().filter_map(move |object| {
        // An object that one of them does not know is not one without remarks.
        let (wanted, shown) = (wanted.entry(object)?, shown.entry(object)?);
        Some(Trio { object, wanted, shown, before: carried.entry(object).unwrap_or(&NOTHING) })
    })
}

fn has_remarks(entry: &Entry) -> bool {
    let Entry { memory, comments, downtimes } = entry;
    let is_switched = || ObjectSwitch::ALL.iter().any(|switch| memory.modified.contains(switch.switch()));
    !comments.is_empty() || !downtimes.is_empty() || memory.acknowledgement.is_some() || is_switched()
}

fn carry(object: &Object, before: &Entry, shown: &Entry, mut after: Entry, now: i64) -> Option<Record> {
    remember_what_is_over(before, shown, &mut after, now);
    let change = Change::between(&Entry::default(), &after);
    (*before != after).then(|| match change {
        None => Record::Gone(object.clone()),
        Some(change) => Record::Whole(object.clone(), change),
    })
}

/// A core that was killed comes back with what it had saved, also with what has ended since: that is known by having been
/// carried over once. The newest are remembered.
fn remember_what_is_over(before: &Entry, shown: &Entry, after: &mut Entry, now: i64) {
    let (mut comments, mut downtimes) = (Vec::new(), Vec::new());
    let is_over = |comment: &&Comment| !shown.comments.iter().any(|other| is_same_comment(other, comment));
    before.comments.iter().filter(is_over).for_each(|comment| remember(&mut comments, comment));
    after.comments.iter().for_each(|comment| remember(&mut comments, comment));
    let is_over = |downtime: &&Downtime| downtime.end > now && !downtimes::has(&shown.downtimes, downtime);
    before.downtimes.iter().filter(is_over).for_each(|downtime| downtimes::remember(&mut downtimes, downtime));
    after.downtimes.iter().for_each(|downtime| downtimes::remember(&mut downtimes, downtime));
    comments.drain(..comments.len().saturating_sub(MAX_REMARKS));
    downtimes.drain(..downtimes.len().saturating_sub(MAX_REMARKS));
    (after.comments, after.downtimes) = (comments, downtimes);
}

/// The numbers of this core's downtimes by those of the master's.
pub(super) type Triggers = BTreeMap<u64, Option<u64>>;

/// One object.
pub(super) struct Page<'a> {
    object: &'a Object,
    pub(super) wanted: &'a Entry,
    pub(super) shown: &'a Entry,
    pub(super) before: &'a Entry,
    pub(super) now: i64,
    commands: Vec<ObjectCommand>,
}

impl Page<'_> {
    pub(super) fn order(&mut self, entered: i64, order: Order) {
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
            remember(&mut carried, comment);
        }
        let before: Vec<&Comment> = self.before.comments.iter().collect();
        for (at, comment) in shown.iter().enumerate() {
            let is_ours = is_in(&before, comment) || is_in(&wanted, comment);
            if is_ours && (!is_in(&wanted, comment) || is_in(&shown[..at], comment)) {
                self.order(self.now, Order::DeleteComment(comment.id));
            }
            if is_ours {
                remember(&mut carried, comment);
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

/// Without what says nothing on another core.
fn remember(carried: &mut Vec<Comment>, comment: &Comment) {
    if !carried.iter().any(|other| is_same_comment(other, comment)) {
        carried.push(Comment { id: 0, ..comment.clone() });
    }
}

pub(super) fn is_same_comment(a: &Comment, b: &Comment) -> bool {
    (a.entered, a.persistent, &a.author, &a.text) == (b.entered, b.persistent, &b.author, &b.text)
}
