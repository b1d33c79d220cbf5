//! A network between sender and receiver that a test breaks, and a place to listen in and to change what is said.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};

use super::tap::{Cutter, Tap};

/// How soon a connection notices what the test wants.
const LOOK_EVERY: u8 = 5;

/// How much is on its way in the proxy, for each direction.
const CHUNK_BYTES: usize = 64 << 10;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the sender to the receiver.
    Up,
    /// From the receiver to the sender.
    Down,
}

/// What the network does with what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It arrives.
    Clear,
    /// It arrives, but later.
    Late(Duration),
    /// It does not move, in both directions; nothing is lost.
    Stalled,
    /// What goes this way is lost. A connection that lost something is reset when the weather changes.
    Swallows(Direction),
}

/// The running proxy. It ends, with all its connections, when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    orders: Mutex<Orders>,
    tap: Option<Tap>,
}

/// What the test wants at the moment.
#[derive(Clone, Copy)]
struct Orders {
    target: Option<SocketAddr>,
    weather: Weather,
    /// Connections that began with another number are to be reset.
    generation: u64,
    /// How many connections there were.
    connections: usize,
    ended: bool,
}

impl Proxy {
    /// A proxy that leads nowhere yet: it resets what connects.
    pub fn start() -> Self {
        Proxy::with(None)
    }

    /// A proxy that hands all messages to `tap`.
    pub fn tapped(tap: Tap) -> Self {
        Proxy::with(Some(tap))
    }

    fn with(tap: Option<Tap>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let orders = Orders { target: None, weather: Weather::Clear, generation: 0, connections: 0, ended: false };
        let shared = Arc::new(Shared { orders: Mutex::new(orders), tap });
        let accepting = shared.clone();
        let thread = std::thread::spawn(move || accept(&listener, &accepting));
        Proxy { shared, address, thread: Some(thread) }
    }

    /// Where senders connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections lead to `target` from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        self.shared.orders.lock().unwrap().target = Some(target);
    }

    /// Changes what the network does, also on connections that are open.
    pub fn set(&self, weather: Weather) {
        self.shared.orders.lock().unwrap().weather = weather;
    }

    /// Resets all open connections, at both ends.
    pub fn reset(&self) {
        self.shared.orders.lock().unwrap().generation += 1;
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.orders.lock().unwrap().connections
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.orders.lock().unwrap().ended = true;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = Vec::new();
    loop {
        let orders = *shared.orders.lock().unwrap();
        if orders.ended {
            break;
        }
        if poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], LOOK_EVERY).unwrap_or(0) == 0 {
            continue;
        }
        let (client, _) = listener.accept().unwrap();
        shared.orders.lock().unwrap().connections += 1;
        let shared = shared.clone();
        connections.retain(|thread: &JoinHandle<()>| !thread.is_finished());
        connections.push(std::thread::spawn(move || serve(client, orders, &shared)));
    }
    for connection in connections {
        let _ = connection.join();
    }
}

/// One connection to its end. If both sides ended it in order, so does the proxy; else it is reset at both ends: nobody
/// must take a broken connection for one that ended well.
fn serve(client: TcpStream, orders: Orders, shared: &Shared) {
    let server = orders.target.ok_or(()).and_then(|target| TcpStream::connect(target).map_err(|_| ()));
    let streams = [Some(client), server.ok()].map(|stream| stream.inspect(end_with_reset));
    let [Some(client), Some(server)] = &streams else { return };
    let tap = |direction| Cutter::new(shared.tap.clone(), orders.connections, direction);
    let mut lanes = [Lane::new(Direction::Up, tap(Direction::Up)), Lane::new(Direction::Down, tap(Direction::Down))];
    if carry(client, server, &mut lanes, orders.generation, shared).is_some() {
        for stream in [client, server] {
            let _ = socket2::SockRef::from(stream).set_linger(None);
        }
    }
}

fn end_with_reset(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    // A peer that is gone already has reset it.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// One direction of a connection.
struct Lane {
    direction: Direction,
    cutter: Cutter,
    buffer: Vec<u8>,
    /// When the buffer arrived.
    since: Instant,
    /// The one side sent its last byte; the other one knows.
    ended: bool,
    told: bool,
    lost_something: bool,
}

/// Carries both ways until both sides have ended. None: the connection broke, or was to be reset.
fn carry(client: &TcpStream, server: &TcpStream, lanes: &mut [Lane; 2], born: u64, shared: &Shared) -> Option<()> {
    while !lanes.iter().all(|lane| lane.told) {
        let Orders { weather, generation, ended, .. } = *shared.orders.lock().unwrap();
        if ended || generation != born || lanes.iter().any(|lane| lane.is_lost(weather)) {
            return None;
        }
        wait(client, server, lanes, weather);
        if weather == Weather::Stalled {
            continue;
        }
        let [up, down] = lanes;
        up.move_on(client, server, weather)?;
        down.move_on(server, client, weather)?;
    }
    Some(())
}

/// Waits until something can be read or written, or it is time to look again.
fn wait(client: &TcpStream, server: &TcpStream, lanes: &[Lane; 2], weather: Weather) {
    let [up, down] = lanes;
    let wants = |reads: &Lane, writes: &Lane| {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, weather != Weather::Stalled && reads.may_read());
        flags.set(PollFlags::POLLOUT, weather != Weather::Stalled && writes.is_due(weather));
        flags
    };
    let both = [PollFd::new(client.as_fd(), wants(up, down)), PollFd::new(server.as_fd(), wants(down, up))];
    // An error condition ends a wait that asks for nothing; it must not become a busy loop.
    let mut asked: Vec<PollFd<'_>> = both.into_iter().filter(|fd| !fd.events().is_empty()).collect();
    let _ = poll(&mut asked, LOOK_EVERY);
}

impl Lane {
    fn new(direction: Direction, cutter: Cutter) -> Self {
        let (buffer, since) = (Vec::new(), Instant::now());
        Lane { direction, cutter, buffer, since, ended: false, told: false, lost_something: false }
    }

    fn may_read(&self) -> bool {
        !self.ended && self.buffer.is_empty()
    }

    fn is_due(&self, weather: Weather) -> bool {
        let wait = if let Weather::Late(by) = weather { by } else { Duration::ZERO };
        !self.buffer.is_empty() && self.since.elapsed() >= wait
    }

    fn is_lost(&self, weather: Weather) -> bool {
        self.lost_something && weather != Weather::Swallows(self.direction)
    }

    /// Reads if there is room, writes if it is time. None: the connection is broken.
    fn move_on(&mut self, mut from: &TcpStream, mut to: &TcpStream, weather: Weather) -> Option<()> {
        if self.may_read() {
            let mut chunk = vec![0; CHUNK_BYTES];
            match from.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(bytes) => self.arrived(&chunk[..bytes]),
                Err(error) if is_for_now(&error) => {}
                Err(_) => return None,
            }
            if weather == Weather::Swallows(self.direction) {
                // The end of what was lost is lost too.
                self.lost_something |= self.ended || !self.buffer.is_empty();
                self.buffer.clear();
            }
        }
        if self.lost_something {
            return Some(());
        }
        if self.is_due(weather) {
            match to.write(&self.buffer) {
                Ok(bytes) => drop(self.buffer.drain(..bytes)),
                Err(error) if is_for_now(&error) => {}
                Err(_) => return None,
            }
        }
        if self.ended && self.buffer.is_empty() && !self.told {
            self.told = true;
            to.shutdown(std::net::Shutdown::Write).ok()?;
        }
        Some(())
    }

    fn arrived(&mut self, bytes: &[u8]) {
        self.since = Instant::now();
        self.cutter.pass(bytes, &mut self.buffer);
    }
}

fn is_for_now(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
