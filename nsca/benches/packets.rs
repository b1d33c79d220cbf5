//! What packets cost without their encryption: filler, texts and CRC.

use std::time::Instant;

use divan::{Bencher, black_box};
use nsca::classic::{ClientSession, ServerSession};
use nsca::packet::{Filler, IV_BYTES, PACKET_BYTES, PacketSize, Report};
use nsca::{Method, Secret};

const NOW: u32 = 1_780_000_000;

fn main() {
    divan::main();
}

fn report() -> Report<'static> {
    let output =
        b"HTTP OK: HTTP/1.1 200 OK - 10918 bytes in 0.043 second response time |time=0.043s;;;0.000000;10.000000";
    Report { timestamp: NOW, code: 0, host: b"web1.example.org", service: b"HTTP", output }
}

#[divan::bench(args = [PacketSize::Modern, PacketSize::Legacy])]
fn encoding(bencher: Bencher, size: PacketSize) {
    let mut filler = Filler::new(1);
    let mut packet = Vec::with_capacity(PACKET_BYTES);
    bencher.bench_local(|| {
        packet.clear();
        black_box(report()).encode(size, &mut filler, black_box(&mut packet))
    });
}

/// A whole session of one packet, without encryption.
#[divan::bench(args = [PacketSize::Modern, PacketSize::Legacy])]
fn decoding(bencher: Bencher, size: PacketSize) {
    let mut packet = Vec::new();
    let _ = report().encode(size, &mut Filler::new(1), &mut packet);
    let mut session = ServerSession::new(Secret::new(Method::None, b""), [7; IV_BYTES], NOW, None);
    bencher.bench_local(|| {
        assert_eq!(session.handle_bytes(black_box(&packet)), packet.len());
        session.poll_report(NOW).expect("the packet is sound").expect("the packet is whole").code
    });
}

/// From texts to encrypted bytes and back, with AES.
#[divan::bench]
fn there_and_back(bencher: Bencher) {
    let secret = Secret::new(Method::Rijndael128, b"password");
    let now = Instant::now();
    let mut server = ServerSession::new(secret.clone(), [7; IV_BYTES], NOW, None);
    let mut client = ClientSession::new(secret, PacketSize::Modern, 1);
    client.handle_bytes(&server.init_packet(), now).expect("it is an init packet");
    let mut sent = Vec::with_capacity(PACKET_BYTES);
    bencher.bench_local(|| {
        let Report { code, host, service, output, .. } = black_box(report());
        sent.clear();
        let truncated = client.encode(code, host, service, output, now, &mut sent);
        assert_eq!(server.handle_bytes(&sent), sent.len());
        server.poll_report(NOW).expect("the packet is sound").expect("the packet is whole");
        truncated
    });
}
