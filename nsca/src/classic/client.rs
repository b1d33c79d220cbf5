//! The sending side.

use std::time::Instant;

use super::SessionError;
use crate::Secret;
use crate::cipher::Keystream;
use crate::packet::{Filler, INIT_BYTES, Init, PacketSize, Report, Truncated};

/// The client's half of a session: takes the daemon's init packet, gives encrypted data packets.
#[derive(Debug)]
pub struct ClientSession {
    secret: Secret,
    pub(super) size: PacketSize,
    filler: Filler,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The init packet is not complete yet.
    Waiting { init: [u8; INIT_BYTES], received: usize },
    /// Packets can be encoded.
    Ready { init: Init, since: Instant, keystream: Box<Keystream> },
}

impl ClientSession {
    /// A session that will send packets of `size`. `filler_seed` should be random, it need not be secret.
    pub fn new(secret: Secret, size: PacketSize, filler_seed: u64) -> Self {
        let state = State::Waiting { init: [0; INIT_BYTES], received: 0 };
        ClientSession { secret, size, filler: Filler::new(filler_seed), state }
    }

    /// Takes bytes that arrived `now` and returns how many of them belonged to the init packet.
    ///
    /// # Errors
    ///
    /// [`SessionError::Unexpected`] when the daemon goes on after its init packet.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> Result<usize, SessionError> {
        let State::Waiting { init, received } = &mut self.state else {
            return if bytes.is_empty() { Ok(0) } else { Err(SessionError::Unexpected { bytes: bytes.len() }) };
        };
        let taken = bytes.len().min(INIT_BYTES - *received);
        init[*received..][..taken].copy_from_slice(&bytes[..taken]);
        *received += taken;
        if *received == INIT_BYTES {
            let init = Init::decode(init);
            let keystream = Box::new(Keystream::new(self.secret.clone(), init.iv));
            self.state = State::Ready { init, since: now, keystream };
        }
        Ok(taken)
    }

    /// Says that the daemon closed the connection.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoInit`] when it did so too early. After that, a close is the end of every session.
    pub fn handle_eof(&self) -> Result<(), SessionError> {
        match self.state {
            State::Waiting { received, .. } => Err(SessionError::NoInit { bytes: received }),
            State::Ready { .. } => Ok(()),
        }
    }

    /// Whether the init packet has arrived, so that packets can be encoded.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// The daemon's init packet, once it has arrived.
    pub fn init(&self) -> Option<&Init> {
        match &self.state {
            State::Waiting { .. } => None,
            State::Ready { init, .. } => Some(init),
        }
    }

    /// Appends one encrypted packet to `out`. An empty `service` means a host check; `output` is the plugin's
    /// text with real newlines.
    ///
    /// The packet's time is that of the init packet plus what has passed since, so that a connection can be kept
    /// open longer than the daemon's `max_packet_age`. Packets must be sent in the order in which they are
    /// encoded, and all of them.
    ///
    /// # Panics
    ///
    /// Before [`is_ready`](Self::is_ready).
    pub fn encode(
        &mut self,
        code: i16,
        host: &[u8],
        service: &[u8],
        output: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Truncated {
        let start = out.len();
        let truncated = self.encode_plain(code, host, service, output, now, out);
        ClientSession::encrypt_together(&mut [(self, &mut out[start..])]);
        truncated
    }

    /// As [`encode`](Self::encode), but does not encrypt the packet:
    /// [`encrypt_together`](Self::encrypt_together) has to, before any other packet of the session is encoded with
    /// [`encode`](Self::encode).
    ///
    /// # Panics
    ///
    /// Before [`is_ready`](Self::is_ready).
    pub fn encode_plain(
        &mut self,
        code: i16,
        host: &[u8],
        service: &[u8],
        output: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Truncated {
        let State::Ready { init, since, .. } = &self.state else {
            panic!("encode is called when is_ready says so");
        };
        let elapsed = now.saturating_duration_since(*since).as_secs();
        let timestamp = init.timestamp.saturating_add(u32::try_from(elapsed).unwrap_or(u32::MAX));
        Report { timestamp, code, host, service, output }.encode(self.size, &mut self.filler, out)
    }

    /// Encrypts packets of several sessions, whole ones in the order of their encoding. Sessions with clones of one
    /// [`Secret`] take little longer than the one with most packets: see [`Keystream::encrypt_together`].
    ///
    /// # Panics
    ///
    /// When one of them is not [ready](Self::is_ready).
    pub fn encrypt_together(sessions: &mut [(&mut ClientSession, &mut [u8])]) {
        let mut queues: Vec<_> = sessions
            .iter_mut()
            .map(|(session, packets)| {
                let State::Ready { keystream, .. } = &mut session.state else {
                    panic!("there are no packets of a session that is not ready");
                };
                (keystream, packets.chunks_mut(session.size.bytes()))
            })
            .collect();
        loop {
            let next = queues.iter_mut().filter_map(|(keystream, packets)| {
                let packet = packets.next()?;
                keystream.begin_packet();
                Some((&mut ***keystream, packet))
            });
            let mut next: Vec<_> = next.collect();
            if next.is_empty() {
                return;
            }
            Keystream::encrypt_together(&mut next);
        }
    }
}
