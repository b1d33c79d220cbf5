//! The NSCA protocol without I/O: no socket, file, clock or random source. Time, initialization vectors and
//! the seed of a packet's filler are arguments; bytes go in and come out.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`Method`] | the encryption methods by name and number |
//! | [`Secret`] | a method with its password: the key schedule, made once and shared |
//! | [`Keystream`] | one direction of a session that is encrypted with it |
//! | [`packet`] | the bytes of the init packet and of the data packet, in both sizes |
//! | [`classic`] | a session as every `send_nsca` and `nsca` speaks it, one state machine for each side |
//! | [`sealed`] | a session between two Understudies: authenticated, acknowledged, without limits of size |
//! | [`greeting`] | how a connection becomes the one or the other |
//! | [`sets`] | what `send_nsca` reads on its standard input |
//!
//! Everything but [`sealed`] reproduces what nsca 2.10 and libmcrypt 2.5.8 put on the wire, byte for byte;
//! `tests/data` holds recordings of both.

mod cipher;
mod method;
#[cfg(test)]
mod recordings;

pub mod classic;
pub mod greeting;
pub mod packet;
pub mod sealed;
pub mod sets;

pub use cipher::{Keystream, Secret};
pub use method::{Method, MethodError};
