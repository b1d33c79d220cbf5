//! The table of ciphers: every method against libmcrypt, in both directions.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::time::{ClockId, clock_gettime};
use nsca::packet::{IV_BYTES, PACKET_BYTES};
use nsca::{Keystream, Method, Secret};

use crate::libmcrypt::{Answer, Direction, Libmcrypt, MAX_KEY_BYTES, Request};
use crate::report::{Row, Table, Target};
use crate::rounds::{self, Spread, micros};

/// What a method may cost, compared with libmcrypt.
const TARGET: Target = Target::Ratio(1.0);

/// How long one side of a round runs, about.
const ROUND: Duration = Duration::from_millis(20);

/// As many sessions are encrypted together in one of the rows.
const SESSIONS: u32 = 8;

/// Measures all methods.
///
/// # Errors
///
/// When libmcrypt cannot be called, or computes something else than we do.
pub(crate) fn measure(rounds: usize, directory: &Path) -> Result<Table> {
    let mut libmcrypt = Libmcrypt::start(directory)?;
    let mut rows = Vec::new();
    for method in Method::all() {
        for direction in [Direction::Encrypt, Direction::Decrypt] {
            eprintln!("measuring {method}, {direction}");
            rows.push(row(&mut libmcrypt, rounds, method, direction)?);
        }
    }
    rows.push(row_of_sessions(&mut libmcrypt, rounds, Method::Rijndael128)?);
    Ok(Table {
        title: "Ciphers",
        introduction: "µs of processor time for a packet of 4304 bytes. Stock is libmcrypt, which gets each packet in one \
                       call; nsca and send_nsca call it for each byte. The key schedule is made before.",
        rows,
    })
}

/// One method in one direction.
fn row(libmcrypt: &mut Libmcrypt, rounds: usize, method: Method, direction: Direction) -> Result<Row> {
    let measure = format!("{method}, {direction}");
    let request = |repetitions| Request { method, direction, bytes: PACKET_BYTES, repetitions };
    if !Libmcrypt::has(method) {
        let request = request(repetitions(ours(request(100)).took / 100));
        let times = (0..rounds).map(|_| micros(ours(request).took / request.repetitions)).collect();
        return Ok(Row { measure, stock: None, ours: Spread::of(times), ratio: None, target: None });
    }
    let request = request(repetitions(libmcrypt.run(request(1))?.took));
    let mut checks = (None, None);
    let comparison = rounds::compare(
        rounds,
        || {
            let answer = libmcrypt.run(request)?;
            checks.0 = Some(answer.check);
            Ok(answer.took / request.repetitions)
        },
        || {
            let answer = ours(request);
            checks.1 = Some(answer.check);
            Ok(answer.took / request.repetitions)
        },
    )?;
    ensure!(checks.0 == checks.1, "{measure}: libmcrypt computes something else");
    Ok(Row::of(measure, comparison, TARGET))
}

/// Encryption of several sessions at once; libmcrypt encrypts them one after the other.
fn row_of_sessions(libmcrypt: &mut Libmcrypt, rounds: usize, method: Method) -> Result<Row> {
    let request = |repetitions| Request { method, direction: Direction::Encrypt, bytes: PACKET_BYTES, repetitions };
    let request = request(repetitions(libmcrypt.run(request(1))?.took));
    let comparison = rounds::compare(
        rounds,
        || Ok(libmcrypt.run(request)?.took / request.repetitions),
        || Ok(ours_together(method, request.repetitions) / (request.repetitions * SESSIONS)),
    )?;
    Ok(Row::of(format!("{method}, encryption, {SESSIONS} sessions together"), comparison, TARGET))
}

/// What the program that calls libmcrypt does, with our ciphers.
fn ours(request: Request) -> Answer {
    let key: Vec<u8> = (1..=MAX_KEY_BYTES).collect();
    let mut buffer: Vec<u8> = (0..=u8::MAX).cycle().take(request.bytes).collect();
    let mut keystream = Keystream::new(Secret::new(request.method, &key), [7; IV_BYTES]);
    let begin = processor_time();
    for _ in 0..request.repetitions {
        keystream.begin_packet();
        match request.direction {
            Direction::Encrypt => keystream.encrypt(&mut buffer),
            Direction::Decrypt => keystream.decrypt(&mut buffer),
        }
    }
    let took = processor_time() - begin;
    Answer { took, check: *buffer.last_chunk().expect("a packet is longer than eight bytes") }
}

/// How often a packet fits into a round.
fn repetitions(once: Duration) -> u32 {
    let repetitions = ROUND.as_nanos() / once.as_nanos().max(1);
    u32::try_from(repetitions).unwrap_or(u32::MAX).max(1)
}

/// A packet of each session, so many times.
fn ours_together(method: Method, repetitions: u32) -> Duration {
    let secret = Secret::new(method, b"password");
    let sessions = 0..SESSIONS;
    let mut sessions: Vec<_> =
        sessions.map(|_| (Keystream::new(secret.clone(), [7; IV_BYTES]), [0; PACKET_BYTES])).collect();
    let begin = processor_time();
    for _ in 0..repetitions {
        let sessions = sessions.iter_mut().map(|(keystream, packet)| (keystream, &mut packet[..]));
        Keystream::encrypt_together(&mut sessions.collect::<Vec<_>>());
    }
    processor_time() - begin
}

/// Of this thread: what others do on the machine counts as little as possible.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock").into()
}
