//! The receiver: listeners, classic and sealed sessions, and injection into the core.
//!
//! ```text
//!                          ┌▶ connection (classic)  ┐
//! listener ─▶ admission ─▶ ┤                        ├─▶ backlog ─▶ injector ─▶ core
//!                          └▶ sealed ◀─ peers ◀─────┘ committed  │  │           ▲
//!                                                                │  └─ core_watch ┘ did it restart? is it active?
//!                                                                └▶ relay ─▶ the sender on this node
//! ```
//!
//! **Invariant:** a connection that ends with a clean close has all its results in the backlog; one that held a packet
//! that was refused, or whose results were not taken, ends with a reset, so that its sender can tell. The backlog of a
//! daemon with a state directory is a journal on disk: what is in it survives the process.
//!
//! **Invariant:** what a peer sends costs bounded memory: one read buffer and one session per connection, a limit on
//! connections in all and per peer, and a backlog that is bounded in bytes, on disk or in memory. What a sealed session
//! may have under way is bounded by the credit that it gave; nodes that are remembered are bounded in number.
//!
//! **Invariant:** nothing is acknowledged to a sealed sender that is not committed in the journal.
//!
//! **Duplicates** come up only around crashes: the results that the core took in the last quarter of a second before this
//! process was killed, those that were committed in that time and are sent again since the file of peers did not know it,
//! and the newest result of each object after the core restarted. For one object the older never follows the newer, except
//! that after a kill of this process a short stretch is repeated from its beginning.

mod admission;
mod backlog;
mod batch;
mod books;
mod catching_up;
mod commands;
mod complaints;
mod connection;
mod core_watch;
mod counts;
mod episode;
mod heard;
mod injector;
mod journal;
pub mod ledger;
mod listener;
#[doc(hidden)]
pub mod measured;
mod memory;
mod pace;
pub mod peers;
mod relay;
pub mod sealed;
mod sessions;
mod spoofing;
mod status;
mod surroundings;
mod vital;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nagios::{Attributed, CheckResult};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nsca::sealed::{CoreVerdict, Duty, NodeName, Want, Warmth};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use batch::Batch;
pub use books::{Amiss, Books};
pub use commands::{Commands, NotWritten, Progress, Ticket, Waits};
pub use counts::Counts;
pub use heard::{Condition, Contact, Heard};
pub use listener::Bound;
pub use sessions::SessionStatus;
pub use status::{JournalStatus, NodeStatus, Status};
pub use surroundings::{Relay, Surroundings};

use admission::Admission;
use backlog::{Backlog, Waiting};
use catching_up::CatchingUp;
use complaints::Complaints;
use connection::Connection;
use counts::Counters;
use heard::Hearing;
use injector::{ExpectedEchoes, Injector};
use journal::Journal;
use listener::Entrance;
use peers::Keeper;
use relay::Relaying;
use sessions::Sessions;

/// Why the receiver does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error("cannot listen on {address}: {error}{}", listener::advice(.error))]
    Bind {
        /// The address in the configuration.
        address: SocketAddr,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The journal cannot be opened.
    #[error("cannot open the journal: {0}")]
    Journal(#[from] spool::OpenError),
    /// The operating system gave no random numbers.
    #[error("no random numbers: {0}")]
    NoRandom(getrandom::Error),
    /// The operating system gave no thread for the injector.
    #[error("cannot start a thread: {0}; raise this user's limit on processes")]
    Thread(std::io::Error),
}

/// A running receiver.
pub struct Receiver {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    injector: Injector,
    relaying: Option<Relaying>,
    /// In the order in which they have to end.
    keeping: Vec<Keeping>,
    tasks: TaskTracker,
    accepting: CancellationToken,
    stopping: CancellationToken,
}

/// A task that keeps something on the disk.
struct Keeping {
    ended: CancellationToken,
    task: JoinHandle<()>,
}

/// What all connections of a receiver have in common.
struct Shared {
    node: NodeName,
    /// Where results of classic clients come from.
    nowhere: Arc<str>,
    admission: Admission,
    complaints: Complaints,
    counters: Arc<Counters>,
    backlog: Backlog,
    peers: Arc<Keeper>,
    sessions: Arc<Sessions>,
    hearing: Hearing,
    /// What sealed senders are told of this node.
    own: watch::Sender<Condition>,
    books: Option<Arc<dyn Books>>,
    catching_up: Arc<CatchingUp>,
    /// For connections that send much.
    large_buffers: Arc<Semaphore>,
    limits: config::Limits,
}

impl Receiver {
    /// Binds the listeners of `config`. Nothing is accepted yet, so that a program can drop its rights in between.
    pub fn bind(config: &config::Receiver) -> Result<Vec<Bound>, StartError> {
        config.listeners.iter().map(Bound::new).collect()
    }

    /// Opens the journal if there is one, and starts to inject, and to accept on `bound`. Runs inside a tokio runtime.
    pub fn start(
        config: &config::Receiver,
        node: &config::Node,
        bound: Vec<Bound>,
        surroundings: Surroundings,
    ) -> Result<Receiver, StartError> {
        let counters = Arc::new(Counters::default());
        let Surroundings { echoes, relay, books } = surroundings;
        let Opened { backlog, waiting, peers, keeping } = Opened::new(config, relay.is_some(), &counters)?;
        let injector = Injector::start(config, waiting, ExpectedEchoes::new(echoes), counters.clone())
            .map_err(StartError::Thread)?;
        let relaying = match (relay, &backlog) {
            (Some(relay), Backlog::Journal(journal)) => {
                Some(Relaying::start(journal.clone(), relay, counters.clone()).map_err(StartError::Thread)?)
            }
            // Without a journal nothing is kept that could be relayed.
            (_, _) => None,
        };
        let shared = Arc::new(Shared {
            node: node.name.clone(),
            nowhere: Arc::from(""),
            admission: Admission::new(config.limits.connections, config.limits.connections_per_peer),
            complaints: Complaints::default(),
            counters,
            backlog,
            peers,
            sessions: Arc::default(),
            hearing: Hearing::default(),
            own: watch::Sender::default(),
            books,
            catching_up: injector.catching_up().clone(),
            large_buffers: Arc::new(Semaphore::new(connection::LARGE_BUFFERS)),
            limits: config.limits,
        });
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let accepting = stopping.child_token();
        let addresses = Vec::new();
        let mut receiver = Receiver { shared, addresses, injector, relaying, keeping, tasks, accepting, stopping };
        receiver.accept(bound);
        Ok(receiver)
    }

    /// Listens on `bound` from now on, instead of where it listened. Open connections go on under the settings that
    /// they began with, and results that wait for the core wait on.
    pub fn relisten(&mut self, bound: Vec<Bound>) {
        self.accepting.cancel();
        self.accepting = self.stopping.child_token();
        self.accept(bound);
    }

    fn accept(&mut self, bound: Vec<Bound>) {
        self.addresses = bound.iter().map(Bound::address).collect();
        for bound in bound {
            let (socket, entrance) = bound.open(self.shared.clone());
            let (accepting, stopping) = (self.accepting.clone(), self.stopping.clone());
            self.tasks.spawn(listener::accept(socket, entrance, self.tasks.clone(), accepting, stopping));
        }
    }

    /// Where it listens, in the order of the configuration. Port 0 has become the port that the system gave.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves one connection that somebody else accepted, as inetd does, to its end.
    pub async fn serve(&self, stream: TcpStream, listener: &config::Listener) -> std::io::Result<()> {
        let peer = stream.peer_addr()?;
        let entrance = Arc::new(Entrance::new(listener.clone(), self.shared.clone()));
        if let Some(pass) = entrance.admit(peer.ip()) {
            Connection::new(stream, peer, entrance, pass).run(self.stopping.clone()).await;
        }
        Ok(())
    }

    /// For those who have the core change its mode.
    pub fn commands(&self) -> Commands {
        self.injector.commands()
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// How it is. Waits for the journal while that is busy.
    pub async fn status(&self) -> Status {
        let shared = &self.shared;
        Status {
            counts: shared.counters.read(),
            refused: shared.counters.refused_by_cause(),
            journal: match &shared.backlog {
                Backlog::Memory(_) => None,
                Backlog::Journal(journal) => Some(journal.status().await),
            },
            sessions: shared.sessions.status(),
            nodes: status::nodes(&shared.peers.lock()),
        }
    }

    /// Follows the signs of life of a node that sends to this one in sealed sessions.
    pub fn heard(&self, node: &str) -> watch::Receiver<Heard> {
        self.shared.hearing.subscribe(node)
    }

    /// Counts the sealed sessions of all nodes as they begin.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.shared.hearing.arrivals()
    }

    /// What sealed senders are told of this node's core. Until it is said: that it is unknown.
    pub fn set_core(&self, core: CoreVerdict) {
        self.shared.own.send_if_modified(|own| std::mem::replace(&mut own.core, core) != core);
    }

    /// What sealed senders are told of this node's duty. Until it is said: that it is unknown.
    pub fn set_duty(&self, duty: Duty) {
        self.shared.own.send_if_modified(|own| std::mem::replace(&mut own.duty, duty) != duty);
    }

    /// What sealed senders are told of how up to date this node's core is. Until it is said: that it is unknown.
    pub fn set_warmth(&self, warmth: Warmth) {
        self.shared.own.send_if_modified(|own| std::mem::replace(&mut own.warmth, warmth) != warmth);
    }

    /// Asks a node for a part of its book, in the order of the calls. False: it has no session now, or one without books,
    /// or so much is wanted of it already that there is no room, or [no frame](Want::frame_bytes) can hold it. True
    /// promises no answer: the session may end.
    pub fn want(&self, node: &str, want: Want) -> bool {
        want.frame_bytes().is_some() && self.shared.sessions.want(node, want)
    }

    /// Whether a node is connected, has delivered all that its spool held when the session began, and everything in the
    /// journal is in the core's command file, what the node has shown on request included. Waits for the journal while
    /// that is busy. Whether the core has processed it, only its status file tells.
    pub async fn is_settled(&self, node: &str) -> bool {
        match &self.shared.backlog {
            Backlog::Memory(_) => false,
            Backlog::Journal(journal) => self.shared.sessions.is_caught_up(node) && journal.is_injected().await,
        }
    }

    /// Has the core given results that are no news once more, as those of `origin`, the node that was told them first.
    /// Results that are older, in whole seconds, than the last of their object that was accepted are left out. True when
    /// all the others are in the journal; what it does not take is counted and dropped, so ask again then.
    pub async fn readmit(&self, results: Vec<CheckResult>, origin: &str) -> bool {
        let Backlog::Journal(journal) = &self.shared.backlog else {
            self.shared.counters.not_readmitted.add(results.len());
            return false;
        };
        let (origin, count) = (Arc::from(origin), results.len());
        let results = results.into_iter().map(|result| Attributed { result, origin: Arc::clone(&origin) }).collect();
        let is_taken = journal.append(Arc::new(Batch::readmitted(results))).await.is_ok();
        if !is_taken {
            self.shared.counters.not_readmitted.add(count);
        }
        is_taken
    }

    /// Stops accepting, lets open connections come to the end of what they have sent, and the injector empty the backlog;
    /// all within `grace`. What then is still waiting stays in the journal, for which a core that is away is not waited
    /// for; without a journal it goes into the dump file or is counted as lost.
    pub async fn stop(self, grace: Duration) -> Counts {
        let deadline = tokio::time::Instant::now() + grace;
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout_at(deadline, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "connections still open at the end of the grace period");
        }
        let counters = self.shared.counters.clone();
        drop(self.shared);
        let relayed = async {
            if let Some(relaying) = self.relaying {
                relaying.stop(deadline.into_std()).await;
            }
        };
        tokio::join!(relayed, self.injector.stop(deadline.into_std()));
        for Keeping { ended, task } in self.keeping {
            ended.cancel();
            if let Err(defect) = task.await {
                tracing::error!(%defect, "the last commit failed; please report this");
            }
        }
        counters.read()
    }
}

/// What is on the disk.
struct Opened {
    backlog: Backlog,
    waiting: Waiting,
    peers: Arc<Keeper>,
    keeping: Vec<Keeping>,
}

impl Opened {
    /// The backlog from both ends, who sends to it, and what keeps both committed.
    fn new(config: &config::Receiver, has_relay: bool, counters: &Arc<Counters>) -> Result<Opened, StartError> {
        let Some(journal) = &config.journal else {
            let (inlet, outlet) = memory::new();
            let (backlog, waiting) = (Backlog::Memory(inlet), Waiting::Memory(outlet));
            return Ok(Opened { backlog, waiting, peers: Arc::default(), keeping: Vec::new() });
        };
        let mut new_id = [0; 16];
        getrandom::fill(&mut new_id).map_err(StartError::NoRandom)?;
        let peers = Keeper::new(journal.directory.with_extension("peers"));
        let (journal, tail) = Journal::open(journal, new_id, has_relay, peers.clone(), counters.clone())?;
        // Only now nobody else has this state.
        peers.read();
        let keeping = vec![
            Keeping::new(|ended| journal.clone().keep_committed(ended)),
            Keeping::new(|ended| peers.clone().keep_written(ended)),
        ];
        let (backlog, waiting) = (Backlog::Journal(journal), Waiting::Journal(Box::new(tail)));
        Ok(Opened { backlog, waiting, peers, keeping })
    }
}

impl Keeping {
    fn new<F: Future<Output = ()> + Send + 'static>(keep: impl FnOnce(CancellationToken) -> F) -> Self {
        let ended = CancellationToken::new();
        Keeping { task: tokio::spawn(keep(ended.clone())), ended }
    }
}

/// Raises the limit on open files as far as this process may: every connection is one, and the usual soft limit of 1024
/// is too low for a busy receiver. If it cannot, the log says so.
pub fn raise_open_files() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
}
