//! `understudy-ocsp` and the hand-over format that it shares with the sender.

mod crc32;
pub mod handover;
pub mod spill;
