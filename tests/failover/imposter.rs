//! What can sit at nrpe's port instead of nrpe.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Somebody at a port, until it is dropped.
pub enum Imposter {
    /// The system takes connections, and nobody ever reads or writes.
    Mute(#[expect(dead_code, reason = "it is enough that it is there")] TcpListener),
    /// Packets vanish, as on the way to a host that is gone.
    Nobody(#[expect(dead_code, reason = "it is enough that they are there")] Socket, Vec<TcpStream>),
    /// Whoever asks gets bytes that mean nothing.
    Babbling { port: u16, ended: Arc<AtomicBool>, thread: Option<JoinHandle<()>> },
}

impl Imposter {
    pub fn mute(port: u16) -> Self {
        Imposter::Mute(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap())
    }

    pub fn nobody(port: u16) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(0).unwrap();
        // Once its queue is full, the system answers nobody any more.
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        Imposter::Nobody(socket, std::iter::from_fn(connect).collect())
    }

    pub fn babbling(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let ended = Arc::<AtomicBool>::default();
        let thread = std::thread::spawn({
            let ended = ended.clone();
            move || {
                while !ended.load(Ordering::Relaxed) {
                    let (mut stream, _) = listener.accept().unwrap();
                    let garbage: Vec<u8> = (0..=255).cycle().take(4096).collect();
                    // The question is read, so that closing does not take the answer back.
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(&garbage);
                }
            }
        });
        Imposter::Babbling { port, ended, thread: Some(thread) }
    }
}

impl Drop for Imposter {
    fn drop(&mut self) {
        if let Imposter::Babbling { port, ended, thread } = self {
            ended.store(true, Ordering::Relaxed);
            // It waits for somebody.
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, *port)));
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}
