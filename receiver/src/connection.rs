//! One connection: what the peer wants, and a classic session between a socket and the backlog.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nagios::{CheckResult, HostName, NameError, Object, Outputs, ReturnCode, ServiceDescription, Timestamp};
use nsca::classic::{ServerSession, SessionError};
use nsca::greeting::{RANDOM_BYTES, ServerGreeted, ServerGreeting};
use nsca::packet::Report;
use nsca::sealed::{Now, STALE_AFTER, SealedError, Server, ServerSettings, Window};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Pass;
use crate::backlog::{Backlog, NotTaken, Taking};
use crate::batch::Batch;
use crate::counts::Cause;
use crate::listener::{Entrance, Visitor};
use crate::sealed::Link;
use crate::sessions::Entry;
use crate::spoofing::Spoofing;

/// How much is read at once to begin with: nearly four packets. Most clients send one.
const READ_BYTES: usize = 16 << 10;

/// How much is read at once from a client that filled the small buffer: sixty packets, which become one batch.
const LARGE_READ_BYTES: usize = 256 << 10;

/// As many connections may have a large buffer, 8 MiB together. The others go on with their small ones.
pub(crate) const LARGE_BUFFERS: usize = 32;

/// How long a connection may go on after the daemon was told to stop: the rest of what the peer is sending now.
const LINGER_WHEN_STOPPING: Duration = Duration::from_secs(1);

/// A connection that was let in.
pub(crate) struct Connection {
    stream: TcpStream,
    visitor: Visitor,
    entry: Entry,
    spoofing: Option<Spoofing>,
    outputs: Outputs,
    /// The last batch, and how many results it has: while it is written, the next one is read and decrypted.
    taking: (Taking, usize),
    /// The right to a large buffer.
    large: Option<OwnedSemaphorePermit>,
    pass: Pass,
}

/// What the peer wants, and how many of the bytes that were read last belong to that.
enum Wish {
    Classic(Box<ServerSession>, usize),
    Sealed(Box<Server>, usize),
    /// It closed the connection.
    Nothing,
}

/// Why a connection ends before the peer ends it.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Refused(#[from] SessionError),
    #[error(transparent)]
    Sealed(#[from] SealedError),
    #[error("nothing came for {0:?}: the peer is gone or hangs")]
    Silent(Duration),
    #[error("a packet was not complete after {0:?}: the peer is slow, or speaks another protocol")]
    Slow(Duration),
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    #[error("no random numbers: {0}")]
    NoRandom(getrandom::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the daemon stops")]
    Stopping,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr, entrance: Arc<Entrance>, pass: Pass) -> Self {
        let address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let spoofing = entrance.listener.strict_mode_spoofing.then(|| Spoofing::new(address.ip()));
        let entry = entrance.shared.sessions.enter(address);
        let (outputs, taking, large) = (Outputs::default(), (Taking::Done, 0), None);
        Connection { stream, visitor: Visitor { address, entrance }, entry, spoofing, outputs, taking, large, pass }
    }

    /// Serves the peer to the end.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        // From here on, any end is a reset, also when this process is killed: the peer must not take its results as
        // delivered. It can only fail on a socket that is closed already.
        let _ = self.stream.set_zero_linger();
        let mut stopped = pin!(async {
            stopping.cancelled().await;
            tokio::time::sleep(LINGER_WHEN_STOPPING).await;
        });
        let mut buffer = vec![0; READ_BYTES];
        let ended = match self.greet(&mut buffer, stopped.as_mut()).await {
            Ok(Wish::Classic(session, came)) => {
                let served = self.serve(*session, buffer, came, stopped).await;
                // Also after a packet that was refused: those before it count.
                let taken = self.finish_taking().await;
                served.and_then(|results| Ok(taken.map(|()| results)?))
            }
            Ok(Wish::Sealed(server, came)) => return self.seal(server, &buffer[..came], stopping.clone()).await,
            Ok(Wish::Nothing) => Ok(0),
            Err(ended) => Err(ended),
        };
        match ended {
            Ok(results) => {
                tracing::debug!(peer = %self.visitor.address, results, "session ended");
                // Now the end may be clean. Where that fails, the peer sends its results again.
                let _ = socket2::SockRef::from(&self.stream).set_linger(None);
            }
            Err(ended) => self.complain(&ended),
        }
    }

    /// Sends the init packet, and reads until it is clear what the peer wants.
    async fn greet(
        &mut self,
        buffer: &mut [u8],
        mut stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Wish, Ended> {
        let mut greeting = self.greeting()?;
        self.stream.write_all(&greeting.init_packet()).await?;
        let mut partial_since = None;
        loop {
            let n = self.read(buffer, partial_since, stopped.as_mut()).await?;
            if n == 0 {
                greeting.handle_eof()?;
                return Ok(Wish::Nothing);
            }
            partial_since.get_or_insert_with(Instant::now);
            let (wish, rest) = match greeting.handle_bytes(&buffer[..n], now())? {
                ServerGreeted::Undecided(undecided) => {
                    greeting = undecided;
                    continue;
                }
                ServerGreeted::Classic(session, rest) => (Wish::Classic(session, rest.len()), rest.len()),
                ServerGreeted::Sealed(server, rest) => (Wish::Sealed(server, rest.len()), rest.len()),
            };
            buffer.copy_within(n - rest..n, 0);
            return Ok(wish);
        }
    }

    fn greeting(&self) -> Result<Box<ServerGreeting>, Ended> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(Ended::NoRandom)?;
        let Entrance { listener, sealed, shared } = &*self.visitor.entrance;
        let settings = ServerSettings {
            node: shared.node.clone(),
            window: Window::default(),
            core: shared.own.borrow().core,
            books: shared.books.is_some(),
            stale_after: STALE_AFTER,
        };
        let (secret, policy) = (listener.secret.clone(), sealed.clone());
        Ok(ServerGreeting::new(
            secret,
            listener.max_packet_age,
            policy,
            settings,
            &random,
            as_packets_carry_it(SystemTime::now().into()),
        ))
    }

    /// Goes on in a sealed session.
    async fn seal(self, server: Box<Server>, came: &[u8], stopping: CancellationToken) {
        let Connection { stream, visitor, entry, pass, .. } = self;
        let Backlog::Journal(journal) = &visitor.entrance.shared.backlog else {
            unreachable!("without a journal, no sealed session is offered");
        };
        let journal = journal.clone();
        Link::new(stream, visitor, server, journal, entry, pass).run(came, stopping).await;
    }

    /// A classic session, whose first bytes have come. Counts the results that were taken.
    async fn serve(
        &mut self,
        mut session: ServerSession,
        mut buffer: Vec<u8>,
        came: usize,
        mut stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<usize, Ended> {
        let mut results = self.take(&mut session, &buffer[..came]).await?;
        let mut partial_since = (session.buffered() > 0).then(Instant::now);
        loop {
            let n = self.read(&mut buffer, partial_since, stopped.as_mut()).await?;
            if n == 0 {
                session.handle_eof()?;
                return Ok(results);
            }
            let taken = self.take(&mut session, &buffer[..n]).await?;
            results += taken;
            if n == buffer.len() {
                self.enlarge(&mut buffer);
            }
            partial_since = match partial_since {
                _ if session.buffered() == 0 => None,
                Some(since) if taken == 0 => Some(since),
                _ => Some(Instant::now()),
            };
        }
    }

    /// Makes a buffer large that turned out to be small, if there is room for another large one.
    fn enlarge(&mut self, buffer: &mut Vec<u8>) {
        if self.large.is_none() {
            self.large = self.visitor.entrance.shared.large_buffers.clone().try_acquire_owned().ok();
        }
        if self.large.is_some() {
            buffer.resize(LARGE_READ_BYTES, 0);
        }
    }

    /// Reads what there is; 0 is the end. Meanwhile the last batch is taken.
    async fn read(
        &mut self,
        buffer: &mut [u8],
        partial_since: Option<Instant>,
        mut stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<usize, Ended> {
        let limits = &self.visitor.entrance.shared.limits;
        let (deadline, late) = match partial_since {
            Some(since) => (since + limits.packet_timeout, Ended::Slow(limits.packet_timeout)),
            None => (Instant::now() + limits.idle_timeout, Ended::Silent(limits.idle_timeout)),
        };
        loop {
            tokio::select! {
                read = tokio::time::timeout_at(deadline, self.stream.read(buffer)) => return Ok(read.map_err(|_| late)??),
                taken = self.taking.0.finish(), if self.taking.0.is_under_way() => self.note_taken(taken)?,
                () = stopped.as_mut() => return Err(Ended::Stopping),
            }
        }
    }

    /// Begins to take the results of all packets that are complete, in one batch, when the batch before it is taken. Those
    /// before a packet that is refused count.
    async fn take(&mut self, session: &mut ServerSession, bytes: &[u8]) -> Result<usize, Ended> {
        let mut results = Vec::new();
        let mut packets = 0;
        let refused = decode(session, bytes, SystemTime::now().into(), &mut self.outputs, |result| {
            packets += 1;
            match result {
                Ok(result) => results.push(result),
                Err(invalid) => self.visitor.drop_result(&invalid),
            }
        });
        self.drop_spoofed(&mut results).await;
        if !results.is_empty() {
            self.finish_taking().await?;
            let (count, shared) = (results.len(), &self.visitor.entrance.shared);
            let batch = Batch::classic(results, &shared.nowhere);
            self.taking = (shared.backlog.begin(batch, &shared.counters).await?, count);
        }
        refused?;
        Ok(packets)
    }

    /// Waits until everything is taken that was begun.
    async fn finish_taking(&mut self) -> Result<(), NotTaken> {
        let taken = self.taking.0.finish().await;
        self.note_taken(taken)
    }

    fn note_taken(&mut self, taken: Result<(), NotTaken>) -> Result<(), NotTaken> {
        let count = std::mem::take(&mut self.taking.1);
        taken.map(|()| self.entry.accept(count))
    }

    /// In strict mode, drops what is sent in another host's name.
    async fn drop_spoofed(&mut self, results: &mut Vec<CheckResult>) {
        let Some(mut spoofing) = self.spoofing.take() else {
            return;
        };
        let mut genuine = Vec::with_capacity(results.len());
        for result in results.drain(..) {
            if spoofing.allows(result.object.host().as_bytes()).await {
                genuine.push(result);
            } else {
                let reason = format!("strict mode: {} does not resolve to the peer's address", result.object.host());
                self.visitor.drop_result(&reason);
            }
        }
        *results = genuine;
        self.spoofing = Some(spoofing);
    }

    fn complain(&self, ended: &Ended) {
        let peer = self.visitor.address;
        let cause = match ended {
            Ended::Broken(error) => return tracing::debug!(%peer, %error, "connection broke"),
            Ended::Stopping => return tracing::debug!(%peer, "connection closed: the daemon stops"),
            Ended::Refused(_) => Cause::BadPacket,
            Ended::Sealed(error) => error.into(),
            Ended::Silent(_) => Cause::Silent,
            Ended::Slow(_) => Cause::Slow,
            Ended::NotTaken(_) => Cause::NotTaken,
            Ended::NoRandom(_) => Cause::Defect,
        };
        self.visitor.refuse(cause, ended);
    }
}

/// Gives the results of what has come, up to a packet that is refused. It is `now`.
pub(crate) fn decode(
    session: &mut ServerSession,
    mut bytes: &[u8],
    now: Timestamp,
    outputs: &mut Outputs,
    mut give: impl FnMut(Result<CheckResult, NameError>),
) -> Result<(), SessionError> {
    let second = as_packets_carry_it(now);
    loop {
        while let Some(report) = session.poll_report(second)? {
            give(check_result(&report, now, outputs));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        bytes = &bytes[session.handle_bytes(bytes)..];
    }
}

/// The check result in a packet. Its check time is the receiver's now, as with nsca: the packet carries none.
fn check_result(report: &Report<'_>, now: Timestamp, outputs: &mut Outputs) -> Result<CheckResult, NameError> {
    let host = HostName::try_from(report.host)?;
    let object = if report.service.is_empty() {
        Object::Host(host)
    } else {
        Object::Service(host, ServiceDescription::try_from(report.service)?)
    };
    Ok(CheckResult {
        object,
        code: ReturnCode::new(report.code),
        output: outputs.from_text(report.output),
        check_time: now,
        state_type: None,
        attempt: None,
        check_type: None,
    })
}

/// Seconds as packets carry them, until 2106.
fn as_packets_carry_it(now: Timestamp) -> u32 {
    u32::try_from(now.seconds().max(0)).unwrap_or(u32::MAX)
}

/// The present, for the protocol.
pub(crate) fn now() -> Now {
    Now::new(std::time::Instant::now(), SystemTime::now())
}
