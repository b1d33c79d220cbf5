//! The wire of classic sessions: ciphers and packets.

use std::hint::black_box;
use std::time::Instant;

use nsca::classic::{ClientSession, ServerSession};
use nsca::packet::{IV_BYTES, PACKET_BYTES, PacketSize};
use nsca::{Keystream, Method, Secret};

use super::{HotPath, NOW};

/// As many sessions as are encrypted in lockstep.
const SESSIONS: usize = 8;
const PASSWORD: &[u8] = b"password";

pub(super) fn paths() -> Vec<HotPath> {
    let mut paths = Vec::new();
    for method in Method::all().filter(|method| *method != Method::None) {
        paths
            .push(HotPath::new(format!("{method}, encryption"), move |times| crypt(method, times, Keystream::encrypt)));
        paths
            .push(HotPath::new(format!("{method}, decryption"), move |times| crypt(method, times, Keystream::decrypt)));
    }
    paths.push(HotPath::new(format!("rijndael-128, encryption, {SESSIONS} sessions"), encrypt_together));
    paths.push(HotPath::new("packet, encoding", encode));
    paths.push(HotPath::new("packet, decoding", decode));
    paths
}

fn keystream(secret: &Secret) -> Keystream {
    Keystream::new(secret.clone(), [7; IV_BYTES])
}

fn crypt(method: Method, times: u32, crypt: fn(&mut Keystream, &mut [u8])) {
    let mut keystream = keystream(&Secret::new(method, PASSWORD));
    let mut packet = [0; PACKET_BYTES];
    for _ in 0..times {
        keystream.begin_packet();
        crypt(&mut keystream, black_box(&mut packet));
    }
}

fn encrypt_together(times: u32) {
    let mut keystreams = [(); SESSIONS].map(|()| keystream(&Secret::new(Method::Rijndael128, PASSWORD)));
    let mut packets = [[0; PACKET_BYTES]; SESSIONS];
    for _ in 0..times {
        let packets = packets.iter_mut().map(|packet| black_box(&mut packet[..]));
        Keystream::encrypt_together(&mut keystreams.iter_mut().zip(packets).collect::<Vec<_>>());
    }
}

/// Filler, texts and CRC, without encryption.
fn encode(times: u32) {
    let (mut client, _) = sessions();
    let mut sent = Vec::with_capacity(PACKET_BYTES);
    for _ in 0..times {
        sent.clear();
        encode_one(&mut client, &mut sent);
    }
}

/// From the receive buffer to a report, without encryption.
fn decode(times: u32) {
    let (mut client, mut server) = sessions();
    let mut sent = Vec::new();
    encode_one(&mut client, &mut sent);
    for _ in 0..times {
        assert_eq!(server.handle_bytes(black_box(&sent)), sent.len());
        black_box(server.poll_report(NOW)).expect("the packet is sound").expect("the packet is whole");
    }
}

/// Both sides of a session, greeted.
pub(super) fn sessions() -> (ClientSession, ServerSession) {
    let secret = Secret::new(Method::None, b"");
    let server = ServerSession::new(secret.clone(), [7; IV_BYTES], NOW, None);
    let mut client = ClientSession::new(secret, PacketSize::Modern, 1);
    client.handle_bytes(&server.init_packet(), Instant::now()).expect("it is an init packet");
    (client, server)
}

fn encode_one(client: &mut ClientSession, out: &mut Vec<u8>) {
    let output = b"HTTP OK: HTTP/1.1 200 OK - 10918 bytes in 0.043 second response time |time=0.043s;;;0.0;10.0";
    let truncated = client.encode(0, b"web1.example.org", b"HTTP", black_box(output), Instant::now(), out);
    assert!(!truncated.any());
}
