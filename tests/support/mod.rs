//! What the end-to-end tests share. Each test binary uses a part of it.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod client;
pub mod fifo;
pub mod nagios4;
pub mod process;
pub mod standby;
pub mod wait;
