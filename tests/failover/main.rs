//! Failover between running daemons beside real cores, real nrpe and the real plugins.
//!
//! Each module has a situation; `node`, `core` and `nrpe` are what they are made of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "what the tests are made of is whole")]
#![allow(unreachable_pub, reason = "in a test binary nothing can be reached from outside")]

mod backlog;
mod boot;
mod command_file;
mod core;
mod events;
mod feed;
mod flapping;
mod heartbeat;
mod imposter;
mod killed;
mod linked;
mod node;
mod nrpe;
mod orders;
mod pair;
mod probes;
mod recovery;
mod script;
#[path = "../support/mod.rs"]
mod support;
mod verdict;
mod witnesses;

use std::time::Duration;

/// The deadline of what should come true: generous, since much runs at the same time. What has a bound of its own is measured.
const SOON: Duration = Duration::from_secs(60);
