//! Attacks on the sealed session between a running sender and a running receiver: nobody without the password gets a
//! result in, sees one, or keeps the honest sender from delivering.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use nsca::packet::{INIT_BYTES, Init};
use nsca::sealed::{
    Client, ClientSettings, CoreVerdict, Ephemeral, Hello, NodeName, Now, Psk, STALE_AFTER, SpoolId, is_marked,
    upgrade_request,
};
use ocsp::handover::Answer;
use support::fifo::Recorder;
use support::master::{self, Master, handover};
use support::process::Running;
use support::proxy::{Direction, Proxy};
use support::standby::{Options, PASSWORD, Standby};
use support::tap::Tap;
use support::wait::{self, SOON};

/// Where strangers come from, so that they use up no connections of the honest sender's address.
const STRANGER: &str = "127.0.0.2";

/// A host's name that is in every honest result.
const SECRET_HOST: &str = "secret-host-of-the-honest-sender";

/// What somebody in between has seen: each message, and which way it went.
type Seen = Arc<Mutex<Vec<(usize, Direction, Vec<u8>)>>>;

/// A sender and a receiver, with somebody in between.
struct Stage {
    sender: Running,
    master: Master,
    standby: Standby,
    core: Recorder,
    proxy: Proxy,
    /// The outputs that were handed over, in order.
    sent: Vec<String>,
}

impl Stage {
    /// `sender` and `receiver` are policies for sealed sessions.
    fn start(proxy: Proxy, sender: &str, receiver: &str) -> Self {
        let listener = format!("encryption = \"rijndael-128\"\nsealed = \"{receiver}\"");
        let standby = Standby::start(&Options { listener: &listener, ..Options::default() });
        let core = Recorder::start(&standby.command_file());
        proxy.lead_to(standby.address);
        let lines = format!("address = \"{}\"\nsealed = \"{sender}\"", proxy.address());
        let master = Master::with(&master::Options { destinations: &[("standby", &lines)], ..Default::default() });
        let sender = master.start();
        Stage { sender, master, standby, core, proxy, sent: Vec::new() }
    }

    fn hand_over(&mut self, output: &str) {
        let answer = self.master.hand_over(&handover(SECRET_HOST, "service", output)).unwrap();
        assert_eq!(answer, Answer::Taken);
        self.sent.push(output.to_owned());
    }

    /// Hands a result over, and waits until all are in the command file: once, in order, and nothing else.
    #[track_caller]
    fn deliver(&mut self, output: &str) {
        self.hand_over(output);
        self.assert_all_arrive();
    }

    #[track_caller]
    fn assert_all_arrive(&self) {
        assert_eq!(self.core.wait_for(self.sent.len()), self.expected());
    }

    fn expected(&self) -> Vec<String> {
        let line = |output| format!("PROCESS_SERVICE_CHECK_RESULT;{SECRET_HOST};service;0;{output}");
        self.sent.iter().map(line).collect()
    }

    /// Kills the sender and starts it again: its next session is the first that it tells about.
    fn restart_sender(&mut self) {
        self.sender.signal(Signal::SIGKILL);
        self.sender.wait();
        self.sender = self.master.start();
    }

    /// Ends the receiver in order; gives how many sessions it refused.
    #[track_caller]
    fn refused_sessions(mut self) -> usize {
        assert_eq!(self.sender.terminate().code(), Some(0));
        assert_eq!(self.standby.daemon.terminate().code(), Some(0));
        let said = self.standby.daemon.said();
        let counts = said.lines().find(|line| line.contains("receiver stopped")).expect("it says its counts");
        let number = counts.split_once("sessions_refused: ").expect("among others").1;
        number.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }
}

/// A proxy that keeps all it sees.
fn listening_in() -> (Proxy, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    let keep = Tap::on_all(move |message| {
        kept.lock().unwrap().push((message.connection, message.direction, message.bytes.clone()));
    });
    (Proxy::tapped(keep), seen)
}

/// What went one way in the first connection, message by message.
fn recording(seen: &Seen, direction: Direction) -> Vec<Vec<u8>> {
    let seen = seen.lock().unwrap();
    seen.iter()
        .filter(|(connection, way, _)| (*connection, *way) == (0, direction))
        .map(|seen| seen.2.clone())
        .collect()
}

/// A connection of somebody else, whose init packet has arrived.
fn stranger(receiver: SocketAddr) -> (TcpStream, Init) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(STRANGER.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&receiver.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut init = [0; INIT_BYTES];
    stream.read_exact(&mut init).unwrap();
    (stream, Init::decode(&init))
}

/// The receiver ends the connection and says nothing in it.
#[track_caller]
fn assert_refused(mut stream: TcpStream) {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    assert_eq!(said, b"");
}

fn now() -> Now {
    Now::new(Instant::now(), SystemTime::now())
}

/// What a sender with this password says first.
fn first_words(init: &Init, password: &[u8]) -> Vec<u8> {
    let hello =
        Hello { node: NodeName::try_from("master").unwrap(), spool: SpoolId([7; 16]), epoch: 1, oldest: 1, newest: 10 };
    let settings = ClientSettings { hello, core: CoreVerdict::Alive, books: false, stale_after: STALE_AFTER };
    let mut client =
        Client::new(&Psk::from_password(password).unwrap(), init, settings, Ephemeral::new([9; 32]), now());
    client.poll_transmit(now()).to_vec()
}

#[test]
fn without_the_password_nothing_gets_in() {
    let mut stage = Stage::start(Proxy::start(), "auto", "auto");
    stage.deliver("before");
    let receiver = stage.standby.address;
    let message = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    // What comes behind a right upgrade request: anybody can make one.
    let attempts = [message(&[0; 48]), message(&[0; 1024]), message(&[]), vec![0xff; 4096], message(b"Hello")];
    for attempt in &attempts {
        let (mut stream, init) = stranger(receiver);
        assert!(is_marked(&init.iv));
        stream.write_all(&[&upgrade_request(&init.iv)[..], attempt].concat()).unwrap();
        assert_refused(stream);
    }
    let (mut stream, init) = stranger(receiver);
    stream.write_all(&first_words(&init, b"a guess")).unwrap();
    assert_refused(stream);
    stage.standby.daemon.wait_for("the peer does not have this side's key");
    stage.standby.daemon.wait_for(&format!("peer={STRANGER}"));
    stage.deliver("after");
    assert_eq!(stage.refused_sessions(), attempts.len() + 1);
}

#[test]
fn a_sender_with_another_password_delivers_nothing_and_both_sides_say_why() {
    let mut stage = Stage::start(Proxy::start(), "auto", "auto");
    stage.deliver("before");
    let lines = format!("address = \"{}\"", stage.standby.address);
    let options = master::Options {
        name: "stranger",
        password: "a guess",
        destinations: &[("standby", &lines)],
        ..Default::default()
    };
    let wrong = Master::with(&options);
    let sender = wrong.start();
    assert_eq!(wrong.hand_over(&handover("host", "service", "forged")).unwrap(), Answer::Taken);
    sender.wait_for("password or key_file differ");
    stage.standby.daemon.wait_for("the peer does not have this side's key");
    stage.deliver("after");
    drop(sender);
    assert!(stage.refused_sessions() >= 1);
}

#[test]
fn nobody_in_between_sees_what_is_sent() {
    let (proxy, seen) = listening_in();
    let mut stage = Stage::start(proxy, "auto", "auto");
    for n in 0..100 {
        stage.hand_over(&format!("an output that is nobody's business, number {n}"));
    }
    stage.assert_all_arrive();
    let iv = Init::decode(recording(&seen, Direction::Down)[0][..].try_into().unwrap()).iv;
    let up = recording(&seen, Direction::Up);
    assert_eq!(up[0], upgrade_request(&iv), "this was no sealed session");
    let all: Vec<u8> = seen.lock().unwrap().iter().flat_map(|(_, _, bytes)| bytes.clone()).collect();
    assert!(all.len() > 100 * 40, "{} bytes cannot be a hundred results", all.len());
    for text in [SECRET_HOST, "service", "an output", PASSWORD, "master", "standby"] {
        assert!(!contains(&all, text.as_bytes()), "{text:?} can be seen");
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn a_recorded_session_cannot_be_replayed_to_the_receiver() {
    let (proxy, seen) = listening_in();
    let mut stage = Stage::start(proxy, "auto", "auto");
    stage.deliver("only once");
    let recorded = recording(&seen, Direction::Up);
    let receiver = stage.standby.address;
    // As it was; and with the request that belongs to this connection, so that the rest is looked at.
    let (mut as_it_was, _) = stranger(receiver);
    as_it_was.write_all(&recorded.concat()).unwrap();
    as_it_was.shutdown(std::net::Shutdown::Write).unwrap();
    assert_refused(as_it_was);
    let (mut adapted, init) = stranger(receiver);
    adapted.write_all(&upgrade_request(&init.iv)).unwrap();
    adapted.write_all(&recorded[1..].concat()).unwrap();
    assert_refused(adapted);
    stage.standby.daemon.wait_for(&format!("peer={STRANGER}"));
    stage.deliver("after");
    assert_eq!(stage.refused_sessions(), 2);
}

#[test]
fn a_recorded_session_cannot_be_replayed_to_the_sender() {
    let (proxy, seen) = listening_in();
    let mut stage = Stage::start(proxy, "auto", "auto");
    stage.deliver("acknowledged");
    let recorded = recording(&seen, Direction::Down).concat();
    let impostor = TcpListener::bind("127.0.0.1:0").unwrap();
    stage.proxy.lead_to(impostor.local_addr().unwrap());
    stage.restart_sender();
    let replay = std::thread::spawn(move || {
        let (mut stream, _) = impostor.accept().unwrap();
        stream.write_all(&recorded).unwrap();
        let mut heard = Vec::new();
        // The sender may reset the connection.
        let _ = stream.read_to_end(&mut heard);
        heard
    });
    stage.hand_over("not for the impostor");
    let heard = replay.join().unwrap();
    assert!(!contains(&heard, b"impostor"), "the result was sent in the clear");
    stage.sender.wait_for("the peer does not have this side's key");
    stage.proxy.lead_to(stage.standby.address);
    stage.assert_all_arrive();
}

#[test]
fn a_flipped_bit_in_any_message_ends_the_session_and_costs_nothing() {
    // Direction and number of the message to be changed, where, and whether it has come.
    let plan = Arc::<Mutex<Option<(Direction, usize, usize)>>>::default();
    let armed = plan.clone();
    let proxy = Proxy::tapped(Tap::on_all(move |message| {
        let mut plan = armed.lock().unwrap();
        if let Some((direction, number, place)) = *plan
            && (direction, number) == (message.direction, message.number)
        {
            let place = place.min(message.bytes.len() - 1);
            message.bytes[place] ^= 0x04;
            *plan = None;
        }
    }));
    let mut stage = Stage::start(proxy, "auto", "auto");
    stage.deliver("first contact");
    let last_byte = usize::MAX;
    let places = [(1, 2), (1, last_byte), (2, 1), (2, last_byte), (3, 7)];
    let up = [&[(0, 3)], &places[..]].concat();
    let down = [&[(0, 3), (0, 127)], &places[..]].concat();
    let all = [(Direction::Up, up), (Direction::Down, down)];
    let mut sessions = stage.proxy.connections();
    for (direction, number, place) in
        all.into_iter().flat_map(|(way, places)| places.into_iter().map(move |(n, p)| (way, n, p)))
    {
        *plan.lock().unwrap() = Some((direction, number, place));
        // With a process of its own, so that no pause is left over from the message before.
        stage.restart_sender();
        stage.hand_over(&format!("{direction:?} {number} {place}"));
        wait::until("the message that is changed", || plan.lock().unwrap().is_none().then_some(()));
        // One session for the change, and another one after it.
        wait::until("a new session", || (stage.proxy.connections() >= sessions + 2).then_some(()));
        sessions = stage.proxy.connections();
        stage.assert_all_arrive();
    }
}

/// Somebody who makes the receiver look as if it knew no sealed sessions, when told to.
fn stripping() -> (Proxy, Arc<Mutex<bool>>) {
    let strips = Arc::new(Mutex::new(true));
    let wanted = strips.clone();
    let proxy = Proxy::tapped(Tap::on_init(move |message| {
        if *wanted.lock().unwrap() {
            message.bytes[112..128].fill(0x5a);
        }
    }));
    (proxy, strips)
}

#[test]
fn a_stripped_mark_is_noticed_after_the_first_contact() {
    let (proxy, strips) = stripping();
    *strips.lock().unwrap() = false;
    let mut stage = Stage::start(proxy, "auto", "auto");
    stage.deliver("sealed");
    *strips.lock().unwrap() = true;
    // What the sender knows of its peer survives it.
    stage.restart_sender();
    stage.hand_over("not without a seal");
    stage.sender.wait_for("somebody between strips its mark");
    assert_eq!(stage.core.lines().len(), 1);
    *strips.lock().unwrap() = false;
    stage.assert_all_arrive();
}

#[test]
fn before_the_first_contact_auto_takes_a_receiver_without_mark_for_a_stock_one() {
    let (proxy, _) = stripping();
    let mut stage = Stage::start(proxy, "auto", "auto");
    stage.deliver("in a classic session");
}

#[test]
fn a_sender_that_requires_a_seal_never_goes_on_without() {
    let (proxy, strips) = stripping();
    let mut stage = Stage::start(proxy, "require", "auto");
    stage.hand_over("not without a seal");
    stage.sender.wait_for("the peer offers no sealed session, and sealed = \"require\" is set");
    assert_eq!(stage.core.lines().len(), 0);
    *strips.lock().unwrap() = false;
    stage.assert_all_arrive();
}

#[test]
fn a_receiver_that_requires_a_seal_never_goes_on_without() {
    let (proxy, strips) = stripping();
    let mut stage = Stage::start(proxy, "auto", "require");
    stage.hand_over("not without a seal");
    stage.standby.daemon.wait_for("the peer opened a classic session, and sealed = \"require\" is set");
    assert_eq!(stage.core.lines().len(), 0);
    *strips.lock().unwrap() = false;
    stage.assert_all_arrive();
}

#[test]
fn ten_thousand_offers_of_an_upgrade_cost_little_and_hold_up_nobody() {
    const OFFERS: usize = 10_000;
    const THREADS: usize = 4;
    /// Deriving a key from the password would take twenty times as long.
    const MOST_EACH: Duration = Duration::from_millis(1);
    let mut stage = Stage::start(Proxy::start(), "auto", "auto");
    stage.deliver("before");
    let (receiver, before) = (stage.standby.address, processor_time(&stage.standby.daemon));
    let slowest = std::thread::scope(|scope| {
        let offer = move || {
            for _ in 0..OFFERS / THREADS {
                let (mut stream, init) = stranger(receiver);
                let forged = [&upgrade_request(&init.iv)[..], &[0, 48], &[1; 48]].concat();
                stream.write_all(&forged).unwrap();
                assert_refused(stream);
            }
        };
        let strangers: Vec<_> = (0..THREADS).map(|_| scope.spawn(offer)).collect();
        let mut slowest = Duration::ZERO;
        while strangers.iter().any(|stranger| !stranger.is_finished()) {
            let begun = Instant::now();
            stage.deliver(&format!("meanwhile, {}", stage.sent.len()));
            slowest = slowest.max(begun.elapsed());
        }
        strangers.into_iter().for_each(|stranger| stranger.join().unwrap());
        slowest
    });
    let cost = processor_time(&stage.standby.daemon) - before;
    println!("{cost:?} of processor time; {} honest results, the slowest in {slowest:?}", stage.sent.len());
    assert!(cost < MOST_EACH * u32::try_from(OFFERS).unwrap(), "{cost:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let lines = stage.standby.daemon.said().lines().filter(|line| line.contains(STRANGER)).count();
    assert!((1..100).contains(&lines), "{lines} lines about one stranger");
    assert_eq!(stage.refused_sessions(), OFFERS);
}

/// What a process has used of the processors so far.
fn processor_time(process: &Running) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    // The name, in brackets, may hold anything; user and system time are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).unwrap().unwrap();
    Duration::from_secs(ticks) / u32::try_from(per_second).unwrap()
}
