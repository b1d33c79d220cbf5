//! Frames that wait to be sealed, the more urgent ones first.
//!
//! **Invariants:**
//! - a lane holds at most one message full of frames, or one frame that is longer than that;
//! - frames are not interleaved: one that was begun comes to its end before anything else.

use super::noise::{MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES};

/// A buffer that had to grow for a long frame is given back beyond this.
pub(super) const KEPT_CAPACITY_BYTES: usize = 4 * MAX_MESSAGE_BYTES;

/// What waits, in the order in which it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Results that are news.
    Results,
    /// Results that were asked for, and the answer behind them.
    Shown,
    /// What the core remembers, and who asks for it.
    Book,
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    waiting: [Vec<u8>; Lane::ALL.len()],
    /// The lane whose frame is longer than a message, and how much of it is sealed.
    begun: Option<(Lane, usize)>,
}

impl Lane {
    const ALL: [Lane; 3] = [Lane::Results, Lane::Shown, Lane::Book];
}

impl Lanes {
    pub(super) fn has_room_for(&self, lane: Lane, frame_bytes: usize) -> bool {
        let waiting = self.waiting[lane as usize].len();
        waiting == 0 || waiting + frame_bytes <= MAX_PAYLOAD_BYTES
    }

    /// Where to append frames that there is room for.
    pub(super) fn end(&mut self, lane: Lane) -> &mut Vec<u8> {
        &mut self.waiting[lane as usize]
    }

    pub(super) fn is_between_frames(&self) -> bool {
        self.begun.is_none()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.iter().all(Vec::is_empty)
    }

    /// Forgets everything that waits.
    pub(super) fn clear(&mut self) {
        *self = Lanes::default();
    }

    /// Takes what the next message is to carry, if anything waits.
    pub(super) fn take(&mut self, seal: impl FnOnce(&[u8])) {
        let first =
            || Lane::ALL.into_iter().find(|lane| !self.waiting[*lane as usize].is_empty()).map(|lane| (lane, 0));
        let Some((lane, sealed)) = self.begun.or_else(first) else { return };
        let waiting = &mut self.waiting[lane as usize];
        let end = waiting.len().min(sealed + MAX_PAYLOAD_BYTES);
        seal(&waiting[sealed..end]);
        self.begun = (end < waiting.len()).then_some((lane, end));
        if self.begun.is_none() {
            waiting.clear();
            waiting.shrink_to(KEPT_CAPACITY_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lanes: &mut Lanes) -> Vec<u8> {
        let mut taken = Vec::new();
        lanes.take(|payload| taken.extend_from_slice(payload));
        taken
    }

    #[test]
    fn the_more_urgent_goes_first_but_never_into_a_frame() {
        let mut lanes = Lanes::default();
        lanes.end(Lane::Book).extend(vec![3; MAX_PAYLOAD_BYTES + 1]);
        assert_eq!(take(&mut lanes), [3; MAX_PAYLOAD_BYTES]);
        assert!(!lanes.is_between_frames());
        lanes.end(Lane::Shown).push(2);
        lanes.end(Lane::Results).push(1);
        assert_eq!(take(&mut lanes), [3]);
        assert!(lanes.is_between_frames() && !lanes.is_empty());
        assert_eq!([take(&mut lanes), take(&mut lanes), take(&mut lanes)], [vec![1], vec![2], vec![]]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn a_lane_holds_one_message_or_one_frame() {
        let mut lanes = Lanes::default();
        assert!(lanes.has_room_for(Lane::Shown, 1 << 20));
        lanes.end(Lane::Shown).push(0);
        assert!(lanes.has_room_for(Lane::Shown, MAX_PAYLOAD_BYTES - 1));
        assert!(!lanes.has_room_for(Lane::Shown, MAX_PAYLOAD_BYTES));
        assert!(lanes.has_room_for(Lane::Results, 1 << 20));
        lanes.clear();
        assert!(lanes.has_room_for(Lane::Shown, 1 << 20));
    }
}
