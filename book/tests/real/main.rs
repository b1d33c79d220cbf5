//! What real cores make of it. Needs `nagios4` on PATH.
//!
//! In each test a core plays the master and another one the standby; both are given the same results.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod core;
mod following;
mod handing_over;
mod mirroring;
mod oracle;
