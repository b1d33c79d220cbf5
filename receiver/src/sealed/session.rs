//! What a sealed session does with what its sender says, without I/O.

use std::sync::Arc;
use std::time::Instant;

use nagios::{
    Attributed, CheckResult, CheckType, HostName, NameError, Object, Outputs, ReturnCode, ServiceDescription,
    StateType, Timestamp,
};
use nsca::sealed::{
    self, ClockOffset, Heading, Hello, NodeName, Now, Reason, ResultFrame, SealedError, Server, ServerEvent,
    ShownFrame, Want,
};

use super::shown::Shown;
use crate::batch::Batch;
use crate::heard::Condition;
use crate::peers::{Begun, Peers, Source};

/// How many origins a session recognises without allocating.
const KEPT_ORIGINS: usize = 16;

/// The receiver's half of a sealed session, from the upgrade request on.
///
/// The shell around it, whenever something happened: hands in what has arrived ([`handle_bytes`]) and the time if the
/// [timeout](Self::poll_timeout) is over ([`handle_timeout`]); takes [events](Self::poll_event) until there are none;
/// has what came [appended](Self::take_batch) to the journal; says what [`Peers`] then know as
/// [committed](Self::acknowledge); and writes what is to be [transmitted](Self::poll_transmit). It never stops reading.
///
/// **Invariant:** a batch is about every sequence that came, in order. Nothing is acknowledged that is not committed.
///
/// **Invariant:** between two calls of [`take_batch`](Self::take_batch) it holds no more than the credit that it gave, and
/// between two of [`take_shown`](Self::take_shown) no more than [`MAX_SHOWN_BYTES`](super::MAX_SHOWN_BYTES).
///
/// [`handle_bytes`]: Self::handle_bytes
/// [`handle_timeout`]: Self::handle_timeout
#[derive(Debug)]
pub struct Session {
    server: Box<Server>,
    own_name: NodeName,
    welcomed: Option<Welcomed>,
    is_leaving: bool,
}

/// A sender that may send.
#[derive(Debug)]
struct Welcomed {
    source: Source,
    begun: Begun,
    origins: Origins,
    outputs: Outputs,
    batch: Batch,
    shown: Shown,
    /// The last sequence that came, or was accepted before.
    newest: u64,
    acknowledged: u64,
}

/// What happens in a session, for the shell.
#[derive(Debug)]
pub enum Event<'a> {
    /// A sender that knows the key says who it is: call [`Session::introduce`].
    Hello(Hello),
    /// The sender lives, and says how it is.
    Heartbeat(Condition),
    /// A result came, and is in the [batch](Session::take_batch), or among [those that are shown](Session::take_shown).
    Taken,
    /// A result came and is not taken, but for its sequence.
    Dropped(Dropped),
    /// What comes next of the sender's book.
    Heading(Heading),
    /// A record of the book.
    Record(&'a [u8]),
    /// A [want](Session::want) is answered: so many results were shown before.
    Answered(u32),
    /// The sender ends the session. Nothing more comes in it; it waits for acknowledgements until the connection is closed.
    Goodbye(Reason),
}

/// Why a result is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// It entered a spool of this very node first.
    #[error("it comes from this node: the sender does not know who has it already")]
    Own,
    /// The host or the service has a name that no core can have.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The origin is no node's name.
    #[error("its origin is no node's name: the sender runs a broken version")]
    Origin,
    /// It is no news, and there is no room for it now.
    #[error("more results were shown than there is room for; they are asked for again")]
    NoRoom,
}

impl Session {
    /// The session that `server` begins, on the node that calls itself `own_name`.
    pub fn new(server: Box<Server>, own_name: NodeName) -> Self {
        Session { server, own_name, welcomed: None, is_leaving: false }
    }

    /// Takes bytes that have arrived and returns how many there was room for. At least one is taken after
    /// [`poll_event`](Self::poll_event) returned `None`.
    #[must_use = "what was not taken must be handed in again"]
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Now) -> usize {
        self.server.handle_bytes(bytes, now)
    }

    /// Says that the sender closed the connection. Take all events before.
    ///
    /// # Errors
    /// When neither side had said goodbye, or the session had failed.
    pub fn handle_eof(&mut self) -> Result<(), SealedError> {
        self.server.handle_eof()
    }

    /// Says that the time of [`poll_timeout`](Self::poll_timeout) may have come. Hand in what has arrived, and take all
    /// events, before.
    ///
    /// # Errors
    /// When the sender was silent for too long.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), SealedError> {
        self.server.handle_timeout(now)
    }

    /// What happened next. Results are kept until they are asked for.
    ///
    /// # Errors
    /// Why the session is over. Transmit what there is, and close the connection.
    pub fn poll_event(&mut self, now: Now) -> Result<Option<Event<'_>>, SealedError> {
        let now = Timestamp::from_micros(now.unix_us);
        let Some(event) = self.server.poll_event()? else { return Ok(None) };
        let welcomed = self.welcomed.as_mut();
        let welcomed = move || welcomed.expect("results come from senders that are welcome");
        Ok(Some(match event {
            ServerEvent::Hello(hello) => Event::Hello(hello),
            ServerEvent::Result(frame) => match welcomed().take(&frame, &self.own_name, now) {
                Ok(()) => Event::Taken,
                Err(dropped) => Event::Dropped(dropped),
            },
            ServerEvent::Heartbeat(heartbeat) => {
                let (core, duty, warmth) = (heartbeat.core, heartbeat.duty, heartbeat.warmth);
                Event::Heartbeat(Condition { core, duty, warmth })
            }
            ServerEvent::Goodbye(reason) => Event::Goodbye(reason),
            ServerEvent::Heading(heading) => Event::Heading(heading),
            ServerEvent::Record(record) => Event::Record(record),
            ServerEvent::Shown(frame) => match welcomed().take_shown(&frame, now) {
                Ok(()) => Event::Taken,
                Err(dropped) => Event::Dropped(dropped),
            },
            ServerEvent::Answered(shown) => Event::Answered(shown),
        }))
    }

    /// Answers the hello: welcomes the sender behind what is committed of its spool, or refuses it. An older session of the
    /// same node and spool has to [leave](Self::leave) then. Best called when the peers are
    /// [settled](Peers::is_settled), but within seconds.
    ///
    /// # Errors
    /// Why it was refused. Transmit what there is, and close the connection.
    pub fn introduce(&mut self, hello: &Hello, peers: &mut Peers, now: Now) -> Result<Begun, Reason> {
        let begun = peers.begin(hello).inspect_err(|reason| self.server.refuse(*reason))?;
        self.server.welcome(begun.accepted, now);
        let source = Source { node: hello.node.clone(), spool: hello.spool, epoch: hello.epoch };
        self.welcomed = Some(Welcomed {
            begun,
            origins: Origins::new(&hello.node),
            outputs: Outputs::default(),
            batch: Batch::sealed(source.clone(), begun.number),
            shown: Shown::default(),
            source,
            newest: begun.accepted,
            acknowledged: begun.accepted,
        });
        Ok(begun)
    }

    /// What came since the last call, to be appended to the journal; `None`: nothing.
    pub fn take_batch(&mut self) -> Option<Batch> {
        let welcomed = self.welcomed.as_mut().filter(|welcomed| !welcomed.batch.is_empty())?;
        Some(std::mem::replace(&mut welcomed.batch, Batch::sealed(welcomed.source.clone(), welcomed.begun.number)))
    }

    /// The results that were shown since the last call, to be appended to the journal; `None`: none.
    pub fn take_shown(&mut self) -> Option<Batch> {
        self.welcomed.as_mut().and_then(|welcomed| welcomed.shown.take())
    }

    /// Whether there are results that were shown and not taken from here.
    pub fn has_shown(&self) -> bool {
        self.welcomed.as_ref().is_some_and(|welcomed| !welcomed.shown.is_empty())
    }

    /// Whether the sender tells its book in this session, which has begun.
    pub fn has_books(&self) -> bool {
        self.server.has_books()
    }

    /// Asks the sender for a part of its book. False: there is no room now, or it has none.
    #[must_use = "what was not taken must be given again"]
    pub fn want(&mut self, want: &Want) -> bool {
        self.server.want(want)
    }

    /// Acknowledges what is [committed](Peers::committed) of this session.
    pub fn acknowledge(&mut self, peers: &Peers) {
        if let Some(welcomed) = &mut self.welcomed
            && let Some(accepted) = peers.accepted(&welcomed.source, welcomed.begun.number)
            && accepted > welcomed.acknowledged
        {
            welcomed.acknowledged = accepted;
            self.server.acknowledge(accepted);
        }
    }

    /// Whether everything that came is acknowledged.
    pub fn is_settled(&self) -> bool {
        self.welcomed.as_ref().is_none_or(|welcomed| welcomed.acknowledged == welcomed.newest)
    }

    /// Ends the session, after an acknowledgement that is due. Close the connection when there is nothing more to transmit.
    pub fn leave(&mut self, reason: Reason) {
        if !std::mem::replace(&mut self.is_leaving, true) {
            self.server.goodbye(reason);
        }
    }

    /// Tells the sender how this node is.
    pub fn set_condition(&mut self, condition: Condition) {
        let Condition { core, duty, warmth } = condition;
        self.server.set_core(core);
        self.server.set_duty(duty);
        self.server.set_warmth(warmth);
    }

    /// What is to be written to the socket, until it is empty. Tell [`handle_sent`](Self::handle_sent) how much of it was.
    pub fn poll_transmit(&mut self, now: Now) -> &[u8] {
        self.server.poll_transmit(now)
    }

    /// Says that the first `bytes` of what was to be transmitted are written.
    ///
    /// # Panics
    /// When that is more than there was.
    pub fn handle_sent(&mut self, bytes: usize) {
        self.server.handle_sent(bytes);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.server.poll_timeout()
    }

    /// How the sender's clock compares with this one.
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        self.server.clock_offset()
    }

    /// Whose results come, once it is welcome.
    pub fn source(&self) -> Option<&Source> {
        self.welcomed.as_ref().map(|welcomed| &welcomed.source)
    }

    /// How it began, once it is welcome.
    pub fn begun(&self) -> Option<Begun> {
        self.welcomed.as_ref().map(|welcomed| welcomed.begun)
    }

    /// The last sequence that came.
    pub fn newest(&self) -> u64 {
        self.welcomed.as_ref().map_or(0, |welcomed| welcomed.newest)
    }

    /// The last sequence that was acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.welcomed.as_ref().map_or(0, |welcomed| welcomed.acknowledged)
    }

    /// When the last authentic message of the sender came, while the session lasts. A result that takes long is one of many
    /// messages: whoever sends it is not silent.
    pub fn heard(&self) -> Option<Instant> {
        self.server.heard()
    }
}

impl Welcomed {
    fn take(&mut self, frame: &ResultFrame<'_>, own_name: &NodeName, now: Timestamp) -> Result<(), Dropped> {
        self.newest = frame.sequence;
        match self.attributed(frame, own_name, now) {
            Ok(result) => {
                self.batch.push(frame.sequence, result);
                Ok(())
            }
            Err(dropped) => {
                self.batch.skip(frame.sequence);
                Err(dropped)
            }
        }
    }

    fn take_shown(&mut self, frame: &ShownFrame<'_>, now: Timestamp) -> Result<(), Dropped> {
        let result = check_result(frame, now, &mut self.outputs)?;
        let result = Attributed { result, origin: self.origins.of(b"")? };
        let has_room = self.shown.push(result, frame.host.len() + frame.service.len() + frame.output.len());
        has_room.then_some(()).ok_or(Dropped::NoRoom)
    }

    fn attributed(
        &mut self,
        frame: &ResultFrame<'_>,
        own_name: &NodeName,
        now: Timestamp,
    ) -> Result<Attributed, Dropped> {
        if frame.origin == own_name.as_bytes() {
            return Err(Dropped::Own);
        }
        let result = check_result(&frame.into(), now, &mut self.outputs)?;
        Ok(Attributed { result, origin: self.origins.of(frame.origin)? })
    }
}

/// The result in a frame. A check time that this node's clock has not reached yet is now.
fn check_result(frame: &ShownFrame<'_>, now: Timestamp, outputs: &mut Outputs) -> Result<CheckResult, NameError> {
    let host = HostName::try_from(frame.host)?;
    let object = if frame.service.is_empty() {
        Object::Host(host)
    } else {
        Object::Service(host, ServiceDescription::try_from(frame.service)?)
    };
    Ok(CheckResult {
        object,
        code: ReturnCode::new(frame.code),
        output: outputs.from_text(frame.output),
        check_time: Timestamp::from_micros(frame.check_time_us).min(now),
        state_type: frame.state_type.map(|state_type| match state_type {
            sealed::StateType::Soft => StateType::Soft,
            sealed::StateType::Hard => StateType::Hard,
        }),
        attempt: Some(frame.attempt).filter(|attempt| *attempt != 0),
        check_type: frame.check_type.map(|check_type| match check_type {
            sealed::CheckType::Active => CheckType::Active,
            sealed::CheckType::Passive => CheckType::Passive,
        }),
    })
}

/// The names of origins, each allocated once.
#[derive(Debug)]
struct Origins {
    /// The sender's own name first.
    known: Vec<Arc<str>>,
}

impl Origins {
    fn new(sender: &NodeName) -> Self {
        Origins { known: vec![sender.as_str().into()] }
    }

    fn of(&mut self, name: &[u8]) -> Result<Arc<str>, Dropped> {
        if name.is_empty() {
            return Ok(self.known[0].clone());
        }
        if let Some(known) = self.known.iter().find(|known| known.as_bytes() == name) {
            return Ok(known.clone());
        }
        let name = str::from_utf8(name).ok().filter(|name| NodeName::try_from(*name).is_ok()).ok_or(Dropped::Origin)?;
        let origin = Arc::from(name);
        if self.known.len() < KEPT_ORIGINS {
            self.known.push(Arc::clone(&origin));
        }
        Ok(origin)
    }
}

#[cfg(test)]
mod tests;
