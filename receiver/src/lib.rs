//! The receiver: listeners, classic NSCA sessions, and injection into the core.
//!
//! ```text
//! listener ─▶ admission ─▶ connection (nsca::classic::ServerSession) ─▶ backlog ─▶ injector ─▶ core
//!                                                                                   │           ▲
//!                                                                                   └─ core_watch ┘ did it restart?
//! ```
//!
//! **Invariant:** a connection that ends with a clean close has all its results in the backlog; one that held a packet
//! that was refused, or whose results were not taken, ends with a reset, so that its sender can tell. The backlog of a
//! daemon with a state directory is a journal on disk: what is in it survives the process.
//!
//! **Invariant:** what a peer sends costs bounded memory: one read buffer and one session per connection, a limit on
//! connections in all and per peer, and a backlog that is bounded in bytes, on disk or in memory.
//!
//! **Duplicates** come up only around crashes: the results that the core took in the last quarter of a second before this
//! process was killed, and the newest result of each object after the core restarted. For one object the older never
//! follows the newer, except that after a kill of this process a short stretch is repeated from its beginning.

mod admission;
mod backlog;
mod catching_up;
mod commands;
mod complaints;
mod connection;
mod core_watch;
mod counts;
mod episode;
mod injector;
mod journal;
mod listener;
mod memory;
mod pace;
mod spoofing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use commands::{Commands, NotWritten, Progress, Ticket, Waits};
pub use counts::Counts;
pub use listener::Bound;

use admission::Admission;
use backlog::{Backlog, Waiting};
use complaints::Complaints;
use connection::Connection;
use counts::Counters;
use injector::{ExpectedEchoes, Injector};
use journal::Journal;
use listener::Entrance;

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
    committing: Option<Committing>,
    tasks: TaskTracker,
    accepting: CancellationToken,
    stopping: CancellationToken,
}

/// The task that commits the journal.
struct Committing {
    ended: CancellationToken,
    task: JoinHandle<()>,
}

/// What all connections of a receiver have in common.
struct Shared {
    admission: Admission,
    complaints: Complaints,
    counters: Arc<Counters>,
    backlog: Backlog,
    limits: config::Limits,
}

impl Receiver {
    /// Binds the listeners of `config`. Nothing is accepted yet, so that a program can drop its rights in between.
    pub fn bind(config: &config::Receiver) -> Result<Vec<Bound>, StartError> {
        config.listeners.iter().map(Bound::new).collect()
    }

    /// Opens the journal if there is one, and starts to inject, and to accept on `bound`. Runs inside a tokio runtime.
    pub fn start(config: &config::Receiver, bound: Vec<Bound>) -> Result<Receiver, StartError> {
        let counters = Arc::new(Counters::default());
        let (backlog, waiting, committing) = open_backlog(config, &counters)?;
        let injector = Injector::start(config, waiting, ExpectedEchoes::new(None), counters.clone())
            .map_err(StartError::Thread)?;
        let shared = Arc::new(Shared {
            admission: Admission::new(config.limits.connections, config.limits.connections_per_peer),
            complaints: Complaints::default(),
            counters,
            backlog,
            limits: config.limits,
        });
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let accepting = stopping.child_token();
        let mut receiver = Receiver { shared, addresses: Vec::new(), injector, committing, tasks, accepting, stopping };
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
        self.injector.stop(deadline.into_std()).await;
        if let Some(Committing { ended, task }) = self.committing {
            ended.cancel();
            if let Err(defect) = task.await {
                tracing::error!(%defect, "the last commit of the journal failed; please report this");
            }
        }
        counters.read()
    }
}

/// The backlog from both ends, and what keeps it committed.
fn open_backlog(
    config: &config::Receiver,
    counters: &Arc<Counters>,
) -> Result<(Backlog, Waiting, Option<Committing>), StartError> {
    let Some(journal) = &config.journal else {
        let (inlet, outlet) = memory::new();
        return Ok((Backlog::Memory(inlet), Waiting::Memory(outlet), None));
    };
    let mut new_id = [0; 16];
    getrandom::fill(&mut new_id).map_err(StartError::NoRandom)?;
    let (journal, tail) = Journal::open(journal, new_id, counters.clone())?;
    let ended = CancellationToken::new();
    let task = tokio::spawn(journal.clone().keep_committed(ended.clone()));
    Ok((Backlog::Journal(journal), Waiting::Journal(Box::new(tail)), Some(Committing { ended, task })))
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
