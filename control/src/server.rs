//! The daemon's side.
//!
//! A place is free again after [`REQUEST_WAIT`] and [`HANDLER_WAIT`] and [`ANSWER_WAIT`] at the latest. While all places are
//! taken, clients wait in the socket's queue.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::protocol::{self, Answer, MAX_REQUEST_BYTES, Request};
use crate::socket::{BindError, SocketFile};

/// The most clients at one time.
pub const MAX_CONNECTIONS: usize = 16;

/// How long a client may take to ask.
const REQUEST_WAIT: Duration = Duration::from_secs(5);

/// How long the daemon may take to find an answer. One that takes longer is given up.
const HANDLER_WAIT: Duration = Duration::from_secs(5);

/// How long a client may take to read its answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// After a failure to accept: usually there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Who answers.
pub trait Handler: Send + Sync + 'static {
    /// Does what is asked. Requests come at the same time, from up to [`MAX_CONNECTIONS`] clients; a call that takes longer
    /// than some seconds is cancelled where it awaits.
    fn handle(&self, request: Request) -> impl Future<Output = Answer> + Send;
}

/// A bound control socket that nobody serves yet: clients wait.
pub struct Control {
    listener: StdListener,
    file: SocketFile,
}

/// A control socket in service.
pub struct Serving {
    stopping: CancellationToken,
    accepting: JoinHandle<()>,
    clients: TaskTracker,
}

impl Control {
    /// Makes the socket, or replaces the one of a daemon that died.
    ///
    /// # Errors
    ///
    /// See [`BindError`]. Nothing is changed then.
    pub fn bind(path: &Path) -> Result<Control, BindError> {
        let (listener, file) = SocketFile::bind(path)?;
        Ok(Control { listener, file })
    }

    /// Answers with `handler` from now on. Runs inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the runtime cannot watch the socket.
    pub fn serve(self, handler: Arc<impl Handler>) -> io::Result<Serving> {
        self.listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(self.listener)?;
        let (stopping, clients) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stopping.clone();
        let accept = accept(listener, self.file, handler, clients.clone(), stopping.clone());
        let accepting = tokio::spawn(async move { stopped.run_until_cancelled(accept).await.unwrap_or_default() });
        Ok(Serving { stopping, accepting, clients })
    }
}

impl Serving {
    /// Takes no more requests, removes the socket, and waits until those that were taken are answered: some seconds at most.
    /// The handler is not held any more then.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.clients.close();
        // A task that was cancelled or panicked has ended as well.
        let _ = self.accepting.await;
        self.clients.wait().await;
    }
}

/// For ever.
async fn accept(
    listener: UnixListener,
    file: SocketFile,
    handler: Arc<impl Handler>,
    clients: TaskTracker,
    stopping: CancellationToken,
) {
    let (places, file) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), Arc::new(file));
    loop {
        let place = places.clone().acquire_owned().await.expect("nobody closes this semaphore");
        match listener.accept().await {
            Ok((stream, _)) => {
                let (file, handler, stopping) = (file.clone(), handler.clone(), stopping.clone());
                clients.spawn(async move {
                    if let Err(error) = converse(stream, &file, &*handler, &stopping).await {
                        tracing::debug!(%error, "a client of the control socket went away");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(socket = %file.path().display(), %error, "cannot take a client of the control socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One question, one answer.
async fn converse(
    mut stream: UnixStream,
    file: &SocketFile,
    handler: &impl Handler,
    stopping: &CancellationToken,
) -> io::Result<()> {
    let caller = stream.peer_cred()?;
    let asked = stopping.run_until_cancelled(timeout(REQUEST_WAIT, read_line(&mut stream))).await;
    let line = asked.unwrap_or(Ok(Ok(Vec::new())))??;
    if line.is_empty() {
        return Ok(());
    }
    // After reading: a client that is still writing would not see its answer.
    let answer = if file.admits(caller) {
        answer(&line, caller, handler).await
    } else {
        tracing::warn!(socket = %file.path().display(), uid = caller.uid(), "a stranger asked: is the socket open to others?");
        refused("you are neither this daemon's user nor in the group of its control socket")
    };
    timeout(ANSWER_WAIT, stream.write_all(&protocol::encode(&answer))).await??;
    Ok(())
}

/// Up to and without its newline, one byte more than a request can have at most.
async fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_REQUEST_BYTES as u64 + 1)).read_until(b'\n', &mut line).await?;
    Ok(line)
}

async fn answer(line: &[u8], caller: UCred, handler: &impl Handler) -> Answer {
    if line.len() > MAX_REQUEST_BYTES {
        return refused(format!("a request has at most {MAX_REQUEST_BYTES} bytes"));
    }
    let request: Request = match protocol::decode(line) {
        Ok(request) => request,
        Err(error) => return refused(format!("{error}; this daemon is understudy {}", env!("CARGO_PKG_VERSION"))),
    };
    if request.only_asks() {
        tracing::debug!(uid = caller.uid(), ?request, "asked over the control socket");
    } else {
        tracing::info!(uid = caller.uid(), pid = caller.pid(), ?request, "told over the control socket");
    }
    match timeout(HANDLER_WAIT, handler.handle(request)).await {
        Ok(answer) => answer,
        Err(_) => refused(format!("the daemon was busy for {HANDLER_WAIT:?}: try again, and look into its log")),
    }
}

fn refused(reason: impl Into<String>) -> Answer {
    Answer::Refused { reason: reason.into() }
}
