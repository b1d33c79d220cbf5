//! The established session, as far as both sides are alike: frames in, frames out, signs of life.
//!
//! **Invariants:**
//! - what waits to be sealed is at most one message full of results, or one result that is longer than that;
//! - what is due of heartbeats and acknowledgements goes out ahead of results that wait, but never in the middle
//!   of a frame;
//! - of what has arrived, at most one message and one frame are kept, and no length field makes anything be
//!   allocated before the bytes are there.

use std::ops::Range;

use super::frame::{self, Ack, HEADER_BYTES, Heartbeat, MAX_FRAME_BYTES};
use super::noise::{Arriving, MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES, Transport};
use super::pulse::Pulse;
use super::timers::{Timer, Timers};
use super::{Now, Reason, ResultFrame, SealedError};

/// A buffer that had to grow for a long result is given back beyond this.
const KEPT_CAPACITY_BYTES: usize = 4 * MAX_MESSAGE_BYTES;

#[derive(Debug)]
pub(super) struct Channel {
    transport: Transport,
    /// The init packet's.
    timestamp: u32,
    pub(super) pulse: Pulse,

    arriving: Arriving,
    /// When the newest bytes came.
    arrival: Now,
    /// Decrypted frames; those before `start` were given out already.
    frames: Vec<u8>,
    start: usize,
    peer_has_left: bool,

    /// Frames of results; those before `sealed` were sealed already.
    results: Vec<u8>,
    sealed: usize,
    /// Frames of everything else.
    control: Vec<u8>,
    goodbye: Goodbye,
}

/// This side's goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    NotYet,
    Due(Reason),
    Said,
}

/// A frame that has arrived.
#[derive(Debug)]
pub(super) enum Received {
    /// Where its content lies.
    Result(Range<usize>),
    Heartbeat(Heartbeat),
    Ack(Ack),
    Goodbye(Reason),
}

impl Channel {
    pub(super) fn new(transport: Transport, timestamp: u32, pulse: Pulse, now: Now) -> Self {
        Channel {
            transport,
            timestamp,
            pulse,
            arriving: Arriving::new(MAX_MESSAGE_BYTES),
            arrival: now,
            frames: Vec::new(),
            start: 0,
            peer_has_left: false,
            results: Vec::new(),
            sealed: 0,
            control: Vec::new(),
            goodbye: Goodbye::NotYet,
        }
    }

    pub(super) fn handle_bytes(&mut self, bytes: &[u8], now: Now) -> usize {
        self.arrival = now;
        self.arriving.handle_bytes(bytes)
    }

    /// The next frame of a kind that is known.
    pub(super) fn poll_frame(&mut self, timers: &mut Timers) -> Result<Option<Received>, SealedError> {
        loop {
            let Some((kind, content)) = self.next_frame()? else {
                if self.open_message(timers)? {
                    continue;
                } else {
                    return Ok(None);
                }
            };
            if self.peer_has_left {
                return Err(SealedError::PeerMisbehaved("goes on after its goodbye"));
            }
            if let Some(received) = self.understand(kind, content)? {
                return Ok(Some(received));
            }
        }
    }

    /// The result whose content lies there.
    pub(super) fn result(&self, content: Range<usize>) -> Option<ResultFrame<'_>> {
        ResultFrame::decode(&self.frames[content], self.timestamp)
    }

    /// A result that [`result`](Self::result) has found genuine before.
    pub(super) fn genuine_result(&self, content: Range<usize>) -> ResultFrame<'_> {
        let (result, _) = ResultFrame::parse(&self.frames[content]).expect("it was read before");
        result
    }

    /// Whether the end of the connection is no surprise.
    pub(super) fn is_over(&self) -> bool {
        self.peer_has_left || self.goodbye == Goodbye::Said
    }

    pub(super) fn goodbye(&mut self, reason: Reason) {
        if self.goodbye == Goodbye::NotYet {
            self.goodbye = Goodbye::Due(reason);
        }
    }

    /// Whether there is room for a result whose frame is so long.
    pub(super) fn has_room_for(&self, frame_bytes: usize) -> bool {
        let is_open = self.goodbye == Goodbye::NotYet && !self.peer_has_left;
        is_open && (self.results.is_empty() || self.results.len() + frame_bytes <= MAX_PAYLOAD_BYTES)
    }

    pub(super) fn push_result(&mut self, result: &ResultFrame<'_>, frame_bytes: usize) {
        result.encode(frame_bytes, self.timestamp, &mut self.results);
    }

    /// Appends what is to be sent next: nothing, or heartbeat and acknowledgement, a message of results, and the
    /// goodbye, as far as they are due. After the goodbye, nothing.
    pub(super) fn seal(&mut self, ack: impl FnOnce() -> Option<Ack>, now: Now, out: &mut Vec<u8>) {
        if self.goodbye == Goodbye::Said {
            return;
        }
        if self.is_between_frames() {
            self.control.clear();
            if let Some(heartbeat) = self.pulse.take_heartbeat(now) {
                heartbeat.encode(&mut self.control);
            }
            if let Some(ack) = ack() {
                ack.encode(&mut self.control);
            }
            self.seal_control(out);
        }
        self.seal_results(out);
        self.seal_goodbye(out);
    }

    /// Appends the goodbye if it is due and no result comes before it.
    fn seal_goodbye(&mut self, out: &mut Vec<u8>) {
        if let (Goodbye::Due(reason), true) = (self.goodbye, self.results.is_empty()) {
            self.control.clear();
            frame::encode_goodbye(reason, &mut self.control);
            self.seal_control(out);
            self.goodbye = Goodbye::Said;
        }
    }

    /// Says goodbye at once: results that are not sealed are dropped. In the middle of one, nothing can be said.
    pub(super) fn abort(&mut self, reason: Reason, out: &mut Vec<u8>) {
        if self.is_between_frames() {
            self.results.clear();
            self.goodbye(reason);
            self.seal_goodbye(out);
        }
    }

    fn is_between_frames(&self) -> bool {
        self.sealed == 0
    }

    fn seal_control(&mut self, out: &mut Vec<u8>) {
        if !self.control.is_empty() {
            self.transport.seal(&self.control, out);
        }
    }

    fn seal_results(&mut self, out: &mut Vec<u8>) {
        let waiting = &self.results[self.sealed..];
        if waiting.is_empty() {
            return;
        }
        let payload = &waiting[..waiting.len().min(MAX_PAYLOAD_BYTES)];
        self.transport.seal(payload, out);
        self.sealed += payload.len();
        if self.sealed == self.results.len() {
            self.results.clear();
            self.results.shrink_to(KEPT_CAPACITY_BYTES);
            self.sealed = 0;
        }
    }

    /// Kind and place of the next frame that is complete.
    fn next_frame(&mut self) -> Result<Option<(u8, Range<usize>)>, SealedError> {
        let Some(&[a, b, c, d, kind]) = self.frames[self.start..].first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if bytes > MAX_FRAME_BYTES {
            return Err(SealedError::TooLong { what: "a frame", bytes, max: MAX_FRAME_BYTES });
        }
        let start = self.start + HEADER_BYTES;
        if self.frames.len() - start < bytes {
            return Ok(None);
        }
        self.start = start + bytes;
        Ok(Some((kind, start..start + bytes)))
    }

    /// Decrypts the message that has arrived, if one has.
    fn open_message(&mut self, timers: &mut Timers) -> Result<bool, SealedError> {
        let Some(message) = self.arriving.message() else {
            return Ok(false);
        };
        self.frames.drain(..self.start);
        self.start = 0;
        if self.frames.is_empty() {
            self.frames.shrink_to(KEPT_CAPACITY_BYTES);
        }
        self.transport.open(message, &mut self.frames).map_err(|_| SealedError::Forged)?;
        self.arriving.clear();
        self.pulse.handle_message(self.arrival.instant, timers);
        Ok(true)
    }

    /// `None` for a kind that this version does not know.
    fn understand(&mut self, kind: u8, content: Range<usize>) -> Result<Option<Received>, SealedError> {
        let bytes = &self.frames[content.clone()];
        Ok(Some(match kind {
            frame::RESULT => Received::Result(content),
            frame::HEARTBEAT => {
                let heartbeat = Heartbeat::decode(bytes).ok_or(SealedError::InvalidMessage("a heartbeat"))?;
                self.pulse.handle_heartbeat(&heartbeat, self.arrival);
                Received::Heartbeat(heartbeat)
            }
            frame::ACK => Received::Ack(Ack::decode(bytes).ok_or(SealedError::InvalidMessage("an acknowledgement"))?),
            frame::GOODBYE => {
                self.peer_has_left = true;
                Received::Goodbye(frame::decode_goodbye(bytes).ok_or(SealedError::InvalidMessage("a goodbye"))?)
            }
            _ => return Ok(None),
        }))
    }

    /// What a timer of an established session means.
    pub(super) fn handle_timer(&mut self, timer: Timer, now: Now, timers: &mut Timers) -> Result<(), SealedError> {
        match timer {
            Timer::Heartbeat => self.pulse.handle_timer(now.instant, timers),
            Timer::Silence => return Err(SealedError::Silent(self.pulse.stale_after())),
            Timer::Handshake => {}
        }
        Ok(())
    }
}

#[cfg(test)]
impl Channel {
    pub(super) fn inject(&mut self, frames: &[u8]) {
        self.results.extend_from_slice(frames);
    }
}
