//! The receiving side.
//!
//! Packets of 4304 and of 720 bytes may be mixed at will. Which one comes next is not announced; but the
//! keystream does not depend on it, so the first 720 bytes are decrypted, and if version and CRC fit, that
//! was the packet. If not, decryption goes on from there to 4304 bytes. (That a longer packet's beginning fits
//! by chance happens once in 2³² packets.)
//!
//! **Invariants:** the receive buffer never exceeds `MAX_BUFFERED_BYTES`, is allocated when the first byte
//! arrives, and packets are decrypted in it: nothing is allocated per packet. After an error nothing is decoded
//! any more.

use std::fmt;
use std::time::Duration;

use super::SessionError;
use crate::Secret;
use crate::cipher::Keystream;
use crate::packet::{self, INIT_BYTES, IV_BYTES, Init, LEGACY_PACKET_BYTES, Malformed, PACKET_BYTES, Report};

/// Length of the receive buffer.
const MAX_BUFFERED_BYTES: usize = 4 * PACKET_BYTES;

/// The daemon's half of a session: gives the init packet, takes encrypted data packets.
pub struct ServerSession {
    init: Init,
    max_packet_age: Option<Duration>,
    keystream: Keystream,
    /// What arrived; everything before `start` was polled already.
    buffer: Vec<u8>,
    /// Where the current packet begins.
    start: usize,
    /// How much of the current packet is decrypted: nothing, or the length of a legacy packet.
    decrypted: usize,
    failed: Option<SessionError>,
}

impl ServerSession {
    /// A session with a fresh random `iv`, at `timestamp` (Unix time in seconds).
    ///
    /// Packets whose time differs from the present by more than `max_packet_age` in either direction are refused;
    /// without it, time is not looked at and recorded sessions can be replayed.
    pub fn new(secret: Secret, iv: [u8; IV_BYTES], timestamp: u32, max_packet_age: Option<Duration>) -> Self {
        ServerSession {
            init: Init { iv, timestamp },
            max_packet_age,
            keystream: Keystream::new(secret, iv),
            buffer: Vec::new(),
            start: 0,
            decrypted: 0,
            failed: None,
        }
    }

    /// What must be sent first.
    pub fn init_packet(&self) -> [u8; INIT_BYTES] {
        self.init.encode()
    }

    /// Takes bytes that arrived and returns how many there was room for: all of them, unless more is buffered
    /// than [`poll_report`](Self::poll_report) was called for. At least one is taken after it returned `None`.
    ///
    /// Bytes that arrive after an error are taken and forgotten.
    #[must_use = "what was not taken must be handed in again"]
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        if self.failed.is_some() {
            return bytes.len();
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let taken = bytes.len().min(MAX_BUFFERED_BYTES - self.buffer.len());
        if self.buffer.capacity() == 0 && taken > 0 {
            self.buffer.reserve_exact(MAX_BUFFERED_BYTES);
        }
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next report, or `None` when more bytes are needed. `now` is Unix time in seconds.
    ///
    /// # Errors
    ///
    /// What is wrong with the packet. Every later call returns the same.
    pub fn poll_report(&mut self, now: u32) -> Result<Option<Report<'_>>, SessionError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.next_packet(now) {
            Ok(Some((start, end))) => Ok(Some(Report::decode(&self.buffer[start..end]))),
            Ok(None) => Ok(None),
            Err(error) => {
                self.failed = Some(error);
                (self.buffer, self.start) = (Vec::new(), 0);
                Err(error)
            }
        }
    }

    /// How many bytes wait for the rest of their packet, once [`poll_report`](Self::poll_report) returned `None`.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Says that the client has sent everything. Call [`poll_report`](Self::poll_report) until it returns
    /// `None` before.
    ///
    /// # Errors
    ///
    /// When a packet was not complete, or an error came before.
    pub fn handle_eof(&mut self) -> Result<(), SessionError> {
        let waiting = self.buffer.len() - self.start;
        let error = match (self.failed, waiting) {
            (Some(error), _) => error,
            (None, 0) => return Ok(()),
            // It had the version of a packet, and the client meant it to be one.
            (None, LEGACY_PACKET_BYTES) if self.decrypted == LEGACY_PACKET_BYTES => SessionError::BadChecksum,
            (None, bytes) => SessionError::Truncated { bytes },
        };
        self.failed = Some(error);
        Err(error)
    }

    /// Decrypts the next packet, accepts it, and returns where it lies in the buffer.
    fn next_packet(&mut self, now: u32) -> Result<Option<(usize, usize)>, SessionError> {
        let Some(bytes) = self.decrypt_next()? else {
            return Ok(None);
        };
        let packet = (self.start, self.start + bytes);
        self.check_age(Report::decode(&self.buffer[packet.0..packet.1]).timestamp, now)?;
        self.start = packet.1;
        self.decrypted = 0;
        Ok(Some(packet))
    }

    /// Decrypts as much of the next packet as is there and needed; its length once it is complete and sound.
    fn decrypt_next(&mut self) -> Result<Option<usize>, Malformed> {
        let packet = &mut self.buffer[self.start..];
        if self.decrypted == 0 {
            let Some(beginning) = packet.get_mut(..LEGACY_PACKET_BYTES) else {
                return Ok(None);
            };
            self.keystream.begin_packet();
            self.keystream.decrypt(beginning);
            self.decrypted = LEGACY_PACKET_BYTES;
            match packet::verify(beginning) {
                Ok(()) => return Ok(Some(LEGACY_PACKET_BYTES)),
                Err(Malformed::Checksum) => {}
                Err(version) => return Err(version),
            }
        }
        let Some(packet) = packet.get_mut(..PACKET_BYTES) else {
            return Ok(None);
        };
        self.keystream.decrypt(&mut packet[LEGACY_PACKET_BYTES..]);
        packet::verify(packet)?;
        Ok(Some(PACKET_BYTES))
    }

    fn check_age(&self, timestamp: u32, now: u32) -> Result<(), SessionError> {
        let Some(limit) = self.max_packet_age else {
            return Ok(());
        };
        let difference = Duration::from_secs(now.abs_diff(timestamp).into());
        if difference <= limit {
            Ok(())
        } else if timestamp < now {
            Err(SessionError::TooOld { age: difference })
        } else {
            Err(SessionError::FromTheFuture { ahead: difference })
        }
    }
}

impl fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSession")
            .field("keystream", &self.keystream)
            .field("buffered", &(self.buffer.len() - self.start))
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
