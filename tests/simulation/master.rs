//! The sender: a spool on a disk, and at most one connection.

use std::time::Duration;

use nagios::{Attributed, CheckResult, stored};
use nsca::classic::ClientSession;
use nsca::greeting::{ClientGreeted, ClientGreeting, PeerAbility, Policy};
use nsca::packet::PacketSize;
use nsca::sealed::{ClientSettings, CoreVerdict, Ephemeral, NodeName, Now, Psk, STALE_AFTER, SealedError};
use nsca::{Method, Secret};
use sender::sealed::{Event, Exchange, History, hello};
use spool::disk::simulated::{Faults, SimulatedDisk};
use spool::{Keep, NewRecord, NoShrink, Options, Spool};

use crate::random::Random;
use crate::wire::{Connection, Read};

pub(crate) const DESTINATION: &str = "standby";

/// The pause after a connection that ended.
const PAUSE: Duration = Duration::from_secs(1);

/// What outlives its processes, and the process that runs.
pub(crate) struct Master {
    name: NodeName,
    psk: Psk,
    pub(crate) disk: SimulatedDisk,
    /// How far its clock is ahead, in seconds.
    pub(crate) ahead: i64,
    /// What the disk knows of the standby.
    ability: PeerAbility,
    process: Option<Process>,
}

struct Process {
    spool: Spool<SimulatedDisk>,
    history: History,
    link: Link,
}

enum Link {
    /// None before this time.
    Down {
        not_before: Now,
    },
    Greeting {
        number: u64,
        greeting: Box<ClientGreeting>,
        epoch: u64,
    },
    Sealed {
        number: u64,
        exchange: Box<Exchange>,
    },
}

/// What a connection is doing after a step.
enum Step {
    GoesOn(Link),
    Ended(SealedError),
}

impl Master {
    pub(crate) fn new(psk: Psk, random: &mut Random, now: Now) -> Self {
        let name = NodeName::try_from("master").unwrap();
        let disk = SimulatedDisk::new();
        let mut master = Master { name, psk, disk, ahead: 0, ability: PeerAbility::Unknown, process: None };
        assert!(master.start(random, now), "the disk is empty");
        master
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts the process; false if its disk does not let it.
    pub(crate) fn start(&mut self, random: &mut Random, now: Now) -> bool {
        let options = Options { max_size: 4 << 20, keep: Keep::Unread, shrink: Box::new(NoShrink) };
        let Ok((mut spool, _)) = Spool::open_on(self.disk.clone(), options, random.bytes()) else {
            return false;
        };
        spool.keep_positions(&[DESTINATION], now.instant).unwrap();
        let history = History::new(&spool, DESTINATION);
        self.process = Some(Process { spool, history, link: Link::Down { not_before: now } });
        true
    }

    /// kill -9. Gives the connection that ends by it.
    pub(crate) fn kill(&mut self) -> Option<u64> {
        self.process.take().and_then(|process| process.link.number())
    }

    /// Hands a result over; gives its sequence if it was taken.
    pub(crate) fn take(&mut self, result: &CheckResult, now: Now) -> Option<u64> {
        let process = self.process.as_mut()?;
        let (mut key, mut payload) = (Vec::new(), Vec::new());
        let Attributed { result, origin } = Attributed { result: result.clone(), origin: "".into() };
        stored::key(&result.object, &mut key);
        stored::encode(&result, origin.as_bytes(), &mut payload);
        let record = NewRecord { key: &key, payload: &payload };
        let sequences = process.spool.append([record], now.instant).ok()?;
        if let Link::Sealed { exchange, .. } = &mut process.link {
            exchange.handle_arrival();
        }
        Some(sequences.start)
    }

    /// Syncs; what was taken up to now survives a power cut if that works.
    pub(crate) fn commit(&mut self, now: Now) {
        if let Some(process) = &mut self.process {
            // A failure is made good by the next one.
            let _ = process.spool.commit(now.instant);
        }
    }

    /// The last sequence that survives a power cut.
    pub(crate) fn committed(&self) -> u64 {
        self.process.as_ref().map_or(0, |process| process.spool.committed())
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.disk.set_faults(faults);
    }

    pub(crate) fn is_drained(&self) -> bool {
        matches!(&self.process, Some(Process { link: Link::Sealed { exchange, .. }, .. }) if exchange.is_drained())
    }

    /// The connection that it uses.
    pub(crate) fn connection(&self) -> Option<u64> {
        self.process.as_ref().and_then(|process| process.link.number())
    }

    /// Whether it is time to connect.
    pub(crate) fn wants_connection(&self, now: Now) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(
            |process| matches!(process.link, Link::Down { not_before } if now.instant >= not_before.instant),
        )
    }

    /// A connection is there.
    pub(crate) fn connected(&mut self, number: u64, random: &mut Random) {
        let process = self.process.as_mut().expect("it wanted one");
        let settings = ClientSettings {
            hello: hello(&self.name, &process.spool),
            core: CoreVerdict::Alive,
            books: false,
            stale_after: STALE_AFTER,
        };
        let classic = ClientSession::new(Secret::new(Method::Xor, b"password"), PacketSize::Modern, random.number());
        let policy = Policy::Auto(self.psk.clone());
        let greeting = ClientGreeting::new(classic, policy, self.ability, settings, Ephemeral::new(random.bytes()));
        process.link = Link::Greeting { number, greeting, epoch: process.spool.epoch() };
    }

    /// Reads, decides and writes. Gives why the connection ended, if it did.
    pub(crate) fn step(&mut self, connection: &mut Connection, random: &mut Random, now: Now) -> Option<SealedError> {
        let process = self.process.as_mut()?;
        let link = std::mem::replace(&mut process.link, Link::Down { not_before: later(now, PAUSE) });
        if connection.is_reset {
            process.keep_history(&link);
            return Some(SealedError::CutOff);
        }
        let step = match link {
            Link::Down { .. } => return None,
            Link::Greeting { number, greeting, epoch } => {
                process.greet(number, greeting, epoch, self.ability, connection, random, now)
            }
            Link::Sealed { number, exchange } => {
                process.exchange(number, exchange, &mut self.ability, connection, random, now)
            }
        };
        match step {
            Step::GoesOn(link) => {
                process.link = link;
                None
            }
            Step::Ended(error) => {
                connection.to_standby.close();
                Some(error)
            }
        }
    }
}

impl Link {
    fn number(&self) -> Option<u64> {
        match self {
            Link::Down { .. } => None,
            Link::Greeting { number, .. } | Link::Sealed { number, .. } => Some(*number),
        }
    }
}

impl Process {
    fn keep_history(&mut self, link: &Link) {
        if let Link::Sealed { exchange, .. } = link {
            self.history = exchange.history().clone();
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the world around one step")]
    fn greet(
        &mut self,
        number: u64,
        greeting: Box<ClientGreeting>,
        epoch: u64,
        ability: PeerAbility,
        connection: &mut Connection,
        random: &mut Random,
        now: Now,
    ) -> Step {
        let bytes = match connection.to_master.read(random) {
            Read::Bytes(bytes) => bytes,
            Read::Nothing => return Step::GoesOn(Link::Greeting { number, greeting, epoch }),
            Read::End => return Step::Ended(greeting.handle_eof()),
        };
        match greeting.handle_bytes(&bytes, now) {
            Ok(ClientGreeted::Undecided(greeting)) => Step::GoesOn(Link::Greeting { number, greeting, epoch }),
            // An offer that was garbled on its way. Real networks have checksums; here it is as good as none.
            Ok(ClientGreeted::Classic(..)) => Step::Ended(SealedError::NotOffered),
            Ok(ClientGreeted::Sealed(client, rest)) => {
                let (history, step) = (self.history.clone(), random.step());
                let mut exchange = Box::new(Exchange::new(*client, DESTINATION, epoch, ability, history, step));
                assert_eq!(exchange.handle_bytes(rest, now), rest.len(), "a greeting's rest fits");
                Step::GoesOn(Link::Sealed { number, exchange })
            }
            Err(error) => Step::Ended(error),
        }
    }

    fn exchange(
        &mut self,
        number: u64,
        mut exchange: Box<Exchange>,
        ability: &mut PeerAbility,
        connection: &mut Connection,
        random: &mut Random,
        now: Now,
    ) -> Step {
        let heard = hear(&mut exchange, ability, connection, random, now);
        let outcome = heard.and_then(|()| exchange.handle_timeout(now));
        // As often as a process gets to it.
        while exchange.wants_spool() && !random.once_in(4) {
            if exchange.visit(&mut self.spool, now.instant).is_err() {
                break;
            }
        }
        if outcome.is_err() && exchange.wants_spool() {
            let _ = exchange.visit(&mut self.spool, now.instant);
        }
        loop {
            let bytes = exchange.poll_transmit(now);
            let written = connection.to_standby.write(bytes);
            if written == 0 {
                break;
            }
            exchange.handle_sent(written);
        }
        self.history = exchange.history().clone();
        match outcome {
            Ok(()) => Step::GoesOn(Link::Sealed { number, exchange }),
            Err(error) => Step::Ended(error),
        }
    }
}

/// Takes what has arrived, and its meaning.
fn hear(
    exchange: &mut Exchange,
    ability: &mut PeerAbility,
    connection: &mut Connection,
    random: &mut Random,
    now: Now,
) -> Result<(), SealedError> {
    let (bytes, is_end) = match connection.to_master.read(random) {
        Read::Bytes(bytes) => (bytes, false),
        Read::Nothing => (Vec::new(), false),
        Read::End => (Vec::new(), true),
    };
    let mut left = &bytes[..];
    loop {
        left = &left[exchange.handle_bytes(left, now)..];
        while let Some(event) = exchange.poll_event()? {
            match event {
                Event::Remember => {
                    *ability = PeerAbility::CanSeal;
                    exchange.handle_remembered();
                }
                Event::Goodbye(reason) => return Err(SealedError::Refused(reason)),
                Event::Welcome(_) | Event::Heartbeat(_) | Event::Acknowledged | Event::Want(_) => {}
            }
        }
        if left.is_empty() {
            break;
        }
    }
    if is_end { exchange.handle_eof().and(Err(SealedError::CutOff)) } else { Ok(()) }
}

fn later(now: Now, by: Duration) -> Now {
    Now { instant: now.instant + by, ..now }
}
