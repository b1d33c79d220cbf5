//! The bytes of NSCA, before encryption: the daemon's init packet and the client's data packet.
//!
//! All numbers are big-endian.
//!
//! ```text
//! init packet, 132 bytes, never encrypted
//!   0  iv         128 bytes
//! 128  timestamp  u32, the daemon's Unix time in seconds
//!
//! data packet, 4304 bytes (NSCA 2.9 and later) or 720 bytes (NSCA 2.7, `--legacy-2-7-mode`)
//!   0  version    i16 = 3
//!   2  filler     2 bytes
//!   4  crc        u32, CRC-32 (IEEE) over the whole packet with these four bytes zero
//!   8  timestamp  u32, the one of the init packet
//!  12  code       i16, the plugin's return code
//!  14  host       64 bytes
//!  78  service    128 bytes, empty for a host check
//! 206  output     4096 or 512 bytes
//!  ..  filler     2 bytes
//! ```
//!
//! Texts end in NUL, and what follows the NUL in a field is filler, random bytes `0` to `w`. Texts are raw
//! bytes, a newline in the output is a newline: the escaping that command files want is the daemon's work.
//!
//! **Invariant:** every encoded text has its NUL, and is cut only between two characters of UTF-8.

use crc32fast::Hasher;

/// Length of an init packet.
pub const INIT_BYTES: usize = 132;
/// Length of the initialization vector in it.
pub const IV_BYTES: usize = 128;
/// Length of a data packet of NSCA 2.9 and later.
pub const PACKET_BYTES: usize = 4304;
/// Length of a data packet of NSCA 2.7.
pub const LEGACY_PACKET_BYTES: usize = 720;
/// Length of the host field, NUL included.
pub const HOST_BYTES: usize = 64;
/// Length of the service field, NUL included.
pub const SERVICE_BYTES: usize = 128;
/// Length of the output field, NUL included.
pub const OUTPUT_BYTES: usize = 4096;
/// Length of the output field in a packet of NSCA 2.7, NUL included.
pub const LEGACY_OUTPUT_BYTES: usize = 512;
/// The version of every data packet, in both sizes.
pub const VERSION: i16 = 3;

const CRC_AT: usize = 4;
const TIMESTAMP_AT: usize = 8;
const CODE_AT: usize = 12;
const HOST_AT: usize = 14;
const SERVICE_AT: usize = HOST_AT + HOST_BYTES;
const OUTPUT_AT: usize = SERVICE_AT + SERVICE_BYTES;
const TRAILER_BYTES: usize = 2;

const _: () = assert!(IV_BYTES + 4 == INIT_BYTES);
const _: () = assert!(SERVICE_AT == 78 && OUTPUT_AT == 206);
const _: () = assert!(OUTPUT_AT + OUTPUT_BYTES + TRAILER_BYTES == PACKET_BYTES);
const _: () = assert!(OUTPUT_AT + LEGACY_OUTPUT_BYTES + TRAILER_BYTES == LEGACY_PACKET_BYTES);

/// What the daemon says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Init {
    /// Random bytes; the block ciphers start with the first 8 to 32 of them, XOR uses all.
    pub iv: [u8; IV_BYTES],
    /// The daemon's Unix time in seconds, which the client's packets repeat.
    pub timestamp: u32,
}

impl Init {
    /// The packet's bytes.
    pub fn encode(&self) -> [u8; INIT_BYTES] {
        let mut packet = [0; INIT_BYTES];
        packet[..IV_BYTES].copy_from_slice(&self.iv);
        packet[IV_BYTES..].copy_from_slice(&self.timestamp.to_be_bytes());
        packet
    }

    /// Reads a packet; every 132 bytes are a valid one.
    pub fn decode(packet: &[u8; INIT_BYTES]) -> Self {
        Init { iv: array(packet, 0), timestamp: u32::from_be_bytes(array(packet, IV_BYTES)) }
    }
}

/// The two lengths of data packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PacketSize {
    /// NSCA 2.9 and later: 4304 bytes, of which 4095 for the output.
    #[default]
    Modern,
    /// NSCA 2.7: 720 bytes, of which 511 for the output.
    Legacy,
}

impl PacketSize {
    /// Length of a packet of this size.
    pub const fn bytes(self) -> usize {
        match self {
            PacketSize::Modern => PACKET_BYTES,
            PacketSize::Legacy => LEGACY_PACKET_BYTES,
        }
    }

    /// Length of the longest output that fits.
    pub const fn max_output_bytes(self) -> usize {
        match self {
            PacketSize::Modern => OUTPUT_BYTES - 1,
            PacketSize::Legacy => LEGACY_OUTPUT_BYTES - 1,
        }
    }
}

/// What a data packet says. Nothing in it is checked but the packet's own integrity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    /// Unix time in seconds by the daemon's clock: the init packet's, plus the time since if the client is ours.
    pub timestamp: u32,
    /// The plugin's return code.
    pub code: i16,
    /// The host's name, up to 63 bytes.
    pub host: &'a [u8],
    /// The service's description, up to 127 bytes; empty for a host check.
    pub service: &'a [u8],
    /// The plugin's text with real newlines, up to 4095 or 511 bytes.
    pub output: &'a [u8],
}

/// Why decrypted bytes are not a data packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    Version(i16),
    Checksum,
}

/// How many bytes of each text did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "what was cut off should be counted"]
pub struct Truncated {
    /// Bytes missing from the host's name: the daemon will not know the host.
    pub host: usize,
    /// Bytes missing from the service's description: the daemon will not know the service.
    pub service: usize,
    /// Bytes missing from the output.
    pub output: usize,
}

impl Truncated {
    /// Whether anything is missing.
    pub fn any(self) -> bool {
        self != Truncated::default()
    }
}

impl<'a> Report<'a> {
    /// Appends the packet to `out`, with `filler` where there is no text. Texts end at their first NUL, and
    /// where their fields end.
    pub fn encode(&self, size: PacketSize, filler: &mut Filler, out: &mut Vec<u8>) -> Truncated {
        let start = out.len();
        out.resize(start + size.bytes(), 0);
        let packet = &mut out[start..];
        filler.fill(packet);
        packet[..2].copy_from_slice(&VERSION.to_be_bytes());
        packet[CRC_AT..TIMESTAMP_AT].fill(0);
        packet[TIMESTAMP_AT..CODE_AT].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[CODE_AT..HOST_AT].copy_from_slice(&self.code.to_be_bytes());
        let output_end = OUTPUT_AT + size.max_output_bytes() + 1;
        let truncated = Truncated {
            host: put_text(&mut packet[HOST_AT..SERVICE_AT], self.host),
            service: put_text(&mut packet[SERVICE_AT..OUTPUT_AT], self.service),
            output: put_text(&mut packet[OUTPUT_AT..output_end], self.output),
        };
        let crc = crc32fast::hash(packet);
        packet[CRC_AT..TIMESTAMP_AT].copy_from_slice(&crc.to_be_bytes());
        truncated
    }

    /// Reads a decrypted packet that [`verify`] has passed.
    ///
    /// A text without NUL, which no stock client sends, ends where its field does.
    pub(crate) fn decode(packet: &'a [u8]) -> Self {
        Report {
            timestamp: u32::from_be_bytes(array(packet, TIMESTAMP_AT)),
            code: i16::from_be_bytes(array(packet, CODE_AT)),
            host: text(&packet[HOST_AT..SERVICE_AT - 1]),
            service: text(&packet[SERVICE_AT..OUTPUT_AT - 1]),
            output: text(&packet[OUTPUT_AT..packet.len() - TRAILER_BYTES - 1]),
        }
    }
}

/// Checks version and CRC of a decrypted packet, which must have one of the two lengths.
pub(crate) fn verify(packet: &[u8]) -> Result<(), Malformed> {
    let version = i16::from_be_bytes(array(packet, 0));
    if version != VERSION {
        return Err(Malformed::Version(version));
    }
    let mut crc = Hasher::new();
    crc.update(&packet[..CRC_AT]);
    crc.update(&[0; TIMESTAMP_AT - CRC_AT]);
    crc.update(&packet[TIMESTAMP_AT..]);
    if crc.finalize() != u32::from_be_bytes(array(packet, CRC_AT)) {
        return Err(Malformed::Checksum);
    }
    Ok(())
}

/// Where the filler of a session's packets comes from: SplitMix64, reproducible from its seed.
///
/// It hides nothing and need not be secret; random filler only keeps equal packets from looking equal.
#[derive(Debug, Clone)]
pub struct Filler(u64);

impl Filler {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Filler(seed)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        let (words, rest) = bytes.as_chunks_mut();
        for word in words {
            *word = self.next().to_le_bytes();
        }
        if !rest.is_empty() {
            rest.copy_from_slice(&self.next().to_le_bytes()[..rest.len()]);
        }
        // A loop of its own, which compilers turn into operations on many bytes at once.
        for byte in bytes {
            // 256 random values to the 72 characters from '0' to 'w'.
            let [_, scaled] = (u16::from(*byte) * 72).to_le_bytes();
            *byte = b'0' + scaled;
        }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Writes as much of `text` as fits, and its NUL; returns how many bytes did not fit.
fn put_text(field: &mut [u8], bytes: &[u8]) -> usize {
    let text = text(bytes);
    let kept = cut(text, field.len() - 1);
    field[..kept].copy_from_slice(&text[..kept]);
    field[kept] = 0;
    text.len() - kept
}

/// The longest length up to `max` that does not split a UTF-8 character of `text`. Bytes that are not UTF-8
/// count as characters of their own.
fn cut(text: &[u8], max: usize) -> usize {
    if text.len() <= max {
        return text.len();
    }
    // The character that is split, if one is, began at most three bytes before the cut.
    for start in max.saturating_sub(3)..max {
        let width = match text[start] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => continue,
        };
        let end = start + width;
        if end > max && text.get(start..end).is_some_and(|character| str::from_utf8(character).is_ok()) {
            return start;
        }
    }
    max
}

/// The bytes before the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

fn array<const N: usize>(packet: &[u8], at: usize) -> [u8; N] {
    *packet[at..].first_chunk().expect("the offsets are inside of every packet")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report<'static> {
        Report { timestamp: 0x6a51_0203, code: 2, host: b"web1", service: b"HTTP", output: b"down\nlong" }
    }

    #[test]
    fn init_packet_known_answer() {
        let mut iv = [0; IV_BYTES];
        (iv[0], iv[127]) = (1, 2);
        let bytes = Init { iv, timestamp: 0x0102_0304 }.encode();
        assert_eq!((bytes[0], bytes[127]), (1, 2));
        assert_eq!(bytes[128..], [1, 2, 3, 4]);
        assert_eq!(Init::decode(&bytes), Init { iv, timestamp: 0x0102_0304 });
    }

    #[test]
    fn data_packet_known_answer() {
        for (size, bytes) in [(PacketSize::Modern, 4304), (PacketSize::Legacy, 720)] {
            let mut out = vec![0xee];
            let truncated = report().encode(size, &mut Filler::new(7), &mut out);
            let packet = &out[1..];
            assert!(!truncated.any());
            assert_eq!(packet.len(), bytes);
            assert_eq!(packet[..2], [0, 3]);
            assert_eq!(packet[8..14], [0x6a, 0x51, 2, 3, 0, 2]);
            assert_eq!(packet[14..19], *b"web1\0");
            assert_eq!(packet[78..83], *b"HTTP\0");
            assert_eq!(packet[206..216], *b"down\nlong\0");
            assert!(packet[216..].iter().all(|byte| (b'0'..=b'w').contains(byte)));
            assert_eq!(verify(packet), Ok(()));
            assert_eq!(Report::decode(packet), report());
        }
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let mut packet = Vec::new();
        let _ = report().encode(PacketSize::Legacy, &mut Filler::new(7), &mut packet);
        for bit in 0..packet.len() * 8 {
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&packet).is_err(), "bit {bit}");
            packet[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn texts_are_cut_where_their_fields_end() {
        let long = [b'x'; 5000];
        let mut packet = Vec::new();
        let report = Report { host: &long, service: &long, output: &long, ..report() };
        let truncated = report.encode(PacketSize::Modern, &mut Filler::new(0), &mut packet);
        assert_eq!(truncated, Truncated { host: 5000 - 63, service: 5000 - 127, output: 5000 - 4095 });
        let decoded = Report::decode(&packet);
        assert_eq!((decoded.host.len(), decoded.service.len(), decoded.output.len()), (63, 127, 4095));
        packet.clear();
        let truncated = report.encode(PacketSize::Legacy, &mut Filler::new(0), &mut packet);
        assert_eq!(truncated.output, 5000 - 511);
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        for character in ["é", "–", "𝄞"] {
            for before in 0..8 {
                let text = format!("{}{character}zzzz", "a".repeat(before));
                for max in 0..text.len() {
                    let kept = cut(text.as_bytes(), max);
                    assert!(text.is_char_boundary(kept) && kept <= max, "{text} {max}");
                    assert!(max - kept < character.len(), "{text} {max}");
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_cut_like_the_original_cuts_them() {
        assert_eq!(cut(b"aaa\xe9bbb", 4), 4);
        assert_eq!(cut(b"\xff\xff\xff\xff\xff", 3), 3);
        assert_eq!(cut(b"\x80\x80\x80\x80\x80", 3), 3);
        assert_eq!(cut(b"ab\xe2\x80", 3), 3);
    }

    #[test]
    fn nothing_after_a_nul_is_sent() {
        let mut packet = Vec::new();
        let truncated =
            Report { output: b"seen\0hidden", ..report() }.encode(PacketSize::Legacy, &mut Filler::new(0), &mut packet);
        assert!(!truncated.any());
        assert_eq!(Report::decode(&packet).output, b"seen");
        assert!(!packet.windows(6).any(|window| window == b"hidden"));
    }
}
