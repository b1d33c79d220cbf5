//! `nsca` and `send_nsca` as drop-ins: their files, command lines, messages and exit codes.

mod cfg;

pub use cfg::{DropInError, Facility, NscaCfg, SendNscaCfg};
