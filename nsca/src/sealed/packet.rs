//! The packet of version 4: what a classic packet holds, each text behind its length.
//!
//! The layout is in ARCHITECTURE.md, "Frames". It is the last part of every frame that has one.

use crc32fast::Hasher;

use super::wire::{Reader, put_long_text, put_text};

const VERSION: i16 = 4;

/// A packet without its texts.
const FIXED_BYTES: usize = 2 + 4 + 4 + 2 + 2 + 2 + 4;

/// Where CRC and timestamp lie.
const CRC_AT: usize = 2;
const TIMESTAMP_AT: usize = 6;

/// What a packet says, borrowed from where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) code: i16,
    pub(super) host: &'a [u8],
    pub(super) service: &'a [u8],
    pub(super) output: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Its length, or `None` when a name is longer than its length field can say.
    pub(super) fn bytes(&self) -> Option<usize> {
        let fits = [self.host, self.service].iter().all(|name| u16::try_from(name.len()).is_ok());
        let texts = [self.host, self.service, self.output].map(<[u8]>::len);
        fits.then(|| texts.iter().fold(FIXED_BYTES, |sum, text| sum.saturating_add(*text)))
    }

    /// Appends it, for a session whose init packet says `timestamp`.
    pub(super) fn encode(&self, timestamp: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; TIMESTAMP_AT - CRC_AT]);
        out.extend_from_slice(&timestamp.to_be_bytes());
        out.extend_from_slice(&self.code.to_be_bytes());
        put_text(self.host, out);
        put_text(self.service, out);
        put_long_text(self.output, out);
        let packet = &mut out[start..];
        let crc = crc32fast::hash(packet);
        packet[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
    }

    /// Reads one that ends where `bytes` do. CRC and timestamp are not looked at.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.i16()? != VERSION {
            return None;
        }
        let (_crc, _timestamp) = (reader.u32()?, reader.u32()?);
        let code = reader.i16()?;
        let (host, service, output) = (reader.text()?, reader.text()?, reader.long_text()?);
        reader.0.is_empty().then_some(Packet { code, host, service, output })
    }
}

/// Whether a packet that was parsed is sound, and one of the session whose init packet says `timestamp`.
pub(super) fn is_genuine(packet: &[u8], timestamp: u32) -> bool {
    let mut crc = Hasher::new();
    crc.update(&packet[..CRC_AT]);
    crc.update(&[0; TIMESTAMP_AT - CRC_AT]);
    crc.update(&packet[TIMESTAMP_AT..]);
    let is_sound = packet[CRC_AT..TIMESTAMP_AT] == crc.finalize().to_be_bytes();
    is_sound && packet[TIMESTAMP_AT..][..4] == timestamp.to_be_bytes()
}
