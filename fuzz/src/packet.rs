//! The data packet.

use nsca::classic::{ServerSession, SessionError};
use nsca::packet::{Filler, HOST_BYTES, IV_BYTES, LEGACY_PACKET_BYTES, PacketSize, Report, SERVICE_BYTES, VERSION};
use nsca::{Method, Secret};

use super::submission::submit;

/// Where the fields of a packet are, independently of the code under test.
const CRC: std::ops::Range<usize> = 4..8;
const TIMESTAMP_AT: usize = 8;
const CODE_AT: usize = 12;
const HOST_AT: usize = 14;
const SERVICE_AT: usize = HOST_AT + HOST_BYTES;
const OUTPUT_AT: usize = SERVICE_AT + SERVICE_BYTES;

/// `data`: a packet without encryption, cut or padded with NULs to one of the two sizes.
///
/// As it is, it is refused or means what its bytes say. With version and CRC mended, it is always taken, its fields are
/// the bytes up to their NUL, they survive being encoded again in both sizes, and they make one line in a command file.
pub fn packet(data: &[u8]) {
    // The beginning of a long packet that is a sound short one is taken for that.
    let is_short = data.get(..LEGACY_PACKET_BYTES).is_none_or(is_sound);
    let size = if is_short { PacketSize::Legacy } else { PacketSize::Modern };
    let mut packet = data.to_vec();
    packet.resize(size.bytes(), 0);
    match read(&packet, |report| check(report, &packet)) {
        Ok(()) | Err(SessionError::WrongVersion { .. } | SessionError::BadChecksum) => {}
        Err(error) => panic!("whole packet, no time limit, but {error}"),
    }
    mend(&mut packet);
    read(&packet, |report| check(report, &packet)).expect("a mended packet is taken");
}

/// Gives the only report in `packet` to `check`.
fn read(packet: &[u8], check: impl FnOnce(&Report<'_>)) -> Result<(), SessionError> {
    let mut session = ServerSession::new(Secret::new(Method::None, b""), [0; IV_BYTES], 0, None);
    assert_eq!(session.handle_bytes(packet), packet.len(), "there is room for a packet");
    let Some(report) = session.poll_report(0)? else {
        // Half a long packet could still go on.
        assert!(session.handle_eof().is_err(), "a packet vanished");
        return Err(SessionError::BadChecksum);
    };
    check(&report);
    assert_eq!(session.poll_report(0), Ok(None));
    session.handle_eof()
}

/// Whether version and CRC are what they must be.
pub(super) fn is_sound(packet: &[u8]) -> bool {
    let mut mended = packet.to_vec();
    mend(&mut mended);
    mended == packet
}

/// Makes version and CRC what they must be.
fn mend(packet: &mut [u8]) {
    packet[..2].copy_from_slice(&VERSION.to_be_bytes());
    packet[CRC].fill(0);
    let crc = crc32fast::hash(packet);
    packet[CRC].copy_from_slice(&crc.to_be_bytes());
}

fn check(report: &Report<'_>, packet: &[u8]) {
    assert_eq!(packet[TIMESTAMP_AT..CODE_AT], report.timestamp.to_be_bytes());
    assert_eq!(packet[CODE_AT..HOST_AT], report.code.to_be_bytes());
    for (text, field) in [
        (report.host, &packet[HOST_AT..SERVICE_AT]),
        (report.service, &packet[SERVICE_AT..OUTPUT_AT]),
        (report.output, &packet[OUTPUT_AT..packet.len() - 2]),
    ] {
        assert!(!text.contains(&0), "a NUL in a text");
        assert!(text.len() < field.len(), "a text without room for its NUL");
        assert!(field.starts_with(text), "a text that is not in its field");
        assert!(field[text.len()] == 0 || text.len() == field.len() - 1, "a text that ends too early");
    }
    for size in [PacketSize::Modern, PacketSize::Legacy] {
        encode_again(report, size);
    }
    submit(report);
}

/// Encoded and decoded again, a report differs at most by the end of an output that is too long for the smaller size.
fn encode_again(report: &Report<'_>, size: PacketSize) {
    let mut packet = Vec::new();
    let truncated = report.encode(size, &mut Filler::new(1), &mut packet);
    let kept = report.output.len() - truncated.output;
    assert_eq!((truncated.host, truncated.service), (0, 0));
    assert!(truncated.output == 0 || kept + 3 >= size.max_output_bytes(), "cut too early");
    let output = &report.output[..kept];
    assert!(str::from_utf8(report.output).is_err() || str::from_utf8(output).is_ok(), "a split character");
    read(&packet, |again| assert_eq!(*again, Report { output, ..*report })).expect("our own packets are taken");
}
