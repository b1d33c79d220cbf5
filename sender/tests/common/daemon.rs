//! An NSCA daemon that does what a script says, one connection after the other, as `nsca --daemon` does, or all at once.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use nsca::Secret;
use nsca::classic::ServerSession;
use socket2::SockRef;

/// Of a slow line: longer than a link lingers.
const LATENCY: Duration = Duration::from_millis(150);

/// What happens to one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Everything is read, then the connection is closed.
    Take,
    /// The connection is reset after so many results.
    ResetAfter(usize),
    /// The connection is closed before the init packet.
    Slam,
    /// What the client sends takes [`LATENCY`] to arrive, the rest is as in `Take`.
    Late,
}

/// The daemon; it ends when it is dropped.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<Vec<Vec<String>>>>,
    broken: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    /// `script` is for the first connections; later ones are taken.
    pub(crate) fn start(address: &str, secret: Secret, script: &[Act]) -> Daemon {
        Daemon::start_as(address, secret, script, false)
    }

    /// As [`start`](Daemon::start); many connections are served at the same time.
    pub(crate) fn start_for_many(address: &str, secret: Secret, script: &[Act]) -> Daemon {
        Daemon::start_as(address, secret, script, true)
    }

    fn start_as(address: &str, secret: Secret, script: &[Act], at_once: bool) -> Daemon {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let broken = Arc::new(AtomicUsize::new(0));
        let mut script: VecDeque<Act> = script.iter().copied().collect();
        let thread = std::thread::spawn({
            let (taken, broken, stop) = (Arc::clone(&taken), Arc::clone(&broken), Arc::clone(&stop));
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let act = script.pop_front().unwrap_or(Act::Take);
                    let (mut stream, secret) = (stream.unwrap(), secret.clone());
                    let (taken, broken) = (Arc::clone(&taken), Arc::clone(&broken));
                    // Who sees that the connection is closed finds the results.
                    let serving = std::thread::spawn(move || match serve(&mut stream, &secret, act) {
                        Some(results) => taken.lock().unwrap().push(results),
                        None => _ = broken.fetch_add(1, Ordering::Relaxed),
                    });
                    if !at_once {
                        serving.join().unwrap();
                    }
                }
            }
        });
        Daemon { address, taken, broken, stop, thread: Some(thread) }
    }

    /// Every result of a connection that ended in order, as `host;service;code;output`.
    pub(crate) fn results(&self) -> Vec<String> {
        self.taken.lock().unwrap().concat()
    }

    /// How many connections ended in order.
    pub(crate) fn connections(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// How many did not.
    pub(crate) fn broken(&self) -> usize {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// The results, if the client ended the session and nothing was wrong.
fn serve(stream: &mut TcpStream, secret: &Secret, act: Act) -> Option<Vec<String>> {
    if matches!(act, Act::Slam) {
        return None;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let now = u32::try_from(now).unwrap();
    let mut session = ServerSession::new(secret.clone(), [7; 128], now, None);
    stream.write_all(&session.init_packet()).ok()?;
    if matches!(act, Act::Late) {
        std::thread::sleep(LATENCY);
    }
    let (mut results, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let bytes = stream.read(&mut buffer).ok()?;
        if bytes == 0 {
            return session.handle_eof().ok().map(|()| results);
        }
        let mut rest = &buffer[..bytes];
        while !rest.is_empty() {
            rest = &rest[session.handle_bytes(rest)..];
            // A bad packet ends the connection at once, as the stock daemon ends it.
            while let Some(report) = session.poll_report(now).ok()? {
                let [host, service, output] = [report.host, report.service, report.output].map(String::from_utf8_lossy);
                results.push(format!("{host};{service};{};{output}", report.code));
                if matches!(act, Act::ResetAfter(limit) if results.len() == limit) {
                    SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap();
                    return None;
                }
            }
        }
    }
}
