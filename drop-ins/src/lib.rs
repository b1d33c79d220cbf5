//! `nsca` and `send_nsca` as drop-ins: their files, command lines, messages and exit codes.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`send_nsca`](mod@send_nsca) | the client: standard input to a daemon, one connection, synchronous |
//! | [`nsca`](mod@nsca) | the daemon: what the original does around receiving, and the [`receiver`] for the rest |
//! | [`NscaCfg`], [`SendNscaCfg`] | the files of both, read as the originals read them |
//!
//! What scripts and administrators look at is the originals' own: arguments, the words of messages, exit codes. The
//! module of each program says where it differs, and why.

mod cfg;
pub mod nsca;
mod number;
mod question;
pub mod send_nsca;

pub use cfg::{DropInError, Facility, NscaCfg, SendNscaCfg};
