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
//! | [`sides`] | what this node's core shows beside the book of the peer, and whose memory counts |
//! | [`mirroring`] | what people did on the node in charge, done again on this core |
//! | [`resync`] | what this core lacks, brought to it while it does not notify |
//! | [`needs`] | what a core must be, and who this daemon must be, for all this |
//! | [`handing_over`] | how a running core is given a memory |
//! | [`takeover`] | what it is given before it notifies |
//! | [`verifying`] | whether this core agrees with the peer's book |
//! | [`stopped`] | what a core that does not run is to find when it starts |
//! | [`warmth`] | whether that is done, for this node's heartbeats |

pub mod handing_over;
pub mod mirroring;
pub mod needs;
pub mod resync;
pub mod settings;
pub mod shelves;
pub mod sides;
pub mod stopped;
pub mod takeover;
pub mod verifying;
pub mod warmth;

mod informing;
mod readmission;
mod stored;
mod warm;

pub use settings::Settings;
pub use shelves::Shelves;
pub use sides::Sides;
pub use verifying::{CannotTell, Verified};
pub use warm::{Ended, Warm};
