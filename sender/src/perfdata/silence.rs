//! Notices a core that runs checks but writes nothing into the FIFO.
//!
//! The core opens the FIFO at its start and gives it up for good if it is absent then. Nothing tells but the status file.

use std::time::Duration;

use nagios::Timestamp;

/// How often the status file is looked at. With 100,000 services it has 130 MB; more often would cost the core's machine.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How many looks in a row must see checks go on over a silent FIFO.
const LOOKS: u32 = 2;

/// What changed with a look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Checks go on, and nothing comes out of the FIFO.
    FellSilent,
    /// Lines come again.
    Speaks,
}

/// Compares what the status file says with what came out of the FIFO. Pure.
#[derive(Default)]
pub(crate) struct Watch {
    newest_check: Option<Timestamp>,
    frames: u64,
    suspicious_looks: u32,
    silent: bool,
}

impl Watch {
    /// Takes the newest check time in the status file and the number of frames since the start, whole or not.
    pub(crate) fn look(&mut self, newest_check: Option<Timestamp>, frames: u64) -> Option<Change> {
        let spoke = frames > std::mem::replace(&mut self.frames, frames);
        let before = std::mem::replace(&mut self.newest_check, newest_check.max(self.newest_check));
        // Before the second look nothing says whether a check is newer than this process.
        let checks_go_on = before.is_some() && self.newest_check > before;
        if spoke {
            self.suspicious_looks = 0;
            return std::mem::take(&mut self.silent).then_some(Change::Speaks);
        }
        self.suspicious_looks += u32::from(checks_go_on);
        if self.suspicious_looks >= LOOKS && !self.silent {
            self.silent = true;
            return Some(Change::FellSilent);
        }
        None
    }

    /// Whether checks go on over a silent FIFO.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::from_seconds(seconds))
    }

    #[test]
    fn checks_over_a_silent_fifo_are_told_once() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(at(10), 0), None);
        assert_eq!(watch.look(at(20), 0), None);
        assert_eq!(watch.look(at(30), 0), Some(Change::FellSilent));
        assert_eq!(watch.look(at(40), 0), None);
        assert!(watch.is_silent());
        assert_eq!(watch.look(at(50), 7), Some(Change::Speaks));
        assert_eq!(watch.look(at(60), 7), None);
        assert_eq!(watch.look(at(70), 7), Some(Change::FellSilent));
    }

    #[test]
    fn a_core_without_checks_may_be_silent() {
        let mut watch = Watch::default();
        for seen in [None, at(10), at(10), at(10), at(9), at(10), at(10)] {
            assert_eq!(watch.look(seen, 0), None);
        }
    }

    #[test]
    fn lines_now_and_then_are_enough() {
        let mut watch = Watch::default();
        for n in 0..10_u8 {
            assert_eq!(watch.look(at(n.into()), u64::from(n) / 2), None);
        }
    }
}
