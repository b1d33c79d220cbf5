//! The failover controller: it takes this node's core on stage when the master's is gone, and off it again.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`machine`] | decides, without I/O: states, the table of transitions, evidence, the core's switches |
//! | [`controller`] | drives the machine: plugins, heartbeat, the local core, disk, hooks, operator |
//! | [`event`] | the documentation's scenario 1: what event handlers tell |
//! | [`verdict`] | how the core on this machine is; on a master, its heartbeats tell that |
//! | [`flags`] | the core's switches in its status file |
//! | [`issue`] | how mode commands reach the core |
//! | `retained` | the switches that a stopped core kept for its next start |

pub mod controller;
mod disk;
pub mod event;
pub mod flags;
mod hook;
pub mod issue;
pub mod machine;
mod plugin;
mod process;
mod retained;
pub mod verdict;

pub use controller::{Controller, Handle, Heard, StartError, Status, Surroundings};
pub use disk::HISTORY_LINES;
pub use issue::{Direct, Issue, Issued, NotIssued, Obstacle};
