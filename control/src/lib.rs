//! How the command line talks to the running daemon: one Unix stream socket, one question and one answer per connection.
//!
//! ```text
//! understudy status ──▶ Client ══ control.sock ══▶ Control ──▶ Handler (the daemon's roles)
//!                   ◀── Answer ◀═════════════════          ◀── Answer
//! ```
//!
//! | module | what it knows |
//! | --- | --- |
//! | [`protocol`] | every request and answer, to the byte |
//! | `socket` | the file: who may connect, and which daemon it belongs to |
//! | `server` | connections, their limits and time-outs |
//! | `client` | asking, and what to tell the operator when nobody answers |
//! | [`status`] | the document behind `understudy status`, its verdict and its text |
//!
//! **Who may ask.** The socket has mode 0660: its owner, its group, and root. It is made where nobody else can reach it and
//! moved into place when its mode is set, so there is no moment at which others can connect. Members of the group are
//! checked by the kernel with this mode, when they connect; should somebody open the socket to others, callers that are
//! neither root, nor the daemon's own user, nor of the socket's group (`SO_PEERCRED`) are refused by the daemon.
//!
//! **Invariant:** a client costs one of [`MAX_CONNECTIONS`] places for a bounded time and a bounded line of text, whatever it
//! sends or does not send; what the daemon exists for never waits for it.

mod client;
pub mod protocol;
mod server;
mod socket;
pub mod status;

pub use client::{Client, ClientError, Forgot};
pub use protocol::{Answer, EventKind, Request, Verified};
pub use server::{Control, Handler, MAX_CONNECTIONS, Serving};
pub use socket::BindError;
pub use status::Status;
