//! Sealed sessions, from another Understudy: [`Session`] decides, `link` is the shell around it.
//!
//! ```text
//! socket ─▶ Session (nsca::sealed::Server) ─▶ batch ─▶ journal ─▶ commit ─▶ Peers ─▶ acknowledge ─▶ socket
//! ```
//!
//! The shell always reads: what the sender may have under way is bounded by credit, so a disk that is full or slow delays
//! acknowledgements, never heartbeats.

mod link;
mod session;

pub(crate) use link::Link;
pub use session::{Dropped, Event, Session};
