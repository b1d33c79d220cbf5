//! The receiving side.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::channel::{Channel, Received};
use super::client::handshake_message;
use super::credit::Ledger;
use super::frame::HEADER_BYTES;
use super::hello::{Answer, Features};
use super::noise::{Arriving, Handshake, MAX_HANDSHAKE_MESSAGE_BYTES};
use super::outbox::Outbox;
use super::pulse::{Condition, Pulse};
use super::timers::{Timer, Timers};
use super::{
    ClockOffset, CoreVerdict, Duty, Ephemeral, HANDSHAKE_TIMEOUT, Heading, Heartbeat, Hello, NodeName, Now, Psk,
    Reason, ResultFrame, SealedError, Sent, ShownFrame, Want, Warmth, Welcome, Window, upgrade_request,
};
use crate::packet::Init;

/// What a receiving side is told beforehand.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Who it is.
    pub node: NodeName,
    /// How much may be under way uncommitted.
    pub window: Window,
    /// How this node's core is.
    pub core: CoreVerdict,
    /// Whether it takes books: what the sender's core remembers.
    pub books: bool,
    /// How long nothing may be heard from the sender.
    pub stale_after: Duration,
}

/// The receiver's half of a sealed session.
///
/// The shell around it, whenever something happened: hands in what has arrived ([`handle_bytes`]) and the time if
/// the [timeout](Self::poll_timeout) is over ([`handle_timeout`]), takes [events](Self::poll_event) until there are
/// none, says what it has [committed](Self::acknowledge), and writes what is to be
/// [transmitted](Self::poll_transmit). It answers the hello with [`welcome`](Self::welcome) or
/// [`refuse`](Self::refuse). It never stops reading: credit bounds what comes.
///
/// After an error the session is over. What [`poll_transmit`](Self::poll_transmit) still gives tells the peer why;
/// send it, and close the connection.
///
/// [`handle_bytes`]: Self::handle_bytes
/// [`handle_timeout`]: Self::handle_timeout
#[derive(Debug)]
pub struct Server {
    settings: ServerSettings,
    condition: Condition,
    timestamp: u32,
    state: State,
    timers: Timers,
    out: Outbox,
}

#[derive(Debug)]
enum State {
    /// The upgrade was requested.
    Upgraded {
        handshake: Handshake,
        arriving: Arriving,
    },
    /// The shell decides about the hello.
    Greeted {
        handshake: Handshake,
        features: Features,
    },
    /// Results flow.
    Established {
        channel: Box<Channel>,
        ledger: Ledger,
    },
    /// The shell has refused the hello.
    Refused,
    Failed(SealedError),
}

/// What happens in a session, for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent<'a> {
    /// A sender that knows the key wants to send. Answer with [`Server::welcome`] or [`Server::refuse`].
    Hello(Hello),
    /// A result, to be committed.
    Result(ResultFrame<'a>),
    /// The sender lives, and says how its core is.
    Heartbeat(Heartbeat),
    /// The sender ends the session. Nothing more comes in it.
    Goodbye(Reason),
    /// What comes next of the sender's book. This and what follows only where [both have books](Server::has_books).
    Heading(Heading),
    /// A record of the book, as [`Client::send_record`](super::Client::send_record) was given it.
    Record(&'a [u8]),
    /// A result that was [wanted](Server::want).
    Shown(ShownFrame<'a>),
    /// The last want is answered, with so many results that were shown.
    Answered(u32),
}

/// An event before its texts are borrowed.
enum Next {
    Hello(Hello),
    Result(Range<usize>),
    Heartbeat(Heartbeat),
    Goodbye(Reason),
    Heading(Heading),
    Record(Range<usize>),
    Shown(Range<usize>),
    Answered(u32),
}

impl Server {
    /// A session with a sender that has answered `init`, which must be [marked](super::is_marked), with the
    /// upgrade request.
    pub fn new(psk: &Psk, init: &Init, settings: ServerSettings, ephemeral: Ephemeral, now: Now) -> Self {
        let prologue = [&init.encode()[..], &upgrade_request(&init.iv)].concat();
        let handshake = Handshake::responder(psk, &prologue, ephemeral);
        let mut timers = Timers::default();
        timers.set(Timer::Handshake, now.instant + HANDSHAKE_TIMEOUT);
        let arriving = Arriving::new(MAX_HANDSHAKE_MESSAGE_BYTES);
        let state = State::Upgraded { handshake, arriving };
        let condition = Condition { core: settings.core, ..Condition::default() };
        Server { settings, condition, timestamp: init.timestamp, state, timers, out: Outbox::default() }
    }

    /// Takes bytes that have arrived and returns how many there was room for. At least one is taken after
    /// [`poll_event`](Self::poll_event) returned `None`; after an error all are taken and forgotten.
    #[must_use = "what was not taken must be handed in again"]
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Now) -> usize {
        match &mut self.state {
            State::Upgraded { arriving, .. } => arriving.handle_bytes(bytes),
            State::Established { channel, .. } => channel.handle_bytes(bytes, now),
            State::Greeted { .. } => {
                self.fail(SealedError::PeerMisbehaved("speaks before it was welcomed"));
                bytes.len()
            }
            State::Refused | State::Failed(_) => bytes.len(),
        }
    }

    /// Says that the sender closed the connection. Take all events before.
    ///
    /// # Errors
    ///
    /// When neither side had said goodbye, or the session had failed.
    pub fn handle_eof(&mut self) -> Result<(), SealedError> {
        match &self.state {
            State::Upgraded { .. } | State::Greeted { .. } => Err(self.fail(SealedError::CutOff)),
            State::Established { channel, .. } if channel.is_over() => Ok(()),
            State::Established { .. } => Err(self.fail(SealedError::CutOff)),
            State::Refused => Ok(()),
            State::Failed(error) => Err(error.clone()),
        }
    }

    /// Says that the time of [`poll_timeout`](Self::poll_timeout) may have come. Hand in what has arrived, and take
    /// all events, before: a peer is not silent because this process slept.
    ///
    /// # Errors
    ///
    /// When the sender was silent for too long.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), SealedError> {
        while let Some(timer) = self.timers.take_expired(now.instant) {
            let handled = match &mut self.state {
                State::Upgraded { .. } => Err(SealedError::HandshakeTimeout(HANDSHAKE_TIMEOUT)),
                State::Established { channel, .. } => channel.handle_timer(timer, now, &mut self.timers),
                State::Greeted { .. } | State::Refused | State::Failed(_) => Ok(()),
            };
            handled.map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    /// Takes results that follow the one numbered `accepted`, the last of the hello's spool and epoch that is
    /// committed (0: none is). Does nothing in a session that has failed meanwhile.
    ///
    /// # Panics
    ///
    /// When there is no hello to answer.
    pub fn welcome(&mut self, accepted: u64, now: Now) {
        let Some((mut handshake, features)) = self.take_greeted() else {
            return;
        };
        let ledger = Ledger::new(accepted, self.settings.window);
        let welcome = Welcome { node: self.settings.node.clone(), accepted, credit: ledger.granted() };
        let own_features = Features::new(self.settings.books);
        handshake.write(&Answer::Welcome(welcome, own_features).encode(), self.out.end());
        let pulse = Pulse::new(self.settings.stale_after, self.condition, now.instant, &mut self.timers);
        let has_books = own_features.share_books(features);
        let channel = Channel::new(handshake.into_transport(), self.timestamp, has_books, pulse, now);
        self.state = State::Established { channel: Box::new(channel), ledger };
    }

    /// Takes no results. Transmit the answer and close the connection. Does nothing in a session that has failed
    /// meanwhile.
    ///
    /// # Panics
    ///
    /// When there is no hello to answer.
    pub fn refuse(&mut self, reason: Reason) {
        let Some((mut handshake, _)) = self.take_greeted() else {
            return;
        };
        let refusal = Answer::Refusal(self.settings.node.clone(), reason);
        handshake.write(&refusal.encode(), self.out.end());
        self.state = State::Refused;
    }

    /// Says that everything up to the result numbered `sequence` is committed.
    ///
    /// # Panics
    ///
    /// When that result was neither received nor accepted before.
    pub fn acknowledge(&mut self, sequence: u64) {
        if let State::Established { ledger, .. } = &mut self.state {
            ledger.commit(sequence);
        }
    }

    /// Tells the sender how this node's core is; a change is told at once, and with every heartbeat after it.
    pub fn set_core(&mut self, core: CoreVerdict) {
        self.set(Condition { core, ..self.condition });
    }

    /// Tells the sender what this node does; a change is told at once, and with every heartbeat after it.
    pub fn set_duty(&mut self, duty: Duty) {
        self.set(Condition { duty, ..self.condition });
    }

    /// Tells the sender whether this node's core is up to date; a change is told at once, and with every heartbeat
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

    /// Whether books are told in this session: once it is established, if both sides know of them.
    pub fn has_books(&self) -> bool {
        matches!(&self.state, State::Established { channel, .. } if channel.has_books())
    }

    /// Asks the sender for a part of its book. False: there is no room now, or it is no [session with
    /// books](Self::has_books), or [no frame can hold it](Want::frame_bytes).
    #[must_use = "what was not taken must be given again"]
    pub fn want(&mut self, want: &Want) -> bool {
        match &mut self.state {
            State::Established { channel, .. } => channel.push_want(want) == Sent::Taken,
            State::Upgraded { .. } | State::Greeted { .. } | State::Refused | State::Failed(_) => false,
        }
    }

    /// Ends the session in order, after an acknowledgement that is due: nothing more is sent, acknowledgements
    /// neither. Close the connection when [`poll_transmit`](Self::poll_transmit) has nothing more to send.
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
    pub fn poll_event(&mut self) -> Result<Option<ServerEvent<'_>>, SealedError> {
        let next = self.next_event().map_err(|error| self.fail(error))?;
        Ok(next.map(|next| match next {
            Next::Hello(hello) => ServerEvent::Hello(hello),
            Next::Result(content) => ServerEvent::Result(self.established().genuine_result(content)),
            Next::Heartbeat(heartbeat) => ServerEvent::Heartbeat(heartbeat),
            Next::Goodbye(reason) => ServerEvent::Goodbye(reason),
            Next::Heading(heading) => ServerEvent::Heading(heading),
            Next::Record(content) => ServerEvent::Record(self.established().content(content)),
            Next::Shown(content) => ServerEvent::Shown(self.established().genuine_shown(content)),
            Next::Answered(shown) => ServerEvent::Answered(shown),
        }))
    }

    /// What is to be written to the socket, until it is empty. Tell [`handle_sent`](Self::handle_sent) how much of
    /// it was.
    pub fn poll_transmit(&mut self, now: Now) -> &[u8] {
        if let (true, State::Established { channel, ledger }) = (self.out.waiting().is_empty(), &mut self.state) {
            channel.seal(|| ledger.take_ack(), now, self.out.end());
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

    /// How the sender's clock compares with this one, once heartbeats have gone there and back.
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        match &self.state {
            State::Established { channel, .. } => channel.pulse.clock_offset(),
            State::Upgraded { .. } | State::Greeted { .. } | State::Refused | State::Failed(_) => None,
        }
    }

    /// When the last authentic message of the sender came, be it a part of a long result; before the first one, when it was
    /// welcomed. `None` outside of an established session.
    pub fn heard(&self) -> Option<Instant> {
        match &self.state {
            State::Established { channel, .. } => Some(channel.pulse.heard()),
            State::Upgraded { .. } | State::Greeted { .. } | State::Refused | State::Failed(_) => None,
        }
    }

    fn next_event(&mut self) -> Result<Option<Next>, SealedError> {
        match &mut self.state {
            State::Upgraded { handshake, arriving } => {
                let Some(message) = handshake_message(arriving)? else {
                    return Ok(None);
                };
                let payload = handshake.read(message).map_err(|_| SealedError::WrongKey)?;
                let (hello, features) = Hello::decode(&payload).ok_or(SealedError::InvalidMessage("a hello"))?;
                self.handle_hello(hello, features).map(Some)
            }
            State::Established { channel, ledger } => next_event(channel, ledger, &mut self.timers),
            State::Greeted { .. } | State::Refused => Ok(None),
            State::Failed(error) => Err(error.clone()),
        }
    }

    fn handle_hello(&mut self, hello: Hello, features: Features) -> Result<Next, SealedError> {
        self.timers.stop(Timer::Handshake);
        let placeholder = State::Failed(SealedError::CutOff);
        let State::Upgraded { handshake, .. } = std::mem::replace(&mut self.state, placeholder) else {
            unreachable!("a hello is read once");
        };
        self.state = State::Greeted { handshake, features };
        if hello.node == self.settings.node {
            self.refuse(Reason::OwnName);
            return Err(SealedError::OwnName(hello.node));
        }
        Ok(Next::Hello(hello))
    }

    /// `None` when the session failed while the shell was deciding.
    fn take_greeted(&mut self) -> Option<(Handshake, Features)> {
        match std::mem::replace(&mut self.state, State::Refused) {
            State::Greeted { handshake, features } => Some((handshake, features)),
            failed @ State::Failed(_) => {
                self.state = failed;
                None
            }
            State::Upgraded { .. } | State::Established { .. } | State::Refused => {
                panic!("a hello is answered once, when it has come")
            }
        }
    }

    fn established(&self) -> &Channel {
        match &self.state {
            State::Established { channel, .. } => channel,
            State::Upgraded { .. } | State::Greeted { .. } | State::Refused | State::Failed(_) => {
                unreachable!("results come in established sessions")
            }
        }
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

fn next_event(channel: &mut Channel, ledger: &mut Ledger, timers: &mut Timers) -> Result<Option<Next>, SealedError> {
    let Some(received) = channel.poll_frame(timers)? else {
        return Ok(None);
    };
    Ok(Some(match received {
        Received::Result(content) => {
            let frame_bytes = HEADER_BYTES + content.len();
            let result = channel.result(content.clone()).ok_or(SealedError::InvalidMessage("a result"))?;
            ledger.receive(result.sequence, frame_bytes)?;
            Next::Result(content)
        }
        Received::Heartbeat(heartbeat) => Next::Heartbeat(heartbeat),
        Received::Goodbye(reason) => Next::Goodbye(reason),
        Received::Heading(heading) => Next::Heading(heading),
        Received::Record(content) => Next::Record(content),
        Received::Shown(content) => {
            channel.shown(content.clone()).ok_or(SealedError::InvalidMessage("a result that is shown"))?;
            Next::Shown(content)
        }
        Received::Answered(shown) => Next::Answered(shown),
        Received::Ack(_) => return Err(SealedError::PeerMisbehaved("acknowledges results to a receiver")),
        Received::Want(_) => return Err(SealedError::PeerMisbehaved("asks a receiver for its book")),
    }))
}

#[cfg(test)]
impl Server {
    /// Says something that no server says.
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
