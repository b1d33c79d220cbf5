//! The established session, as far as both sides are alike: frames in, frames out, signs of life.
//!
//! **Invariants:**
//! - what is due of heartbeats and acknowledgements goes out ahead of everything that waits in [`Lanes`], but never in the
//!   middle of a frame;
//! - frames about books are sent and understood only if both sides said that they know them;
//! - of what has arrived, at most one message and one frame are kept, and no length field makes anything be
//!   allocated before the bytes are there.

use std::ops::Range;

use super::books;
use super::frame::{self, Ack, HEADER_BYTES, Heartbeat, MAX_FRAME_BYTES};
use super::lanes::{KEPT_CAPACITY_BYTES, Lane, Lanes};
use super::noise::{Arriving, MAX_MESSAGE_BYTES, Transport};
use super::pulse::Pulse;
use super::timers::{Timer, Timers};
use super::{Heading, Now, Reason, ResultFrame, SealedError, Sent, ShownFrame, Want};

#[derive(Debug)]
pub(super) struct Channel {
    transport: Transport,
    /// The init packet's.
    timestamp: u32,
    /// Whether books are told in this session.
    has_books: bool,
    pub(super) pulse: Pulse,

    arriving: Arriving,
    /// When the newest bytes came.
    arrival: Now,
    /// Decrypted frames; those before `start` were given out already.
    frames: Vec<u8>,
    start: usize,
    peer_has_left: bool,

    /// What can wait.
    lanes: Lanes,
    /// What cannot.
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
    Heading(Heading),
    /// Where its content lies.
    Record(Range<usize>),
    Want(Want),
    /// Where its content lies.
    Shown(Range<usize>),
    Answered(u32),
}

impl Channel {
    pub(super) fn new(transport: Transport, timestamp: u32, has_books: bool, pulse: Pulse, now: Now) -> Self {
        Channel {
            transport,
            timestamp,
            has_books,
            pulse,
            arriving: Arriving::new(MAX_MESSAGE_BYTES),
            arrival: now,
            frames: Vec::new(),
            start: 0,
            peer_has_left: false,
            lanes: Lanes::default(),
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

    /// What is shown there.
    pub(super) fn shown(&self, content: Range<usize>) -> Option<ShownFrame<'_>> {
        ShownFrame::decode(&self.frames[content], self.timestamp)
    }

    /// What [`shown`](Self::shown) has found genuine before.
    pub(super) fn genuine_shown(&self, content: Range<usize>) -> ShownFrame<'_> {
        let (shown, _) = ShownFrame::parse(&self.frames[content]).expect("it was read before");
        shown
    }

    /// The content of a frame.
    pub(super) fn content(&self, content: Range<usize>) -> &[u8] {
        &self.frames[content]
    }

    pub(super) fn has_books(&self) -> bool {
        self.has_books
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
        self.has_room_in(Lane::Results, frame_bytes)
    }

    fn has_room_in(&self, lane: Lane, frame_bytes: usize) -> bool {
        let is_open = self.goodbye == Goodbye::NotYet && !self.peer_has_left;
        is_open && self.lanes.has_room_for(lane, frame_bytes)
    }

    pub(super) fn push_result(&mut self, result: &ResultFrame<'_>, frame_bytes: usize) {
        result.encode(frame_bytes, self.timestamp, self.lanes.end(Lane::Results));
    }

    pub(super) fn push_shown(&mut self, shown: &ShownFrame<'_>) -> Sent {
        let timestamp = self.timestamp;
        self.push_of_book(Lane::Shown, shown.frame_bytes(), |bytes, out| shown.encode(bytes, timestamp, out))
    }

    /// Goes behind everything that was shown.
    pub(super) fn push_answered(&mut self, shown: u32) -> Sent {
        let frame_bytes = Some(books::ANSWERED_FRAME_BYTES);
        self.push_of_book(Lane::Shown, frame_bytes, |_, out| books::encode_answered(shown, out))
    }

    pub(super) fn push_heading(&mut self, heading: &Heading) -> Sent {
        self.push_of_book(Lane::Book, Some(Heading::FRAME_BYTES), |_, out| heading.encode(out))
    }

    pub(super) fn push_record(&mut self, record: &[u8]) -> Sent {
        let frame_bytes = (record.len() <= MAX_FRAME_BYTES).then_some(HEADER_BYTES + record.len());
        self.push_of_book(Lane::Book, frame_bytes, |_, out| {
            frame::put_header(frame::RECORD, record.len(), out);
            out.extend_from_slice(record);
        })
    }

    pub(super) fn push_want(&mut self, want: &Want) -> Sent {
        self.push_of_book(Lane::Book, want.frame_bytes(), |bytes, out| want.encode(bytes, out))
    }

    /// `frame_bytes` is `None` for what no frame can hold.
    fn push_of_book(
        &mut self,
        lane: Lane,
        frame_bytes: Option<usize>,
        encode: impl FnOnce(usize, &mut Vec<u8>),
    ) -> Sent {
        match frame_bytes {
            None => Sent::TooLong,
            Some(bytes) if self.has_books && self.has_room_in(lane, bytes) => {
                encode(bytes, self.lanes.end(lane));
                Sent::Taken
            }
            Some(_) => Sent::Later,
        }
    }

    /// Appends what is to be sent next: nothing, or heartbeat and acknowledgement, a message of what waits, and the
    /// goodbye, as far as they are due. After the goodbye, nothing.
    pub(super) fn seal(&mut self, ack: impl FnOnce() -> Option<Ack>, now: Now, out: &mut Vec<u8>) {
        if self.goodbye == Goodbye::Said {
            return;
        }
        if self.lanes.is_between_frames() {
            self.control.clear();
            if let Some(heartbeat) = self.pulse.take_heartbeat(now) {
                heartbeat.encode(&mut self.control);
            }
            if let Some(ack) = ack() {
                ack.encode(&mut self.control);
            }
            self.seal_control(out);
        }
        let transport = &mut self.transport;
        self.lanes.take(|payload| transport.seal(payload, out));
        self.seal_goodbye(out);
    }

    /// Appends the goodbye if it is due and nothing comes before it.
    fn seal_goodbye(&mut self, out: &mut Vec<u8>) {
        if let (Goodbye::Due(reason), true) = (self.goodbye, self.lanes.is_empty()) {
            self.control.clear();
            frame::encode_goodbye(reason, &mut self.control);
            self.seal_control(out);
            self.goodbye = Goodbye::Said;
        }
    }

    /// Says goodbye at once: what is not sealed is dropped. In the middle of a frame, nothing can be said.
    pub(super) fn abort(&mut self, reason: Reason, out: &mut Vec<u8>) {
        if self.lanes.is_between_frames() {
            self.lanes.clear();
            self.goodbye(reason);
            self.seal_goodbye(out);
        }
    }

    fn seal_control(&mut self, out: &mut Vec<u8>) {
        if !self.control.is_empty() {
            self.transport.seal(&self.control, out);
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

    /// `None` for a kind that is not known in this session.
    fn understand(&mut self, kind: u8, content: Range<usize>) -> Result<Option<Received>, SealedError> {
        let bytes = &self.frames[content.clone()];
        Ok(Some(match kind {
            frame::RESULT => Received::Result(content),
            frame::HEARTBEAT => {
                let heartbeat = understood(Heartbeat::decode(bytes), "a heartbeat")?;
                self.pulse.handle_heartbeat(&heartbeat, self.arrival);
                Received::Heartbeat(heartbeat)
            }
            frame::ACK => Received::Ack(understood(Ack::decode(bytes), "an acknowledgement")?),
            frame::GOODBYE => {
                self.peer_has_left = true;
                Received::Goodbye(understood(frame::decode_goodbye(bytes), "a goodbye")?)
            }
            _ if !self.has_books => return Ok(None),
            frame::HEADING => Received::Heading(understood(Heading::decode(bytes), "a heading")?),
            frame::RECORD => Received::Record(content),
            frame::WANT => Received::Want(understood(Want::decode(bytes), "a want")?),
            frame::SHOWN => Received::Shown(content),
            frame::ANSWERED => Received::Answered(understood(books::decode_answered(bytes), "an answer")?),
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

fn understood<T>(decoded: Option<T>, what: &'static str) -> Result<T, SealedError> {
    decoded.ok_or(SealedError::InvalidMessage(what))
}

#[cfg(test)]
impl Channel {
    pub(super) fn inject(&mut self, frames: &[u8]) {
        self.lanes.end(Lane::Results).extend_from_slice(frames);
    }
}
