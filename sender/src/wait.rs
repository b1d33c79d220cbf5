//! Waiting for bytes on a thread of its own.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long a thread sleeps at most before it looks whether it has to stop.
pub(crate) const STEP: Duration = Duration::from_millis(200);

/// Returns when any of the descriptors may be readable, or after `timeout` (at most [`STEP`]).
pub(crate) fn readable(descriptors: &[BorrowedFd<'_>], timeout: Duration) {
    let mut wanted: Vec<PollFd<'_>> =
        descriptors.iter().map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN)).collect();
    let timeout = PollTimeout::try_from(timeout.min(STEP)).expect("a few milliseconds fit");
    // An interrupted or failed poll is a short sleep: the reads that follow tell what is wrong.
    if poll(&mut wanted, timeout).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
