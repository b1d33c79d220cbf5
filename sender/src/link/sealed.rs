//! The shell around a sealed session: a socket that is read while it is written, the spool, the clock.
//!
//! The connection stays open for ever. What is to be sent, and what an answer means, is decided in
//! [`crate::sealed`].

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nsca::sealed::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, Ready};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info, warn};

use super::book::Books;
use super::connect::present;
use super::error::LinkError;
use super::record::{Ended, Record};
use super::{Shared, Stop};
use crate::sealed::{Event, Exchange};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// How long the last words of a session may take.
pub(crate) const FAREWELL_TIME: Duration = Duration::from_millis(300);

/// A timer that does not run expires then.
const NEVER: Duration = Duration::from_secs(3600);

/// A sealed session on a socket.
pub(crate) struct Conversation<'l> {
    pub(crate) destination: &'l str,
    /// Its place in the outbox.
    pub(crate) index: usize,
    pub(crate) shared: &'l Shared,
    pub(crate) record: &'l Record,
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    pub(crate) exchange: Exchange,
    /// What it tells beside results; none before the welcome, or where one of both has no book.
    pub(super) books: Option<Books>,
    /// The peer took the session.
    pub(crate) is_welcomed: bool,
}

impl Conversation<'_> {
    /// Sends what comes into the spool until something fails, or the sender stops. `early` has arrived already.
    ///
    /// At a stop the session ends when everything is acknowledged, or when the stop cannot wait any longer.
    pub(crate) async fn run(&mut self, early: &[u8], stop: &Stop) -> Result<(), LinkError> {
        // Results are written in whole messages: there is nothing to be gained by waiting for more.
        let _ = self.stream.set_nodelay(true);
        let outcome = self.talk(early, stop).await;
        let ended = match &outcome {
            Err(LinkError::PeerLeft { reason, .. }) => Ended::Goodbye(*reason),
            Ok(()) | Err(_) => Ended::Cut,
        };
        self.part().await;
        self.record.note_end(ended);
        outcome
    }

    async fn talk(&mut self, early: &[u8], stop: &Stop) -> Result<(), LinkError> {
        let mut buffer = vec![0; READ_BYTES];
        let mut presence = self.shared.presence.clone();
        let mut is_stopping = false;
        self.take(early).await?;
        loop {
            self.visit_spool().await?;
            if (is_stopping && self.exchange.is_drained()) || stop.hurry.is_cancelled() {
                self.exchange.goodbye(Reason::Stopping);
                return Ok(());
            }
            if let Some(books) = &mut self.books {
                books.give(&mut self.exchange);
            }
            let interest = if self.exchange.poll_transmit(present()).is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let timer = self.exchange.poll_timeout().unwrap_or_else(|| Instant::now() + NEVER);
            tokio::select! {
                ready = self.stream.ready(interest) => {
                    if ready.is_ok_and(Ready::is_writable) {
                        self.write()?;
                    }
                }
                () = sleep_until(timer.into()) => {}
                () = self.shared.outbox.news(self.index) => self.exchange.handle_arrival(),
                () = news(&mut self.books) => {}
                // Whoever says how this node is may be gone at its end.
                Ok(()) = presence.changed() => {
                    let presence = *presence.borrow_and_update();
                    self.exchange.set_core(presence.core);
                    self.exchange.set_duty(presence.duty);
                    self.exchange.set_warmth(presence.warmth);
                }
                () = stop.drain.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    // What came last may not have been read yet.
                    self.exchange.handle_arrival();
                }
                () = stop.hurry.cancelled() => {}
            }
            // Before the time, and whatever else woke us: who has spoken is not silent.
            self.read(&mut buffer).await?;
            self.exchange.handle_timeout(present()).map_err(|error| LinkError::sealed(self.address, error))?;
        }
    }

    /// Writes what the socket takes.
    fn write(&mut self) -> Result<(), LinkError> {
        let waiting = self.exchange.poll_transmit(present());
        match self.stream.try_write(waiting) {
            Ok(bytes) => {
                self.exchange.handle_sent(bytes);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Takes what has arrived.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<(), LinkError> {
        match self.stream.try_read(buffer) {
            Ok(0) => match self.exchange.handle_eof() {
                Ok(()) => Err(LinkError::PeerLeft { address: self.address, reason: Reason::Stopping }),
                Err(error) => Err(LinkError::sealed(self.address, error)),
            },
            Ok(bytes) => self.take(&buffer[..bytes]).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    async fn take(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            bytes = &bytes[self.exchange.handle_bytes(bytes, present())..];
            while let Some(event) = self.poll_event()? {
                self.handle(event).await?;
            }
        }
        self.record.note_progress(self.exchange.history().counts(), self.exchange.clock_offset());
        Ok(())
    }

    fn poll_event(&mut self) -> Result<Option<Event>, LinkError> {
        self.exchange.poll_event().map_err(|error| LinkError::sealed(self.address, error))
    }

    async fn handle(&mut self, event: Event) -> Result<(), LinkError> {
        match event {
            Event::Welcome(node) => {
                let (destination, address) = (self.destination, self.address);
                info!(destination, %address, %node, "sealed session begun");
                self.is_welcomed = true;
                self.record.clear_failure();
                self.record.note_welcome(node);
                let chronicle = self.shared.chronicle.as_ref().filter(|_| self.exchange.has_books());
                self.books = chronicle.map(Books::new);
            }
            Event::Remember => self.remember().await?,
            Event::Heartbeat(heartbeat) => self.record.note_heartbeat(&heartbeat, Instant::now()),
            Event::Acknowledged => {}
            Event::Want(want) => {
                if let Some(books) = &mut self.books {
                    books.handle(want);
                }
            }
            Event::Goodbye(reason) => return Err(LinkError::PeerLeft { address: self.address, reason }),
        }
        Ok(())
    }

    /// Remembers that this destination can seal. Other tasks go on while the disk is waited for.
    async fn remember(&mut self) -> Result<(), LinkError> {
        let (abilities, destination) = (self.shared.abilities.clone(), self.destination.to_owned());
        let remembered = tokio::task::spawn_blocking(move || abilities.remember(&destination)).await;
        let remembered = remembered.unwrap_or_else(|error| Err(io::Error::other(error)));
        remembered.map_err(|source| {
            let path = self.shared.abilities.path().to_owned();
            LinkError::NotRemembered { path, source }
        })?;
        info!(
            destination = self.destination,
            "from now on this destination gets sealed sessions only, until `understudy forget`"
        );
        self.exchange.handle_remembered();
        Ok(())
    }

    async fn visit_spool(&mut self) -> Result<(), LinkError> {
        if !self.exchange.wants_spool() {
            return Ok(());
        }
        let mut state = self.shared.outbox.lock_soon().await;
        while self.exchange.wants_spool() {
            self.exchange.visit(&mut state.spool, Instant::now())?;
        }
        drop(state);
        self.shared.outbox.commit_wanted.notify_one();
        Ok(())
    }

    /// A reset means what a close means.
    fn broken(&mut self, error: &io::Error) -> LinkError {
        debug!(destination = self.destination, address = %self.address, %error, "the connection broke off");
        match self.exchange.handle_eof() {
            Ok(()) => LinkError::PeerLeft { address: self.address, reason: Reason::Stopping },
            Err(error) => LinkError::sealed(self.address, error),
        }
    }

    /// Tells the spool what the session has led to, and the peer why it is over.
    async fn part(&mut self) {
        if let Err(error) = self.visit_spool().await {
            warn!(destination = self.destination, %error, "the end of a session could not be noted in the spool");
        }
        self.record.note_progress(self.exchange.history().counts(), None);
        // A peer that has stopped reading hears no farewell.
        let _ = timeout(FAREWELL_TIME, self.farewell()).await;
    }

    async fn farewell(&mut self) -> io::Result<()> {
        loop {
            let last_words = self.exchange.poll_transmit(present());
            if last_words.is_empty() {
                break;
            }
            let bytes = self.stream.write(last_words).await?;
            self.exchange.handle_sent(bytes);
        }
        self.stream.shutdown().await?;
        // What is unread at a close makes it a reset, which overtakes the last words.
        let mut unread = [0; 4096];
        while self.stream.read(&mut unread).await? > 0 {}
        Ok(())
    }
}

/// Waits until there is more to tell than results.
async fn news(books: &mut Option<Books>) {
    match books {
        Some(books) => books.news().await,
        None => std::future::pending().await,
    }
}
