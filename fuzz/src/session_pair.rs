//! Client against server, over a line that may damage what it carries.

use std::time::{Duration, Instant};

use nsca::classic::{ClientSession, ServerSession};
use nsca::packet::{INIT_BYTES, PacketSize};
use nsca::{Secret, sets};

use super::pieces::{SIZES_BYTES, pieces};
use super::session::{Outcome, Said, iv, receive_at, secrets};

const START: u32 = 1_700_000_000;
/// More packets say nothing new.
const MAX_PACKETS: usize = 3;
/// Length of what stands in front of the sets.
const HEAD_BYTES: usize = 8 + SIZES_BYTES;

/// `data`: method and packet size (u8 each), `max_packet_age` in seconds (u8, 0 for none), how late the packets arrive (i8),
/// what the line does (u8, with a mask u8, at u16 little-endian), sizes of pieces; then sets as `send_nsca` reads them.
///
/// What was sent arrives, cut only where fields end and characters begin. What the line damaged ends the session: the
/// packets before the first changed byte arrive, nothing is invented after it.
pub fn session_pair(data: &[u8]) {
    let Some((head, sets)) = data.split_first_chunk::<HEAD_BYTES>() else { return };
    let [method, size, age, delay, damage, mask, low, high, sizes @ ..] = *head;
    let [secret, other] = secrets(method);
    let size = if size & 1 == 0 { PacketSize::Modern } else { PacketSize::Legacy };
    let limit = (age > 0).then(|| Duration::from_secs(age.into()));
    let now = START.wrapping_add_signed(delay.cast_signed().into());
    let receive = |secret: &Secret, stream: &[u8]| -> Outcome {
        let mut server = ServerSession::new(secret.clone(), iv(), START, limit);
        receive_at(now, &mut server, pieces(stream, sizes))
    };

    let (sent, given) = send(secret, size, sets, sizes);
    let arrived = change(&sent, damage, mask, u16::from_le_bytes([low, high]));
    let (said, end) = receive(secret, &arrived);

    let in_time = age == 0 || delay.cast_signed().unsigned_abs() <= age;
    let unharmed = sent.iter().zip(&arrived).take_while(|(sent, arrived)| sent == arrived).count();
    let whole = if in_time { unharmed / size.bytes() } else { 0 };
    assert!(said == given[..whole], "given {given:?}, said {said:?}");
    assert_eq!(end.is_ok(), arrived.len() == whole * size.bytes(), "{end:?}");

    if secret.method() != nsca::Method::None {
        let (said, end) = receive(other, &sent);
        assert!(said.is_empty() && end.is_ok() == sent.is_empty(), "with another password: {said:?} {end:?}");
    }
}

/// What a client sends for `sets`, and what of it must arrive.
fn send(secret: &Secret, size: PacketSize, sets: &[u8], sizes: [u8; SIZES_BYTES]) -> (Vec<u8>, Vec<Said>) {
    let now = Instant::now();
    let mut client = ClientSession::new(secret.clone(), size, 42);
    let init = ServerSession::new(secret.clone(), iv(), START, None).init_packet();
    let taken: usize =
        pieces(&init, sizes).map(|piece| client.handle_bytes(piece, now).expect("the init packet is not over")).sum();
    assert_eq!(taken, INIT_BYTES);
    let (mut sent, mut given) = (Vec::new(), Vec::new());
    let sets = sets.split(|byte| *byte == sets::SET_DELIMITER);
    for set in sets.filter_map(|set| sets::parse(set, sets::FIELD_DELIMITER)).take(MAX_PACKETS) {
        let truncated = client.encode(set.code, set.host, set.service, set.output, now, &mut sent);
        let kept = |text: &[u8], missing: usize, max: usize| {
            let kept = &text[..text.len() - missing];
            assert!(kept.len() <= max && (missing == 0 || kept.len() + 3 >= max), "cut at {} of {max}", kept.len());
            assert!(str::from_utf8(text).is_err() || str::from_utf8(kept).is_ok(), "a split character");
            kept.to_vec()
        };
        given.push((
            set.code,
            kept(set.host, truncated.host, 63),
            kept(set.service, truncated.service, 127),
            kept(set.output, truncated.output, size.max_output_bytes()),
        ));
    }
    (sent, given)
}

/// What arrives of `sent` when the line flips bits of one byte, ends early, loses a byte or repeats one.
fn change(sent: &[u8], damage: u8, mask: u8, at: u16) -> Vec<u8> {
    let mut bytes = sent.to_vec();
    let at = usize::from(at);
    if at >= bytes.len() {
        return bytes;
    }
    match damage % 5 {
        0 => {}
        1 => bytes[at] ^= mask,
        2 => bytes.truncate(at),
        3 => drop(bytes.remove(at)),
        _ => bytes.insert(at, bytes[at]),
    }
    bytes
}
