//! A receiving side that takes classic and sealed sessions, and does to them what the test says.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nsca::classic::ServerSession;
use nsca::greeting::{Policy, RANDOM_BYTES, ServerGreeted, ServerGreeting};
use nsca::sealed::{
    CoreVerdict, Duty, Heading, NodeName, Psk, Reason, STALE_AFTER, SealedError, Server, ServerEvent, ServerSettings,
    ShownFrame, SpoolId, Want, Warmth, Window,
};
use nsca::{Method, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::link::connect::present;

/// How often a session looks what it has to do.
const STEP: Duration = Duration::from_millis(5);

/// How long a test waits.
const DEADLINE: Duration = Duration::from_secs(20);

/// What happens in sealed sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Results are taken and acknowledged.
    Take,
    /// Results are taken and not acknowledged.
    Ignore,
    /// Nothing is read or said any more.
    Stall,
    /// The connection ends without a word.
    Cut,
    /// The hello is refused.
    Refuse(Reason),
    /// The session is ended in order.
    Leave(Reason),
}

/// What tests set and look at.
pub(super) struct State {
    pub(super) policy: Policy,
    pub(super) act: Act,
    pub(super) connections: usize,
    /// What each accepted result printed, in sealed sessions, with its origin.
    pub(super) sealed: Vec<String>,
    /// And in classic ones.
    pub(super) classic: Vec<String>,
    pub(super) goodbyes: Vec<Reason>,
    pub(super) errors: Vec<SealedError>,
    pub(super) core: CoreVerdict,
    pub(super) duty: Duty,
    pub(super) warmth: Warmth,
    /// Whether it knows of books.
    pub(super) books: bool,
    /// What it asks for next.
    pub(super) wants: Vec<Want>,
    /// What was told in sealed sessions, in its order.
    pub(super) told: Vec<String>,
    /// What it claims to have accepted in the first epoch.
    pub(super) claimed: u64,
    accepted: BTreeMap<(SpoolId, u64), u64>,
}

/// The running receiver; it ends when it is dropped.
pub(super) struct Standby {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

pub(super) fn psk() -> Psk {
    Psk::new([7; 32])
}

pub(super) fn secret() -> Secret {
    Secret::new(Method::Xor, b"a password")
}

/// Waits until `condition` holds.
pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(STEP).await;
    }
}

impl Standby {
    pub(super) async fn start(policy: Policy) -> Standby {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            policy,
            act: Act::Take,
            connections: 0,
            sealed: Vec::new(),
            classic: Vec::new(),
            goodbyes: Vec::new(),
            errors: Vec::new(),
            core: CoreVerdict::Unknown,
            duty: Duty::Unknown,
            warmth: Warmth::Unknown,
            books: true,
            wants: Vec::new(),
            told: Vec::new(),
            claimed: 0,
            accepted: BTreeMap::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let accepting = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                // Sessions end with this.
                let mut sessions = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    lock(&state).connections += 1;
                    let state = Arc::clone(&state);
                    sessions.spawn(async move {
                        // A connection that broke off is what the test wanted.
                        let _ = serve(stream, &state).await;
                    });
                }
            }
        });
        Standby { address, state, accepting }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).unwrap();
    let settings = ServerSettings {
        node: NodeName::try_from("standby").unwrap(),
        window: Window { results: 100, bytes: 1 << 20 },
        core: CoreVerdict::Alive,
        books: lock(state).books,
        stale_after: STALE_AFTER,
    };
    let timestamp = u32::try_from(present().unix_us / 1_000_000).unwrap();
    let policy = lock(state).policy.clone();
    let mut greeting = ServerGreeting::new(secret(), None, policy, settings, &random, timestamp);
    stream.write_all(&greeting.init_packet()).await?;
    let mut buffer = [0; 4096];
    loop {
        let bytes = stream.read(&mut buffer).await?;
        if bytes == 0 {
            return Ok(());
        }
        match greeting.handle_bytes(&buffer[..bytes], present()) {
            Ok(ServerGreeted::Undecided(undecided)) => greeting = undecided,
            Ok(ServerGreeted::Classic(session, rest)) => {
                let rest = rest.to_vec();
                return classic(stream, *session, &rest, state).await;
            }
            Ok(ServerGreeted::Sealed(server, rest)) => {
                let rest = rest.to_vec();
                return Sealed { stream, server: *server, spool: None, newest: 0 }.run(&rest, state).await;
            }
            Err(error) => {
                lock(state).errors.push(error);
                return Ok(());
            }
        }
    }
}

async fn classic(
    mut stream: TcpStream,
    mut session: ServerSession,
    early: &[u8],
    state: &Mutex<State>,
) -> io::Result<()> {
    let (mut arrived, mut results, mut buffer) = (early.to_vec(), Vec::new(), [0; 8192]);
    loop {
        let mut rest = &arrived[..];
        while !rest.is_empty() {
            rest = &rest[session.handle_bytes(rest)..];
            let now = u32::try_from(present().unix_us / 1_000_000).unwrap();
            while let Some(report) = session.poll_report(now).map_err(io::Error::other)? {
                results.push(String::from_utf8_lossy(report.output).into_owned());
            }
        }
        let bytes = stream.read(&mut buffer).await?;
        if bytes == 0 {
            lock(state).classic.append(&mut results);
            return Ok(());
        }
        arrived = buffer[..bytes].to_vec();
    }
}

/// A sealed session on a socket.
struct Sealed {
    stream: TcpStream,
    server: Server,
    spool: Option<(SpoolId, u64)>,
    /// Received, and perhaps not acknowledged.
    newest: u64,
}

impl Sealed {
    async fn run(mut self, early: &[u8], state: &Mutex<State>) -> io::Result<()> {
        let mut buffer = [0; 65536];
        let mut arrived = early.to_vec();
        loop {
            if let Err(error) = self.take(&arrived, state) {
                lock(state).errors.push(error);
                return self.transmit().await;
            }
            let act = lock(state).act;
            match act {
                Act::Take if self.spool.is_some() => {
                    self.acknowledge(state);
                    lock(state).wants.retain(|want| !self.server.want(want));
                }
                Act::Take | Act::Ignore | Act::Refuse(_) => {}
                Act::Stall => std::future::pending().await,
                Act::Cut => return Ok(()),
                Act::Leave(reason) => self.server.goodbye(reason),
            }
            self.transmit().await?;
            arrived.clear();
            match timeout(STEP, self.stream.read(&mut buffer)).await {
                Ok(Ok(0)) => return Ok(()),
                Ok(bytes) => arrived.extend_from_slice(&buffer[..bytes?]),
                Err(_) => {
                    if let Err(error) = self.server.handle_timeout(present()) {
                        lock(state).errors.push(error);
                    }
                }
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8], state: &Mutex<State>) -> Result<(), SealedError> {
        loop {
            let mut hello = None;
            while let Some(event) = self.server.poll_event()? {
                let mut state = lock(state);
                match event {
                    ServerEvent::Hello(said) => hello = Some(said),
                    ServerEvent::Result(result) => {
                        let [output, origin] = [result.output, result.origin].map(String::from_utf8_lossy);
                        let number = output.trim_start_matches('0');
                        let from = if origin.is_empty() { String::new() } else { format!(" of {origin}") };
                        state.sealed.push(format!("{number}{from}"));
                        state.told.push(format!("result {number}"));
                        self.newest = result.sequence;
                    }
                    ServerEvent::Heartbeat(heartbeat) => {
                        (state.core, state.duty) = (heartbeat.core, heartbeat.duty);
                        state.warmth = heartbeat.warmth;
                    }
                    ServerEvent::Goodbye(reason) => state.goodbyes.push(reason),
                    ServerEvent::Heading(Heading { part, created, .. }) => {
                        state.told.push(format!("{part:?} {created}"));
                    }
                    ServerEvent::Record(record) => {
                        let record = book::Record::decode(record).unwrap();
                        state.told.push(format!("record {}", record.object()));
                    }
                    ServerEvent::Shown(ShownFrame { host, service, code, output, attempt, .. }) => {
                        let [host, service, output] = [host, service, output].map(String::from_utf8_lossy);
                        state.told.push(format!("shown {host};{service} {code} {attempt} {output}"));
                    }
                    ServerEvent::Answered(shown) => state.told.push(format!("answered {shown}")),
                }
            }
            if let Some(hello) = hello {
                self.answer((hello.spool, hello.epoch), state);
            }
            if bytes.is_empty() {
                return Ok(());
            }
            bytes = &bytes[self.server.handle_bytes(bytes, present())..];
        }
    }

    fn answer(&mut self, spool: (SpoolId, u64), state: &Mutex<State>) {
        let state = lock(state);
        if let Act::Refuse(reason) = state.act {
            self.server.refuse(reason);
            return;
        }
        let claimed = if spool.1 == 1 { state.claimed } else { 0 };
        self.newest = state.accepted.get(&spool).copied().unwrap_or(claimed);
        self.spool = Some(spool);
        self.server.welcome(self.newest, present());
    }

    fn acknowledge(&mut self, state: &Mutex<State>) {
        let spool = self.spool.expect("it was welcomed");
        lock(state).accepted.insert(spool, self.newest);
        self.server.acknowledge(self.newest);
    }

    async fn transmit(&mut self) -> io::Result<()> {
        loop {
            let waiting = self.server.poll_transmit(present());
            if waiting.is_empty() {
                return Ok(());
            }
            let bytes = self.stream.write(waiting).await?;
            self.server.handle_sent(bytes);
        }
    }
}
