//! What the end-to-end tests share. Each test binary uses a part of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(unreachable_pub, reason = "in a test binary nothing can be reached from outside")]

pub mod client;
pub mod core;
pub mod disk;
pub mod fifo;
pub mod master;
pub mod nagios4;
pub mod peers;
pub mod process;
pub mod proxy;
pub mod random;
pub mod sealed;
pub mod site;
pub mod standby;
pub mod tap;
pub mod wait;
