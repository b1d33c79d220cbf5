//! A network that cuts into pieces, delays, stalls, swallows, garbles and resets.

use std::collections::VecDeque;

use crate::random::Random;

/// A TCP connection as its ends see it.
#[derive(Default)]
pub(crate) struct Connection {
    pub(crate) to_standby: Way,
    pub(crate) to_master: Way,
    /// Both ends notice at once.
    pub(crate) is_reset: bool,
}

/// One direction.
#[derive(Default)]
pub(crate) struct Way {
    under_way: VecDeque<u8>,
    is_closed: bool,
    fate: Fate,
}

/// What becomes of what is sent.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Arrives,
    /// It waits in between for ever, and nobody notices.
    Stalls,
    /// It is gone, and nobody notices.
    IsSwallowed,
}

/// What there is to read.
pub(crate) enum Read {
    Bytes(Vec<u8>),
    Nothing,
    End,
}

impl Connection {
    /// Something happens to it, sometimes.
    pub(crate) fn suffer(&mut self, random: &mut Random) {
        match random.below(400) {
            0 => self.is_reset = true,
            1 => self.to_standby.fate = Fate::Stalls,
            2 => self.to_master.fate = Fate::Stalls,
            3 => self.to_standby.fate = Fate::IsSwallowed,
            4 => self.to_master.fate = Fate::IsSwallowed,
            5 => self.to_standby.garble(random),
            6 => self.to_master.garble(random),
            _ => {}
        }
    }

    /// From now on it works.
    pub(crate) fn heal(&mut self) {
        // What was swallowed cannot come back: such a connection ends.
        self.is_reset |= [&self.to_standby, &self.to_master].iter().any(|way| way.fate != Fate::Arrives);
    }
}

impl Way {
    /// The most that a peer that does not read keeps from being sent.
    const WINDOW: usize = 64 << 10;

    /// Takes as much as there is room for.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let room = Self::WINDOW.saturating_sub(self.under_way.len());
        let taken = bytes.len().min(room);
        if self.fate != Fate::IsSwallowed {
            self.under_way.extend(&bytes[..taken]);
        }
        taken
    }

    /// Nothing more is written.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Some of what is under way arrives.
    pub(crate) fn read(&mut self, random: &mut Random) -> Read {
        if self.fate != Fate::Arrives {
            return Read::Nothing;
        }
        let most = if random.once_in(8) { 40 } else { 20_000 };
        let count = self.under_way.len().min(random.below(most));
        match count {
            0 if self.under_way.is_empty() && self.is_closed => Read::End,
            0 => Read::Nothing,
            count => Read::Bytes(self.under_way.drain(..count).collect()),
        }
    }

    fn garble(&mut self, random: &mut Random) {
        if !self.under_way.is_empty() {
            let at = random.below(self.under_way.len());
            self.under_way[at] ^= 1 << random.below(8);
        }
    }
}
