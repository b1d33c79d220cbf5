//! A session as every `send_nsca` and `nsca` speaks it.
//!
//! ```text
//! client                        daemon
//!   │ ◀───── init packet ─────── │   iv, the daemon's time
//!   │ ────── data packet ──────▶ │   encrypted with method, password and iv
//!   │ ────── data packet ──────▶ │   any number
//!   │ ─────── end of file ─────▶ │
//! ```
//!
//! The daemon never answers. [`ClientSession`] and [`ServerSession`] are the two sides; both take the bytes
//! that arrived, in pieces of any size, and say what they mean. A session that returned an error is over.

mod client;
mod error;
mod server;
#[cfg(test)]
mod tests;

pub use client::ClientSession;
pub use error::SessionError;
pub use server::ServerSession;
