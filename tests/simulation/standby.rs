//! The receiver: a journal on a disk, sessions, and a core that takes everything.

use std::collections::BTreeMap;

use nagios::{CheckResult, stored};
use nsca::greeting::{Policy, RANDOM_BYTES, ServerGreeted, ServerGreeting};
use nsca::sealed::{CoreVerdict, NodeName, Now, Psk, Reason, STALE_AFTER, SealedError, ServerSettings, Window};
use nsca::{Method, Secret};
use receiver::Batch;
use receiver::ledger::{Ledger, Records};
use receiver::peers::Peers;
use receiver::sealed::{Event, Session};
use spool::disk::simulated::{Faults, SimulatedDisk};
use spool::{Keep, NoShrink, Options, Reader, Spool};

use crate::random::Random;
use crate::wire::{Connection, Read};

const CORE: &str = "core";

/// What outlives its processes, and the process that runs.
pub(crate) struct Standby {
    name: NodeName,
    psk: Psk,
    pub(crate) disk: SimulatedDisk,
    /// The file that remembers senders, as it was written last.
    remembered: Vec<u8>,
    process: Option<Process>,
    /// What the last process had not committed when it was killed. The next one does, when it starts.
    unsynced: Vec<CheckResult>,
    /// Everything that the core was given, in order.
    pub(crate) injected: Vec<CheckResult>,
}

struct Process {
    spool: Spool<SimulatedDisk>,
    ledger: Ledger,
    peers: Peers,
    links: BTreeMap<u64, Link>,
    reader: Reader,
}

enum Link {
    Greeting(Box<ServerGreeting>),
    Sealed(Box<Sealed>),
}

struct Sealed {
    session: Session,
    /// What the journal did not take yet.
    waiting: Vec<Batch>,
    /// The session is over when everything is acknowledged.
    leaving: Option<Reason>,
}

impl Standby {
    pub(crate) fn new(psk: Psk, random: &mut Random, now: Now) -> Self {
        let name = NodeName::try_from("standby").unwrap();
        let disk = SimulatedDisk::new();
        let mut standby = Standby {
            name,
            psk,
            disk,
            remembered: Vec::new(),
            process: None,
            unsynced: Vec::new(),
            injected: Vec::new(),
        };
        assert!(standby.start(random, now), "the disk is empty");
        standby
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts the process; false if its disk does not let it.
    pub(crate) fn start(&mut self, random: &mut Random, now: Now) -> bool {
        let options = Options { max_size: 4 << 20, keep: Keep::NewestOfEachKey, shrink: Box::new(NoShrink) };
        let Ok((mut spool, _)) = Spool::open_on(self.disk.clone(), options, random.bytes()) else {
            return false;
        };
        self.unsynced.clear();
        spool.keep_positions(&[CORE], now.instant).unwrap();
        let reader = Reader::from(spool.position(CORE).unwrap() + 1);
        let peers = Peers::decode(&self.remembered).unwrap_or_default();
        self.process = Some(Process { ledger: Ledger::of(&spool), spool, peers, links: BTreeMap::new(), reader });
        true
    }

    /// kill -9. Gives the connections that end by it.
    pub(crate) fn kill(&mut self) -> Vec<u64> {
        let Some(process) = self.process.take() else { return Vec::new() };
        self.unsynced = process.uncommitted();
        process.links.into_keys().collect()
    }

    /// The power fails. Gives the connections that end by it, and what was appended and not committed.
    pub(crate) fn cut_power(&mut self, seed: u64) -> (Vec<u64>, Vec<CheckResult>) {
        let connections = self.kill();
        self.disk.cut_power(seed);
        (connections, std::mem::take(&mut self.unsynced))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.disk.set_faults(faults);
    }

    /// Syncs the journal; what came can be acknowledged then.
    pub(crate) fn commit(&mut self, now: Now) {
        let Some(process) = &mut self.process else { return };
        let uncommitted = process.peers.begin_commit();
        match process.spool.commit(now.instant) {
            Ok(_) => process.peers.committed(uncommitted),
            Err(_) => process.peers.not_committed(uncommitted),
        }
    }

    /// Writes the file that remembers senders.
    pub(crate) fn remember(&mut self) {
        if let Some(process) = &self.process {
            self.remembered = process.peers.encode();
        }
    }

    pub(crate) fn has(&self, number: u64) -> bool {
        self.process.as_ref().is_some_and(|process| process.links.contains_key(&number))
    }

    /// Whether the core has everything that is in the journal.
    pub(crate) fn has_injected_all(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.spool.depth(CORE).unwrap() == Some(0))
    }

    /// The core takes some of what waits.
    pub(crate) fn inject(&mut self, now: Now) {
        let Some(Process { spool, reader, .. }) = &mut self.process else { return };
        let Ok(batch) = reader.next_batch(spool) else { return };
        let mut last = None;
        for record in batch.iter() {
            let (result, _) = stored::decode(record.payload).expect("the journal holds what was appended");
            self.injected.push(result);
            last = Some(record.sequence);
        }
        if let Some(last) = last {
            spool.advance(CORE, last, now.instant);
        }
    }

    /// A connection is there.
    pub(crate) fn accept(&mut self, number: u64, connection: &mut Connection, random: &mut Random, now: Now) {
        let Some(process) = &mut self.process else {
            connection.is_reset = true;
            return;
        };
        let settings = ServerSettings {
            node: self.name.clone(),
            window: Window { results: 1 + u32::try_from(random.below(200)).unwrap(), bytes: 100_000 },
            core: CoreVerdict::Unknown,
            books: false,
            stale_after: STALE_AFTER,
        };
        let secret = Secret::new(Method::Xor, b"password");
        let timestamp = u32::try_from(now.unix_us / 1_000_000).unwrap();
        let random: [u8; RANDOM_BYTES] = random.bytes();
        let greeting = ServerGreeting::new(secret, None, Policy::Auto(self.psk.clone()), settings, &random, timestamp);
        assert_eq!(connection.to_master.write(&greeting.init_packet()), greeting.init_packet().len());
        process.links.insert(number, Link::Greeting(greeting));
    }

    /// Reads, decides and writes. Gives why the connection ended, if it did.
    pub(crate) fn step(
        &mut self,
        number: u64,
        connection: &mut Connection,
        random: &mut Random,
        now: Now,
    ) -> Option<SealedError> {
        let process = self.process.as_mut()?;
        let link = process.links.remove(&number)?;
        let outcome = if connection.is_reset {
            process.end(&link);
            Err(SealedError::CutOff)
        } else {
            process.step(link, &self.name, connection, random, now)
        };
        match outcome {
            Ok(link) => {
                process.links.insert(number, link);
                None
            }
            Err(error) => {
                connection.to_master.close();
                Some(error)
            }
        }
    }
}

impl Process {
    fn uncommitted(&self) -> Vec<CheckResult> {
        let mut reader = Reader::from(self.spool.committed() + 1);
        let mut results = Vec::new();
        while let Ok(batch) = reader.next_batch(&self.spool)
            && !batch.is_empty()
        {
            let decode = |record: spool::Record<'_>| stored::decode(record.payload).expect("just appended").0;
            results.extend(batch.iter().map(decode));
        }
        results
    }

    fn step(
        &mut self,
        link: Link,
        name: &NodeName,
        connection: &mut Connection,
        random: &mut Random,
        now: Now,
    ) -> Result<Link, SealedError> {
        let (bytes, is_end) = match connection.to_standby.read(random) {
            Read::Bytes(bytes) => (bytes, false),
            Read::Nothing => (Vec::new(), false),
            Read::End => (Vec::new(), true),
        };
        let mut sealed = match link {
            Link::Sealed(sealed) => sealed,
            Link::Greeting(greeting) if is_end => {
                return Err(greeting.handle_eof().map_or_else(Into::into, |()| SealedError::CutOff));
            }
            Link::Greeting(greeting) => match greeting.handle_bytes(&bytes, now)? {
                ServerGreeted::Undecided(greeting) => return Ok(Link::Greeting(greeting)),
                // A garbled request looks like a classic client.
                ServerGreeted::Classic(..) => return Err(SealedError::ClassicRefused),
                ServerGreeted::Sealed(server, rest) => {
                    let session = Session::new(server, name.clone());
                    let mut sealed = Box::new(Sealed { session, waiting: Vec::new(), leaving: None });
                    let heard = self.hear(&mut sealed, rest, now);
                    return self.answer(sealed, heard, connection, random, now);
                }
            },
        };
        let mut heard = self.hear(&mut sealed, &bytes, now);
        if is_end {
            heard = heard.and(sealed.session.handle_eof()).and(Err(SealedError::CutOff));
        }
        self.answer(sealed, heard, connection, random, now)
    }

    /// Takes what has arrived, and its meaning.
    fn hear(&mut self, sealed: &mut Sealed, bytes: &[u8], now: Now) -> Result<(), SealedError> {
        let mut left = bytes;
        loop {
            left = &left[sealed.session.handle_bytes(left, now)..];
            while let Some(event) = sealed.session.poll_event(now)? {
                match event {
                    Event::Hello(hello) => {
                        let begun = sealed.session.introduce(&hello, &mut self.peers, now);
                        let superseded = begun.ok().and_then(|begun| begun.supersedes);
                        for link in self.links.values_mut() {
                            if let Link::Sealed(other) = link
                                && other.session.begun().is_some_and(|begun| Some(begun.number) == superseded)
                            {
                                other.leaving = Some(Reason::Superseded);
                            }
                        }
                    }
                    Event::Goodbye(reason) => sealed.leaving = Some(reason),
                    Event::Heartbeat(_) | Event::Taken | Event::Heading(_) | Event::Record(_) | Event::Answered(_) => {}
                    Event::Dropped(dropped) => panic!("{dropped}"),
                }
            }
            if left.is_empty() {
                break;
            }
        }
        sealed.waiting.extend(sealed.session.take_batch());
        sealed.session.handle_timeout(now)
    }

    /// Appends what came, sometimes later, and writes.
    fn answer(
        &mut self,
        mut sealed: Box<Sealed>,
        heard: Result<(), SealedError>,
        connection: &mut Connection,
        random: &mut Random,
        now: Now,
    ) -> Result<Link, SealedError> {
        // What has come is appended, also when the connection is over.
        while !sealed.waiting.is_empty() && (heard.is_err() || !random.once_in(3)) {
            if !self.append(&sealed.waiting[0], now) {
                break;
            }
            sealed.waiting.remove(0);
        }
        sealed.session.acknowledge(&self.peers);
        if let Some(reason) = sealed.leaving
            && (sealed.session.is_settled() || random.once_in(20))
        {
            sealed.session.leave(reason);
        }
        loop {
            let bytes = sealed.session.poll_transmit(now);
            let written = connection.to_master.write(bytes);
            if written == 0 {
                break;
            }
            sealed.session.handle_sent(written);
        }
        let is_over = sealed.leaving.is_some() && sealed.session.poll_transmit(now).is_empty();
        let link = Link::Sealed(sealed);
        match heard {
            Ok(()) if !is_over => Ok(link),
            outcome => {
                self.end(&link);
                Err(outcome.err().unwrap_or(SealedError::CutOff))
            }
        }
    }

    /// Whether the journal has all of the batch.
    fn append(&mut self, batch: &Batch, now: Now) -> bool {
        let (source, session) = batch.source().expect("all sessions are sealed");
        let (records, second) = (Records::encode(batch, &self.ledger.fingerprints()), now.unix_us / 1_000_000);
        let Some(had) = self.peers.taken(source, session) else {
            // The session that superseded this one gets it again.
            return true;
        };
        let appended = self.ledger.append(&mut self.spool, batch, records, had, now.instant, second);
        self.peers.take(source, session, appended.through);
        appended.outcome.is_ok()
    }

    fn end(&mut self, link: &Link) {
        if let Link::Sealed(sealed) = link
            && let (Some(source), Some(begun)) = (sealed.session.source(), sealed.session.begun())
        {
            self.peers.end(&source.node, begun.number);
        }
    }
}
