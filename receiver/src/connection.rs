//! One connection: a classic session between a socket and the backlog.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nagios::{CheckResult, HostName, NameError, Object, PluginOutput, ReturnCode, ServiceDescription, Timestamp};
use nsca::classic::{ServerSession, SessionError};
use nsca::packet::{IV_BYTES, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Pass;
use crate::backlog::NotTaken;
use crate::complaints::Kind;
use crate::listener::Entrance;
use crate::spoofing::Spoofing;

/// How much is read at once: as much as a session buffers, four packets.
const READ_BYTES: usize = 16 << 10;

/// How long a connection may go on after the daemon was told to stop: the rest of what the peer is sending now.
const LINGER_WHEN_STOPPING: Duration = Duration::from_secs(1);

/// A connection that was let in.
pub(crate) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    entrance: Arc<Entrance>,
    spoofing: Option<Spoofing>,
    _pass: Pass,
}

/// Why a connection ends before the peer ends it.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Refused(#[from] SessionError),
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
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let spoofing = entrance.listener.strict_mode_spoofing.then(|| Spoofing::new(peer.ip()));
        Connection { stream, peer, entrance, spoofing, _pass: pass }
    }

    /// Serves the peer to the end.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        // From here on, any end is a reset, also when this process is killed: the peer must not take its results as
        // delivered. It can only fail on a socket that is closed already.
        let _ = self.stream.set_zero_linger();
        match self.serve(stopping).await {
            Ok(results) => {
                tracing::debug!(peer = %self.peer, results, "session ended");
                // Now the end may be clean. Where that fails, the peer sends its results again.
                let _ = socket2::SockRef::from(&self.stream).set_linger(None);
            }
            Err(ended) => self.complain(&ended),
        }
    }

    /// Counts the results that were taken.
    async fn serve(&mut self, stopping: CancellationToken) -> Result<usize, Ended> {
        let mut session = self.greet().await?;
        let mut buffer = vec![0; READ_BYTES];
        let mut results = 0;
        let mut partial_since = None;
        let mut stopped = pin!(async {
            stopping.cancelled().await;
            tokio::time::sleep(LINGER_WHEN_STOPPING).await;
        });
        loop {
            let n = self.read(&mut buffer, partial_since, stopped.as_mut()).await?;
            if n == 0 {
                session.handle_eof()?;
                return Ok(results);
            }
            let taken = self.take(&mut session, &buffer[..n]).await?;
            results += taken;
            partial_since = match partial_since {
                _ if session.buffered() == 0 => None,
                Some(since) if taken == 0 => Some(since),
                _ => Some(Instant::now()),
            };
        }
    }

    /// Sends the init packet.
    async fn greet(&mut self) -> Result<ServerSession, Ended> {
        let listener = &self.entrance.listener;
        let mut iv = [0; IV_BYTES];
        getrandom::fill(&mut iv).map_err(Ended::NoRandom)?;
        let session = ServerSession::new(listener.secret.clone(), iv, unix_seconds(), listener.max_packet_age);
        self.stream.write_all(&session.init_packet()).await?;
        Ok(session)
    }

    /// Reads what there is; 0 is the end.
    async fn read(
        &mut self,
        buffer: &mut [u8],
        partial_since: Option<Instant>,
        stopped: impl Future<Output = ()>,
    ) -> Result<usize, Ended> {
        let limits = &self.entrance.shared.limits;
        let (deadline, late) = match partial_since {
            Some(since) => (since + limits.packet_timeout, Ended::Slow(limits.packet_timeout)),
            None => (Instant::now() + limits.idle_timeout, Ended::Silent(limits.idle_timeout)),
        };
        tokio::select! {
            read = tokio::time::timeout_at(deadline, self.stream.read(buffer)) => Ok(read.map_err(|_| late)??),
            () = stopped => Err(Ended::Stopping),
        }
    }

    /// Takes the results of all packets that are complete, in one batch. Those before a packet that is refused count.
    async fn take(&mut self, session: &mut ServerSession, bytes: &[u8]) -> Result<usize, Ended> {
        let (mut results, mut packets) = (Vec::new(), 0);
        let refused = self.decode(session, bytes, &mut results, &mut packets).err();
        self.drop_spoofed(&mut results).await;
        if !results.is_empty() {
            let count = results.len();
            self.entrance.shared.backlog.push(results).await?;
            self.entrance.shared.counters.accepted.add(count);
        }
        refused.map_or(Ok(packets), |error| Err(error.into()))
    }

    /// Decodes what has come, up to a packet that is refused.
    fn decode(
        &self,
        session: &mut ServerSession,
        mut bytes: &[u8],
        results: &mut Vec<CheckResult>,
        packets: &mut usize,
    ) -> Result<(), SessionError> {
        let now = Timestamp::from(SystemTime::now());
        while !bytes.is_empty() {
            bytes = &bytes[session.handle_bytes(bytes)..];
            while let Some(report) = session.poll_report(unix_seconds())? {
                *packets += 1;
                match check_result(&report, now) {
                    Ok(result) => results.push(result),
                    Err(invalid) => self.drop_result(&invalid),
                }
            }
        }
        Ok(())
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
                self.drop_result(&reason);
            }
        }
        *results = genuine;
        self.spoofing = Some(spoofing);
    }

    fn drop_result(&self, reason: &dyn std::fmt::Display) {
        let shared = &self.entrance.shared;
        shared.counters.refused.add(1);
        shared.complaints.about(self.peer_ip(), Kind::Result, |left_out| {
            tracing::warn!(peer = %self.peer, %reason, left_out, "result dropped");
        });
    }

    fn complain(&self, ended: &Ended) {
        let shared = &self.entrance.shared;
        match ended {
            Ended::Broken(error) => tracing::debug!(peer = %self.peer, %error, "connection broke"),
            Ended::Stopping => tracing::debug!(peer = %self.peer, "connection closed: the daemon stops"),
            Ended::Refused(_) | Ended::Silent(_) | Ended::Slow(_) | Ended::NotTaken(_) | Ended::NoRandom(_) => {
                shared.counters.sessions_refused.add(1);
                shared.complaints.about(self.peer_ip(), Kind::Session, |left_out| {
                    let listener = self.entrance.listener.address;
                    tracing::warn!(peer = %self.peer, %listener, reason = %ended, left_out, "session refused");
                });
            }
        }
    }

    fn peer_ip(&self) -> IpAddr {
        self.peer.ip()
    }
}

/// The check result in a packet. Its check time is the receiver's now, as with nsca: the packet carries none.
fn check_result(report: &Report<'_>, now: Timestamp) -> Result<CheckResult, NameError> {
    let host = HostName::try_from(report.host)?;
    let object = if report.service.is_empty() {
        Object::Host(host)
    } else {
        Object::Service(host, ServiceDescription::try_from(report.service)?)
    };
    Ok(CheckResult {
        object,
        code: ReturnCode::new(report.code),
        output: PluginOutput::from_text(report.output),
        check_time: now,
        state_type: None,
        attempt: None,
        check_type: None,
    })
}

/// The clock as packets carry it, until 2106.
fn unix_seconds() -> u32 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}
