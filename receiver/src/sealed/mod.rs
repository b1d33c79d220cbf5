//! Sealed sessions, from another Understudy: [`Session`] decides, `link` is the shell around it.
//!
//! ```text
//! socket ─▶ Session (nsca::sealed::Server) ─▶ batch ─▶ journal ─▶ commit ─▶ Peers ─▶ acknowledge ─▶ socket
//! ```
//!
//! Beside results the sender tells what its core remembers, which goes to whoever keeps [`Books`](crate::Books), and what
//! its core shows of objects that were asked for: the journal takes that again if nothing newer of those has come.
//!
//! The shell always reads: what the sender may have under way is bounded by credit, so a disk that is full or slow delays
//! acknowledgements, never heartbeats.

mod appending;
mod link;
mod reading;
mod session;
mod shown;

pub(crate) use link::Link;
pub use session::{Dropped, Event, Session};
pub use shown::MAX_SHOWN_BYTES;
