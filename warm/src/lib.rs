//! Keeps this node's core like the one that is in charge, so that it can take over, or back, with everything that one knew.
//!
//! ```text
//! receiver ─▶ books of peers ─┐
//!                             ├▶ mirroring, resynchronisation, take-over of memory ─▶ commands, retention file ─▶ core
//! chronicle ─▶ what it shows ─┘
//! ```
//!
//! | module | what it knows |
//! | --- | --- |
//! | [`settings`] | whom this node is warm for, and with which core |
//! | [`shelves`] | the books of other nodes, in memory and on disk |

pub mod settings;
pub mod shelves;

mod stored;

pub use settings::Settings;
pub use shelves::Shelves;
