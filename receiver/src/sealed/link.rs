//! A sealed session on a socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nsca::sealed::{CoreVerdict, Hello, Now, Reason, SealedError, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::appending::Appending;
use super::reading::Reading;
use super::{Dropped, Event, Session};
use crate::admission::Pass;
use crate::backlog::NotTaken;
use crate::catching_up::Chase;
use crate::complaints::Kind;
use crate::connection::now;
use crate::counts::Cause;
use crate::heard::{Bond, Condition};
use crate::journal::Journal;
use crate::listener::Visitor;
use crate::sessions::{Entry, Sealed};

/// How much is read at once: a message.
const READ_BYTES: usize = 64 << 10;

/// How many reads come before a timer: more than a socket's buffer holds.
const READS_BEFORE_TIMEOUT: usize = 128;

/// How long a sender may have to wait for its welcome until what came from it before is committed.
const WELCOME_WITHIN: Duration = Duration::from_secs(1);

/// How long what has come may take to be committed, when one of the sides stops.
const LINGER: Duration = Duration::from_secs(3);

/// How long the peer may take to read the last message.
const PARTING: Duration = Duration::from_secs(1);

/// A sealed session and everything around it.
pub(crate) struct Link {
    stream: TcpStream,
    visitor: Visitor,
    journal: Arc<Journal>,
    session: Session,
    appending: Appending,
    /// What was shown on request; tried once.
    readmitting: Appending,
    entry: Entry,
    waiting: Option<Waiting>,
    bond: Option<Bond>,
    reading: Reading,
    /// Until everything is here that waited when the session began.
    chase: Option<Chase>,
    own: watch::Receiver<Condition>,
    commits: watch::Receiver<()>,
    superseded: CancellationToken,
    leaving: Option<Leaving>,
    buffer: Vec<u8>,
    _pass: Pass,
}

/// A sender that waits for its welcome.
struct Waiting {
    hello: Hello,
    /// When not to wait any more until what came from it before is committed.
    at_last: Instant,
}

/// The session ends as soon as what has come is acknowledged.
struct Leaving {
    /// What the peer is told, unless it is the one that ends the session.
    reason: Option<Reason>,
    /// When not to wait for that any more.
    at_last: Instant,
}

/// How a session ends before its time.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Session(#[from] SealedError),
    #[error("refused: {0}")]
    Refused(Reason),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
}

/// Why the shell has something to do.
enum Wake {
    Readable,
    Writable,
    Appended(Result<(), NotTaken>),
    Readmitted(Result<(), NotTaken>),
    Committed,
    /// How this node is changed.
    Own,
    /// Somebody wants something of the sender's book.
    Want,
    Timeout,
    Superseded,
    Stopping,
}

impl Link {
    /// The session that `server` begins.
    pub(crate) fn new(
        stream: TcpStream,
        visitor: Visitor,
        server: Box<Server>,
        journal: Arc<Journal>,
        entry: Entry,
        pass: Pass,
    ) -> Self {
        let shared = &visitor.entrance.shared;
        let mut own = shared.own.subscribe();
        own.mark_changed();
        Link {
            session: Session::new(server, shared.node.clone()),
            appending: Appending::Nothing,
            readmitting: Appending::Nothing,
            waiting: None,
            bond: None,
            reading: Reading::default(),
            chase: None,
            own,
            commits: journal.commits(),
            superseded: CancellationToken::new(),
            leaving: None,
            buffer: vec![0; READ_BYTES],
            stream,
            visitor,
            journal,
            entry,
            _pass: pass,
        }
    }

    /// Serves the peer to the end, from what has come already.
    pub(crate) async fn run(mut self, first: &[u8], stopping: CancellationToken) {
        let ended = self.serve(first, &stopping).await;
        self.conclude(ended.err());
        self.part().await;
    }

    async fn serve(&mut self, first: &[u8], stopping: &CancellationToken) -> Result<(), Ended> {
        self.take(first)?;
        loop {
            self.welcome()?;
            self.append();
            self.reading.ask(&mut self.session, Instant::now());
            let is_blocked = self.transmit()?;
            if self.is_done() {
                return Ok(());
            }
            match self.wake(is_blocked, stopping).await? {
                Wake::Readable => {
                    if self.read()? == Some(0) {
                        return Ok(self.session.handle_eof()?);
                    }
                }
                Wake::Writable => {}
                Wake::Appended(outcome) => self.handle_appended(outcome),
                Wake::Readmitted(outcome) => self.handle_readmitted(outcome),
                Wake::Committed => self.acknowledge(),
                Wake::Own => {
                    let condition = *self.own.borrow_and_update();
                    self.session.set_condition(condition);
                }
                Wake::Want => {}
                Wake::Timeout => {
                    if self.handle_timeout()? {
                        return Ok(self.session.handle_eof()?);
                    }
                }
                Wake::Superseded => self.leave(Some(Reason::Superseded), Duration::ZERO),
                Wake::Stopping => self.leave(Some(Reason::Stopping), LINGER),
            }
        }
    }

    /// Waits until there is something to do.
    async fn wake(&mut self, is_blocked: bool, stopping: &CancellationToken) -> io::Result<Wake> {
        // While it is leaving, what still comes is for the next session.
        let interest = match (self.leaving.is_some(), is_blocked) {
            (false, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, true) => Some(Interest::WRITABLE),
            (true, false) => None,
        };
        let timeouts = [
            self.session.poll_timeout().map(Instant::from_std),
            self.waiting.as_ref().map(|waiting| waiting.at_last),
            self.appending.retry_at(),
            self.reading.poll_timeout(),
            self.leaving.as_ref().map(|leaving| leaving.at_last),
        ];
        let timeout = timeouts.into_iter().flatten().min();
        let stream = &self.stream;
        Ok(tokio::select! {
            ready = stream.ready(interest.unwrap_or(Interest::WRITABLE)), if interest.is_some() => {
                if ready?.is_readable() { Wake::Readable } else { Wake::Writable }
            }
            outcome = self.appending.outcome() => Wake::Appended(outcome),
            outcome = self.readmitting.outcome() => Wake::Readmitted(outcome),
            Ok(()) = self.commits.changed() => Wake::Committed,
            Ok(()) = self.own.changed() => Wake::Own,
            () = self.reading.wait() => Wake::Want,
            () = tokio::time::sleep_until(timeout.unwrap_or_else(Instant::now)), if timeout.is_some() => Wake::Timeout,
            () = self.superseded.cancelled(), if self.leaving.is_none() => Wake::Superseded,
            () = stopping.cancelled(), if self.leaving.is_none() => Wake::Stopping,
        })
    }

    /// How much there was to read; 0 is the end, `None` that there was nothing.
    fn read(&mut self) -> Result<Option<usize>, Ended> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let taken = match self.stream.try_read(&mut buffer) {
            Ok(n) => self.take(&buffer[..n]).map(|()| Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        };
        self.buffer = buffer;
        taken
    }

    /// Takes what has come, and what it means.
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Ended> {
        let now = now();
        while !bytes.is_empty() {
            bytes = &bytes[self.session.handle_bytes(bytes, now)..];
            while let Some(event) = self.session.poll_event(now)? {
                match event {
                    Event::Hello(hello) => {
                        self.waiting = Some(Waiting { hello, at_last: Instant::now() + WELCOME_WITHIN });
                    }
                    Event::Heartbeat(condition) => self.handle_heartbeat(condition),
                    Event::Taken => {}
                    Event::Dropped(why) => self.handle_dropped(why),
                    Event::Goodbye(reason) => self.handle_goodbye(reason),
                    Event::Heading(heading) => self.reading.handle_heading(heading),
                    Event::Record(record) => self.reading.handle_record(record),
                    Event::Answered(shown) => self.reading.handle_answered(shown),
                }
            }
        }
        if let Some(bond) = &self.bond {
            bond.hear(self.session.heard());
        }
        Ok(())
    }

    /// Lets the timers run, after everything that came before. True at the end of the connection.
    fn handle_timeout(&mut self) -> Result<bool, Ended> {
        for _ in 0..READS_BEFORE_TIMEOUT {
            match self.read()? {
                Some(0) => return Ok(true),
                Some(_) if self.leaving.is_none() => {}
                Some(_) | None => break,
            }
        }
        self.session.handle_timeout(now())?;
        Ok(false)
    }

    /// Writes as much as the socket takes. Whether something is left.
    fn transmit(&mut self) -> io::Result<bool> {
        loop {
            let bytes = self.session.poll_transmit(now());
            if bytes.is_empty() {
                return Ok(false);
            }
            match self.stream.try_write(bytes) {
                Ok(n) => self.session.handle_sent(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

/// From the hello to the goodbye.
impl Link {
    /// Welcomes or refuses a sender that waits for it, as soon as what came from it before is committed.
    fn welcome(&mut self) -> Result<(), Ended> {
        let Some(Waiting { hello, at_last }) = self.waiting.take() else { return Ok(()) };
        let is_settled = self.visitor.entrance.shared.peers.lock().is_settled(&hello);
        if is_settled || Instant::now() >= at_last {
            return self.introduce(&hello, now());
        }
        self.waiting = Some(Waiting { hello, at_last });
        Ok(())
    }

    fn introduce(&mut self, hello: &Hello, now: Now) -> Result<(), Ended> {
        let (shared, peer) = (&self.visitor.entrance.shared, self.visitor.address);
        // It ends in order from here on, so that the peer reads why. It can only fail on a socket that is closed already.
        let _ = socket2::SockRef::from(&self.stream).set_linger(None);
        // Until all of them agree on which session is the node's.
        let mut peers = shared.peers.lock();
        let begun = self.session.introduce(hello, &mut peers, now).map_err(Ended::Refused)?;
        *self.entry.sealed() = Some(Sealed {
            node: hello.node.clone(),
            number: begun.number,
            superseded: self.superseded.clone(),
            received: begun.accepted,
            acknowledged: begun.accepted,
            clock: None,
            core: CoreVerdict::Unknown,
            wants: None,
            caught_up: None,
        });
        let older = begun.supersedes.and_then(|older| shared.sessions.supersede(older));
        self.bond = Some(shared.hearing.begin(hello.node.as_str(), begun.number, now.instant));
        drop(peers);
        let Hello { node, spool, epoch, newest, .. } = hello;
        let accepted = begun.accepted;
        self.chase = Chase::begin(&shared.catching_up, node.as_str(), accepted, *newest, now.instant);
        if let Some(books) = shared.books.clone().filter(|_| self.session.has_books()) {
            let (reading, wants) = Reading::begin(node, books);
            self.reading = reading;
            if let Some(sealed) = &mut *self.entry.sealed() {
                sealed.wants = Some(wants);
            }
        }
        tracing::info!(%peer, %node, %spool, epoch, newest, accepted, "sealed session begun");
        match older {
            Some(older) if older.ip() != peer.ip() => shared.complaints.about(peer.ip(), Kind::Session, |left_out| {
                tracing::warn!(
                    %node, %peer, %older, left_out,
                    "the node's older session ends; if these are two machines, one has a copy of the other's state \
                     directory: give it a name of its own and an empty state directory"
                );
            }),
            Some(older) => tracing::info!(%node, %peer, %older, "the node's older session ends"),
            None => {}
        }
        Ok(())
    }

    fn handle_heartbeat(&mut self, condition: Condition) {
        if let Some(bond) = &self.bond {
            bond.hear_heartbeat(condition);
        }
        if let Some(sealed) = &mut *self.entry.sealed() {
            sealed.core = condition.core;
        }
        self.tell();
    }

    fn handle_dropped(&self, why: Dropped) {
        match why {
            Dropped::Own => self.visitor.entrance.shared.counters.own.add(1),
            Dropped::NoRoom => self.visitor.entrance.shared.counters.not_readmitted.add(1),
            Dropped::Name(_) | Dropped::Origin => self.visitor.drop_result(&why),
        }
    }

    fn handle_goodbye(&mut self, reason: Reason) {
        if let Some(bond) = &self.bond {
            bond.part(reason);
        }
        tracing::info!(peer = %self.visitor.address, node = self.node(), %reason, "the sender ends the session");
        self.leave(None, LINGER);
    }

    fn leave(&mut self, reason: Option<Reason>, within: Duration) {
        self.leaving.get_or_insert(Leaving { reason, at_last: Instant::now() + within });
    }

    /// Whether it is leaving and may go.
    fn is_done(&mut self) -> bool {
        let Some(leaving) = &self.leaving else { return false };
        let is_done = self.session.is_settled() || Instant::now() >= leaving.at_last;
        if let (true, Some(reason)) = (is_done, leaving.reason) {
            self.session.leave(reason);
        }
        is_done
    }

    /// Writes the last message, and waits a moment for the peer to read it.
    async fn part(mut self) {
        if self.bond.is_none() && self.session.poll_transmit(now()).is_empty() {
            // A stranger.
            return;
        }
        let parting = async {
            loop {
                let bytes = self.session.poll_transmit(now());
                if bytes.is_empty() {
                    break;
                }
                let n = self.stream.write(bytes).await?;
                self.session.handle_sent(n);
            }
            self.stream.shutdown().await?;
            // What comes now would turn the end into a reset, and the peer would not read the last message.
            while self.stream.read(&mut self.buffer).await? > 0 {}
            io::Result::Ok(())
        };
        // A peer that does not read it learns it from the end of the connection.
        let _ = tokio::time::timeout(PARTING, parting).await;
    }

    /// Says how it ended.
    fn conclude(&mut self, ended: Option<Ended>) {
        let (peer, shared) = (self.visitor.address, &self.visitor.entrance.shared);
        if let (Some(source), Some(begun)) = (self.session.source(), self.session.begun()) {
            shared.peers.lock().end(&source.node, begun.number);
            shared.peers.note_last();
        }
        let (node, acknowledged) = (self.node(), self.session.acknowledged());
        match ended {
            None => tracing::info!(%peer, node, acknowledged, "sealed session ended"),
            Some(Ended::Broken(error)) => tracing::info!(%peer, node, acknowledged, %error, "sealed session broke"),
            Some(Ended::Session(SealedError::CutOff)) if node.is_some() => {
                tracing::info!(%peer, node, acknowledged, "sealed session cut off");
            }
            Some(Ended::Session(error)) => match node {
                Some(node) => self.visitor.give_up(node, acknowledged, &error),
                None => self.visitor.refuse(Cause::from(&error), &error),
            },
            Some(Ended::Refused(reason)) => self.visitor.refuse(reason.into(), &Ended::Refused(reason)),
        }
    }

    fn node(&self) -> Option<&str> {
        self.session.source().map(|source| source.node.as_str())
    }

    /// Brings the status up to date.
    fn tell(&self) {
        if let Some(sealed) = &mut *self.entry.sealed() {
            sealed.received = self.session.newest();
            sealed.acknowledged = self.session.acknowledged();
            sealed.clock = self.session.clock_offset();
        }
    }
}

/// Results on their way into the journal.
impl Link {
    /// Has what came appended, if nothing else of its kind is on its way.
    fn append(&mut self) {
        let session = &mut self.session;
        self.appending.begin(&self.journal, || session.take_batch());
        self.readmitting.begin(&self.journal, || session.take_shown());
        self.note_caught_up();
    }

    fn handle_appended(&mut self, outcome: Result<(), NotTaken>) {
        let batch = self.appending.conclude();
        match outcome {
            Ok(()) => {
                self.entry.accept(batch.results().len());
                let now = std::time::Instant::now();
                self.chase = self.chase.take().and_then(|chase| chase.go_on(batch.through(), now));
            }
            // The journal says so in the log.
            Err(_) => self.appending.retry(batch),
        }
    }

    /// What the journal did not take is asked for again by whoever lacks it.
    fn handle_readmitted(&mut self, outcome: Result<(), NotTaken>) {
        let batch = self.readmitting.conclude();
        match outcome {
            Ok(()) => self.entry.accept(batch.results().len()),
            Err(_) => self.visitor.entrance.shared.counters.not_readmitted.add(batch.results().len()),
        }
    }

    /// Says who wants to know whether everything has come into the journal.
    fn note_caught_up(&mut self) {
        let is_readmitted = !self.readmitting.is_under_way() && !self.session.has_shown();
        if let Some(sealed) = &mut *self.entry.sealed() {
            let from = self.chase.as_ref().map_or_else(std::time::Instant::now, Chase::ends);
            sealed.caught_up = is_readmitted.then_some(from);
        }
        if is_readmitted {
            self.reading.handle_readmitted();
        }
    }

    /// Tells the sender what is committed.
    fn acknowledge(&mut self) {
        self.session.acknowledge(&self.visitor.entrance.shared.peers.lock());
        self.tell();
    }
}
