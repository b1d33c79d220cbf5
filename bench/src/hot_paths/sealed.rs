//! Both ends of a sealed session, as sender and receiver have them.

use std::num::NonZeroU32;
use std::time::Instant;

use nsca::greeting::PeerAbility;
use nsca::packet::Init;
use nsca::sealed::{
    Client, ClientSettings, CoreVerdict, Ephemeral, Hello, MARKED_RANDOM_BYTES, NodeName, Now, Psk, STALE_AFTER,
    Server, ServerSettings, SpoolId, UPGRADE_BYTES, Window, marked_iv,
};
use receiver::peers::Peers;
use receiver::sealed::{Event, Session};
use sender::sealed::{Exchange, History, hello};
use spool::Spool;

use super::NOW;

/// The sender's name for the receiver, and the receiver's own.
pub(super) const DESTINATION: &str = "standby";

/// A session.
pub(super) struct Pair {
    pub(super) exchange: Exchange,
    pub(super) session: Session,
    pub(super) now: Now,
}

impl Pair {
    /// A session in which the sender is welcome.
    pub(super) fn new(spool: &Spool, peers: &mut Peers) -> Self {
        let mut pair = Pair::begin(spool);
        let there = pair.sender_says();
        let mut rest = &there[UPGRADE_BYTES..];
        while !rest.is_empty() {
            rest = &rest[pair.session.handle_bytes(rest, pair.now)..];
            if let Some(Event::Hello(hello)) = pair.session.poll_event(pair.now).expect("an honest sender") {
                pair.session.introduce(&hello, peers, pair.now).expect("it is welcome");
            }
        }
        let back = pair.session.poll_transmit(pair.now).to_vec();
        pair.session.handle_sent(back.len());
        let mut rest = &back[..];
        while !rest.is_empty() {
            rest = &rest[pair.exchange.handle_bytes(rest, pair.now)..];
            while pair.exchange.poll_event().expect("an honest receiver").is_some() {}
        }
        pair
    }

    fn begin(spool: &Spool) -> Self {
        let master = name("master");
        let hello = hello(&master, spool);
        let epoch = hello.epoch;
        let (client, server, now) = ends(hello);
        let history = History::new(spool, DESTINATION);
        let exchange = Exchange::new(client, DESTINATION, epoch, PeerAbility::CanSeal, history, NonZeroU32::MIN);
        Pair { exchange, session: Session::new(Box::new(server), name(DESTINATION)), now }
    }

    /// What the sender has to say now. It looks into no spool.
    pub(super) fn sender_says(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        loop {
            let bytes = self.exchange.poll_transmit(self.now);
            let count = bytes.len();
            said.extend_from_slice(bytes);
            if count == 0 {
                return said;
            }
            self.exchange.handle_sent(count);
        }
    }

    /// What the sender makes of the records in its spool.
    pub(super) fn sender_sends(&mut self, spool: &mut Spool) -> Vec<u8> {
        self.exchange.visit(spool, self.now.instant).expect("the spool is readable");
        self.sender_says()
    }
}

/// A client that may send.
pub(super) fn client() -> (Client, Now) {
    let hello = Hello { node: name("master"), spool: SpoolId([1; 16]), epoch: 1, oldest: 1, newest: 0 };
    let (mut client, mut server, now) = ends(hello);
    let there = client.poll_transmit(now).to_vec();
    client.handle_sent(there.len());
    assert_eq!(server.handle_bytes(&there[UPGRADE_BYTES..], now), there.len() - UPGRADE_BYTES);
    while server.poll_event().expect("an honest client").is_some() {}
    server.welcome(0, now);
    let back = server.poll_transmit(now).to_vec();
    let mut rest = &back[..];
    while !rest.is_empty() {
        rest = &rest[client.handle_bytes(rest, now)..];
        while client.poll_event().expect("an honest server").is_some() {}
    }
    (client, now)
}

fn ends(hello: Hello) -> (Client, Server, Now) {
    let now = Now { instant: Instant::now(), unix_us: i64::from(NOW) * 1_000_000 };
    let (psk, init) = (Psk::new([7; 32]), Init { iv: marked_iv(&[9; MARKED_RANDOM_BYTES]), timestamp: NOW });
    let settings = ClientSettings { hello, core: CoreVerdict::Alive, stale_after: STALE_AFTER, books: true };
    let client = Client::new(&psk, &init, settings, Ephemeral::new([1; 32]), now);
    let settings = ServerSettings {
        node: name(DESTINATION),
        window: Window::default(),
        core: CoreVerdict::Alive,
        stale_after: STALE_AFTER,
        books: true,
    };
    (client, Server::new(&psk, &init, settings, Ephemeral::new([2; 32]), now), now)
}

fn name(name: &str) -> NodeName {
    NodeName::try_from(name).expect("a name")
}
