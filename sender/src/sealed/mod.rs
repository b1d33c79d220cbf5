//! A sealed link without I/O: what to send from the spool, and what an answer means for it.
//!
//! ```text
//! Greeting ─▶ Unremembered ─▶ Starting ─▶ Sending
//!    │        until the       until it     results go out, acknowledgements
//!    │        disk knows      knows where  move the position in the spool
//!    ▼        the peer        to begin
//! Estranged: the peer has accepted what this spool never sent it; it needs a new epoch
//! ```
//!
//! **Invariant:** the position moves past a result only when the peer has acknowledged it, or will never be sent it: its own
//! results, and what cannot be read.
//!
//! **Invariant:** no result is sent before the disk knows that the peer can seal: after that, nobody talks this destination
//! into a classic session.
//!
//! **Invariant:** a sequence that the peer counts as accepted, and that this spool did not send it, is never taken for one of
//! this spool's: see [`History`].
//!
//! **Invariant:** of the book nothing is told before the results that the spool holds: what it remembers of a result is known
//! after the result.
//!
//! **Invariant:** memory is bounded: one batch of the spool, and the numbers of [`MAX_UNDER_WAY`] results.

mod frame;
mod history;
mod stock;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Instant;

use nagios::{CheckResult, stored};
use nsca::greeting::PeerAbility;
use nsca::sealed::{
    Client, ClientEvent, ClockOffset, CoreVerdict, Duty, Heading, Heartbeat, Hello, NodeName, Now, Reason, SealedError,
    Sent, SpoolId, Want, Warmth, Welcome,
};
use spool::disk::Disk;
use spool::{Spool, Trouble};
use tracing::debug;

pub use history::{Counts, History};

use frame::Offered;
use stock::Stock;

/// How many results may be sent and not acknowledged, however generous the peer is.
pub const MAX_UNDER_WAY: usize = 1 << 16;

/// The sending side of one sealed session, and the spool that it sends from.
///
/// The shell around it, whenever something happened:
///
/// 1. hands in what has [arrived](Self::handle_bytes), and takes [events](Self::poll_event) until there are none;
/// 2. hands in the time, if the [timeout](Self::poll_timeout) is over;
/// 3. [visits](Self::visit) the spool while that is [wanted](Self::wants_spool);
/// 4. writes what is to be [transmitted](Self::poll_transmit).
///
/// After an error the session is over: visit the spool if that is still wanted, send what there still is to transmit, close the
/// connection, and begin the next session with this one's [`history`](Self::history).
#[derive(Debug)]
pub struct Exchange {
    client: Client,
    /// The name of the position in the spool.
    destination: String,
    /// The one that the hello named.
    epoch: u64,
    ability: PeerAbility,
    history: History,
    /// How much later a new epoch is.
    step: NonZeroU32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The peer has not answered yet.
    Greeting,
    /// It did, and that must be remembered first.
    Unremembered { welcome: Welcome, is_asked_for: bool },
    /// The spool knows where to begin.
    Starting(Welcome),
    /// Results flow.
    Sending(Box<Sending>),
    /// The peer knows another history of this spool.
    Estranged { error: SealedError, is_renewed: bool },
}

#[derive(Debug)]
struct Sending {
    peer: NodeName,
    stock: Stock,
    /// The sequences of what is not acknowledged.
    under_way: VecDeque<u64>,
    /// The peer is done with everything up to here.
    done: u64,
    /// And the spool knows, up to here.
    settled: u64,
    /// The client had no room, or no credit.
    is_held_back: bool,
}

/// What happens in a session, for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer takes results.
    Welcome(NodeName),
    /// Write to the disk that this peer can seal, then call [`Exchange::handle_remembered`]. Comes after the welcome of a
    /// peer of whom that was not known.
    Remember,
    /// The peer lives.
    Heartbeat(Heartbeat),
    /// The peer has committed more.
    Acknowledged,
    /// The peer ends the session: close the connection.
    Goodbye(Reason),
    /// The peer asks for a part of the book.
    Want(Want),
}

/// What a session with any peer begins with.
pub fn hello<D: Disk>(node: &NodeName, spool: &Spool<D>) -> Hello {
    Hello {
        node: node.clone(),
        spool: SpoolId(spool.id()),
        epoch: spool.epoch(),
        oldest: spool.oldest(),
        newest: spool.newest(),
    }
}

impl Exchange {
    /// A session that `client` begins, whose [`hello`] named `epoch`. `destination` is the name of the position in the spool,
    /// `ability` what the disk knows of the peer, and `history` what the session before this one left. `step` is random, for
    /// [`Spool::new_epoch`].
    pub fn new(
        client: Client,
        destination: &str,
        epoch: u64,
        ability: PeerAbility,
        history: History,
        step: NonZeroU32,
    ) -> Exchange {
        let destination = destination.to_owned();
        Exchange { client, destination, epoch, ability, history, step, state: State::Greeting }
    }

    /// Takes bytes that have arrived and returns how many there was room for. At least one is taken after
    /// [`poll_event`](Self::poll_event) returned `None`.
    #[must_use = "what was not taken must be handed in again"]
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Now) -> usize {
        self.client.handle_bytes(bytes, now)
    }

    /// Says that the peer closed the connection. Take all events before.
    ///
    /// # Errors
    ///
    /// When neither side had said goodbye, or the session had failed.
    pub fn handle_eof(&mut self) -> Result<(), SealedError> {
        self.client.handle_eof()
    }

    /// Says that the time of [`poll_timeout`](Self::poll_timeout) may have come. Take all events before.
    ///
    /// # Errors
    ///
    /// When the peer was silent for too long.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), SealedError> {
        self.client.handle_timeout(now)
    }

    /// Says that the disk knows what [`Event::Remember`] told.
    pub fn handle_remembered(&mut self) {
        self.ability = PeerAbility::CanSeal;
        if let State::Unremembered { welcome, .. } = &self.state {
            self.state = State::Starting(welcome.clone());
        }
    }

    /// Says that results were appended to the spool.
    pub fn handle_arrival(&mut self) {
        if let State::Sending(sending) = &mut self.state {
            sending.stock.handle_arrival();
        }
    }

    /// Tells the peer how this node's core is.
    pub fn set_core(&mut self, core: CoreVerdict) {
        self.client.set_core(core);
    }

    /// Tells the peer whether this node checks and notifies.
    pub fn set_duty(&mut self, duty: Duty) {
        self.client.set_duty(duty);
    }

    /// Tells the peer whether this node's core is up to date.
    pub fn set_warmth(&mut self, warmth: Warmth) {
        self.client.set_warmth(warmth);
    }

    /// Whether both sides know of books. Known from the welcome on.
    pub fn has_books(&self) -> bool {
        self.client.has_books()
    }

    /// Whether the book may be told: the peer was given all that was in the spool at the last [`visit`](Self::visit).
    pub fn may_tell(&self) -> bool {
        self.has_books() && matches!(&self.state, State::Sending(sending) if sending.stock.is_dry())
    }

    /// Tells what comes next of the book, and how new it is.
    pub fn tell_heading(&mut self, heading: &Heading) -> Sent {
        self.client.send_heading(heading)
    }

    /// Tells a record of the book.
    pub fn tell_record(&mut self, record: &[u8]) -> Sent {
        self.client.send_record(record)
    }

    /// Gives a result that the peer has asked for. Never [`Sent::TooLong`]: what no frame can hold is cut, as in news.
    pub fn show(&mut self, result: &CheckResult) -> Sent {
        frame::show(&mut self.client, result)
    }

    /// Says that what the peer asked for was shown, with so many results.
    pub fn answer(&mut self, shown: u32) -> Sent {
        self.client.send_answered(shown)
    }

    /// Ends the session in order: nothing more is given, what was given is still sent.
    pub fn goodbye(&mut self, reason: Reason) {
        self.client.goodbye(reason);
    }

    /// What happened next.
    ///
    /// # Errors
    ///
    /// Why the session is over. Every later call returns the same.
    pub fn poll_event(&mut self) -> Result<Option<Event>, SealedError> {
        match &mut self.state {
            State::Unremembered { is_asked_for: is_asked_for @ false, .. } => {
                *is_asked_for = true;
                return Ok(Some(Event::Remember));
            }
            State::Estranged { error, .. } => return Err(error.clone()),
            State::Greeting | State::Unremembered { .. } | State::Starting(_) | State::Sending(_) => {}
        }
        match self.client.poll_event() {
            Ok(None) => Ok(None),
            Ok(Some(event)) => self.handle_event(event).map(Some),
            Err(error) => {
                if let SealedError::PeerAhead { .. } = error {
                    self.state = State::Estranged { error: error.clone(), is_renewed: false };
                }
                Err(error)
            }
        }
    }

    /// Whether [`visit`](Self::visit) has anything to do.
    pub fn wants_spool(&self) -> bool {
        match &self.state {
            State::Greeting | State::Unremembered { .. } => false,
            State::Starting(_) => true,
            State::Sending(sending) => sending.done > sending.settled || sending.stock.wants_more(),
            State::Estranged { is_renewed, .. } => !is_renewed,
        }
    }

    /// Does in the spool what this session wants of it: moves its position, reads one batch, or begins a new epoch. Nothing is
    /// encoded here, so that the spool's lock is held shortly.
    ///
    /// # Errors
    ///
    /// The spool cannot be read, or the new epoch not written. End the session, and try again with a new one.
    pub fn visit<D: Disk>(&mut self, spool: &mut Spool<D>, now: Instant) -> Result<(), Trouble> {
        if let State::Starting(Welcome { node, accepted, .. }) = &self.state {
            // Acknowledgements of the last session may have been lost on their way.
            spool.advance(&self.destination, *accepted, now);
            let position = spool.position(&self.destination).unwrap_or_default();
            self.state = State::Sending(Box::new(Sending::new(node.clone(), position.max(*accepted))));
        }
        match &mut self.state {
            State::Sending(sending) => {
                // Where the disk does not take it, results are sent all the same, and perhaps twice.
                if let Err(trouble) = spool.expose(&self.destination) {
                    debug!(destination = self.destination, %trouble, "not noted as sent");
                }
                sending.stock.refill(spool, &mut self.history)?;
                sending.update_done();
                if sending.done > sending.settled {
                    spool.advance(&self.destination, sending.done, now);
                    sending.settled = sending.done;
                }
            }
            State::Estranged { is_renewed: is_renewed @ false, .. } => {
                // Another destination's link may have found out first.
                if spool.epoch() == self.epoch {
                    spool.new_epoch(self.step)?;
                }
                *is_renewed = true;
            }
            State::Greeting | State::Unremembered { .. } | State::Starting(_) | State::Estranged { .. } => {}
        }
        Ok(())
    }

    /// What is to be written to the socket, until it is empty. Tell [`handle_sent`](Self::handle_sent) how much of it was.
    pub fn poll_transmit(&mut self, now: Now) -> &[u8] {
        self.give_results();
        if self.client.poll_transmit(now).is_empty() && self.is_held_back() {
            self.set_held_back(false);
            self.give_results();
        }
        self.client.poll_transmit(now)
    }

    /// Says that the first `bytes` of what was to be transmitted are written.
    ///
    /// # Panics
    ///
    /// When that is more than there was.
    pub fn handle_sent(&mut self, bytes: usize) {
        self.client.handle_sent(bytes);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    /// Whether the peer has everything that was in the spool at the last [`visit`](Self::visit), and the spool knows.
    pub fn is_drained(&self) -> bool {
        match &self.state {
            State::Sending(sending) => {
                sending.under_way.is_empty() && sending.stock.is_dry() && sending.done == sending.settled
            }
            State::Greeting | State::Unremembered { .. } | State::Starting(_) | State::Estranged { .. } => false,
        }
    }

    /// How the peer's clock compares with this one, once heartbeats have gone there and back.
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        self.client.clock_offset()
    }

    /// What the next session with this destination must know.
    pub fn history(&self) -> &History {
        &self.history
    }

    fn handle_event(&mut self, event: ClientEvent) -> Result<Event, SealedError> {
        match event {
            ClientEvent::Welcome(welcome) => self.handle_welcome(welcome),
            ClientEvent::Heartbeat(heartbeat) => Ok(Event::Heartbeat(heartbeat)),
            ClientEvent::Acknowledged(sequence) => {
                if let State::Sending(sending) = &mut self.state {
                    self.history.note_acknowledged(sending.handle_acknowledged(sequence));
                }
                Ok(Event::Acknowledged)
            }
            ClientEvent::Goodbye(reason) => Ok(Event::Goodbye(reason)),
            ClientEvent::Want(want) => Ok(Event::Want(want)),
        }
    }

    fn handle_welcome(&mut self, welcome: Welcome) -> Result<Event, SealedError> {
        let newest = self.history.newest_sent(self.epoch);
        if welcome.accepted > newest {
            self.client.goodbye(Reason::NewEpoch);
            let error = SealedError::PeerAhead { accepted: welcome.accepted, newest };
            self.state = State::Estranged { error: error.clone(), is_renewed: false };
            return Err(error);
        }
        let node = welcome.node.clone();
        self.state = match self.ability {
            PeerAbility::Unknown => State::Unremembered { welcome, is_asked_for: false },
            PeerAbility::CanSeal => State::Starting(welcome),
        };
        Ok(Event::Welcome(node))
    }

    fn is_held_back(&self) -> bool {
        matches!(&self.state, State::Sending(sending) if sending.is_held_back)
    }

    fn set_held_back(&mut self, is_held_back: bool) {
        if let State::Sending(sending) = &mut self.state {
            sending.is_held_back = is_held_back;
        }
    }

    /// Gives the client what is in stock while it takes it.
    fn give_results(&mut self) {
        let State::Sending(sending) = &mut self.state else {
            return;
        };
        while !sending.is_held_back
            && sending.under_way.len() < MAX_UNDER_WAY
            && let Some((sequence, payload)) = sending.stock.first()
        {
            match stored::decode(payload) {
                Err(error) => self.history.note_unreadable(sequence, &error),
                Ok((_, origin)) if origin == sending.peer.as_bytes() => self.history.note_own(sequence),
                Ok((result, origin)) => match frame::offer(&mut self.client, sequence, &result, origin) {
                    Offered { sent: Sent::Later, .. } => {
                        sending.is_held_back = true;
                        return;
                    }
                    Offered { is_cut, .. } => {
                        sending.under_way.push_back(sequence);
                        self.history.note_sent(sequence, is_cut);
                    }
                },
            }
            sending.stock.remove_first();
        }
        sending.update_done();
    }
}

impl Sending {
    /// Begins after the result numbered `done`.
    fn new(peer: NodeName, done: u64) -> Sending {
        let stock = Stock::after(done);
        Sending { peer, stock, under_way: VecDeque::new(), done, settled: done, is_held_back: false }
    }

    /// Gives the number of results that are acknowledged now and were not before.
    fn handle_acknowledged(&mut self, sequence: u64) -> usize {
        let acknowledged = self.under_way.partition_point(|under_way| *under_way <= sequence);
        self.under_way.drain(..acknowledged);
        self.done = self.done.max(sequence);
        self.update_done();
        self.is_held_back = false;
        acknowledged
    }

    /// When nothing is under way, the peer is done with what was skipped, too.
    fn update_done(&mut self) {
        if self.under_way.is_empty() {
            self.done = self.done.max(self.stock.passed());
        }
    }
}
