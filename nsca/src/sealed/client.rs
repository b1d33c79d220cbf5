//! The sending side.

use std::time::{Duration, Instant};

use super::channel::{Channel, Received};
use super::credit::Purse;
use super::hello::{Answer, Features};
use super::noise::{Arriving, Handshake, MAX_HANDSHAKE_MESSAGE_BYTES};
use super::outbox::Outbox;
use super::pulse::{Condition, Pulse};
use super::timers::{Timer, Timers};
use super::{
    ClockOffset, CoreVerdict, Duty, Ephemeral, HANDSHAKE_TIMEOUT, Heading, Heartbeat, Hello, Now, Psk, Reason,
    ResultFrame, SealedError, ShownFrame, Want, Warmth, Welcome, upgrade_request,
};
use crate::packet::Init;

/// What a sending side is told beforehand.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// What it says first.
    pub hello: Hello,
    /// How this node's core is.
    pub core: CoreVerdict,
    /// Whether it has a book to tell: what this node's core remembers.
    pub books: bool,
    /// How long nothing may be heard from the receiver.
    pub stale_after: Duration,
}

/// The sender's half of a sealed session.
///
/// The shell around it, whenever something happened: hands in what has arrived ([`handle_bytes`]) and the time if
/// the [timeout](Self::poll_timeout) is over ([`handle_timeout`]), takes [events](Self::poll_event) until there are
/// none, gives results from the spool while they are [taken](Self::send), and writes what is to be
/// [transmitted](Self::poll_transmit).
///
/// After an error the session is over. What [`poll_transmit`](Self::poll_transmit) still gives tells the peer why;
/// send it, and close the connection.
///
/// [`handle_bytes`]: Self::handle_bytes
/// [`handle_timeout`]: Self::handle_timeout
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    condition: Condition,
    timestamp: u32,
    state: State,
    timers: Timers,
    out: Outbox,
}

#[derive(Debug)]
enum State {
    /// Upgrade request and `Hello` are on their way.
    Greeting {
        handshake: Handshake,
        arriving: Arriving,
        arrival: Now,
    },
    /// Results flow.
    Established {
        channel: Box<Channel>,
        purse: Purse,
    },
    Failed(SealedError),
}

/// What happens in a session, for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The receiver has proven that it knows the key. Remember that this peer can speak sealed sessions (see
    /// [`PeerAbility`](crate::greeting::PeerAbility)), and go on with the result after `accepted`.
    Welcome(Welcome),
    /// The receiver lives.
    Heartbeat(Heartbeat),
    /// Everything up to this sequence number is committed: it need not be kept for this receiver.
    Acknowledged(u64),
    /// The receiver ends the session. Nothing more can be sent in it.
    Goodbye(Reason),
    /// The receiver asks for a part of the book. Only where [both have books](Client::has_books).
    Want(Want),
}

/// What became of something that was given to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what was not taken must be given again"]
pub enum Sent {
    /// It is on its way.
    Taken,
    /// There is no room, or no credit, or no session yet. Give it again after the next event, or after
    /// [`Client::poll_transmit`] had nothing more to send.
    Later,
    /// No frame can hold it: cut its texts.
    TooLong,
}

impl Client {
    /// A session with the receiver that sent `init`, which must be [marked](super::is_marked).
    pub fn new(psk: &Psk, init: &Init, settings: ClientSettings, ephemeral: Ephemeral, now: Now) -> Self {
        let request = upgrade_request(&init.iv);
        let prologue = [&init.encode()[..], &request].concat();
        let mut handshake = Handshake::initiator(psk, &prologue, ephemeral);
        let mut out = Outbox::default();
        out.end().extend_from_slice(&request);
        handshake.write(&settings.hello.encode(Features::new(settings.books)), out.end());
        let mut timers = Timers::default();
        timers.set(Timer::Handshake, now.instant + HANDSHAKE_TIMEOUT);
        let arriving = Arriving::new(MAX_HANDSHAKE_MESSAGE_BYTES);
        let state = State::Greeting { handshake, arriving, arrival: now };
        let condition = Condition { core: settings.core, ..Condition::default() };
        Client { settings, condition, timestamp: init.timestamp, state, timers, out }
    }

    /// Takes bytes that have arrived and returns how many there was room for. At least one is taken after
    /// [`poll_event`](Self::poll_event) returned `None`; after an error all are taken and forgotten.
    #[must_use = "what was not taken must be handed in again"]
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Now) -> usize {
        match &mut self.state {
            State::Greeting { arriving, arrival, .. } => {
                *arrival = now;
                arriving.handle_bytes(bytes)
            }
            State::Established { channel, .. } => channel.handle_bytes(bytes, now),
            State::Failed(_) => bytes.len(),
        }
    }

    /// Says that the receiver closed the connection. Take all events before.
    ///
    /// # Errors
    ///
    /// When neither side had said goodbye, or the session had failed.
    pub fn handle_eof(&mut self) -> Result<(), SealedError> {
        match &self.state {
            State::Greeting { .. } => Err(self.fail(SealedError::NoAnswer)),
            State::Established { channel, .. } if channel.is_over() => Ok(()),
            State::Established { .. } => Err(self.fail(SealedError::CutOff)),
            State::Failed(error) => Err(error.clone()),
        }
    }

    /// Says that the time of [`poll_timeout`](Self::poll_timeout) may have come. Hand in what has arrived, and take
    /// all events, before: a peer is not silent because this process slept.
    ///
    /// # Errors
    ///
    /// When the receiver was silent for too long.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), SealedError> {
        while let Some(timer) = self.timers.take_expired(now.instant) {
            let handled = match &mut self.state {
                State::Greeting { .. } => Err(SealedError::HandshakeTimeout(HANDSHAKE_TIMEOUT)),
                State::Established { channel, .. } => channel.handle_timer(timer, now, &mut self.timers),
                State::Failed(_) => Ok(()),
            };
            handled.map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    /// Tells the receiver how this node's core is; a change is told at once, and with every heartbeat after it.
    pub fn set_core(&mut self, core: CoreVerdict) {
        self.set(Condition { core, ..self.condition });
    }

    /// Tells the receiver what this node does; a change is told at once, and with every heartbeat after it.
    pub fn set_duty(&mut self, duty: Duty) {
        self.set(Condition { duty, ..self.condition });
    }

    /// Tells the receiver whether this node's core is up to date; a change is told at once, and with every heartbeat
    /// after it.
    pub fn set_warmth(&mut self, warmth: Warmth) {
        self.set(Condition { warmth, ..self.condition });
    }

    fn set(&mut self, condition: Condition) {
        self.condition = condition;
        if let State::Established { channel, .. } = &mut self.state {
            channel.pulse.set(condition);
        }
    }

    /// Gives a result to be sent.
    ///
    /// # Panics
    ///
    /// When its sequence number does not come after that of the result before, or after the welcome's `accepted`.
    pub fn send(&mut self, result: &ResultFrame<'_>) -> Sent {
        let Some(frame_bytes) = result.frame_bytes() else {
            return Sent::TooLong;
        };
        match &mut self.state {
            State::Established { channel, purse } if purse.may_send() && channel.has_room_for(frame_bytes) => {
                purse.send(result.sequence, frame_bytes);
                channel.push_result(result, frame_bytes);
                Sent::Taken
            }
            State::Established { .. } | State::Greeting { .. } | State::Failed(_) => Sent::Later,
        }
    }

    /// Whether books are told in this session: once it is established, if both sides know of them.
    pub fn has_books(&self) -> bool {
        matches!(&self.state, State::Established { channel, .. } if channel.has_books())
    }

    /// Gives what comes next of the book. Like everything about books it uses no credit and goes behind results, and is
    /// always [`Later`](Sent::Later) in a session that [has none](Self::has_books).
    pub fn send_heading(&mut self, heading: &Heading) -> Sent {
        self.with_channel(|channel| channel.push_heading(heading))
    }

    /// Gives a record of the book, in bytes that mean something to both ends. See [`send_heading`](Self::send_heading).
    pub fn send_record(&mut self, record: &[u8]) -> Sent {
        self.with_channel(|channel| channel.push_record(record))
    }

    /// Gives a result that the receiver [wants](ClientEvent::Want). It goes behind results that are news, and ahead of
    /// the book. See [`send_heading`](Self::send_heading).
    pub fn send_shown(&mut self, shown: &ShownFrame<'_>) -> Sent {
        self.with_channel(|channel| channel.push_shown(shown))
    }

    /// Says that the last [want](ClientEvent::Want) is answered, with how many results that were shown. See
    /// [`send_heading`](Self::send_heading).
    pub fn send_answered(&mut self, shown: u32) -> Sent {
        self.with_channel(|channel| channel.push_answered(shown))
    }

    fn with_channel(&mut self, push: impl FnOnce(&mut Channel) -> Sent) -> Sent {
        match &mut self.state {
            State::Established { channel, .. } => push(channel),
            State::Greeting { .. } | State::Failed(_) => Sent::Later,
        }
    }

    /// Ends the session in order, after what was taken: nothing more is sent. Acknowledgements still
    /// come until the connection is closed.
    pub fn goodbye(&mut self, reason: Reason) {
        if let State::Established { channel, .. } = &mut self.state {
            channel.goodbye(reason);
        }
    }

    /// What happened next.
    ///
    /// # Errors
    ///
    /// Why the session is over. Every later call returns the same.
    pub fn poll_event(&mut self) -> Result<Option<ClientEvent>, SealedError> {
        self.next_event().map_err(|error| self.fail(error))
    }

    /// What is to be written to the socket, until it is empty. Tell [`handle_sent`](Self::handle_sent) how much of
    /// it was.
    pub fn poll_transmit(&mut self, now: Now) -> &[u8] {
        if let (true, State::Established { channel, .. }) = (self.out.waiting().is_empty(), &mut self.state) {
            channel.seal(|| None, now, self.out.end());
        }
        self.out.waiting()
    }

    /// Says that the first `bytes` of what was to be transmitted are written.
    ///
    /// # Panics
    ///
    /// When that is more than there was.
    pub fn handle_sent(&mut self, bytes: usize) {
        self.out.handle_sent(bytes);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// How the receiver's clock compares with this one, once heartbeats have gone there and back.
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        match &self.state {
            State::Established { channel, .. } => channel.pulse.clock_offset(),
            State::Greeting { .. } | State::Failed(_) => None,
        }
    }

    fn next_event(&mut self) -> Result<Option<ClientEvent>, SealedError> {
        match &mut self.state {
            State::Greeting { handshake, arriving, arrival } => {
                let Some(message) = handshake_message(arriving)? else {
                    return Ok(None);
                };
                let payload = handshake.read(message).map_err(|_| SealedError::WrongKey)?;
                let answer = Answer::decode(&payload).ok_or(SealedError::InvalidMessage("a welcome"))?;
                let now = *arrival;
                self.handle_answer(answer, now).map(Some)
            }
            State::Established { channel, purse } => next_event(channel, purse, &mut self.timers),
            State::Failed(error) => Err(error.clone()),
        }
    }

    fn handle_answer(&mut self, answer: Answer, now: Now) -> Result<ClientEvent, SealedError> {
        let (welcome, features) = match answer {
            Answer::Welcome(welcome, features) => (welcome, features),
            Answer::Refusal(_, reason) => return Err(SealedError::Refused(reason)),
        };
        self.establish(&welcome, features, now);
        let hello = &self.settings.hello;
        if welcome.node == hello.node {
            return Err(SealedError::OwnName(welcome.node));
        }
        if welcome.accepted > hello.newest {
            return Err(SealedError::PeerAhead { accepted: welcome.accepted, newest: hello.newest });
        }
        Ok(ClientEvent::Welcome(welcome))
    }

    fn establish(&mut self, welcome: &Welcome, features: Features, now: Now) {
        let placeholder = State::Failed(SealedError::CutOff);
        let State::Greeting { handshake, .. } = std::mem::replace(&mut self.state, placeholder) else {
            unreachable!("an answer is read once");
        };
        self.timers.stop(Timer::Handshake);
        let pulse = Pulse::new(self.settings.stale_after, self.condition, now.instant, &mut self.timers);
        let has_books = Features::new(self.settings.books).share_books(features);
        let channel = Channel::new(handshake.into_transport(), self.timestamp, has_books, pulse, now);
        let purse = Purse::new(welcome.accepted, welcome.credit);
        self.state = State::Established { channel: Box::new(channel), purse };
    }

    /// Ends the session and returns why.
    fn fail(&mut self, error: SealedError) -> SealedError {
        if let (State::Established { channel, .. }, Some(reason)) = (&mut self.state, error.parting_reason()) {
            channel.abort(reason, self.out.end());
        }
        self.timers.stop_all();
        self.state = State::Failed(error.clone());
        error
    }
}

fn next_event(
    channel: &mut Channel,
    purse: &mut Purse,
    timers: &mut Timers,
) -> Result<Option<ClientEvent>, SealedError> {
    while let Some(received) = channel.poll_frame(timers)? {
        match received {
            Received::Heartbeat(heartbeat) => return Ok(Some(ClientEvent::Heartbeat(heartbeat))),
            Received::Ack(ack) => {
                if purse.handle_ack(ack)? {
                    return Ok(Some(ClientEvent::Acknowledged(ack.committed)));
                }
            }
            Received::Goodbye(reason) => return Ok(Some(ClientEvent::Goodbye(reason))),
            Received::Want(want) => return Ok(Some(ClientEvent::Want(want))),
            Received::Result(_) => return Err(SealedError::PeerMisbehaved("sends results to a sender")),
            Received::Heading(_) | Received::Record(_) | Received::Shown(_) | Received::Answered(_) => {
                return Err(SealedError::PeerMisbehaved("tells its book to a sender"));
            }
        }
    }
    Ok(None)
}

/// A message of the handshake that is complete.
pub(super) fn handshake_message(arriving: &Arriving) -> Result<Option<&[u8]>, SealedError> {
    match arriving.too_long() {
        Some(bytes) => {
            Err(SealedError::TooLong { what: "a handshake message", bytes, max: MAX_HANDSHAKE_MESSAGE_BYTES })
        }
        None => Ok(arriving.message()),
    }
}

#[cfg(test)]
impl Client {
    /// Says something that no client says.
    pub(super) fn inject(&mut self, frames: &[u8]) {
        if let State::Established { channel, .. } = &mut self.state {
            channel.inject(frames);
        }
    }

    pub(super) fn inject_frame(&mut self, kind: u8, content: &[u8]) {
        let length = u32::try_from(content.len()).expect("tests inject short frames");
        self.inject(&[&length.to_be_bytes()[..], &[kind], content].concat());
    }
}
