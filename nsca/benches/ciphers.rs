//! What each encryption method costs for a packet of 4304 bytes, and what its key schedule costs once per password.
//!
//! `make bench` compares with libmcrypt; this shows more quickly what a change does.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use nsca::packet::{IV_BYTES, PACKET_BYTES};
use nsca::{Keystream, Method, Secret};

const PASSWORD: &[u8] = b"password";

fn main() {
    divan::main();
}

fn keystream(secret: &Secret) -> Keystream {
    Keystream::new(secret.clone(), [7; IV_BYTES])
}

#[divan::bench(args = Method::all())]
fn encryption(bencher: Bencher, method: Method) {
    let mut keystream = keystream(&Secret::new(method, PASSWORD));
    let mut packet = [0; PACKET_BYTES];
    bencher.counter(BytesCount::new(PACKET_BYTES)).bench_local(|| {
        keystream.begin_packet();
        keystream.encrypt(black_box(&mut packet));
    });
}

#[divan::bench(args = Method::all())]
fn decryption(bencher: Bencher, method: Method) {
    let mut keystream = keystream(&Secret::new(method, PASSWORD));
    let mut packet = [0; PACKET_BYTES];
    bencher.counter(BytesCount::new(PACKET_BYTES)).bench_local(|| {
        keystream.begin_packet();
        keystream.decrypt(black_box(&mut packet));
    });
}

/// A packet of each of several sessions; what one of them costs is the time divided by their number.
#[divan::bench(args = [1, 2, 4, 8, 16])]
fn rijndael_128_encryption_together(bencher: Bencher, sessions: usize) {
    let secret = Secret::new(Method::Rijndael128, PASSWORD);
    let mut packets = vec![[0; PACKET_BYTES]; sessions];
    let mut keystreams = vec![keystream(&secret); sessions];
    bencher.counter(BytesCount::new(sessions * PACKET_BYTES)).bench_local(|| {
        let packets = packets.iter_mut().map(|packet| &mut packet[..]);
        Keystream::encrypt_together(&mut keystreams.iter_mut().zip(packets).collect::<Vec<_>>());
    });
}

#[divan::bench(args = Method::all())]
fn key_schedule(method: Method) -> Secret {
    Secret::new(method, black_box(PASSWORD))
}
