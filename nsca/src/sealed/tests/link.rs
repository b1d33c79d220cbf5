//! Many sessions in a row over a network that delays, cuts into pieces and breaks off, from a spool into a
//! journal: everything arrives, once and in order. A failure prints the seed that repeats it.

use super::*;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn ephemeral(&mut self) -> Ephemeral {
        Ephemeral::new(std::array::from_fn(|_| self.next().to_le_bytes()[0]))
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Wire {
    under_way: Vec<u8>,
    /// Nothing arrives any more, and nobody notices.
    stalled: bool,
}

impl Wire {
    /// Some of what is under way arrives.
    fn arrive(&mut self, random: &mut Random) -> Vec<u8> {
        self.stalled |= random.below(1000) == 0;
        let most = if random.below(4) == 0 { 16 } else { 40_000 };
        let bytes = if self.stalled { 0 } else { self.under_way.len().min(random.below(most)) };
        self.under_way.drain(..bytes).collect()
    }
}

struct World {
    random: Random,
    clock: Clock,
    /// Sequence numbers ascend, with gaps.
    spool: Vec<Said>,
    journal: Vec<Said>,
    /// How many of the journal's results are on disk.
    committed: usize,
    acknowledged: u64,
    window: Window,
    connections: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut sequence = 0;
        let spool = (0..random.below(400))
            .map(|_| {
                sequence += 1 + random.below(10).saturating_sub(7) as u64;
                let longest = if random.below(50) == 0 { 150_000 } else { 300 };
                let byte = random.next().to_le_bytes()[0];
                Said { sequence, output: vec![byte; random.below(longest)] }
            })
            .collect();
        let window = Window { results: 1 + u32::try_from(random.below(100)).unwrap(), bytes: 20_000 };
        World {
            random,
            clock: Clock::new(),
            spool,
            journal: Vec::new(),
            committed: 0,
            acknowledged: 0,
            window,
            connections: 0,
        }
    }

    fn newest(&self) -> u64 {
        self.spool.last().map_or(0, |said| said.sequence)
    }

    fn accepted(&self) -> u64 {
        self.journal[..self.committed].last().map_or(0, |said| said.sequence)
    }

    fn connect(&mut self) -> (Client, Server) {
        let random = std::array::from_fn(|_| self.random.next().to_le_bytes()[0]);
        let init = Init { iv: marked_iv(&random), timestamp: TIMESTAMP };
        let mut settings = client_settings();
        settings.hello.newest = self.newest();
        let server_settings = ServerSettings { window: self.window, ..server_settings() };
        let now = self.clock.now();
        let client = Client::new(&psk(), &init, settings, self.random.ephemeral(), now);
        let server = Server::new(&psk(), &init, server_settings, self.random.ephemeral(), now);
        self.connections += 1;
        (client, server)
    }

    /// Runs one connection until it is cut, or everything is acknowledged.
    fn session(&mut self) -> Result<(), SealedError> {
        let (mut client, mut server) = self.connect();
        // What was received and not committed dies with the receiver, now and then.
        if self.random.below(2) == 0 {
            self.journal.truncate(self.committed);
        } else {
            self.committed = self.journal.len();
        }
        let (mut there, mut back) = (Wire::default(), Wire::default());
        let mut next = None;
        let mut upgrade = UPGRADE_BYTES;
        let mut life = 1 + self.random.below(200);
        while self.acknowledged < self.newest() || next.is_none() {
            life -= 1;
            if life == 0 {
                return Ok(());
            }
            self.clock.advance(Duration::from_millis(self.random.below(100) as u64));
            self.transmit(&mut client, &mut next, &mut there);
            let bytes = there.arrive(&mut self.random);
            let (request, bytes) = bytes.split_at(upgrade.min(bytes.len()));
            upgrade -= request.len();
            self.receive(&mut server, bytes, &mut back)?;
            self.hear(&mut client, &mut next, &mut back)?;
            client.handle_timeout(self.clock.now())?;
            server.handle_timeout(self.clock.now())?;
        }
        Ok(())
    }

    fn hear(&mut self, client: &mut Client, next: &mut Option<usize>, back: &mut Wire) -> Result<(), SealedError> {
        let bytes = back.arrive(&mut self.random);
        for event in client_takes(client, &bytes, self.clock.now())? {
            match event {
                ClientEvent::Welcome(welcome) => {
                    *next = Some(self.spool.partition_point(|said| said.sequence <= welcome.accepted));
                    self.acknowledged = self.acknowledged.max(welcome.accepted);
                }
                ClientEvent::Acknowledged(sequence) => self.acknowledged = sequence,
                ClientEvent::Heartbeat(_) => {}
                ClientEvent::Goodbye(_) | ClientEvent::Want(_) => panic!("{event:?}"),
            }
        }
        Ok(())
    }

    fn transmit(&mut self, client: &mut Client, next: &mut Option<usize>, there: &mut Wire) {
        if let Some(next) = next {
            for said in &self.spool[*next..] {
                match client.send(&result(said.sequence, &said.output)) {
                    Sent::Taken => *next += 1,
                    Sent::Later => break,
                    Sent::TooLong => panic!("no output is that long"),
                }
            }
        }
        let bytes = client.poll_transmit(self.clock.now());
        let written = self.random.below(bytes.len() + 1);
        there.under_way.extend_from_slice(&bytes[..written]);
        client.handle_sent(written);
    }

    fn receive(&mut self, server: &mut Server, bytes: &[u8], back: &mut Wire) -> Result<(), SealedError> {
        for event in server_takes(server, bytes, self.clock.now())? {
            match event {
                Event::Hello(_) => server.welcome(self.accepted(), self.clock.now()),
                Event::Result(said) => self.journal.push(said),
                Event::Heartbeat(_) => {}
                Event::Goodbye(_) | Event::Heading(_) | Event::Record(_) | Event::Shown(_) | Event::Answered(_) => {
                    panic!("{event:?}")
                }
            }
        }
        assert!(self.journal.len() - self.committed <= self.window.results as usize, "more than was allowed");
        if self.random.below(3) == 0 {
            self.committed = self.journal.len();
            server.acknowledge(self.accepted());
        }
        let bytes = server.poll_transmit(self.clock.now());
        let written = self.random.below(bytes.len() + 1);
        back.under_way.extend_from_slice(&bytes[..written]);
        server.handle_sent(written);
        Ok(())
    }
}

#[test]
fn everything_arrives_once_and_in_order() {
    let (mut results, mut connections, mut silences) = (0, 0, 0);
    for seed in 0..300 {
        let mut world = World::new(seed);
        while world.acknowledged < world.newest() {
            if let Err(error) = world.session() {
                silences += 1;
                assert!(
                    matches!(error, SealedError::Silent(_) | SealedError::HandshakeTimeout(_)),
                    "seed {seed}: {error}"
                );
            }
            assert!(world.connections < 10_000, "seed {seed}: nothing moves");
        }
        world.journal.truncate(world.committed);
        assert!(world.journal == world.spool, "seed {seed}");
        results += world.spool.len();
        connections += world.connections;
    }
    // Else the network was too kind to show anything.
    assert!(results > 30_000 && connections > 1_000 && silences > 20, "{results}, {connections}, {silences}");
}
