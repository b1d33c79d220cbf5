//! The failover controller: it makes this node active when the master's core is gone, and lets it stand by when that lives.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`machine`] | decides, without I/O: states, the table of transitions, evidence, the core's switches |
//! | [`controller`] | drives the machine: plugins, heartbeat, the local core, disk, hooks, operator |
//! | [`event`] | the documentation's scenario 1: what event handlers tell |
//! | [`handler`] | what an event handler does without a daemon |
//! | [`verdict`] | how the core on this machine is; on a master, its heartbeats tell that |
//! | `main_process` | which process a core is, and whether it lives |
//! | [`flags`] | the core's switches in its status file |
//! | [`issue`] | how mode commands reach the core |
//! | `retained` | what a stopped core finds when it starts: its switches, and what it is to remember |

pub mod controller;
mod disk;
pub mod event;
pub mod flags;
pub mod handler;
mod hook;
pub mod issue;
pub mod machine;
mod main_process;
mod plugin;
mod process;
mod retained;
pub mod verdict;

pub use controller::{Controller, Handle, Heard, StartError, Status, Surroundings};
pub use disk::HISTORY_LINES;
pub use issue::{Direct, Issue, Issued, NotIssued, Obstacle};
pub use retained::Amend;
