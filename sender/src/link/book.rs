//! What a sealed session tells beside results: this node's book, and what its core shows of objects that the peer asks for.
//!
//! **Invariant:** nothing here is waited for. What the client has no room for is kept, one thing at a time, and given again.
//!
//! **Invariant:** the status file is read for one answer at a time, however often the peer asks: what it asks for meanwhile is
//! answered together, with the next reading. It can ask for [`MAX_WANTED`] objects.

use std::collections::BTreeSet;
use std::io;
use std::vec;

use book::book::MAX_OBJECTS;
use chronicle::{Chronicle, Part, Subscription, Told};
use nagios::{CheckResult, HostName, Object, ServiceDescription};
use nsca::sealed::{Heading, Sent, Want};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use crate::sealed::Exchange;

/// How many objects a peer can ask for at once. What is beyond is not answered.
const MAX_WANTED: usize = MAX_OBJECTS;

/// The book of this node, for one session.
pub(super) struct Books {
    chronicle: Chronicle,
    subscription: Subscription,
    /// Polled, and not taken yet.
    unsent: Option<Told>,
    /// What the peer asks for, and whether that is all.
    wanted: BTreeSet<Object>,
    is_complete: bool,
    answer: Answer,
}

/// An answer to what the peer has asked for.
enum Answer {
    /// It has asked for nothing.
    None,
    /// The status file is being read.
    Reading(JoinHandle<io::Result<Vec<CheckResult>>>),
    /// What it shows is sent.
    Showing { next: Option<CheckResult>, others: vec::IntoIter<CheckResult>, shown: u32 },
}

impl Books {
    pub(super) fn new(chronicle: &Chronicle) -> Self {
        Books {
            chronicle: chronicle.clone(),
            subscription: chronicle.subscribe(),
            unsent: None,
            wanted: BTreeSet::new(),
            is_complete: false,
            answer: Answer::None,
        }
    }

    /// Waits until there is something to [give](Self::give).
    pub(super) async fn news(&mut self) {
        let Answer::Reading(reading) = &mut self.answer else { return self.subscription.changed().await };
        tokio::select! {
            read = reading => {
                let results = read.unwrap_or_else(|error| Err(io::Error::other(error))).unwrap_or_else(|error| {
                    warn!(%error, "the peer asks what this node's core shows, and gets no answer");
                    Vec::new()
                });
                let mut others = results.into_iter();
                self.answer = Answer::Showing { next: others.next(), others, shown: 0 };
            }
            () = self.subscription.changed() => {}
        }
    }

    /// The peer asks for something.
    pub(super) fn handle(&mut self, want: Want) {
        match want {
            Want::Book => {
                debug!("the peer asks for the whole book");
                self.unsent = None;
                self.subscription.restart();
            }
            Want::Results { objects, is_last } => {
                let room = MAX_WANTED.saturating_sub(self.wanted.len());
                self.wanted.extend(objects.iter().filter_map(object).take(room));
                self.is_complete |= is_last;
            }
        }
    }

    /// Gives what there is, as far as there is room for it.
    pub(super) fn give(&mut self, exchange: &mut Exchange) {
        self.give_answer(exchange);
        while exchange.may_tell() {
            let Some(told) = self.unsent.take().or_else(|| self.subscription.poll()) else { return };
            if tell(exchange, &told) == Sent::Later {
                self.unsent = Some(told);
                return;
            }
        }
    }

    fn give_answer(&mut self, exchange: &mut Exchange) {
        if self.is_complete && matches!(self.answer, Answer::None) {
            self.is_complete = false;
            let (chronicle, wanted) = (self.chronicle.clone(), std::mem::take(&mut self.wanted));
            debug!(objects = wanted.len(), "the peer asks for results");
            self.answer = Answer::Reading(tokio::task::spawn_blocking(move || chronicle.results(&wanted)));
        }
        let Answer::Showing { next, others, shown } = &mut self.answer else { return };
        while let Some(result) = next {
            if exchange.show(result) == Sent::Later {
                return;
            }
            *shown = shown.saturating_add(1);
            *next = others.next();
        }
        if exchange.answer(*shown) == Sent::Taken {
            self.answer = Answer::None;
        }
    }
}

fn tell(exchange: &mut Exchange, told: &Told) -> Sent {
    match told {
        Told::Record(record) => exchange.tell_record(record),
        Told::Heading(part, heading) => exchange.tell_heading(&Heading {
            part: match part {
                Part::Begin => nsca::sealed::Part::Begin,
                Part::End => nsca::sealed::Part::End,
                Part::News => nsca::sealed::Part::News,
            },
            program_start: heading.program_start,
            created: heading.created,
            notifies: heading.notifies,
        }),
    }
}

/// What a peer has named; none if no core can have it.
fn object((host, service): &(Vec<u8>, Vec<u8>)) -> Option<Object> {
    let host = HostName::try_from(host.as_slice()).ok()?;
    if service.is_empty() {
        return Some(Object::Host(host));
    }
    Some(Object::Service(host, ServiceDescription::try_from(service.as_slice()).ok()?))
}
