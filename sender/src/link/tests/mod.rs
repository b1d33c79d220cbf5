//! Over real sockets, against the other half of the protocol.

mod books;
mod sealed;
mod standby;

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use config::Address;
use nsca::packet::{INIT_BYTES, PACKET_BYTES, PacketSize};
use nsca::{Method, Secret};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::testing::numbered;

/// A link of an outbox of its own, not running yet, and what tests look at.
struct Stage<R> {
    directory: TempDir,
    outbox: Arc<Outbox>,
    record: Arc<Record>,
    link: Link<R>,
}

impl<R: Resolve + Sync> Stage<R> {
    fn new(address: &str, sealed: Policy, resolver: R) -> Stage<R> {
        let (directory, outbox) = crate::testing::outbox();
        let destination = Destination {
            name: "standby".into(),
            address: address.parse().unwrap(),
            secret: Secret::new(Method::None, b""),
            sealed,
            key_source: None,
            packet_size: PacketSize::Modern,
            lanes: 1,
        };
        let abilities = Arc::new(Abilities::open(directory.path(), std::slice::from_ref(&destination.name)).unwrap());
        let record = Arc::new(Record::default());
        let shared = Shared {
            node: NodeName::try_from("master").unwrap(),
            outbox: Arc::clone(&outbox),
            abilities,
            // Nobody says how this node is.
            presence: watch::Sender::new(Presence::default()).subscribe(),
            chronicle: None,
        };
        let link = Link::new(destination, resolver, 0, shared, Arc::clone(&record), 1);
        Stage { directory, outbox, record, link }
    }
}

/// A resolver whose answer changes.
#[derive(Clone, Default)]
struct Moving(Arc<Mutex<Vec<SocketAddr>>>);

impl Resolve for Moving {
    async fn resolve(&self, _: &Address) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// Takes one connection and gives the number of packets in it.
async fn daemon(listener: TcpListener) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(&[0; INIT_BYTES]).await.unwrap();
    let mut packets = Vec::new();
    stream.read_to_end(&mut packets).await.unwrap();
    packets.len() / PACKET_BYTES
}

#[tokio::test]
async fn a_name_is_resolved_at_each_attempt_and_all_its_addresses_are_tried() {
    let names = Moving::default();
    let stage = Stage::new("moving.example.org:5667", Policy::Off, names.clone());
    let (outbox, record, stop) = (stage.outbox, stage.record, Stop::default());
    let running = tokio::spawn(stage.link.run(stop.clone()));
    assert!(outbox.append(&[numbered(1)])[0].is_ok());
    while record.snapshot().failure.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(record.snapshot().failure.unwrap().0, "the name moving.example.org has no address");

    let (dead, alive) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("[::1]:0").await.unwrap());
    *names.0.lock().unwrap() = vec![dead.local_addr().unwrap(), alive.local_addr().unwrap()];
    drop(dead);
    assert_eq!(daemon(alive).await, 1);

    let moved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    *names.0.lock().unwrap() = vec![moved.local_addr().unwrap()];
    assert!(outbox.append(&[numbered(2), numbered(3), numbered(4)]).iter().all(Result::is_ok));
    assert_eq!(daemon(moved).await, 3);
    stop.drain.cancel();
    running.await.unwrap();
    let known = record.snapshot();
    assert_eq!((outbox.waiting(0), known.delivered, known.failure), (0, 4, None));
}
