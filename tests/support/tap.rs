//! What somebody in between can do to a sealed session: read its messages one by one, keep them, change them.
//!
//! Only lengths are visible from outside:
//!
//! ```text
//! Up    upgrade request, 32 bytes ‖ messages: u16 length ‖ as many bytes
//! Down  init packet, 132 bytes    ‖ messages: u16 length ‖ as many bytes
//! ```

use std::sync::{Arc, Mutex};

use nsca::packet::INIT_BYTES;
use nsca::sealed::UPGRADE_BYTES;

use super::proxy::Direction;

/// One message on its way, with its length in front.
pub struct Message<'a> {
    /// Which connection of the proxy, counted from 0.
    pub connection: usize,
    pub direction: Direction,
    /// Its place, counted from 0, which is the upgrade request or the init packet.
    pub number: usize,
    pub bytes: &'a mut Vec<u8>,
}

/// What is done to a message. What is left in [`Message::bytes`] goes on.
type Act = dyn FnMut(Message<'_>) + Send;

/// What is done to messages.
#[derive(Clone)]
pub struct Tap {
    act: Arc<Mutex<Act>>,
    /// Everything but the init packets passes as it comes: what follows may be a classic session.
    only_init: bool,
}

impl Tap {
    /// Does this to every message.
    pub fn on_all(act: impl FnMut(Message<'_>) + Send + 'static) -> Self {
        Tap { act: Arc::new(Mutex::new(act)), only_init: false }
    }

    /// Does this to every init packet.
    pub fn on_init(act: impl FnMut(Message<'_>) + Send + 'static) -> Self {
        Tap { act: Arc::new(Mutex::new(act)), only_init: true }
    }

    fn is_for(&self, direction: Direction, number: usize) -> bool {
        !self.only_init || (direction, number) == (Direction::Down, 0)
    }
}

/// Cuts one direction of a connection into messages.
pub struct Cutter {
    tap: Option<Tap>,
    connection: usize,
    direction: Direction,
    number: usize,
    partial: Vec<u8>,
}

impl Cutter {
    /// Without a tap, bytes pass as they come.
    pub fn new(tap: Option<Tap>, connection: usize, direction: Direction) -> Self {
        Cutter { tap, connection, direction, number: 0, partial: Vec::new() }
    }

    /// Takes what arrived, and appends what goes on to `out`.
    pub fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(tap) = &self.tap else {
            out.extend_from_slice(bytes);
            return;
        };
        self.partial.extend_from_slice(bytes);
        while tap.is_for(self.direction, self.number)
            && let Some(length) = message_length(self.direction, self.number, &self.partial)
        {
            let rest = self.partial.split_off(length);
            let mut message = std::mem::replace(&mut self.partial, rest);
            let Cutter { connection, direction, number, .. } = *self;
            tap.act.lock().unwrap()(Message { connection, direction, number, bytes: &mut message });
            out.append(&mut message);
            self.number += 1;
        }
        if !tap.is_for(self.direction, self.number) {
            out.append(&mut self.partial);
        }
    }
}

/// The length of the message that `bytes` begin with, if it is complete.
fn message_length(direction: Direction, number: usize, bytes: &[u8]) -> Option<usize> {
    let length = match (direction, number) {
        (Direction::Up, 0) => UPGRADE_BYTES,
        (Direction::Down, 0) => INIT_BYTES,
        _ => 2 + usize::from(u16::from_be_bytes(*bytes.first_chunk()?)),
    };
    (bytes.len() >= length).then_some(length)
}
